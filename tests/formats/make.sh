#!/usr/bin/env bash
# Makes the data directory of one release for tests/tests/formats.rs: run it once when a release changes what is on disk.
#   tests/formats/make.sh BINARY NAME     leaves tests/formats/NAME.tar.gz
set -euo pipefail
binary=$(realpath "$1") archive=$(realpath "$(dirname "$0")")/$2.tar.gz
work=$(mktemp -d)
cd "$work"
"$binary" --data data --bind 127.0.0.1 --ephemeral-ports --domain example.org >banner 2>log &
pid=$!
trap 'kill $pid 2>/dev/null || true; rm -rf "$work"' EXIT
until grep -q 'imap ' banner; do kill -0 $pid; read -rt 0.2 <> <(:) || true; done
echo secret-of-ann | "$binary" --data data account add ann@example.org --password-stdin
"$binary" --data data alias add sales@example.org ann@example.org
port() { awk -v name="$1" '$1 == name { sub(/.*:/, "", $2); print $2 }' banner; }
SMTP=$(port smtp) IMAP=$(port imap) python3 - <<'PYTHON'
import imaplib, os, smtplib
for number in range(5):
    smtp = smtplib.SMTP('127.0.0.1', int(os.environ['SMTP']))
    lines = ('x' * 60 + '\r\n') * (1000 if number == 4 else 1)
    text = f'Subject: number {number}\r\nFrom: bob@example.net\r\nMessage-ID: <{number}@example.net>\r\n\r\nbody {number}\r\n{lines}'
    smtp.sendmail('bob@example.net', ['ann@example.org'], text)
    smtp.quit()
imap = imaplib.IMAP4('127.0.0.1', int(os.environ['IMAP']))
imap.login('ann@example.org', 'secret-of-ann')
imap.select('INBOX')
imap.store('1', '+FLAGS', '(\\Seen work)')
imap.copy('2', 'Archive')
imap.create('Projects/2026')
imap.store('3', '+FLAGS', '\\Deleted')
imap.expunge()
imap.logout()
PYTHON
kill $pid
wait $pid || true
rm -f data/admin.sock
tar czf "$archive" data
