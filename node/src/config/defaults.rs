//! Defaults that depend on the machine.

use super::parse;
use std::path::PathBuf;

/// Added to ports for a user who may not open those below 1024.
const UNPRIVILEGED_PORT_OFFSET: u16 = 10_000;

pub(super) fn data() -> PathBuf {
    PathBuf::from("mailnode-data")
}

/// The machine's name, `localhost` when it has none that can be said.
pub(super) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    parse::hostname(name.trim()).unwrap_or_else(|_| "localhost".to_owned())
}

pub(super) fn name(hostname: &str) -> String {
    hostname.split('.').next().unwrap_or(hostname).to_owned()
}

/// `mail.example.org` serves `example.org`, `example.org` itself, and a machine without a domain `localhost`.
pub(super) fn domain(hostname: &str) -> String {
    let domain = match hostname.split_once('.') {
        Some((_, parent)) if parent.contains('.') => parent,
        Some(_) => hostname,
        None => "localhost",
    };
    parse::domain(domain).unwrap_or_else(|_| "localhost".to_owned())
}

pub(super) fn port_offset() -> u16 {
    if rustix::process::geteuid().is_root() { 0 } else { UNPRIVILEGED_PORT_OFFSET }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_follows_from_the_host_name() {
        assert_eq!(domain("mail.example.org"), "example.org");
        assert_eq!(domain("example.org"), "example.org");
        assert_eq!(domain("laptop"), "localhost");
        assert_eq!(name("mail.example.org"), "mail");
    }
}
