//! A node from its first start to its last: what it prints, what the CLI does to it, how it stops, what survives.

use clients::imap::Imap;
use clients::smtp::Smtp;
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;
use tests::node::{Node, command};

const MESSAGE: &[u8] = b"From: Bob <bob@example.net>\r\nSubject: kept\r\n\r\nstill here\r\n";

fn deliver(node: &Node, to: &str) {
    let mut smtp = Smtp::connect(node.address("smtp")).unwrap();
    smtp.command("EHLO client.example.net").unwrap().expect(250).unwrap();
    smtp.deliver("bob@example.net", &[to], MESSAGE).unwrap().expect(250).unwrap();
}

fn messages(node: &Node, user: &str, password: &str) -> u64 {
    let mut imap = Imap::connect(node.address("imap")).unwrap();
    imap.login(user, password).unwrap();
    imap.ok("STATUS INBOX (MESSAGES)").unwrap().number_after("MESSAGES").unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the command was not killed")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn mail_survives_a_stop_and_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let node = Node::start(&data).unwrap();
    let password = node.admin_password().expect("the first start shows a password").to_owned();
    for words in ["smtp", "imaps", "account add ann@example.org"] {
        assert!(node.banner().contains(words), "{words} is not in:\n{}", node.banner());
    }
    deliver(&node, "admin@example.org");
    let (status, log) = node.stop();
    assert!(status.success(), "{log}");

    let mut node = Node::start(&data).unwrap();
    assert_eq!(node.admin_password(), None, "the password is shown once");
    assert_eq!(messages(&node, "admin@example.org", &password), 1);
    deliver(&node, "Admin+folder@EXAMPLE.org");
    node.kill();

    let node = Node::start(&data).unwrap();
    assert_eq!(messages(&node, "admin@example.org", &password), 2);
    assert!(node.stop().0.success());
}

#[test]
fn the_cli_changes_the_directory_and_its_exit_codes_tell() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).unwrap();
    node.add_account("ann@example.org", "first");
    assert_eq!(messages(&node, "ann@example.org", "first"), 0);
    assert_eq!(code(&node.cli(&["account", "add", "ANN@example.org", "--generate"])), 1);
    assert_eq!(code(&node.cli(&["account", "add", "ann@nowhere.example", "--generate"])), 1);
    assert_eq!(
        code(&node.cli_with_input(&["account", "password", "ann@example.org", "--password-stdin"], "second\n")),
        0
    );
    assert_eq!(messages(&node, "ann@example.org", "second"), 0);

    assert_eq!(code(&node.cli(&["domain", "add", "Example.NET"])), 0);
    assert_eq!(code(&node.cli(&["alias", "add", "sales@example.net", "ann@example.org"])), 0);
    deliver(&node, "sales@example.net");
    assert_eq!(code(&node.cli(&["catch-all", "example.net", "ann@example.org"])), 0);
    deliver(&node, "anybody@example.net");
    assert_eq!(messages(&node, "ann@example.org", "second"), 2);
    assert_eq!(code(&node.cli(&["domain", "remove", "example.net"])), 1);

    let accounts: Value = serde_json::from_str(&stdout(&node.cli(&["account", "list", "--json"]))).unwrap();
    let addresses: Vec<_> = accounts.as_array().unwrap().iter().map(|item| item["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["admin@example.org", "ann@example.org"]);
    let status: Value = serde_json::from_str(&stdout(&node.cli(&["status", "--json"]))).unwrap();
    assert_eq!((&status["available"], &status["domains"]), (&Value::Bool(true), &Value::from(2)));

    assert_eq!(code(&node.cli(&["account", "remove", "ann@example.org"])), 0);
    assert_eq!(code(&node.cli(&["account", "remove", "ann@example.org"])), 1);
    assert_eq!(code(&node.cli(&["queue", "show", "0"])), 1);
    assert_eq!(code(&node.cli(&["acount"])), 2);
    let (status, log) = node.stop();
    assert!(status.success());
    assert!(!log.contains("rebuilt") && !log.contains("panicked"), "{log}");
}

#[test]
fn nobody_shares_a_data_directory_and_nobody_answers_for_a_stopped_node() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).unwrap();
    let second = node.cli(&["--ephemeral-ports"]);
    assert_eq!(code(&second), 5);
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use"));
    assert!(node.cli(&["status"]).status.success(), "the first node goes on");
    node.stop();
    let status = command().arg("status").arg("--data").arg(directory.path()).output().unwrap();
    assert_eq!(code(&status), 3);
}

#[test]
fn a_stopping_node_tells_its_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).unwrap();
    let mut sessions =
        ["smtp", "submission", "lmtp", "imap"].map(|service| TcpStream::connect(node.address(service)).unwrap());
    for session in &mut sessions {
        assert!(session.read(&mut [0; 512]).unwrap() > 0, "a greeting");
    }
    node.signal(Signal::TERM);
    let last = sessions.map(|mut session| {
        let mut text = String::new();
        session.read_to_string(&mut text).unwrap();
        text
    });
    for text in &last[..3] {
        assert!(text.starts_with("421 "), "{text:?}");
    }
    assert!(last[3].starts_with("* BYE"), "{:?}", last[3]);
    assert!(node.wait().0.success());
}

#[test]
fn health_is_told_over_http() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(directory.path()).unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(node.address("http")).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(get("/metrics").contains("\nmailnode_sessions 0\n"));
}
