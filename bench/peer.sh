#!/usr/bin/env bash
# Starts Debian's Postfix + Dovecot for comparison, apart from any configuration of the machine:
#   peer.sh start DIR USERS   prints SMTP port, IMAP port and the two master pids
#   peer.sh stop DIR
# Needs root and the packages postfix, dovecot-imapd, dovecot-lmtpd. Settings are Debian's but for addresses, users and
# concurrency; fsync stays on (Postfix always, Dovecot mail_fsync=optimized, its default).
set -euo pipefail

command=$1 dir=$2
smtp_port=${PEER_SMTP_PORT:-12525} imap_port=${PEER_IMAP_PORT:-12143} lmtp_port=${PEER_LMTP_PORT:-12024}

start() {
  local users=$1
  mkdir -p "$dir"/{postfix,spool,data,dovecot/run,dovecot/state,mail}
  chmod 755 "$dir"
  chown -R nobody:nogroup "$dir/mail"
  chown postfix "$dir/data"
  cat >"$dir/postfix/main.cf" <<C
compatibility_level = 3.6
queue_directory = $dir/spool
data_directory = $dir/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.test
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
maillog_file = $dir/postfix.log
maillog_file_prefixes = /
virtual_mailbox_domains = bench.test
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:inet:127.0.0.1:$lmtp_port
lmtp_destination_recipient_limit = 1
lmtp_destination_concurrency_limit = 50
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
C
  sed -e "s/^smtp  *inet.*/127.0.0.1:$smtp_port inet n - n - 200 smtpd/" /usr/share/postfix/master.cf.dist >"$dir/postfix/master.cf"
  sed -i -E 's/^([a-z].*(unix|inet|fifo) +[-yn] +[-yn] +)[-y]/\1n/' "$dir/postfix/master.cf"
  grep -q '^postlog' "$dir/postfix/master.cf" || echo 'postlog unix-dgram n - n - 1 postlogd' >>"$dir/postfix/master.cf"
  : >"$dir/dovecot/users"
  for n in $(seq 0 $((users - 1))); do
    echo "u$n@bench.test:{PLAIN}benchmark-secret" >>"$dir/dovecot/users"
  done
  cat >"$dir/dovecot/dovecot.conf" <<C
base_dir = $dir/dovecot/run
state_dir = $dir/dovecot/state
log_path = $dir/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:$dir/mail/%u
mail_max_userip_connections = 2000
auth_username_format = %u
passdb {
  driver = passwd-file
  args = $dir/dovecot/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$dir/mail/%u
}
service imap-login {
  service_count = 0
  client_limit = 2000
  inet_listener imap {
    port = $imap_port
  }
  inet_listener imaps {
    port = 0
  }
}
service imap {
  process_limit = 2000
}
service lmtp {
  process_limit = 100
  inet_listener lmtp {
    port = $lmtp_port
  }
}
service anvil {
  client_limit = 4000
}
service auth {
  client_limit = 4000
}
namespace inbox {
  inbox = yes
  mailbox Archive {
    auto = create
  }
}
C
  dovecot -c "$dir/dovecot/dovecot.conf"
  postfix -c "$dir/postfix" start 2>/dev/null
  echo "$smtp_port $imap_port $(cat "$dir/spool/pid/master.pid" | tr -d ' ') $(cat "$dir/dovecot/run/master.pid")"
}

stop() {
  postfix -c "$dir/postfix" stop 2>/dev/null || true
  doveadm -c "$dir/dovecot/dovecot.conf" stop || true
}

case $command in
  start) start "${3:-50}" ;;
  stop) stop ;;
  *) echo "usage: peer.sh start DIR [USERS] | stop DIR" >&2; exit 2 ;;
esac
