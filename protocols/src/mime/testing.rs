//! Messages and shorthands for the tests of this module; not part of the product.

use super::digest::Digest;
use super::scanner::Scanner;
use super::structure::Structure;

/// Two texts, an embedded message with two parts of its own, and an attachment: most of what IMAP can address.
pub(super) const NESTED: &str = "From: Ann <ann@example.org>\r\n\
    To: bob@example.org\r\n\
    Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n\
    Subject: outer\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"outer\"\r\n\
    \r\n\
    This is a preamble.\r\n\
    --outer\r\n\
    \r\n\
    first\r\ntext\r\n\
    --outer\r\n\
    Content-Type: message/rfc822\r\n\
    Content-Description: forwarded\r\n\
    \r\n\
    From: carl@example.net\r\n\
    Subject: inner\r\n\
    Content-Type: multipart/alternative; boundary=outer2\r\n\
    \r\n\
    --outer2\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    \r\n\
    plain\r\n\
    --outer2\r\n\
    Content-Type: text/html\r\n\
    \r\n\
    <p>rich</p>\r\n\
    --outer2--\r\n\
    inner epilogue\r\n\
    --outer\r\n\
    Content-Type: image/png; name=dot.png\r\n\
    Content-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=dot.png\r\n\
    \r\n\
    AAAA\r\n\
    --outer--\r\n\
    epilogue\r\n";

/// A message that is not multipart.
pub(super) const PLAIN: &str = "From: ann@example.org\r\nSubject: plain\r\n\r\none\r\ntwo\r\n";

/// Scans in one chunk.
pub(super) fn digest_of(message: impl AsRef<[u8]>) -> Digest {
    let mut scanner = Scanner::new();
    scanner.push(message.as_ref());
    scanner.finish_digest()
}

/// Scans in one chunk, for the tree alone.
pub(super) fn structure_of(message: impl AsRef<[u8]>) -> Structure {
    digest_of(message).structure
}

/// Each part as `type/subtype header_start-body_start-body_end lines [children]`.
pub(super) fn outline(structure: &Structure) -> Vec<String> {
    let show = |part: &super::structure::Part| {
        let (header, body) = (&part.header, &part.body);
        let kind = format!("{}/{}", part.media_type, part.subtype);
        format!("{kind} {}-{}-{} {} {:?}", header.start, body.start, body.end, part.lines, part.children)
    };
    structure.parts.iter().map(show).collect()
}

/// Each part as `type/subtype "body"`, leaves only.
pub(super) fn leaves(message: &str) -> Vec<String> {
    let structure = structure_of(message);
    let leaf = |part: &&super::structure::Part| part.children.is_empty();
    let body = |part: &super::structure::Part| &message[part.body.start as usize..part.body.end as usize];
    structure
        .parts
        .iter()
        .filter(leaf)
        .map(|part| format!("{}/{} {:?}", part.media_type, part.subtype, body(part)))
        .collect()
}
