"""The mail client of the container tests: sends by submission over TLS, reads by IMAP over TLS.

    mail.py send (starttls|implicit) HOST PORT USER SUBJECT BODY_BYTES
    mail.py read (starttls|implicit) HOST PORT USER

The password is in MAIL_PASSWORD. `send` prints the digest of the body; `read` prints the UIDVALIDITY of INBOX, then one line per
message, ordered by UID: UID, subject, digest of the body. Any refusal ends it with a traceback.
"""

import hashlib
import imaplib
import os
import smtplib
import ssl
import sys
from email import message_from_bytes
from email.policy import SMTP

PATIENCE_SECONDS = 30


def trust_anything():
    """A context for the self-signed certificate of a fresh node."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def text(subject, size):
    """Lines that follow from the subject, `size` bytes in all or up to a line more, none longer than 72."""
    lines, digest, length = [], hashlib.sha256(subject.encode()), 0
    while length < size:
        digest.update(b".")
        lines.append(digest.hexdigest())
        length += len(lines[-1]) + 2
    return "\r\n".join(lines) + "\r\n"


def send(tls, host, port, user, subject, size):
    if tls == "implicit":
        client = smtplib.SMTP_SSL(host, port, timeout=PATIENCE_SECONDS, context=trust_anything())
    else:
        client = smtplib.SMTP(host, port, timeout=PATIENCE_SECONDS)
        client.starttls(context=trust_anything())
    client.login(user, os.environ["MAIL_PASSWORD"])
    body = text(subject, int(size))
    client.sendmail(user, [user], f"From: <{user}>\r\nTo: <{user}>\r\nSubject: {subject}\r\n\r\n{body}")
    client.quit()
    print(digest_of(body.encode()))


def read(tls, host, port, user):
    if tls == "implicit":
        client = imaplib.IMAP4_SSL(host, port, ssl_context=trust_anything(), timeout=PATIENCE_SECONDS)
    else:
        client = imaplib.IMAP4(host, port, timeout=PATIENCE_SECONDS)
        client.starttls(trust_anything())
    client.login(user, os.environ["MAIL_PASSWORD"])
    client.select("INBOX", readonly=True)
    print("UIDVALIDITY", client.response("UIDVALIDITY")[1][0].decode())
    uids = client.uid("SEARCH", "ALL")[1][0].decode().split()
    for uid in sorted(uids, key=int):
        raw = client.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1]
        message = message_from_bytes(raw, policy=SMTP)
        print(uid, message["Subject"], digest_of(raw.split(b"\r\n\r\n", 1)[1]))
    client.logout()


def digest_of(body):
    return hashlib.sha256(body).hexdigest()[:16]


if __name__ == "__main__":
    {"send": send, "read": read}[sys.argv[1]](*sys.argv[2:4], int(sys.argv[4]), *sys.argv[5:])
