//! A search string and where it is found: substring comparison without regard to case, over Unicode text
//! (RFC 9051 section 6.4.4; simple case folding stands in for i;unicode-casemap of RFC 5051, without decomposition).

use memchr::memmem::Finder;

use super::header::decode_text;
use crate::limits::mime::NEEDLE_BYTES_MAX;

/// A search string prepared once and used on many texts.
#[derive(Clone, Debug)]
pub struct Needle {
    finder: Finder<'static>,
    is_too_long: bool,
}

impl Needle {
    /// Prepares a search string. The empty one is in every text; one beyond `NEEDLE_BYTES_MAX` in none.
    pub fn new(text: &str) -> Self {
        let mut folded = String::new();
        let is_too_long = text.len() > NEEDLE_BYTES_MAX;
        if !is_too_long {
            fold(text, &mut folded);
        }
        Self { finder: Finder::new(&folded).into_owned(), is_too_long }
    }

    /// Whether the text contains the string.
    pub fn is_in(&self, text: &str) -> bool {
        if self.is_too_long {
            return false;
        }
        let mut folded = String::new();
        fold(text, &mut folded);
        self.finder.find(folded.as_bytes()).is_some()
    }

    /// Whether a raw header text contains the string once it is decoded. White space may be as it stands or as a
    /// person sees it: a fold, which may be a tab or several spaces, counts as one space too.
    pub fn is_in_raw(&self, raw: &[u8]) -> bool {
        let text = decode_text(raw);
        self.is_in(&text)
            || (text.contains(['\t', '\r', '\n']) || text.contains("  ")) && self.is_in(&single_spaced(&text))
    }

    /// Whether the string is empty, so that it is in every text, even in none.
    pub fn is_empty(&self) -> bool {
        self.finder.needle().is_empty() && !self.is_too_long
    }
}

/// Text that arrives in pieces; keeps just enough of it to find a needle across their borders.
#[derive(Debug)]
pub(super) struct Window<'a> {
    needle: &'a Needle,
    folded: String,
}

impl<'a> Window<'a> {
    pub(super) fn new(needle: &'a Needle) -> Self {
        Self { needle, folded: String::new() }
    }

    /// Adds a piece; whether the needle is in the text so far.
    pub(super) fn push(&mut self, piece: &str) -> bool {
        if self.needle.is_too_long {
            return false;
        }
        fold(piece, &mut self.folded);
        if self.needle.finder.find(self.folded.as_bytes()).is_some() {
            return true;
        }
        let overlap = self.needle.finder.needle().len().saturating_sub(1);
        let mut start = self.folded.len().saturating_sub(overlap);
        while !self.folded.is_char_boundary(start) {
            start -= 1;
        }
        self.folded.drain(..start);
        false
    }
}

fn single_spaced(text: &str) -> String {
    let mut single = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !single.is_empty() {
            single.push(' ');
        }
        single.push_str(word);
    }
    single
}

/// Appends the text with case taken out.
fn fold(text: &str, into: &mut String) {
    let start = into.len();
    if text.is_ascii() {
        into.push_str(text);
        into[start..].make_ascii_lowercase();
    } else {
        into.extend(text.chars().map(fold_character));
    }
}

/// Simple case folding by way of upper case, so that characters with several lower-case forms (σ and ς, s and ſ)
/// meet. A character whose case mapping is longer than one character stays as it is.
fn fold_character(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let upper = only(character.to_uppercase()).unwrap_or(character);
    only(upper.to_lowercase()).unwrap_or(upper)
}

fn only(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_in_any_script() {
        for (needle, text) in [
            ("HELLO", "well, hello there"),
            ("ÉTÉ", "un été chaud"),
            ("ΟΔΌΣ", "η οδός"),
            ("straße", "STRAẞE"),
            ("москва", "МОСКВА"),
            ("", "anything"),
            ("", ""),
        ] {
            assert!(Needle::new(needle).is_in(text), "{needle} in {text}");
        }
        assert!(!Needle::new("hello").is_in("hallo"));
    }

    #[test]
    fn raw_header_text_is_decoded_first() {
        assert!(Needle::new("grüße").is_in_raw(b"=?iso-8859-1?q?GR=DC=DFE?="));
    }

    #[test]
    fn a_fold_counts_as_one_space() {
        assert!(Needle::new("one two").is_in_raw(b"one\r\n\t  two"));
        assert!(Needle::new("one  two").is_in_raw(b"one  two"));
        assert!(!Needle::new("onetwo").is_in_raw(b"one\r\n two"));
    }

    #[test]
    fn a_needle_across_pieces_is_found() {
        let needle = Needle::new("größe");
        let text = "xx die GRÖSSE und die GRÖßE yy";
        for cut in (0..text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            let mut window = Window::new(&needle);
            let found = window.push(&text[..cut]) | window.push(&text[cut..]);
            assert!(found, "cut at {cut}");
        }
    }

    #[test]
    fn the_window_does_not_grow() {
        let needle = Needle::new("abc");
        let mut window = Window::new(&needle);
        for _ in 0..1000 {
            assert!(!window.push("ab ab é ab"));
            assert!(window.folded.len() < 8);
        }
    }

    #[test]
    fn an_overlong_needle_is_nowhere() {
        let text = "a".repeat(NEEDLE_BYTES_MAX + 1);
        assert!(!Needle::new(&text).is_in(&text));
        assert!(!Window::new(&Needle::new(&text)).push(&text));
    }
}
