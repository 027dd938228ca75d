//! What a node says when it is ready: where it listens, who the administrator is, what to try next.

use super::first_start::FirstAccount;
use crate::admin::ListenerItem;
use crate::cli::table;
use crate::config::{Config, Service, services};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;

/// Prints it to standard output. `domain` is one that is local.
pub fn print(config: &Config, domain: &str, listeners: &[ListenerItem], first: Option<&FirstAccount>) {
    let program = std::env::args().next().filter(|name| name.contains('/')).unwrap_or_else(|| "mailnode".to_owned());
    let text = compose(&program, config, domain, listeners, first);
    let mut out = io::stdout();
    // A closed standard output is no reason to take no mail.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn compose(
    program: &str,
    config: &Config,
    domain: &str,
    listeners: &[ListenerItem],
    first: Option<&FirstAccount>,
) -> String {
    let (version, data) = (env!("CARGO_PKG_VERSION"), config.data.display());
    let mut text = format!("mailnode {version} is ready: node {}, data in {data}\n\n", config.name);
    let rows: Vec<_> = listeners.iter().map(row).collect();
    for line in table(&rows).lines() {
        let _ = writeln!(text, "  {line}");
    }
    if let Some(FirstAccount { address, password }) = first {
        let _ = writeln!(text, "\nThe administrator was made. The password is shown only now:\n");
        let _ = writeln!(text, "  {address}  {password}");
    }
    let _ = writeln!(text, "\nTry next:\n");
    for command in next_commands(program, config, domain, listeners) {
        let _ = writeln!(text, "  {command}");
    }
    text
}

fn row(item: &ListenerItem) -> Vec<String> {
    let service = services().into_iter().find(|service| service.name() == item.name);
    let purpose = match service {
        Some(Service::Smtp) => "mail from other servers",
        Some(Service::Submission | Service::Submissions) => "mail from your users",
        Some(Service::Lmtp) => "mail from a local agent",
        Some(Service::Imap | Service::Imaps) => "reading mail",
        Some(Service::Http) => "/healthz /readyz /metrics",
        Some(Service::Cluster) => "other nodes (UDP)",
        None => "",
    };
    let tls = match item.tls.as_str() {
        "starttls" => "STARTTLS",
        "implicit" => "TLS",
        _ => "",
    };
    vec![item.name.clone(), item.address.clone(), tls.to_owned(), purpose.to_owned()]
}

/// Makes an account, sends it a message, reads it.
fn next_commands(program: &str, config: &Config, domain: &str, listeners: &[ListenerItem]) -> [String; 3] {
    let near = |service: Service| {
        let item = listeners.iter().find(|item| item.name == service.name());
        item.and_then(|item| item.address.parse().ok()).map_or_else(|| "127.0.0.1".to_owned(), near_address)
    };
    let user = format!("ann@{domain}");
    let data = if config.data.as_os_str() == "mailnode-data" {
        String::new()
    } else {
        format!(" --data {}", quoted(&config.data.display().to_string()))
    };
    [
        format!("{program} account add {user}{data}"),
        format!(
            "printf 'Subject: hello\\r\\n\\r\\nworld\\r\\n' | curl smtp://{} --mail-from bob@example.net --mail-rcpt {user} -T -",
            near(Service::Smtp)
        ),
        format!("curl --insecure --user {user} 'imaps://{}/INBOX;MAILINDEX=1'", near(Service::Imaps)),
    ]
}

/// An address that reaches the listener from this machine.
fn near_address(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("127.0.0.1:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("127.0.0.1:{}", v6.port()),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn the_words_fit_this_data_directory_and_these_ports() {
        let settings = Settings {
            data: Some("/srv/my mail".into()),
            hostname: Some("mail.example.org".into()),
            ..Settings::default()
        };
        let config = Config::settle(settings).unwrap();
        let item = |name: &str, address: &str| ListenerItem {
            name: name.into(),
            address: address.into(),
            tls: "starttls".into(),
        };
        let listeners = [item("smtp", "[::]:10025"), item("imaps", "192.0.2.1:993")];
        let first = FirstAccount { address: "admin@example.org".into(), password: "secret".into() };
        let text = compose("mailnode", &config, "example.net", &listeners, Some(&first));
        for expected in [
            "smtp   [::]:10025     STARTTLS  mail from other servers",
            "admin@example.org  secret",
            "mailnode account add ann@example.net --data '/srv/my mail'",
            "curl smtp://127.0.0.1:10025 ",
            "'imaps://192.0.2.1:993/INBOX;MAILINDEX=1'",
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
        assert!(!compose("mailnode", &config, "example.net", &listeners, None).contains("password"));
    }
}
