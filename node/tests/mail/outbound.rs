//! Mail out of a real queue to scripted hosts: every answer a host can give, and what the sender hears of it.

use crate::dns::Zone;
use crate::sink::{Script, Sink, Tls};
use crate::world::{ANN, BEN, Plan, World, quick, until};
use model::directory::view::Target;
use node::queue::Retry;
use node::services::delivery::Resolved;
use protocols::address::Address;
use protocols::smtp::{Notify, Recipient};
use std::net::Ipv4Addr;

const BOB: &str = "bob@example.net";

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_takes_mail_once_with_its_dots_and_without_return_path() {
    let sink = Sink::start(Script::default()).await;
    let world = World::start(Plan::relay(sink.address)).await;
    world.send(Some(ANN.0), &[BOB, "eve@example.com"]).await;
    world.drained().await;
    let taken = sink.taken.lock().clone();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].data, "Subject: greetings\r\n\r\n.hello\r\n");
    assert!(taken[0].sender.starts_with("MAIL FROM:<ann@example.org>"), "{}", taken[0].sender);
    assert_eq!(taken[0].recipients.len(), 2);
    assert!(world.inbox(0).is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greylisting_host_gets_the_mail_at_the_second_attempt() {
    let sink = Sink::start(Script { recipient: ["450 4.7.1 come back later"].into(), ..Script::default() }).await;
    let world = World::start(Plan::relay(sink.address)).await;
    world.send(Some(ANN.0), &[BOB]).await;
    world.drained().await;
    assert_eq!(sink.taken.lock().len(), 1);
    assert_eq!(*sink.connections.lock(), 2);
    assert!(world.inbox(0).is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_bounces_to_the_sender_and_spares_the_others() {
    let sink = Sink::start(Script { recipient: ["550 5.1.1 nobody here"].into(), ..Script::default() }).await;
    let world = World::start(Plan::relay(sink.address)).await;
    world.send(Some(ANN.0), &[BOB, "eve@example.com"]).await;
    world.drained().await;
    assert_eq!(sink.taken.lock().len(), 1);
    let inbox = world.inbox(0);
    assert_eq!(inbox.len(), 1);
    let bounce = &inbox[0];
    for part in [
        "Return-Path: <>\r\n",
        "To: <ann@example.org>\r\n",
        "Final-Recipient: rfc822; bob@example.net\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Subject: greetings\r\n",
    ] {
        assert!(bounce.contains(part), "{part} is not in {bounce}");
    }
    assert!(!bounce.contains("eve@example.com"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_content_bounces_and_the_null_sender_hears_nothing() {
    let sink = Sink::start(Script { content: ["554 5.7.1 spam", "554 5.7.1 spam"].into(), ..Script::default() }).await;
    let world = World::start(Plan::relay(sink.address)).await;
    world.send(None, &[BOB]).await;
    world.drained().await;
    world.send(Some(ANN.0), &[BOB]).await;
    world.drained().await;
    assert_eq!(world.inbox(0).len(), 1);
    assert!(world.inbox(1).is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_dropped_after_the_dot_is_tried_again() {
    let sink = Sink::start(Script { content: ["drop"].into(), ..Script::default() }).await;
    let world = World::start(Plan::relay(sink.address)).await;
    world.send(Some(ANN.0), &[BOB]).await;
    world.drained().await;
    assert_eq!(sink.taken.lock().len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_used_when_it_works_and_done_without_when_it_does_not() {
    for (tls, used) in [(Tls::Works, true), (Tls::Broken, false)] {
        let sink = Sink::start(Script { tls, ..Script::default() }).await;
        let world = World::start(Plan::relay(sink.address)).await;
        world.send(Some(ANN.0), &[BOB]).await;
        world.drained().await;
        assert_eq!(sink.taken.lock().iter().map(|taken| taken.tls).collect::<Vec<_>>(), [used]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_mx_that_answers_gets_the_mail() {
    let sink = Sink::start(Script::default()).await;
    // The best host has no listener on that port: connecting is refused at once.
    let zone = Zone::default()
        .mx("example.net", 10, "first.example.net")
        .mx("example.net", 20, "second.example.net")
        .host("first.example.net", Ipv4Addr::new(127, 0, 0, 2))
        .host("second.example.net", Ipv4Addr::LOCALHOST);
    let world = World::start(Plan::dns(zone.serve().await, sink.address.port())).await;
    world.send(Some(ANN.0), &[BOB]).await;
    world.drained().await;
    assert_eq!(sink.taken.lock().len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_mx_is_its_own_host() {
    let sink = Sink::start(Script::default()).await;
    let zone = Zone::default().host("example.net", Ipv4Addr::LOCALHOST);
    let world = World::start(Plan::dns(zone.serve().await, sink.address.port())).await;
    world.send(Some(ANN.0), &[BOB]).await;
    world.drained().await;
    assert_eq!(sink.taken.lock().len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dns_says_no_to_bounces_with_its_status() {
    let zone = Zone::default()
        .mx("nomail.example", 0, ".")
        .mx("us.example", 10, "node.example.org")
        .mx("loop.example", 10, "here.example")
        .host("here.example", Ipv4Addr::LOCALHOST);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::start(Plan { own_ports: vec![port], ..Plan::dns(zone.serve().await, port) }).await;
    for (recipient, status) in [
        ("x@nomail.example", "5.1.10"),
        ("x@us.example", "5.4.6"),
        ("x@loop.example", "5.4.6"),
        ("x@nowhere.example", "5.1.2"),
    ] {
        let before = world.inbox(0).len();
        world.send(Some(ANN.0), &[recipient]).await;
        world.drained().await;
        let inbox = world.inbox(0);
        assert_eq!(inbox.len(), before + 1, "{recipient}");
        let status = format!("Status: {status}\r\n");
        assert!(
            inbox.iter().any(|bounce| bounce.contains(recipient) && bounce.contains(&status)),
            "{recipient}: {inbox:?}"
        );
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_told_once_and_expiry_ends_it() {
    let refusals = ["450 4.2.0 no"; 3];
    let sink = Sink::start(Script { recipient: refusals.into(), ..Script::default() }).await;
    let retry = Retry { delay_told_after_ms: 0, ..quick() };
    let world = World::start(Plan { retry, ..Plan::relay(sink.address) }).await;
    world.send(Some(ANN.0), &[BOB]).await;
    world.drained().await;
    let inbox = world.inbox(0);
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert!(inbox[0].contains("Action: delayed\r\n"));
    assert_eq!(sink.taken.lock().len(), 1);
    world.stop().await;

    let sink = Sink::start(Script { recipient: ["450 4.2.0 no"].into(), ..Script::default() }).await;
    let retry = Retry { lifetime_ms: 0, ..quick() };
    let world = World::start(Plan { retry, ..Plan::relay(sink.address) }).await;
    world.send(Some(ANN.0), &[BOB]).await;
    world.drained().await;
    assert!(world.inbox(0)[0].contains("Status: 5.4.7\r\n"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn success_is_told_here_only_when_the_next_host_does_not() {
    for (offers, told) in [(vec![], 1), (vec!["DSN"], 0)] {
        let sink = Sink::start(Script { offers, ..Script::default() }).await;
        let world = World::start(Plan::relay(sink.address)).await;
        let notify = Notify { success: true, failure: true, delay: false };
        world.send_with(Some(ANN.0), &[BOB], Some(notify)).await;
        world.drained().await;
        assert_eq!(world.inbox(0).len(), told);
        let says_notify = sink.taken.lock()[0].recipients[0].contains("NOTIFY=SUCCESS,FAILURE");
        assert_eq!(says_notify, told == 0);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_and_outside_recipients_of_one_message_each_get_it_once() {
    let sink = Sink::start(Script::default()).await;
    let world = World::start(Plan::relay(sink.address)).await;
    let local = |who: (&str, u32), account: usize| Target::Account {
        account: world.accounts[account].0,
        address: who.0.into(),
        folder: None,
    };
    let list = Resolved {
        recipient: Recipient::new(Address::parse("list@example.org").unwrap()),
        targets: vec![local(ANN, 0), local(BEN, 1), Target::Outside(BOB.into())],
    };
    world.accept(Some("zoe@example.com"), vec![list], b"Subject: all\r\n\r\nhello\r\n").await.unwrap();
    world.drained().await;
    assert_eq!((world.inbox(0).len(), world.inbox(1).len(), sink.taken.lock().len()), (1, 1, 1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_one_shard_is_delivered_without_the_queue_and_large_bodies_are_streamed() {
    let sink = Sink::start(Script::default()).await;
    let world = World::start(Plan::relay(sink.address)).await;
    let ann = Target::Account { account: world.accounts[0].0, address: ANN.0.into(), folder: None };
    let to = Resolved { recipient: Recipient::new(Address::parse(ANN.0).unwrap()), targets: vec![ann] };
    let large = format!("Subject: large\r\n\r\n{}", "0123456789\r\n".repeat(20_000));
    world.accept(None, vec![to], large.as_bytes()).await.unwrap();
    assert_eq!(world.inbox(0), std::slice::from_ref(&large));
    assert_eq!(world.queued(), 0);
    let outside = Resolved {
        recipient: Recipient::new(Address::parse(BOB).unwrap()),
        targets: vec![Target::Outside(BOB.into())],
    };
    world.accept(Some(ANN.0), vec![outside], large.as_bytes()).await.unwrap();
    world.drained().await;
    until("the sink has the message", || sink.taken.lock().len() == 1).await;
    assert_eq!(sink.taken.lock()[0].data, large);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_run_claimed_and_never_reported_is_taken_up_at_the_start() {
    let sink = Sink::start(Script::default()).await;
    let mut world = World::start(Plan::relay(sink.address)).await;
    world.stop_queue().await;
    world.send(Some(ANN.0), &[BOB]).await;
    world.claim_everything().await;
    world.start_queue().await;
    world.drained().await;
    assert_eq!(sink.taken.lock().len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_messages_than_turns_all_arrive_and_no_more_connections_than_turns_are_open() {
    let sink = Sink::start(Script::default()).await;
    let world = World::start(Plan::relay(sink.address)).await;
    for _ in 0..200 {
        world.send(Some(ANN.0), &[BOB]).await;
    }
    world.drained().await;
    assert_eq!(sink.taken.lock().len(), 200);
    assert!(*sink.open_most.lock() <= node::limits::DELIVERIES_PER_DESTINATION);
    world.stop().await;
}
