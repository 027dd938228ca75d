//! swaks: AUTH over TLS on both submission ports, and the refusals it is told.

use super::world::{PASSWORD, USER, World, listing};
use tests::programs::{Program, missing};

/// swaks's exit codes: RCPT refused, AUTH refused.
const EXIT_RECIPIENT: i32 = 24;
const EXIT_AUTHENTICATION: i32 = 28;

fn swaks(world: &World, service: &str, tls: &str, more: &[&str]) -> Program {
    let port = world.port(service).to_string();
    let certificate = world.certificate();
    let tls = [tls, "--tls-verify", "--tls-ca-path", certificate.to_str().unwrap()];
    let envelope = ["--server", "localhost", "--port", &port, "--from", USER, "--timeout", "60s"];
    world.program("swaks").args(envelope).args(tls).args(more)
}

#[test]
fn swaks_sends_with_each_mechanism_on_each_port() {
    let Some(world) = World::start(&["swaks"]) else { return };
    if !world.program("swaks").args(["--support"]).run().ok().contains("=== TLS supported") {
        return missing("libnet-ssleay-perl (swaks's TLS)");
    }
    let login = |mechanism| ["--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD, "--to", USER];
    for (service, tls) in [("submissions", "--tls-on-connect"), ("submission", "--tls")] {
        for mechanism in ["PLAIN", "LOGIN"] {
            let subject = format!("Subject: {service} {mechanism}");
            let body = ["--header", &subject, "--body", "first\n.dot\n..dots\n\nlast"];
            let said = swaks(&world, service, tls, &[&login(mechanism), &body[..]].concat()).run().ok();
            assert!(said.contains(&format!("AUTH {mechanism}")) && said.contains("250 2.0.0 Ok"), "{said}");
        }
    }
    let wrong = ["--auth", "PLAIN", "--auth-user", USER, "--auth-password", "guess", "--to", USER];
    let said = swaks(&world, "submissions", "--tls-on-connect", &wrong).run().fails_with(EXIT_AUTHENTICATION);
    assert!(said.contains("535 5.7.8"), "{said}");
    let said = swaks(&world, "smtp", "--tls", &["--to", "bob@elsewhere.example"]).run().fails_with(EXIT_RECIPIENT);
    assert!(said.contains("550 5.7.1") || said.contains("554 5.7.1"), "{said}");

    let text = world.ask(&["SELECT INBOX", "FETCH 1:* (BODY.PEEK[TEXT])"]);
    assert_eq!(text.matches("first\r\n.dot\r\n..dots\r\n\r\nlast").count(), 4, "{text}");
    let wanted = ["submission LOGIN ", "submission PLAIN ", "submissions LOGIN ", "submissions PLAIN "];
    assert_eq!(listing(&world.finish(), "INBOX"), wanted);
}
