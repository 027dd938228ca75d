//! The TOML file: the same settings under the same names. A wrong key or value is an error that names file and line
//! and, where one is near, the right word.

use super::listeners::{Service, services};
use super::parse;
use super::settings::Settings;
use super::suggest::did_you_mean;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Every key of the file.
pub(super) const KEYS: [&str; 20] = [
    "data",
    "name",
    "hostname",
    "domain",
    "bind",
    "port-offset",
    "ephemeral-ports",
    "relay",
    "dns",
    "join",
    "token",
    "advertise",
    "proxy-protocol-from",
    "log-format",
    "certificate",
    "private-key",
    "queue-retry-first",
    "catch-up-rate",
    "block-cache",
    "listeners",
];

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{path}:{line}: {reason}")]
    Wrong {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What, and the nearest right word.
        reason: String,
    },
}

/// What is wrong, and where in the text.
struct Wrong {
    at: usize,
    reason: String,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<Settings, FileError> {
    let text = std::fs::read_to_string(path).map_err(|error| FileError::Read { path: path.to_owned(), error })?;
    parse_text(&text).map_err(|Wrong { at, reason }| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        FileError::Wrong { path: path.to_owned(), line, reason }
    })
}

fn parse_text(text: &str) -> Result<Settings, Wrong> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span: Range<usize>| span.start);
        Wrong { at, reason: error.message().to_owned() }
    })?;
    let mut settings = Settings::default();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        set(&mut settings, name, key.span().start, value)?;
    }
    Ok(settings)
}

fn set(settings: &mut Settings, name: &str, at: usize, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
    match name {
        "data" => settings.data = Some(one(name, value, path)?),
        "name" => settings.name = Some(one(name, value, parse::name)?),
        "hostname" => settings.hostname = Some(one(name, value, parse::hostname)?),
        "domain" => settings.domain = Some(one(name, value, parse::domain)?),
        "bind" => settings.bind = Some(many(name, value, parse::address)?),
        "port-offset" => settings.port_offset = Some(one(name, value, parse::port_offset)?),
        "ephemeral-ports" => settings.ephemeral_ports = one(name, value, parse::boolean)?,
        "relay" => settings.relay = Some(one(name, value, parse::host_port)?),
        "dns" => settings.dns = Some(one(name, value, parse::socket_address)?),
        "join" => settings.join = Some(one(name, value, parse::host_port)?),
        "token" => settings.token = Some(secret(name, value, parse::token)?),
        "advertise" => settings.advertise = Some(one(name, value, parse::host_port)?),
        "proxy-protocol-from" => settings.proxy_protocol_from = Some(many(name, value, parse::network)?),
        "log-format" => settings.log_format = Some(one(name, value, parse::log_format)?),
        "certificate" => settings.certificate = Some(one(name, value, path)?),
        "private-key" => settings.private_key = Some(one(name, value, path)?),
        "queue-retry-first" => settings.queue_retry_first = Some(one(name, value, parse::seconds)?),
        "catch-up-rate" => settings.catch_up_rate = Some(one(name, value, parse::megabytes)?),
        "block-cache" => settings.block_cache = Some(one(name, value, parse::cache_megabytes)?),
        "listeners" => settings.listeners = listeners(value)?,
        _ => return Err(Wrong { at, reason: format!("unknown setting \"{name}\"{}", did_you_mean(name, &KEYS)) }),
    }
    Ok(())
}

fn listeners(value: &Spanned<DeValue<'_>>) -> Result<std::collections::BTreeMap<Service, Vec<SocketAddr>>, Wrong> {
    let expected = || "listeners is a table such as [listeners] with lines such as smtp = \"192.0.2.1:25\"".to_owned();
    let table = value.get_ref().as_table().ok_or_else(|| Wrong { at: value.span().start, reason: expected() })?;
    let mut all = std::collections::BTreeMap::new();
    for (key, value) in table {
        let name: &str = key.get_ref();
        let service = services().into_iter().find(|service| service.name() == name).ok_or_else(|| {
            let known = services().map(Service::name);
            Wrong { at: key.span().start, reason: format!("unknown listener \"{name}\"{}", did_you_mean(name, &known)) }
        })?;
        all.insert(service, many(name, value, parse::socket_address)?);
    }
    Ok(all)
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path is expected".to_owned()) } else { Ok(PathBuf::from(text)) }
}

fn one<T>(name: &str, value: &Spanned<DeValue<'_>>, parse: fn(&str) -> Result<T, String>) -> Result<T, Wrong> {
    let wrong = |reason: String| Wrong { at: value.span().start, reason };
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        other => return Err(wrong(format!("{name}: a single value is expected, not {}", other.type_str()))),
    };
    parse(&text).map_err(|expected| wrong(format!("{name} = \"{text}\": {expected}")))
}

/// As [`one`], with an error that does not repeat the value.
fn secret<T>(name: &str, value: &Spanned<DeValue<'_>>, parse: fn(&str) -> Result<T, String>) -> Result<T, Wrong> {
    let text = value.get_ref().as_str().unwrap_or_default();
    parse(text).map_err(|expected| Wrong { at: value.span().start, reason: format!("{name}: {expected}") })
}

/// A list, or one value in its place.
fn many<T>(name: &str, value: &Spanned<DeValue<'_>>, parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>, Wrong> {
    match value.get_ref() {
        DeValue::Array(values) => values.iter().map(|value| one(name, value, parse)).collect(),
        _ => Ok(vec![one(name, value, parse)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        error.strip_prefix(&format!("{}:", file.path().display())).unwrap().to_owned()
    }

    #[test]
    fn every_key_is_taken() {
        let text = r#"
            data = "/srv/mail"
            name = "a"
            hostname = "mail.example.org"
            domain = "example.org"
            bind = ["192.0.2.1", "::1"]
            port-offset = 100
            ephemeral-ports = false
            relay = "smarthost.example:25"
            dns = "127.0.0.1:53"
            join = "mail.example.org:7025"
            token = "MN1.00.11.22"
            advertise = "[2001:db8::1]:7025"
            proxy-protocol-from = ["10.0.0.0/8", "192.0.2.1"]
            log-format = "json"
            certificate = "/c.pem"
            private-key = "/k.pem"
            queue-retry-first = 60
            catch-up-rate = 20
            block-cache = 256
            [listeners]
            lmtp = "192.0.2.1:24"
            smtp = ["192.0.2.1:25", "[::1]:25"]
        "#;
        let settings = parse_text(text).map_err(|wrong| wrong.reason).unwrap();
        assert_eq!(settings.port_offset, Some(100));
        assert_eq!(settings.bind.unwrap().len(), 2);
        assert_eq!(settings.listeners[&Service::Smtp].len(), 2);
        for key in KEYS {
            assert!(text.contains(key), "{key} is not in the example");
        }
    }

    #[test]
    fn wrong_keys_and_values_name_the_line_and_the_nearest_word() {
        assert_eq!(
            wrong("data = \"x\"\nhostnam = \"y\"\n"),
            "2: unknown setting \"hostnam\" (did you mean \"hostname\"?)"
        );
        assert_eq!(wrong("\n[listeners]\nimpa = \"x\"\n"), "3: unknown listener \"impa\" (did you mean \"imap\"?)");
        assert_eq!(wrong("port-offset = \"many\""), "1: port-offset = \"many\": a number from 0 to 58510 is expected");
        assert_eq!(
            wrong("log-format = \"jso\""),
            "1: log-format = \"jso\": text or json is expected (did you mean \"json\"?)"
        );
        assert_eq!(wrong("token = \"se cret\""), "1: token: a token as `mailnode token create` prints it is expected");
        assert_eq!(wrong("name = [1]"), "1: name: a single value is expected, not array");
        assert!(wrong("name = \"a\"\nname = \"b\"\n").starts_with("2: "));
        assert!(wrong("a\n= 3").starts_with("1: "));
    }
}
