"""Prints an account as JSON, {folder: [{subject, flags, bytes, text}]}, each list sorted.

snapshot.py PLACE imap                    as imaplib reads it
snapshot.py PLACE maildir percent|utf7 DIR  as mailbox.Maildir reads it; the word is how folder names are written

"flags" are the letters of Maildir, "bytes" a hash of the message as it stands, "text" one that forgives what a
synchroniser may change: line ends and its own X-TUID header.
"""

import base64
import email
import email.policy
import hashlib
import imaplib
import json
import mailbox
import re
import ssl
import sys
import urllib.parse

LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}


def from_utf7(name):
    """RFC 3501 section 5.1.3."""

    def decode(match):
        if not match[1]:
            return "&"
        text = match[1].replace(",", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-16-be")

    return re.sub("&([^-]*)-", decode, name)


def entry(raw, flags):
    text = re.sub(rb"(?m)^X-TUID:.*\n", b"", raw.replace(b"\r\n", b"\n"))
    subject = email.message_from_bytes(raw, policy=email.policy.default)["Subject"]
    return {
        "subject": str(subject or ""),
        "flags": "".join(sorted(set(flags) & set("DFRST"))),
        "bytes": hashlib.sha256(raw).hexdigest(),
        "text": hashlib.sha256(text).hexdigest(),
    }


def by_imap(place):
    context = ssl.create_default_context(cafile=place["certificate"])
    folders = {}
    with imaplib.IMAP4_SSL("localhost", place["ports"]["imaps"], ssl_context=context, timeout=60) as imap:
        imap.login(place["user"], place["password"])
        for line in imap.list()[1]:
            attributes, _, name = re.fullmatch(rb'\((.*?)\) ("."|NIL) (.*)', line).groups()
            if rb"\Noselect" in attributes or rb"\NonExistent" in attributes:
                continue
            quoted = name.decode()
            name = from_utf7(re.sub(r"\\(.)", r"\1", quoted[1:-1]) if quoted.startswith('"') else quoted)
            status, count = imap.select(quoted, readonly=True)
            assert status == "OK", (quoted, count)
            messages = folders[name] = []
            if int(count[0]) == 0:
                continue
            status, parts = imap.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
            assert status == "OK", parts
            # A message is a pair of (what precedes the literal, the literal) and then what follows it.
            for (before, raw), after in zip(parts[::2], parts[1::2]):
                flags = re.search(rb"FLAGS \((.*?)\)", before + after)[1].decode().split()
                messages.append(entry(raw, "".join(LETTERS.get(flag, "") for flag in flags)))
            assert len(messages) == int(count[0]), (quoted, count, len(messages))
    return folders


def by_maildir(names, directory):
    decode = {"percent": urllib.parse.unquote, "utf7": from_utf7}[names]
    top = mailbox.Maildir(directory, create=False)
    boxes = {"INBOX": top}
    for name in top.list_folders():
        boxes["/".join(decode(level) for level in name.split("."))] = top.get_folder(name)
    return {
        name: [entry(box.get_bytes(key), box[key].get_flags()) for key in box.keys()] for name, box in boxes.items()
    }


def main():
    place, kind = json.loads(sys.argv[1]), sys.argv[2]
    folders = by_imap(place) if kind == "imap" else by_maildir(*sys.argv[3:])
    for messages in folders.values():
        messages.sort(key=lambda message: sorted(message.items()))
    json.dump(folders, sys.stdout, ensure_ascii=False)


main()
