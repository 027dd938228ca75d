//! Message data on its way in: undoes dot-stuffing of DATA and checks line ends, a whole buffer at a time.
//! It keeps no bytes: what it cannot decide yet stays in the caller's buffer.

use crate::limits::smtp::TEXT_LINE_BYTES_MAX;
use memchr::memchr2;

/// What is wrong with the lines of a message. Sticky: once set, the message is refused at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LineFaults {
    /// A CR without LF or an LF without CR (RFC 5321 section 2.3.8), the stuff of SMTP smuggling.
    pub(super) bare: bool,
    /// A line over [`TEXT_LINE_BYTES_MAX`].
    pub(super) too_long: bool,
}

/// Decoder of the octets between 354 and CRLF.CRLF.
#[derive(Debug)]
pub(super) struct DotDecoder {
    at_line_start: bool,
    line_bytes: u64,
    faults: LineFaults,
}

/// What one call to [`DotDecoder::decode`] did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of input that are done with; the rest has to be presented again with more behind it.
    pub(super) consumed: usize,
    /// Whether the final dot was among them.
    pub(super) ended: bool,
}

impl DotDecoder {
    pub(super) fn new() -> DotDecoder {
        // RFC 5321 section 4.1.1.4: the CRLF of the DATA command counts as the one before the first line.
        DotDecoder { at_line_start: true, line_bytes: 0, faults: LineFaults::default() }
    }

    pub(super) fn faults(&self) -> LineFaults {
        self.faults
    }

    /// Appends the decoded bytes of `input` to `output`. Leaves at most two bytes unconsumed unless the end is found.
    /// Only CR LF ends a line and only CR LF "." CR LF ends the data; anything near it is a fault inside the message.
    pub(super) fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Progress {
        let (mut position, mut run_start) = (0, 0);
        let mut ended_at = None;
        while let Some(rest @ [first, ..]) = input.get(position..) {
            if self.at_line_start && *first == b'.' {
                match rest {
                    [_] | [_, b'\r'] => break,
                    [_, b'\r', b'\n', ..] => {
                        ended_at = Some(position + 3);
                        break;
                    }
                    _ => {
                        // RFC 5321 section 4.5.2: a leading dot is dropped.
                        output.extend_from_slice(input.get(run_start..position).unwrap_or_default());
                        position += 1;
                        run_start = position;
                        self.at_line_start = false;
                    }
                }
                continue;
            }
            match self.line_part(rest) {
                Some(length) => position += length,
                None => {
                    // A CR at the very end of the input: whether it is bare shows with the next byte.
                    position = input.len() - 1;
                    break;
                }
            }
        }
        output.extend_from_slice(input.get(run_start..position).unwrap_or_default());
        Progress { consumed: ended_at.unwrap_or(position), ended: ended_at.is_some() }
    }

    /// Takes the text up to and with the next line end. `None` when the input ends in an undecided CR.
    fn line_part(&mut self, rest: &[u8]) -> Option<usize> {
        let Some(found) = memchr2(b'\r', b'\n', rest) else {
            self.text(rest.len());
            return Some(rest.len());
        };
        self.text(found);
        match rest.get(found..) {
            Some([b'\r', b'\n', ..]) => {
                self.at_line_start = true;
                self.line_bytes = 0;
                Some(found + 2)
            }
            Some([b'\r']) => None,
            _ => {
                self.faults.bare = true;
                self.text(1);
                Some(found + 1)
            }
        }
    }

    fn text(&mut self, length: usize) {
        if length > 0 {
            self.at_line_start = false;
            self.line_bytes += length as u64;
            self.faults.too_long |= self.line_bytes > TEXT_LINE_BYTES_MAX;
        }
    }
}

/// Checks the line ends of BDAT chunks that claim to be text; the bytes themselves pass unchanged.
#[derive(Debug, Default)]
pub(super) struct LineChecker {
    pending_cr: bool,
    line_bytes: u64,
    faults: LineFaults,
}

impl LineChecker {
    /// What was found so far; `ended` says that no byte follows.
    pub(super) fn faults(&self, ended: bool) -> LineFaults {
        LineFaults { bare: self.faults.bare || (ended && self.pending_cr), ..self.faults }
    }

    /// Looks at the next bytes.
    pub(super) fn check(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((first, _)) = rest.split_first() {
            if self.pending_cr {
                self.pending_cr = false;
                if *first == b'\n' {
                    self.line_bytes = 0;
                    rest = rest.get(1..).unwrap_or_default();
                } else {
                    self.faults.bare = true;
                }
                continue;
            }
            let found = memchr2(b'\r', b'\n', rest);
            self.line_bytes += found.unwrap_or(rest.len()) as u64;
            self.faults.too_long |= self.line_bytes > TEXT_LINE_BYTES_MAX;
            let Some(found) = found else { return };
            match rest.get(found) {
                Some(b'\r') => self.pending_cr = true,
                _ => self.faults.bare = true,
            }
            rest = rest.get(found + 1..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `input` in pieces of `size` bytes; returns the message, whether it ended, what is left and the faults.
    fn run(input: &[u8], size: usize) -> (Vec<u8>, bool, Vec<u8>, LineFaults) {
        let (mut decoder, mut output, mut buffer) = (DotDecoder::new(), Vec::new(), Vec::new());
        let mut pieces = input.chunks(size);
        while let Some(piece) = pieces.next() {
            buffer.extend_from_slice(piece);
            let progress = decoder.decode(&buffer, &mut output);
            buffer.drain(..progress.consumed);
            if progress.ended {
                buffer.extend(pieces.flatten());
                return (output, true, buffer, decoder.faults());
            }
            assert!(buffer.len() <= 2);
        }
        (output, false, buffer, decoder.faults())
    }

    #[test]
    fn dots_are_unstuffed_and_the_end_is_found() {
        let (message, ended, left, faults) = run(b"a\r\n..b\r\n.c\r\n.\r\nQUIT\r\n", 100);
        assert_eq!(message, b"a\r\n.b\r\nc\r\n");
        assert!(ended);
        assert_eq!(left, b"QUIT\r\n");
        assert_eq!(faults, LineFaults::default());
        assert_eq!(run(b".\r\n", 1).0, b"");
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_the_data() {
        for near in [
            &b"a\n.\n"[..],
            b"a\n.\r\n",
            b"a\r.\r",
            b"a\r.\r\n",
            b"a\r\n.\n",
            b"a\r\n.\r",
            b"a\r\n.\rb\r\n",
            b"a\r\r\n.\n",
            b"a\n\r.\r\n",
            b"\n.\r\n",
        ] {
            for size in 1..8 {
                let smuggled = [near, b"b\r\n"].concat();
                let (_, ended, _, faults) = run(&smuggled, size);
                assert!(!ended, "{near:?}");
                assert!(faults.bare, "{near:?}");
            }
        }
    }

    #[test]
    fn a_line_over_the_bound_is_a_fault() {
        let long = vec![b'a'; TEXT_LINE_BYTES_MAX as usize + 1];
        assert!(run(&long, 4096).3.too_long);
        assert!(!run(&long[1..], 4096).3.too_long);
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![&b"\r\n"[..], b".", b"\r", b"\n", b"a", b"\r\n.\r\n"]);
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(input in pieces(), size in 1..9_usize) {
            prop_assert_eq!(run(&input, size), run(&input, usize::MAX));
        }

        #[test]
        fn both_checks_find_the_same_bare_line_ends(input in pieces(), size in 1..9_usize) {
            let mut checker = LineChecker::default();
            input.chunks(size).for_each(|piece| checker.check(piece));
            let crlf_gone: String = String::from_utf8(input).unwrap().replace("\r\n", "");
            prop_assert_eq!(checker.faults(true).bare, crlf_gone.contains(['\r', '\n']));
        }
    }
}
