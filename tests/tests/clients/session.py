"""A mail program's day with smtplib and imaplib. session.py PLACE prints "done" when everything was as it should be."""

import email.message
import email.policy
import imaplib
import json
import re
import smtplib
import ssl
import sys
import time

PLACE = json.loads(sys.argv[1])
USER, PASSWORD, PORTS = PLACE["user"], PLACE["password"], PLACE["ports"]
CONTEXT = ssl.create_default_context(cafile=PLACE["certificate"])
FOLDER = '"Arbeit/Gr&APYA3w-e &- Ma&AN8-"'
SECONDS = 60


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


def refused(action, *errors):
    try:
        action()
    except errors:
        return
    raise AssertionError("this should have been refused")


def message(subject, body):
    made = email.message.EmailMessage()
    made["From"], made["To"], made["Subject"] = f"Ann Ä <{USER}>", USER, subject
    made.set_content(body)
    return made


def send():
    with smtplib.SMTP_SSL("localhost", PORTS["submissions"], context=CONTEXT, timeout=SECONDS) as smtp:
        refused(lambda: smtp.login(USER, "guess"), smtplib.SMTPAuthenticationError)
        smtp.login(USER, PASSWORD)
        assert smtp.send_message(message("implicit", "one\n.two\n")) == {}
        # Two messages in one session, the second one larger than any buffer.
        assert smtp.send_message(large()) == {}
    with smtplib.SMTP("localhost", PORTS["submission"], timeout=SECONDS) as smtp:
        smtp.starttls(context=CONTEXT)
        smtp.ehlo()
        smtp.user, smtp.password = USER, PASSWORD
        smtp.auth("LOGIN", smtp.auth_login)
        assert smtp.send_message(message("starttls", "two\n")) == {}
        # Headers in UTF-8 need SMTPUTF8.
        utf8 = message("Grüße aus Köln", "Straße\n").as_bytes(policy=email.policy.SMTPUTF8)
        options = ["SMTPUTF8", "BODY=8BITMIME"]
        assert smtp.sendmail(USER, [USER], utf8, mail_options=options) == {}
        refused(lambda: smtp.sendmail(USER, ["nobody@example.org"], b"x"), smtplib.SMTPRecipientsRefused)


def large():
    made = message("large", "see attachment\n")
    made.add_attachment(bytes(range(256)) * 4096, "application", "octet-stream", filename="bytes")
    return made


def connect():
    imap = imaplib.IMAP4_SSL("localhost", PORTS["imaps"], ssl_context=CONTEXT, timeout=SECONDS)
    refused(lambda: imap.login(USER, "guess"), imaplib.IMAP4.error)
    imap.login(USER, PASSWORD)
    return imap


def by_subject(imap, subject):
    """The UID of the one message with this subject, given as a literal in UTF-8."""
    imap.literal = subject.encode()
    found = ok(imap.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT"))[0].split()
    assert len(found) == 1, (subject, found)
    return found[0].decode()


def read(imap):
    assert ok(imap.select("INBOX")) == [b"4"]
    assert ok(imap.search(None, "UNSEEN", "SINCE", "01-Jan-2020")) == [b"1 2 3 4"]
    assert ok(imap.search(None, "FLAGGED")) == [b""]
    uid = by_subject(imap, "Grüße aus Köln")
    (_, raw), _ = ok(imap.uid("FETCH", uid, "(RFC822)"))
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert (parsed["Subject"], parsed.get_content()) == ("Grüße aus Köln", "Straße\r\n"), raw
    assert b"\\Seen" in ok(imap.uid("FETCH", uid, "(FLAGS)"))[0]

    uid = by_subject(imap, "large")
    (_, raw), _ = ok(imap.uid("FETCH", uid, "(BODY.PEEK[])"))
    attachment = next(email.message_from_bytes(raw, policy=email.policy.default).iter_attachments())
    assert attachment.get_content() == bytes(range(256)) * 4096
    (_, piece), _ = ok(imap.uid("FETCH", uid, "(BODY.PEEK[]<1000.500>)"))
    assert piece == raw[1000:1500]
    (_, binary), _ = ok(imap.uid("FETCH", uid, "(BINARY.PEEK[2])"))
    assert binary == bytes(range(256)) * 4096
    structure = b" ".join(ok(imap.uid("FETCH", uid, "(BODYSTRUCTURE ENVELOPE RFC822.SIZE INTERNALDATE)")))
    assert b'"octet-stream"' in structure.lower() and b"RFC822.SIZE %d" % len(raw) in structure, structure
    assert imaplib.Internaldate2tuple(structure) is not None


def change(imap):
    ok(imap.create(FOLDER))
    ok(imap.subscribe(FOLDER))
    assert any(line.endswith(FOLDER.encode()) for line in ok(imap.lsub()))
    implicit, starttls = by_subject(imap, "implicit"), by_subject(imap, "starttls")
    stored = ok(imap.uid("STORE", implicit, "+FLAGS", "(\\Seen \\Flagged $Important)"))
    assert b"\\Flagged" in stored[0] and b"$Important" in stored[0], stored
    assert ok(imap.search(None, "KEYWORD", "$Important")) == [b"1"]
    for command, uid, new in [("COPY", implicit, "1"), ("MOVE", starttls, "2")]:
        ok(imap.uid(command, uid, FOLDER))
        assert imap.response("COPYUID")[1][0].endswith(f" {uid} {new}".encode()), (command, uid)
    assert ok(imap.status(FOLDER, "(MESSAGES UIDNEXT)"))[0].endswith(b"(MESSAGES 2 UIDNEXT 3)")
    when = imaplib.Time2Internaldate(time.gmtime(86_400 * 10_000))
    appended = message("appended", "x\n").as_bytes(policy=email.policy.SMTP)
    ok(imap.append("Sent", "(\\Seen \\Answered \\Draft)", when, appended))
    ok(imap.select("Sent"))
    (kept, raw), _ = ok(imap.fetch("1", "(INTERNALDATE BODY.PEEK[])"))
    assert raw == appended and b"19-May-1997 00:00:00 +0000" in kept, (kept, raw)
    ok(imap.select(FOLDER))
    ok(imap.store("2", "FLAGS.SILENT", "(\\Deleted)"))
    refused(lambda: ok(imap.select('"no such folder"')), AssertionError)


def idle(imap):
    """imaplib learned IDLE in Python 3.14 only; these are its raw lines."""
    ok(imap.select("INBOX"))
    imap.send(b"IDLE1 IDLE\r\n")
    assert imap.readline().startswith(b"+")
    with smtplib.SMTP("localhost", PORTS["smtp"], timeout=SECONDS) as smtp:
        smtp.send_message(message("while idle", "x\n"), from_addr="bob@example.net")
    while b" EXISTS" not in (line := imap.readline()):
        assert line.startswith(b"* "), line
    assert line == b"* 4 EXISTS\r\n", line
    imap.send(b"DONE\r\n")
    while not (line := imap.readline()).startswith(b"IDLE1 "):
        assert line.startswith(b"* "), line
    assert line.startswith(b"IDLE1 OK"), line
    uid = by_subject(imap, "while idle")
    ok(imap.uid("COPY", uid, "Archive"))
    ok(imap.uid("STORE", uid, "+FLAGS", "(\\Deleted)"))
    assert ok(imap.expunge()) == [b"4"]
    assert re.fullmatch(rb"1 \(UID \d+\)", ok(imap.fetch("1", "(UID)"))[0])


def main():
    send()
    with imaplib.IMAP4("localhost", PORTS["imap"], timeout=SECONDS) as imap:
        imap.starttls(ssl_context=CONTEXT)
        imap.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
        assert ok(imap.noop())
    with connect() as imap:
        read(imap)
        change(imap)
        idle(imap)
    print("done")


main()
