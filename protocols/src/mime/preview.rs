//! A short plain text that lets a person recognise the message (RFC 8970, and JMAP's preview). In: the tree and
//! the file by ranges; out: one line of text. Reads a bounded beginning of one part.

use std::io;
use std::ops::ControlFlow;

use mail_parser::decoders::html::html_to_text;

use super::content::visit_text;
use super::read_at::ReadAt;
use super::structure::{Part, Structure};
use crate::limits::mime::{PREVIEW_CHARACTERS_MAX, PREVIEW_SOURCE_BYTES_MAX};

/// The beginning of the first text a reader would be shown, plain text before HTML, white space made single;
/// at most `PREVIEW_CHARACTERS_MAX` characters. Empty when there is no text. Errors are the reader's.
pub fn preview(structure: &Structure, source: &mut dyn ReadAt) -> io::Result<String> {
    let Some(part) = shown_part(structure) else {
        return Ok(String::new());
    };
    let mut text = String::new();
    visit_text(part, source, |piece| {
        text.push_str(piece);
        if text.len() >= PREVIEW_SOURCE_BYTES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let text = if &*part.subtype == "html" { html_to_text(&text) } else { text };
    Ok(one_line(&text))
}

fn shown_part(structure: &Structure) -> Option<&Part> {
    let readable = || structure.parts.iter().filter(|part| part.is_text() && !part.is_attachment());
    readable()
        .find(|part| &*part.subtype == "plain" && part.body.end > part.body.start)
        .or_else(|| readable().find(|part| &*part.subtype == "html"))
        .or_else(|| readable().next())
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut characters_left = PREVIEW_CHARACTERS_MAX;
    for word in text.split(|character: char| character.is_whitespace() || character.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() && characters_left > 0 {
            line.push(' ');
            characters_left -= 1;
        }
        line.extend(word.chars().take(characters_left));
        characters_left = characters_left.saturating_sub(word.chars().count());
        if characters_left == 0 {
            break;
        }
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::super::scanner::Scanner;
    use super::*;

    fn preview_of(message: &str) -> String {
        let mut scanner = Scanner::new();
        scanner.push(message.as_bytes());
        preview(&scanner.finish(), &mut message.as_bytes()).unwrap()
    }

    #[test]
    fn plain_text_comes_before_html() {
        let message = "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>rich</p>\n\
                       --b\nContent-Type: text/plain\n\nplain\r\n   words \n--b--\n";
        assert_eq!(preview_of(message), "plain words");
    }

    #[test]
    fn html_is_shown_without_tags_and_styles() {
        let message = "Content-Type: text/html\n\n<html><head><style>p { color: red }</style></head>\
                       <body><p>Dear&nbsp;<b>reader</b></p></body></html>";
        assert_eq!(preview_of(message), "Dear reader");
    }

    #[test]
    fn it_is_cut_by_characters() {
        let line = preview_of(&format!("\n{}", "é".repeat(1000)));
        assert_eq!(line.chars().count(), PREVIEW_CHARACTERS_MAX);
    }

    #[test]
    fn a_message_without_text_has_none() {
        assert_eq!(preview_of("Content-Type: image/png\n\nxxxx"), "");
        assert_eq!(preview_of(""), "");
    }
}
