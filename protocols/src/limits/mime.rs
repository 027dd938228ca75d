//! Bounds of the MIME views. Beyond a bound the view gets coarser (a field is not parsed, a part is not split);
//! offsets and sizes stay exact and the message itself is never altered or refused here.

/// Octets of one header section that are parsed; fields behind are not seen, though offsets count them.
/// Real headers with long ARC and DKIM chains stay under 64 KiB; four times that leaves room.
pub const HEADER_SECTION_BYTES_MAX: usize = 256 * 1024;

/// Parts in one message; the last one allowed takes the rest of the message as an opaque leaf.
/// The largest digests seen in the wild have some hundreds.
pub const PARTS_MAX: usize = 1000;

/// Nesting of parts; a multipart or message deeper than this is an opaque leaf.
/// One forward costs three levels, so twenty forwards of forwards fit; it also bounds recursion over the tree.
pub const DEPTH_MAX: usize = 64;

/// Parameters kept per Content-Type or Content-Disposition field; the rest are dropped.
/// RFC 2231 continuations count singly, and a long file name needs a dozen.
pub const PARAMETERS_MAX: usize = 64;

/// Octets of a multipart boundary. RFC 2046 section 5.1.1 allows 70; broken generators exceed it.
/// Beyond, the field is taken as invalid, which makes the part plain text.
pub const BOUNDARY_BYTES_MAX: usize = 256;

/// Octets kept of one field value (Subject, Message-ID, one parameter, a display name); the rest is cut.
/// Ten times the longest line RFC 5322 section 2.1.1 allows, and a little more.
pub const FIELD_VALUE_BYTES_MAX: usize = 16 * 1024;

/// Addresses kept in one envelope, all fields together: four times RCPT's usual bound of 1000.
pub const ADDRESSES_MAX: usize = 4000;

/// Octets that the descriptions of all parts and their embedded envelopes may keep together. Beyond, a part
/// keeps its type and offsets only. It bounds the memory and the stored record of a hostile message.
pub const STRUCTURE_BYTES_MAX: usize = 256 * 1024;

/// Octets of one encoded word. RFC 2047 section 2 allows 75 and mailers exceed it; what is longer stays undecoded.
/// It also bounds the work on a field made of beginnings of encoded words.
pub const ENCODED_WORD_BYTES_MAX: usize = 2048;

/// Octets of one read from a message file while searching, decoding or previewing. A search holds some ten times
/// as much, for the same piece in its further forms.
pub const READ_CHUNK_BYTES: usize = 32 * 1024;

/// Octets of a search needle after folding. An IMAP line bound is of the same size; longer needles match nothing.
pub const NEEDLE_BYTES_MAX: usize = 8 * 1024;

/// White space held back at a line's end by the quoted-printable decoder until it knows whether the line ends
/// there; RFC 2045 section 6.7 allows 76 octets in a line, so a longer run is content.
pub const QUOTED_PRINTABLE_SPACE_BYTES_MAX: usize = 1000;

/// Characters of a preview (RFC 8970 section 3.1: at most 200).
pub const PREVIEW_CHARACTERS_MAX: usize = 200;

/// Decoded octets read to make a preview. HTML mails open with tens of KiB of style sheets.
pub const PREVIEW_SOURCE_BYTES_MAX: usize = 128 * 1024;

/// A string longer than this is written to IMAP as a literal even if it could be quoted:
/// some clients bound the length of a line (RFC 2683 section 3.2.1.5).
pub const IMAP_QUOTED_BYTES_MAX: usize = 1000;
