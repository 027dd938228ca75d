//! A session on any node serves any account: the same conversation gives the same answers everywhere, mail is taken
//! everywhere, and news reaches every node.

use clients::imap::Imap;
use tests::cluster::{Cluster, PATIENCE};

const USER: &str = "ann@example.org";

/// Reads only, so that it can be had again.
const CONVERSATION: [&str; 9] = [
    "LIST \"\" * RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE))",
    "NAMESPACE",
    "EXAMINE INBOX",
    "FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
    "FETCH 1:* (BODY.PEEK[])",
    "UID SEARCH RETURN (MIN MAX COUNT ALL) SUBJECT number",
    "UID SEARCH FLAGGED",
    "STATUS Work (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)",
    "FETCH 9 (FLAGS)",
];

/// Everything the node says to it.
fn transcript(imap: &mut Imap) -> String {
    let mut text = String::new();
    for command in CONVERSATION {
        let answer = imap.command(command).unwrap();
        text.push_str(&format!("C: {command}\n{}S: {}\n", answer.text(), answer.status));
    }
    text
}

fn fill(cluster: &Cluster) {
    for number in 0..6 {
        let reply = cluster.deliver(number % cluster.size(), USER, &format!("number {number}")).unwrap();
        assert_eq!(reply.code, 250, "{reply:?}");
    }
    let mut imap = cluster.imap(1, USER).unwrap();
    let large = [b"Subject: large\r\n\r\n".as_slice(), &b"beyond what rides in an entry\r\n".repeat(5_000)].concat();
    assert!(imap.append("INBOX", "\\Draft", &large).unwrap().status.starts_with("OK"));
    imap.ok("CREATE Work").unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("STORE 2 +FLAGS (\\Flagged later)").unwrap();
    imap.ok("COPY 1:3 Work").unwrap();
    imap.ok("MOVE 4 Work").unwrap();
}

#[test]
fn the_same_conversation_on_each_node_gives_the_same_answers() {
    let cluster = Cluster::start(3);
    cluster.add_account(USER);
    fill(&cluster);
    let transcripts = [0, 1, 2].map(|node| transcript(&mut cluster.imap(node, USER).unwrap()));
    assert!(transcripts[0].contains("beyond what rides in an entry") && transcripts[0].contains("later"));
    assert_eq!(transcripts[0], transcripts[1]);
    assert_eq!(transcripts[0], transcripts[2]);
    // What one says, all say: accounts, aliases and passwords are the cluster's.
    let changed = ["alias", "add", "sales@example.org", USER];
    assert!(cluster.cli(2, &changed).status.success());
    assert_eq!(cluster.deliver(0, "sales@example.org", "by alias").unwrap().code, 250);
    for node in 0..3 {
        assert_eq!(cluster.count(node, USER, "INBOX").unwrap(), 7, "on {}", cluster.name(node));
        assert!(cluster.deliver(node, "nobody@example.org", "x").unwrap_err().to_string().contains("550"));
        assert!(Imap::connect(cluster.address(node, "imap")).unwrap().login(USER, "wrong").is_err());
    }
    cluster.finish();
}

#[test]
fn an_idle_session_hears_of_mail_accepted_on_any_node() {
    let cluster = Cluster::start(3);
    cluster.add_account(USER);
    let mut listeners = [0, 1, 2].map(|node| cluster.imap(node, USER).unwrap());
    let tags = listeners.each_mut().map(|imap| {
        imap.ok("SELECT INBOX").unwrap();
        let tag = imap.start("IDLE").unwrap();
        assert!(imap.response().unwrap().starts_with(b"+"));
        tag
    });
    for number in 1..=6 {
        assert_eq!(cluster.deliver(number % 3, USER, "news").unwrap().code, 250);
        let announced = format!("* {number} EXISTS");
        for imap in &mut listeners {
            while imap.response().unwrap() != announced.as_bytes() {}
        }
    }
    // A flag that is set on one node is told on the others.
    let mut imap = cluster.imap(0, USER).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("STORE 3 +FLAGS (\\Flagged)").unwrap();
    for (imap, tag) in listeners.iter_mut().zip(tags) {
        while !String::from_utf8_lossy(&imap.response().unwrap()).starts_with("* 3 FETCH") {}
        imap.send(b"DONE\r\n").unwrap();
        assert!(imap.finish_with(&tag, drop).unwrap().starts_with("OK"));
    }
    cluster.finish();
}

#[test]
fn mail_for_accounts_of_several_shards_reaches_each_once() {
    let cluster = Cluster::start(3);
    let users: Vec<_> = (0..6).map(|number| format!("m{number}@example.org")).collect();
    users.iter().for_each(|user| cluster.add_account(user));
    let to: Vec<_> = users.iter().map(String::as_str).collect();
    for node in 0..3 {
        let mut smtp = cluster.smtp(node).unwrap();
        assert_eq!(smtp.deliver("bob@example.net", &to, b"Subject: all\r\n\r\nhello\r\n").unwrap().code, 250);
    }
    for user in &users {
        let mut imap = cluster.imap(2, user).unwrap();
        let mut count = || imap.ok("STATUS INBOX (MESSAGES)").unwrap().number_after("MESSAGES");
        cluster.wait_until(&format!("three messages for {user}"), PATIENCE, || count() >= Some(3));
        assert_eq!(count(), Some(3));
    }
    cluster.finish();
}
