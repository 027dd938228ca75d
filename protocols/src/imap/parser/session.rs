//! Commands about the session itself: who it is, what it may use.

use super::command::Command;
use super::cursor::{Cursor, Parsed, syntax};
use crate::limits::imap::ID_STRINGS_MAX;
use crate::sasl::Password;

/// What follows the name of one of `AUTHENTICATE`, `LOGIN`, `ID`, `ENABLE` and `COMPRESS`.
pub fn session_command(cursor: &mut Cursor<'_>, name: &str) -> Parsed<Command> {
    Ok(match name {
        "AUTHENTICATE" => authenticate(cursor)?,
        "LOGIN" => {
            let username = cursor.astring_text()?;
            cursor.space()?;
            let password = Password::new(cursor.astring_text()?);
            Command::Login { username, password }
        }
        "ID" => Command::Id(id_parameters(cursor)?),
        "ENABLE" => {
            let mut names = vec![cursor.atom()?.to_ascii_uppercase()];
            while cursor.skip(b' ') && !cursor.at_end() {
                names.push(cursor.atom()?.to_ascii_uppercase());
            }
            Command::Enable(names)
        }
        _ => {
            if !cursor.atom()?.eq_ignore_ascii_case("DEFLATE") {
                return syntax("Unknown compression mechanism");
            }
            Command::Compress
        }
    })
}

/// ```text
/// authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]
/// initial-resp = (base64 / "=")     ; RFC 4959
/// ```
fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mechanism = cursor.atom()?.to_owned();
    let initial = if cursor.skip(b' ') {
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        Some(cursor.take_while(base64).to_vec())
    } else {
        None
    };
    Ok(Command::Authenticate { mechanism, initial })
}

/// ```text
/// id-params-list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil   ; RFC 2971
/// ```
fn id_parameters(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut strings = Vec::new();
    if cursor.skip_word("NIL") {
        return Ok(strings);
    }
    cursor.expect(b'(', "Expected a list")?;
    while !cursor.skip(b')') {
        if strings.len() >= ID_STRINGS_MAX {
            return syntax("Too many ID parameters");
        }
        let value = cursor.nstring()?.unwrap_or_default();
        strings.push(String::from_utf8_lossy(&value).into_owned());
        cursor.skip(b' ');
    }
    Ok(strings)
}
