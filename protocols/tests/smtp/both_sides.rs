//! The client machine against the server machine, and against hosts that misbehave.

use crate::client_driver::{self, ClientDriver};
use crate::driver::{self, Driver};
use proptest::prelude::*;
use protocols::address::Address;
use protocols::sasl::Password;
use protocols::smtp::client::{CloseReason, Config, Message, Outcome, Stage, TlsPolicy};
use protocols::smtp::server::{Service, Tls};
use protocols::smtp::{Body, Mail, Notify, OriginalRecipient, Recipient, Return};

fn recipient(address: &str) -> Recipient {
    Recipient::new(Address::parse(address).unwrap())
}

fn message(recipients: &[&str], data: &[u8], body: Body) -> (Message, Vec<u8>) {
    let message = Message {
        mail: Mail { sender: Address::parse("a@example.net").ok(), body, ..Mail::default() },
        recipients: recipients.iter().map(|address| recipient(address)).collect(),
        bytes: data.len() as u64,
    };
    (message, data.to_vec())
}

/// Lets both machines talk until the client closes; bytes travel in pieces of `size`.
fn converse(client: &mut ClientDriver, server: &mut Driver, size: usize) {
    client.pump();
    for _ in 0..10_000 {
        let to_client = std::mem::take(&mut server.written);
        client.feed(&to_client, size);
        if std::mem::take(&mut client.tls_pending) {
            server.finish_tls();
            client.client.tls_started().unwrap();
            client.pump();
        }
        let to_server = std::mem::take(&mut client.written);
        if client.closed.is_some() {
            return;
        }
        assert!(!to_client.is_empty() || !to_server.is_empty(), "both sides wait");
        server.feed(&to_server, size);
    }
    panic!("no end");
}

fn send(
    service: Service,
    tls: Tls,
    config: Config,
    messages: Vec<(Message, Vec<u8>)>,
    size: usize,
) -> (ClientDriver, Driver) {
    let mut client = ClientDriver::new(config, messages, size);
    let mut server = Driver::new(driver::config(service, tls));
    converse(&mut client, &mut server, size);
    (client, server)
}

/// Feeds what a host says, turn by turn, and returns what the client said to each.
fn against(client: &mut ClientDriver, turns: &[&str]) -> Vec<String> {
    client.pump();
    let said = |turn: &&str| {
        client.feed(turn.as_bytes(), 5);
        String::from_utf8(std::mem::take(&mut client.written)).unwrap()
    };
    turns.iter().map(said).collect()
}

fn codes(results: &[Outcome]) -> Vec<(char, u16)> {
    results
        .iter()
        .map(|outcome| match outcome {
            Outcome::Delivered(reply) => ('d', reply.code()),
            Outcome::Refused(report) => ('r', report.reply.code()),
            Outcome::TryLater(report) => ('l', report.reply.code()),
            Outcome::Unknown(report) => ('u', report.reply.code()),
        })
        .collect()
}

#[test]
fn each_recipient_has_its_own_result_and_the_connection_is_used_again() {
    let first = message(
        &["b@example.org", "unknown@example.org", "later@example.org", "c@example.org"],
        b"Subject: x\r\n\r\n.dot\r\n",
        Body::SevenBit,
    );
    let refused = message(&["unknown@example.org"], b"x\r\n", Body::SevenBit);
    let last = message(&["b@example.org"], b"\r\nlast", Body::EightBit);
    let config = client_driver::config(TlsPolicy::Opportunistic);
    let (client, server) = send(Service::Mx, Tls::Offered, config, vec![first, refused, last], 5);
    assert_eq!(codes(&client.results[0]), [('d', 250), ('r', 550), ('l', 451), ('d', 250)]);
    assert_eq!(codes(&client.results[1]), [('r', 550)]);
    assert_eq!(codes(&client.results[2]), [('d', 250)]);
    assert_eq!(server.messages, [b"Subject: x\r\n\r\n.dot\r\n".to_vec(), b"\r\nlast\r\n".to_vec()]);
    assert_eq!(client.closed, Some(CloseReason::Quit));
    assert!(client.client.tls_active());
    assert_eq!(server.envelope.unwrap().transport.keyword(), "ESMTPS");
}

#[test]
fn lmtp_has_one_result_per_recipient_at_the_end() {
    let config = Config { lmtp: true, ..client_driver::config(TlsPolicy::Never) };
    let recipients = ["b@example.org", "unknown@example.org", "full@example.org", "c@example.org"];
    for body in [Body::SevenBit, Body::Binary] {
        let messages = vec![message(&recipients, b"x\r\n", body)];
        let (client, _) = send(Service::Lmtp, Tls::Absent, config.clone(), messages, 7);
        assert_eq!(codes(&client.results[0]), [('d', 250), ('r', 550), ('l', 452), ('d', 250)]);
    }
}

#[test]
fn a_relay_is_authenticated_to_under_tls_only() {
    let credentials = Some(("ann".to_owned(), Password::new("secret".into())));
    let config = Config { credentials, ..client_driver::config(TlsPolicy::Required) };
    let messages = || vec![message(&["b@example.org"], b"x\r\n", Body::SevenBit)];
    let (_, server) = send(Service::Submission, Tls::Offered, config.clone(), messages(), 100);
    assert_eq!(server.envelope.unwrap().authenticated.as_deref(), Some("ann"));
    let plain = Config { tls: TlsPolicy::Never, ..config.clone() };
    let (client, _) = send(Service::Submission, Tls::Offered, plain, messages(), 100);
    let Some(CloseReason::Failed(outcome)) = client.closed else { panic!() };
    assert!(matches!(*outcome, Outcome::TryLater(report) if report.stage == Stage::Auth));
    let (client, _) = send(Service::Submission, Tls::Absent, config, messages(), 100);
    let Some(CloseReason::Failed(outcome)) = client.closed else { panic!() };
    assert!(matches!(*outcome, Outcome::TryLater(report) if report.stage == Stage::StartTls));
}

#[test]
fn the_wishes_of_the_envelope_arrive() {
    let (mut message, data) = message(&["jörg@example.org"], b"x\r\n", Body::EightBit);
    message.mail.ret = Some(Return::Full);
    message.mail.envelope_id = Some("id +=".into());
    message.recipients[0].notify = Some(Notify { success: true, failure: true, delay: false });
    message.recipients[0].original =
        Some(OriginalRecipient { address_type: "utf-8".into(), address: "jörg+x@example.org".into() });
    let config = client_driver::config(TlsPolicy::Never);
    let (_, server) = send(Service::Mx, Tls::Absent, config, vec![(message.clone(), data)], 100);
    let envelope = server.envelope.unwrap();
    let expected = Mail { size: Some(3), smtputf8: true, ..message.mail };
    assert_eq!((envelope.mail, envelope.recipients), (expected, message.recipients));
}

#[test]
fn many_recipients_go_in_batches_and_the_surplus_is_told() {
    let addresses: Vec<String> = (0..1003).map(|number| format!("r{number}@example.org")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let messages = vec![message(&addresses, b"x\r\n", Body::SevenBit)];
    let config = client_driver::config(TlsPolicy::Never);
    let (client, _) = send(Service::Mx, Tls::Absent, config, messages, 1000);
    let surplus = client.results[0].iter().filter(|outcome| outcome.is_recipient_surplus()).count();
    assert_eq!((surplus, client.results[0].len()), (3, 1003));
}

#[test]
fn an_old_host_is_spoken_to_in_its_way() {
    let messages = vec![message(&["b@example.org", "c@example.org"], "é\r\n".as_bytes(), Body::EightBit)];
    let mut client = ClientDriver::new(client_driver::config(TlsPolicy::Opportunistic), messages, 100);
    let turns = [
        "220 old\r\n",
        "502 what\r\n",
        "250 old\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "550 no\r\n",
        "354 go\r\n",
        "250 ok\r\n",
        "221 bye\r\n",
    ];
    let expected = [
        "EHLO client.example.net\r\n",
        "HELO client.example.net\r\n",
        "MAIL FROM:<a@example.net>\r\n",
        "RCPT TO:<b@example.org>\r\n",
        "RCPT TO:<c@example.org>\r\n",
        "DATA\r\n",
        "é\r\n.\r\n",
        "QUIT\r\n",
        "",
    ];
    assert_eq!(against(&mut client, &turns), expected);
    assert_eq!(codes(&client.results[0]), [('d', 250), ('r', 550)]);
}

#[test]
fn what_a_host_cannot_take_is_refused_without_asking() {
    let greeting = ["220 x\r\n", "250-x\r\n250 SIZE 10\r\n", "221 bye\r\n"];
    let mut from_unicode_sender = message(&["b@c.org"], b"x", Body::SevenBit);
    from_unicode_sender.0.mail.sender = Address::parse("ø@example.net").ok();
    let cases = [
        (message(&["b@c.org"], b"12345678901", Body::SevenBit), 552),
        (message(&["b@c.org"], b"x", Body::Binary), 554),
        (message(&["ø@c.org"], b"x", Body::SevenBit), 553),
        (from_unicode_sender, 550),
    ];
    for (message, code) in cases {
        let mut client = ClientDriver::new(client_driver::config(TlsPolicy::Never), vec![message], 100);
        assert_eq!(against(&mut client, &greeting)[1], "QUIT\r\n");
        assert_eq!(codes(&client.results[0]), [('r', code)]);
    }
}

#[test]
fn a_connection_lost_after_the_final_dot_is_unknown_and_before_it_try_later() {
    let turns = ["220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"];
    for (count, expected) in [(3, [('l', 451)]), (4, [('l', 451)]), (5, [('u', 451)])] {
        let messages = vec![message(&["b@c.org"], b"x\r\n", Body::SevenBit)];
        let mut client = ClientDriver::new(client_driver::config(TlsPolicy::Never), messages, 100);
        against(&mut client, &turns[..count]);
        client.client.handle_end_of_input();
        client.pump();
        assert_eq!(codes(&client.results[0]), expected, "after {count} turns");
        assert!(matches!(client.closed, Some(CloseReason::Failed(_))));
    }
}

#[test]
fn a_421_or_nonsense_ends_the_session_at_any_time() {
    let turns = ["220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"];
    for count in 0..=turns.len() {
        for (last, kind) in [("421 bye\r\n", 'l'), ("nonsense\r\n", if count == 5 { 'u' } else { 'l' })] {
            let messages = vec![message(&["b@c.org"], b"x\r\n", Body::SevenBit)];
            let mut client = ClientDriver::new(client_driver::config(TlsPolicy::Never), messages, 100);
            against(&mut client, &turns[..count]);
            against(&mut client, &[last]);
            assert!(matches!(client.closed, Some(CloseReason::Failed(_))), "{last:?} after {count}");
            if let [results] = client.results.as_slice() {
                assert_eq!(codes(results)[0].0, kind, "{last:?} after {count}");
            }
        }
    }
}

#[test]
fn what_a_host_says_in_the_plain_behind_starttls_is_dropped() {
    let messages = vec![message(&["b@c.org"], b"x\r\n", Body::SevenBit)];
    let mut client = ClientDriver::new(client_driver::config(TlsPolicy::Opportunistic), messages, 100);
    client.pump();
    client.feed(b"220 x\r\n", 100);
    client.feed(b"250-x\r\n250 STARTTLS\r\n", 100);
    client.feed(b"220 go\r\n250-evil\r\n250 PIPELINING\r\n", 100);
    assert!(client.tls_pending);
    client.written.clear();
    client.client.tls_started().unwrap();
    client.pump();
    assert_eq!(client.written, b"EHLO client.example.net\r\n");
}

#[test]
fn a_message_that_cannot_be_read_is_never_ended() {
    use protocols::smtp::client::{Client, Event};
    let mut client = Client::new(client_driver::config(TlsPolicy::Never));
    let mut results = None;
    for turn in ["220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        client.handle_input(turn.as_bytes());
        while let Some(event) = client.poll() {
            match event {
                Event::Ready => client.send(message(&["b@c.org"], b"x", Body::SevenBit).0).unwrap(),
                Event::NeedData => client.data_failed().unwrap(),
                Event::Done(outcomes) => results = Some(outcomes),
                Event::Write(bytes) => assert!(!bytes.ends_with(b".\r\n")),
                _ => {}
            }
        }
    }
    assert_eq!(codes(&results.unwrap()), [('l', 451)]);
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::collection::vec(prop::sample::select(b".ab:\xe9 ".to_vec()), 0..20);
    prop::collection::vec(line, 0..20).prop_map(|lines| {
        let ended = lines.into_iter().map(|line| [line, b"\r\n".to_vec()].concat());
        ended.collect::<Vec<_>>().concat()
    })
}

proptest! {
    #[test]
    fn every_text_arrives_as_it_was_sent(data in text(), size in 1..50_usize) {
        let messages = vec![message(&["b@c.org"], &data, Body::EightBit); 2];
        let (client, server) =
            send(Service::Mx, Tls::Absent, client_driver::config(TlsPolicy::Never), messages, size);
        prop_assert_eq!(server.messages, vec![data.clone(), data]);
        prop_assert_eq!(codes(&client.results[1]), [('d', 250)]);
    }

    #[test]
    fn every_binary_arrives_as_it_was_sent(data in prop::collection::vec(any::<u8>(), 0..300), size in 1..50_usize) {
        let messages = vec![message(&["b@c.org"], &data, Body::Binary)];
        let (_, server) =
            send(Service::Mx, Tls::Absent, client_driver::config(TlsPolicy::Never), messages, size);
        prop_assert_eq!(server.messages, vec![data]);
    }

    #[test]
    fn no_host_makes_the_client_panic(
        turns in prop::collection::vec("((2[0-9]{2}|354|[2-5][0-9]{2})[ -][A-Z0-9. ]{0,12}\r\n)|\\PC{0,9}\r\n", 0..12),
        lmtp in any::<bool>(),
    ) {
        let config = Config { lmtp, ..client_driver::config(TlsPolicy::Opportunistic) };
        let messages = vec![message(&["b@c.org", "c@c.org"], b"x\r\n", Body::SevenBit); 2];
        let mut client = ClientDriver::new(config, messages, 1);
        client.pump();
        for turn in &turns {
            client.feed(turn.as_bytes(), 3);
        }
        client.client.handle_end_of_input();
        client.pump();
    }
}

#[test]
fn a_host_that_refuses_in_its_greeting_is_left_with_quit() {
    for (greeting, kind) in [("554 no mail here\r\n", 'r'), ("450 busy\r\n", 'l')] {
        let mut client = ClientDriver::new(client_driver::config(TlsPolicy::Never), Vec::new(), 100);
        assert_eq!(against(&mut client, &[greeting]), ["QUIT\r\n"]);
        let Some(CloseReason::Failed(outcome)) = client.closed else { panic!() };
        assert_eq!(codes(&[*outcome])[0].0, kind);
    }
}

#[test]
fn a_password_is_not_sent_in_the_plain_although_the_host_asks_for_it() {
    let credentials = Some(("ann".to_owned(), Password::new("secret".into())));
    for (peer_is_loopback, expected) in [(false, "QUIT\r\n"), (true, "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n")] {
        let tls = TlsPolicy::Opportunistic;
        let config = Config { credentials: credentials.clone(), peer_is_loopback, ..client_driver::config(tls) };
        let mut client = ClientDriver::new(config, Vec::new(), 100);
        assert_eq!(against(&mut client, &["220 x\r\n", "250-x\r\n250 AUTH PLAIN\r\n"])[1], expected);
    }
}
