//! Parsers of single values, the same for flags, environment and file. Errors say what is expected.

use super::suggest;
use crate::services::directory::normalise_domain;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A host name or address with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an address without brackets.
    pub host: String,
    /// A port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HostPort { host, port } = self;
        if host.contains(':') { write!(out, "[{host}]:{port}") } else { write!(out, "{host}:{port}") }
    }
}

/// An invitation: a secret, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token")
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

pub(super) fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
        return Err("a name of letters, digits, '-', '_' and '.' is expected, at most 63 long".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn hostname(text: &str) -> Result<String, String> {
    // Greetings are ASCII (RFC 5321 section 4.1.1.1), so a Unicode name is said in A-label form.
    let expected = || "a host name such as mail.example.org is expected".to_owned();
    let ascii = idna::domain_to_ascii(text).map_err(|_| expected())?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let valid = !ascii.is_empty() && ascii.len() <= 253 && ascii.bytes().all(allowed) && !ascii.starts_with('.');
    if valid { Ok(ascii.trim_end_matches('.').to_owned()) } else { Err(expected()) }
}

pub(super) fn domain(text: &str) -> Result<String, String> {
    normalise_domain(text).map_err(|_| "a domain such as example.org is expected".to_owned())
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| "an address such as 192.0.2.1 or :: is expected".to_owned())
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address and port such as 192.0.2.1:53 or [2001:db8::1]:53 is expected".to_owned())
}

/// A network, or one address as the network of itself.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| address(text).map(IpNet::from));
    network.map_err(|_| "a network or address such as 10.0.0.0/8 or 192.0.2.1 is expected".to_owned())
}

pub(super) fn host_port(text: &str) -> Result<HostPort, String> {
    let expected = || "a host and port such as mail.example.org:25 is expected".to_owned();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(HostPort { host: address.ip().to_string(), port: address.port() });
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(expected)?;
    Ok(HostPort { host: hostname(host).map_err(|_| expected())?, port })
}

/// What a token looks like is the cluster's business; this finds a word that is none.
pub(super) fn token(text: &str) -> Result<Token, String> {
    let text = text.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if text.is_empty() || text.len() > 512 || !text.bytes().all(plain) {
        return Err("a token as `mailnode token create` prints it is expected".to_owned());
    }
    Ok(Token(text.to_owned()))
}

pub(super) fn port_offset(text: &str) -> Result<u16, String> {
    // The highest standard port is 7025; its sum must still be a port.
    let offset = text.parse().ok().filter(|offset| *offset <= u16::MAX - 7025);
    offset.ok_or_else(|| format!("a number from 0 to {} is expected", u16::MAX - 7025))
}

pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| "a number of seconds from 1 to 86400 is expected".to_owned())
}

pub(super) fn megabytes(text: &str) -> Result<u64, String> {
    let megabytes = text.parse().ok().filter(|megabytes| (1..=100_000).contains(megabytes));
    megabytes.ok_or_else(|| "a number of megabytes from 1 to 100000 is expected".to_owned())
}

pub(super) fn cache_megabytes(text: &str) -> Result<u64, String> {
    let megabytes = text.parse().ok().filter(|megabytes| (8..=65_536).contains(megabytes));
    megabytes.ok_or_else(|| "a number of megabytes from 8 to 65536 is expected".to_owned())
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("text or json is expected{}", suggest::did_you_mean(text, &["text", "json"]))),
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "true or false is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_in_every_usual_form() {
        assert_eq!(host_port("[2001:db8::1]:25").unwrap().to_string(), "[2001:db8::1]:25");
        assert_eq!(host_port("relay:2525").unwrap(), HostPort { host: "relay".into(), port: 2525 });
        assert_eq!(hostname("mail.bücher.example").as_deref(), Ok("mail.xn--bcher-kva.example"));
        assert_eq!(address("[::1]"), "::1".parse().map_err(|_| String::new()));
        assert_eq!(network("10.0.0.0/8").map(|net| net.to_string()).as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(network("[::1]").map(|net| net.to_string()).as_deref(), Ok("::1/128"));
        assert_eq!(domain("Example.ORG.").as_deref(), Ok("example.org"));
    }

    #[test]
    fn wrong_values_are_refused() {
        assert!(host_port("relay").is_err());
        assert!(host_port("relay:0").is_err());
        assert!(host_port(":25").is_err());
        assert!(network("10.0.0.0/33").is_err());
        assert!(port_offset("60000").is_err());
        assert!(token("").is_err() && token("a b").is_err() && token("MN1.00.11.22\n").is_ok());
        assert!(name("a b").is_err());
        assert!(hostname("").is_err());
        assert!(seconds("0").is_err());
        assert!(log_format("jsn").unwrap_err().contains("\"json\""));
    }
}
