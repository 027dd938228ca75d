//! Accounts of another server: a file with every notation and with wrong lines, logins over IMAP and with SCRAM behind
//! them, mail before the first login, the same file again, and an export that another node takes.

use clients::imap::Imap;
use clients::smtp::Smtp;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use tests::node::Node;

const SECRET: &str = "Geheim 1";

/// `doveadm pw -s SCHEME -p 'Geheim 1'` of Dovecot 2.3.19.
const HASHES: &[(&str, &str)] = &[
    (
        "argon2id",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$dZkus1z9Yq1KAEpXMcLRWw$r2xq3mRzalqGy9ssxsHOtxwztoBHmRJ8ZcQ53aomKgo",
    ),
    (
        "ssha512",
        "{SSHA512}6WkFnPxmgCsDfKOKNSNknWsJIqiiWVHCe2EtOklXF/ZjeRa2J4erpkbfPNALF15HM23O1OdBVLgsa464y50bdSH7vms=",
    ),
    ("ssha256", "{SSHA256}hQwk7DFIy8lv2YlQyWr83kKj1Xv34G0q2u+b7N1WQaRRILt/"),
    ("ssha", "{SSHA}KxIOPAIn+o4m0kZzybBPf63xkNhtkyUW"),
    ("sha512", "{SHA512}l/ojLqZLg5lkPNSXFZxSTN77iK9MSDYBjOEAPYDlz/8I4YQAZNK+BTjknC9Fk8WcwABRaVUPvCqbXeO9gJ9+5w=="),
    (
        "sha512-crypt",
        "{SHA512-CRYPT}$6$upbaz6v00eNLo58P$1iSvthn.StmwYyH5E./Z4R/kpOb0u4WIb1jQEY39OvmiHpPaxCLO.xI/4MWLYCqjejotTX6eYNq8j7YAWtlTr0",
    ),
    ("sha256-crypt", "{SHA256-CRYPT}$5$LFbo1/xa7lIoqqo5$Mz4ZwKtc/eDYlLQp2QS6LUMBlDbS3nVvHm0Uj1.LXQ7"),
    ("blf-crypt", "{BLF-CRYPT}$2y$05$xT7CO.uFy2EFa0aD/IWF8.ntKuofOKncGK74.5GSoRmE6A84ICk36"),
    ("pbkdf2", "{PBKDF2}$1$rjZKvoiEeK9qftA1$5000$2bac173d8964cd268d3e3583432fee6b6e86e1df"),
    ("crypt", "{CRYPT}$2y$05$XKw.O3nriOUwJ0YtcdEnA.1B7TKmM9XB1IK7uLZV2IIdO/Fqk8vF2"),
    (
        "hex",
        "{SSHA512.HEX}0a26e5eae6d71d919664d949a66a40a3ac0dd588036089f2abe2f61dadd14c53873314711aa10e9a17329bf1864cdaaa8ee8492bc1a26ad180fb1db5b6d2c14ad13292e1",
    ),
    ("plain", "{PLAIN}Geheim 1"),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the command was not killed")
}

fn address(name: &str) -> String {
    format!("{name}@example.org")
}

/// The messages in the INBOX of an account that logs in.
fn messages(node: &Node, user: &str, password: &str) -> std::io::Result<u64> {
    let mut imap = Imap::connect(node.address("imap"))?;
    imap.login(user, password)?;
    Ok(imap.ok("STATUS INBOX (MESSAGES)")?.number_after("MESSAGES").expect("a number"))
}

fn deliver(node: &Node, to: &str) {
    let mut smtp = Smtp::connect(node.address("smtp")).unwrap();
    smtp.command("EHLO client.example.net").unwrap().expect(250).unwrap();
    smtp.deliver("bob@example.net", &[to], b"Subject: first\r\n\r\nmail\r\n").unwrap().expect(250).unwrap();
}

fn import(node: &Node, file: &Path, flags: &[&str]) -> Output {
    node.cli(&[&["account", "import", file.to_str().unwrap()], flags].concat())
}

fn accounts(node: &Node) -> Vec<Value> {
    let listed = node.cli(&["account", "list", "--json"]);
    serde_json::from_slice::<Value>(&listed.stdout).unwrap().as_array().unwrap().clone()
}

/// The file: every notation, a plain password, and wrong lines between them.
fn file() -> String {
    let mut lines = vec!["name,address,hash,password,aliases".to_owned()];
    for (name, hash) in HASHES {
        lines.push(format!("\"{name}, Esq.\",{},\"{hash}\",,{name}.alias@example.org", address(name)));
    }
    lines.push(format!(",given@example.org,,{SECRET},"));
    for wrong in [
        ",away@example.net,,secret-word,",
        ",\"open@example.org,,secret-word,",
        ",md5@example.org,{MD5-CRYPT}$1$x$secret-word,,",
        ",GIVEN@example.org,,secret-word,",
        ",alias@example.org,,secret-word,given@example.org",
        ",none@example.org,,,",
        ",few@example.org",
    ] {
        lines.push(wrong.to_owned());
    }
    lines.push(format!(",last@example.org,,{SECRET},"));
    lines.join("\r\n")
}

#[test]
fn accounts_of_another_server_log_in_and_move_on_to_a_second_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(&directory.path().join("one")).unwrap();
    let path = directory.path().join("accounts.csv");
    fs::write(&path, file()).unwrap();
    let good = HASHES.len() + 2;

    let tried = import(&node, &path, &["--dry-run"]);
    assert_eq!(code(&tried), 1);
    assert_eq!(accounts(&node).len(), 1, "a dry run writes nothing");
    assert!(text(&tried.stdout).contains(&format!("{good} would be made, 0 already there, 7 wrong")), "{tried:?}");

    let done = import(&node, &path, &[]);
    assert_eq!(code(&done), 1);
    assert!(text(&done.stdout).contains(&format!("{good} made, 0 already there, 7 wrong")), "{done:?}");
    let named = text(&done.stderr);
    let first_wrong = HASHES.len() + 3;
    let expected = [
        "away@example.net: example.net is no local domain; see: mailnode domain add",
        "a quoted field is not closed on its line",
        "md5@example.org: the scheme {MD5-CRYPT} is not supported",
        "GIVEN@example.org: given@example.org is in line",
        "alias@example.org: given@example.org is in line",
        "none@example.org: there is neither a password nor a hash",
        "2 fields where the header has 5",
    ];
    assert_eq!(named.lines().count(), expected.len(), "{named}");
    for ((number, line), expected) in (first_wrong..).zip(named.lines()).zip(expected) {
        assert!(line.starts_with(&format!("{}:{number}:", path.display())) && line.contains(expected), "{line}");
    }
    assert!(!named.contains("secret-word"), "{named}");

    // Mail that comes before the first login makes the mailbox.
    deliver(&node, "ssha512.alias@example.org");
    for (name, _) in HASHES {
        let expected = u64::from(*name == "ssha512");
        assert_eq!(messages(&node, &address(name), SECRET).unwrap_or_else(|error| panic!("{name}: {error}")), expected);
    }
    // Each of them is answered late, so one must do; the unit tests try a wrong password with every notation.
    assert!(messages(&node, "sha512-crypt@example.org", "wrong").is_err());
    for name in ["given", "last"] {
        assert_eq!(messages(&node, &address(name), SECRET).unwrap(), 0);
    }
    for listed in accounts(&node) {
        assert!(listed.get("hash").is_none(), "a listing shows no hash");
    }

    let again = import(&node, &path, &["--json"]);
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&report["made"], &report["already_there"]), (&Value::from(0), &Value::from(good)));
    assert_eq!(report["wrong"].as_array().unwrap().len(), 7);
    moves_on(&node, directory.path());
    passwords_and_removal_work(&node);
    let (status, log) = node.stop();
    assert!(status.success());
    assert!(log.contains("imported password hash replaced by our own"), "{log}");
    assert!(!log.contains("secret-word") && !log.contains(SECRET) && !log.contains("$6$"), "{log}");
}

/// An export of one node is imported by another, and the same passwords work there.
fn moves_on(node: &Node, directory: &Path) {
    let second = Node::start(&directory.join("two")).unwrap();
    for name in ["export.csv", "export.jsonl"] {
        let path = directory.join(name);
        let exported = node.cli(&["account", "export", path.to_str().unwrap()]);
        assert_eq!(code(&exported), 0, "{exported:?}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(code(&node.cli(&["account", "export", path.to_str().unwrap()])), 2, "it exists");
        assert_eq!(code(&node.cli(&["account", "export", "--force", path.to_str().unwrap()])), 0);
    }
    let taken = import(&second, &directory.join("export.csv"), &[]);
    assert_eq!(code(&taken), 0, "{taken:?}");
    // The administrator of the second node has the same address and is left as it is.
    assert!(text(&taken.stdout).contains(&format!("{} made, 1 already there, 0 wrong", HASHES.len() + 2)), "{taken:?}");
    assert_eq!(code(&import(&second, &directory.join("export.jsonl"), &[])), 0);
    for (name, _) in HASHES {
        assert_eq!(messages(&second, &address(name), SECRET).unwrap_or_else(|error| panic!("{name}: {error}")), 0);
    }
    deliver(&second, "ssha512.alias@example.org");
    assert_eq!(messages(&second, "ssha512@example.org", SECRET).unwrap(), 1);
    let named = accounts(&second).into_iter().find(|item| item["address"] == "ssha512@example.org").unwrap();
    assert_eq!(named["name"], "ssha512, Esq.");
}

/// Also for accounts that nobody has logged into yet.
fn passwords_and_removal_work(node: &Node) {
    let line = "{\"address\":\"idle@example.org\",\"hash\":\"{SSHA}1XLy9pJZ6jlWxSsFNi4DjewXw0Pq7gZ1\"}\n";
    let twice = format!("{line}{line}").replacen("idle", "gone", 1);
    let made = node.cli_with_input(&["account", "import", "-"], &twice);
    assert_eq!(code(&made), 0, "{made:?}");
    let changed = node.cli_with_input(&["account", "password", "idle@example.org", "--password-stdin"], "new\n");
    assert_eq!(code(&changed), 0, "{changed:?}");
    assert_eq!(messages(node, "idle@example.org", "new").unwrap(), 0);
    assert_eq!(code(&node.cli(&["account", "remove", "gone@example.org"])), 0);
    assert!(messages(node, "gone@example.org", "Geheim-ä 1").is_err());
}
