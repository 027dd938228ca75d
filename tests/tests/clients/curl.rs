//! curl: sends over smtps and STARTTLS, appends, reads, changes and expunges over imaps and STARTTLS.

use super::world::{PASSWORD, USER, World, listing};
use tests::programs::Program;

fn curl(world: &World, scheme: &str, service: &str, path: &str) -> Program {
    let url = format!("{scheme}://localhost:{}{path}", world.port(service));
    let certificate = world.certificate();
    let login = format!("{USER}:{PASSWORD}");
    let options = ["-sS", "--ssl-reqd", "--max-time", "90", "--cacert", certificate.to_str().unwrap()];
    world.program("curl").args(options).args(["--user", &login, &url])
}

fn message(subject: &str) -> String {
    format!("From: <{USER}>\r\nTo: <{USER}>\r\nSubject: {subject}\r\n\r\n.a dot\r\nand text\r\n")
}

#[test]
fn curl_sends_and_reads_back() {
    let Some(world) = World::start(&["curl"]) else { return };
    for (scheme, service) in [("smtps", "submissions"), ("smtp", "submission")] {
        let file = world.write("message", message(service));
        let envelope = ["--mail-from", USER, "--mail-rcpt", USER, "-T", file.to_str().unwrap()];
        curl(&world, scheme, service, "").args(envelope).run().ok();
    }
    let file = world.write("message", message("appended"));
    curl(&world, "imaps", "imaps", "/INBOX").args(["-T", file.to_str().unwrap()]).run().ok();

    let read = curl(&world, "imap", "imap", "/INBOX;UID=2").run().ok();
    assert!(read.contains("Subject: submission\r\n") && read.ends_with("\r\n\r\n.a dot\r\nand text\r\n"), "{read}");
    assert_eq!(curl(&world, "imaps", "imaps", "/INBOX;MAILINDEX=3").run().ok(), message("appended"));
    let text = curl(&world, "imaps", "imaps", "/INBOX;UID=3;SECTION=TEXT").run().ok();
    assert_eq!(text, ".a dot\r\nand text\r\n");
    let found = curl(&world, "imaps", "imaps", "/INBOX?SUBJECT%20submission").run().ok();
    assert_eq!(found.trim(), "* SEARCH 1 2");

    let custom = |path: &str, command: &str| curl(&world, "imaps", "imaps", path).args(["-X", command]).run().ok();
    let folders = custom("", "LIST \"\" *");
    assert!(folders.contains("(\\HasNoChildren \\Sent) \"/\" \"Sent\""), "{folders}");
    custom("", "CREATE Work");
    custom("/INBOX", "UID COPY 1 Work");
    custom("/INBOX", "STORE 2 +FLAGS.SILENT (\\Flagged)");
    custom("/INBOX", "STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert!(custom("/INBOX", "EXPUNGE").contains("* 1 EXPUNGE"));
    assert!(custom("", "STATUS Work (MESSAGES)").contains("MESSAGES 1"));

    let account = world.finish();
    assert_eq!(listing(&account, "INBOX"), ["appended S", "submission FS"]);
    assert_eq!(listing(&account, "Work"), ["submissions "]);
}
