//! Sessions over real sockets on a real store.

use super::harness::{Client, Node};
use tokio::io::AsyncBufReadExt;

fn message(subject: &str, body: &str) -> String {
    format!("From: Bob <bob@example.net>\r\nTo: ann@example.org\r\nSubject: {subject}\r\n\r\n{body}\r\n")
}

async fn with_three(node: &Node) -> Client {
    let mut client = node.login().await;
    for subject in ["one", "two", "three"] {
        client.append("INBOX", "", &message(subject, "text")).await;
    }
    client.ok("SELECT INBOX").await;
    client
}

fn has(lines: &[String], what: &str) -> bool {
    lines.iter().any(|line| line.contains(what))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_is_appended_fetched_searched_and_expunged() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    let fetched = client.ok("FETCH 1:* (UID ENVELOPE RFC822.SIZE BODY.PEEK[TEXT])").await;
    assert_eq!(fetched.len(), 3, "{fetched:?}");
    assert!(fetched[1].contains("\"two\"") && fetched[1].contains("text"), "{fetched:?}");
    // The second time from the digests that were kept.
    assert_eq!(client.ok("FETCH 1:* (UID ENVELOPE RFC822.SIZE BODY.PEEK[TEXT])").await, fetched);
    assert_eq!(client.ok("SEARCH SUBJECT thr").await, ["* SEARCH 3"]);
    assert_eq!(client.ok("SEARCH BODY text").await, ["* SEARCH 1 2 3"]);
    let stored = client.ok("STORE 1 +FLAGS (\\Deleted $Important)").await;
    assert!(has(&stored, "\\Deleted") && has(&stored, "$Important"), "{stored:?}");
    assert!(has(&client.ok("EXPUNGE").await, "* 1 EXPUNGE"));
    let counted = client.ok("STATUS INBOX (MESSAGES UIDNEXT UNSEEN)").await;
    assert!(has(&counted, "MESSAGES 2") && has(&counted, "UIDNEXT 4") && has(&counted, "UNSEEN 2"), "{counted:?}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_copied_and_moved_between_folders_made_and_removed() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    client.ok("CREATE Work/2026").await;
    let (_, result) = client.command("COPY 1:2 Work/2026").await;
    assert!(result.starts_with("OK [COPYUID ") && result.contains(" 1:2 1:2]"), "{result}");
    let (moved, _) = client.command("MOVE 3 Work/2026").await;
    assert!(has(&moved, "[COPYUID ") && has(&moved, "* 3 EXPUNGE"), "{moved:?}");
    let (_, result) = client.command("COPY 1 Nowhere").await;
    assert!(result.starts_with("NO [TRYCREATE]"), "{result}");
    let status = client.ok("STATUS Work/2026 (MESSAGES)").await;
    assert!(has(&status, "MESSAGES 3"), "{status:?}");
    client.ok("RENAME Work/2026 Old").await;
    assert!(has(&client.ok("LIST \"\" *").await, "Old"));
    client.ok("DELETE Old").await;
    let (_, result) = client.command("SELECT Old").await;
    assert!(result.starts_with("NO"), "{result}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idling_session_hears_of_another_sessions_mail() {
    let node = Node::start().await;
    let (mut idler, mut writer) = (with_three(&node).await, node.login().await);
    idler.send(b"i IDLE\r\n").await;
    assert!(idler.line().await.starts_with("+ "));
    writer.append("INBOX", "\\Seen", &message("four", "news")).await;
    assert_eq!(idler.line().await, "* 4 EXISTS");
    idler.send(b"DONE\r\n").await;
    while !idler.line().await.starts_with("i OK") {}
    assert!(has(&idler.ok("FETCH 4 (FLAGS)").await, "\\Seen"));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_away_fetches_only_the_difference() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    client.ok("ENABLE QRESYNC").await;
    let selected = client.ok("SELECT INBOX").await;
    let number = |what: &str| {
        let line = selected.iter().find(|line| line.contains(what)).unwrap();
        line.split(what).nth(1).unwrap().split(']').next().unwrap().to_owned()
    };
    let (uidvalidity, modseq) = (number("[UIDVALIDITY "), number("[HIGHESTMODSEQ "));
    client.ok("UNSELECT").await;
    let mut other = node.login().await;
    other.ok("SELECT INBOX").await;
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("STORE 2 +FLAGS.SILENT (\\Flagged)").await;
    other.ok("EXPUNGE").await;
    let news = client.ok(&format!("SELECT INBOX (QRESYNC ({uidvalidity} {modseq}))")).await;
    assert!(has(&news, "VANISHED (EARLIER) 1"), "{news:?}");
    assert!(has(&news, "* 1 FETCH (UID 2 FLAGS (\\Flagged)"), "{news:?}");
    assert!(!has(&news, "UID 3"), "{news:?}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_message_passes_both_ways_unchanged() {
    let node = Node::start().await;
    let mut client = node.login().await;
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
    let large = message("large", &line.repeat(60_000));
    client.append("INBOX", "", &large).await;
    client.ok("SELECT INBOX").await;
    let fetched = client.ok("FETCH 1 (BODY.PEEK[])").await;
    let start = fetched[0].find("From:").unwrap();
    assert!(fetched[0][start..start + large.len()] == large);
    let part = client.ok("FETCH 1 (BODY.PEEK[]<1000000.10>)").await;
    assert!(part[0].contains(&large[1_000_000..1_000_010]), "{part:?}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decoded_attachment_larger_than_a_slice_is_whole() {
    let node = Node::start().await;
    let mut client = node.login().await;
    let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5\r\n";
    let header = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n";
    let large = format!("Subject: data\r\n{header}\r\n{}", line.repeat(200_000));
    client.append("INBOX", "", &large).await;
    client.ok("SELECT INBOX").await;
    let fetched = client.ok("FETCH 1 (BINARY.PEEK[1] UID)").await;
    let decoded = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxy".repeat(200_000);
    let start = fetched[0].find("ABC").unwrap();
    assert!(fetched[0][start..start + decoded.len()] == decoded);
    assert!(fetched[0][start + decoded.len()..].contains("UID 1"));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_carry_on_when_their_mailbox_actor_crashes() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    for round in 0..3 {
        client.ok("STORE 1 +FLAGS (before)").await;
        assert_eq!(node.mailboxes.actors(), 1);
        node.mailboxes.crash_actors();
        client.ok(&format!("STORE 1 +FLAGS (round{round})")).await;
        client.append("INBOX", "", &message("after", "crash")).await;
    }
    assert!(has(&client.ok("STATUS INBOX (MESSAGES)").await, "MESSAGES 6"));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_session_works_both_ways() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    client.ok("COMPRESS DEFLATE").await;
    let (mut packer, mut text) = (super::deflate::Deflate::new(Vec::new()), bytes::BytesMut::new());
    let packed = packer.pack(b"c1 FETCH 1:* (ENVELOPE)\r\nc2 NOOP\r\n").unwrap();
    client.send(&packed).await;
    while !text.ends_with(b"c2 OK NOOP completed\r\n") {
        packer.take(client.stream.fill_buf().await.unwrap());
        let taken = client.stream.buffer().len();
        client.stream.consume(taken);
        while packer.unpack(&mut text, 4096).unwrap() > 0 {}
    }
    assert_eq!(text.windows(8).filter(|part| part == b"ENVELOPE").count(), 3);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_messages_are_appended_together_or_not_at_all() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    let (small, large) = (message("a", "b"), message("c", &"0123456789\r\n".repeat(100_000)));
    let both = format!("APPEND INBOX {{{}+}}\r\n{small} (\\Seen) {{{}+}}\r\n{large}", small.len(), large.len());
    let (_, result) = client.command(&both).await;
    assert!(result.starts_with("OK [APPENDUID ") && result.contains(" 4:5]"), "{result}");
    assert!(has(&client.ok("FETCH 5 (FLAGS RFC822.SIZE)").await, &format!("RFC822.SIZE {}", large.len())));
    let broken = format!("APPEND INBOX {{{}+}}\r\n{small} nonsense", small.len());
    let (_, result) = client.command(&broken).await;
    assert!(result.starts_with("BAD"), "{result}");
    assert!(has(&client.ok("STATUS INBOX (MESSAGES)").await, "MESSAGES 5"));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_node_says_goodbye() {
    let node = Node::start().await;
    let mut client = node.login().await;
    node.stop.cancel();
    assert!(client.line().await.starts_with("* BYE"));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_are_refused_and_the_session_goes_on() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    let (_, result) = client.command("LOGIN ann@example.org wrong").await;
    assert!(result.starts_with("NO [AUTHENTICATIONFAILED]"), "{result}");
    let (_, result) = client.command("SELECT INBOX").await;
    assert!(result.starts_with("BAD") || result.starts_with("NO"), "{result}");
    client.ok(&format!("LOGIN {} \"{}\"", super::harness::USER, super::harness::PASSWORD)).await;
    client.ok("SELECT INBOX").await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_body_is_nowhere_is_not_left_out_as_if_it_did_not_exist() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    let mut other = node.login().await;
    other.ok("SELECT INBOX").await;
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    node.lose_bodies();
    let wanted = "UID FETCH 1 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])";
    assert!(!has(&client.ok(wanted).await, "FETCH"), "this one is expunged");
    for command in
        ["UID FETCH 1:* (BODY.PEEK[TEXT])", "UID FETCH 2 (ENVELOPE)", "SEARCH BODY text", "SEARCH SUBJECT two"]
    {
        let (untagged, result) = client.command(command).await;
        assert!(result.starts_with("NO [UNAVAILABLE]"), "{command}: {untagged:?} {result}");
    }
    client.ok("UID FETCH 2 (FLAGS)").await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_may_be_old_are_marked_and_unknown_messages_are_not_passed_over_in_a_minority() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    node.lose_the_others().await;
    let told = |lines: &[String]| lines.iter().filter(|line| line.starts_with("* OK [UNAVAILABLE]")).count();
    let fetched = client.ok("FETCH 1:* (FLAGS)").await;
    assert!(told(&fetched) == 1 && fetched.len() == 4 && fetched[0].starts_with("* OK"), "{fetched:?}");
    assert_eq!(told(&client.ok("UID FETCH 1 (FLAGS)").await), 0, "it was told");
    for command in ["UID STORE 4 +FLAGS (\\Seen)", "UID COPY 4 Sent", "UID MOVE 4 Sent", "UID EXPUNGE 1", "EXPUNGE"] {
        let (_, result) = client.command(command).await;
        assert!(result.starts_with("NO [UNAVAILABLE]"), "{command}: {result}");
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_minority_what_is_selected_can_be_read_and_the_client_is_told_once() {
    let node = Node::start().await;
    let mut client = with_three(&node).await;
    node.lose_the_others().await;
    let told = |lines: &[String]| lines.iter().filter(|line| line.starts_with("* OK [UNAVAILABLE]")).count();
    let fetched = client.ok("FETCH 1 (UID BODY.PEEK[TEXT])").await;
    assert!(told(&fetched) == 1 && fetched[0].starts_with("* OK") && has(&fetched, "text"), "{fetched:?}");
    let searched = client.ok("SEARCH SUBJECT two").await;
    assert_eq!(searched, ["* SEARCH 2"]);
    assert_eq!(told(&client.ok("NOOP").await), 0);
    for command in ["STORE 1 +FLAGS (\\Seen)", "COPY 1 Sent", "STATUS INBOX (MESSAGES)", "SELECT INBOX", "LIST \"\" *"]
    {
        let (_, result) = client.command(command).await;
        assert!(result.starts_with("NO [UNAVAILABLE]"), "{command}: {result}");
    }
    client.ok("NOOP").await;
    node.shut_down().await;
}

/// Appends `count` messages in one command.
async fn append_many(client: &mut Client, count: usize) {
    let message = message("many", "text");
    let literal = format!(" () {{{}+}}\r\n{message}", message.len());
    client.ok(&format!("APPEND INBOX{}", literal.repeat(count))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_copy_that_is_refused_half_way_leaves_the_destination_as_it_was() {
    let node = Node::start().await;
    let mut client = node.login().await;
    append_many(&mut client, 300).await;
    client.append("INBOX", "another", &message("last", "text")).await;
    // The destination has no room for one more keyword.
    client.append("Archive", "", &message("there", "text")).await;
    client.ok("SELECT Archive").await;
    for number in 0..56 {
        client.ok(&format!("STORE 1 +FLAGS (k{number})")).await;
    }
    client.ok("SELECT INBOX").await;
    let (_, result) = client.command("COPY 1:* Archive").await;
    assert!(result.starts_with("NO "), "{result}");
    // The first part is removed behind the answer.
    while !has(&client.ok("STATUS Archive (MESSAGES)").await, "MESSAGES 1)") {}
    let (_, result) = client.command("COPY 1:300 Archive").await;
    assert!(result.contains("[COPYUID ") && result.contains(" 1:300 "), "{result}");
    assert!(has(&client.ok("STATUS Archive (MESSAGES)").await, "MESSAGES 301)"));
    node.shut_down().await;
}
