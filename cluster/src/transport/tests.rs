//! Two or three transports on loopback: what is carried, what is refused, and what one peer cannot do to another.

use super::*;
use crate::files::Files;
use crate::limits::{FRAME_BYTES_FIRST, STRANGER_BYTES_MAX};
use bytes::{BufMut, BytesMut};
use std::net::UdpSocket;
use std::time::Duration;
use storage::disk::RealDisk;
use tempfile::TempDir;
use tokio::sync::watch;

/// Far above what anything here takes.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Echoes; keeps what it was asked.
struct Echo {
    seen: Mutex<Vec<(NodeId, Service)>>,
    /// Streams are read while this holds true.
    reading: watch::Sender<bool>,
}

impl Handler for Echo {
    fn call(&self, from: NodeId, service: Service, request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        self.seen.lock().push((from, service));
        Box::pin(async move {
            match service {
                Service::Transfer => Err("not now".into()),
                Service::Clock => std::future::pending().await,
                _ => Ok(request),
            }
        })
    }

    fn stream(&self, from: NodeId, service: Service, head: Bytes, mut duplex: Duplex) -> BoxFuture<'_, ()> {
        self.seen.lock().push((from, service));
        Box::pin(async move {
            let mut reading = self.reading.subscribe();
            duplex.sender.send(head).await.unwrap();
            while reading.wait_for(|reading| *reading).await.is_ok() {
                match duplex.receiver.next().await {
                    Ok(Some(frame)) => duplex.sender.send(frame).await.unwrap(),
                    Ok(None) => return duplex.sender.finish().unwrap(),
                    Err(_) => return,
                }
            }
        })
    }

    fn stranger(&self, binding: [u8; 32], request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async move {
            match request.strip_prefix(&binding) {
                Some(b"please") => Ok(Bytes::from_static(b"welcome")),
                _ => Err("no token".into()),
            }
        })
    }
}

/// A node of a cluster.
struct Node {
    id: NodeId,
    directory: TempDir,
    authority: Arc<Authority>,
    handler: Arc<Echo>,
    transport: Transport,
}

fn authority(directory: &TempDir, id: NodeId, founder: Option<&Authority>) -> Arc<Authority> {
    let files = Files::open(Arc::new(RealDisk::open(directory.path()).unwrap())).unwrap();
    let authority = match founder {
        Some(founder) => {
            let (key, certificate) = founder.export().unwrap();
            Authority::adopt(&files, &key, &certificate, id)
        }
        None => Authority::open(&files, id),
    };
    Arc::new(authority.unwrap())
}

fn options(authority: &Arc<Authority>, id: NodeId, handler: &Arc<Echo>, port: u16) -> TransportOptions {
    let bind = SocketAddr::from(([127, 0, 0, 1], port));
    TransportOptions { bind, authority: authority.clone(), node: id, handler: handler.clone(), network: None }
}

impl Node {
    async fn start(id: u64, founder: Option<&Authority>) -> Node {
        let (id, directory) = (NodeId(id), tempfile::tempdir().unwrap());
        let authority = authority(&directory, id, founder);
        let handler = Arc::new(Echo { seen: Mutex::default(), reading: watch::Sender::new(true) });
        let transport = Transport::bind(options(&authority, id, &handler, 0)).await.unwrap();
        Node { id, directory, authority, handler, transport }
    }

    fn peer(&self) -> Peer {
        Peer { address: self.transport.local_address().to_string(), key: self.authority.node_key_hash() }
    }

    fn knows(&self, peers: &[&Node]) {
        self.transport.set_peers(peers.iter().map(|node| (node.id, node.peer())).collect());
    }

    async fn call(&self, to: &Node, service: Service, request: &'static [u8]) -> Result<Bytes, CallError> {
        self.transport.call(to.id, service, Bytes::from_static(request), later()).await
    }
}

/// Nodes 1, 2, … of one cluster that know each other.
async fn nodes<const N: usize>() -> [Node; N] {
    let mut nodes = vec![Node::start(1, None).await];
    for id in 2..=N as u64 {
        nodes.push(Node::start(id, Some(&nodes[0].authority)).await);
    }
    let all: Vec<&Node> = nodes.iter().collect();
    nodes.iter().for_each(|node| node.knows(&all));
    nodes.try_into().unwrap_or_else(|_| unreachable!())
}

#[tokio::test]
async fn a_call_is_answered_refused_or_unknown() {
    let [one, two] = nodes().await;
    assert_eq!(one.call(&two, Service::Vote, b"hello").await, Ok(Bytes::from_static(b"hello")));
    assert_eq!(two.call(&one, Service::Status, b"").await, Ok(Bytes::new()));
    assert_eq!(one.call(&two, Service::Transfer, b"").await, Err(CallError::Refused("not now".into())));
    let soon = Instant::now() + Duration::from_millis(300);
    let unanswered = one.transport.call(two.id, Service::Clock, Bytes::new(), soon).await;
    assert!(matches!(unanswered, Err(CallError::Unknown(_))), "{unanswered:?}");
    let nobody = one.transport.call(NodeId(9), Service::Vote, Bytes::new(), later()).await;
    assert!(matches!(nobody, Err(CallError::Unreachable(_))), "{nobody:?}");
    let seen = [Service::Vote, Service::Transfer, Service::Clock].map(|service| (one.id, service));
    assert_eq!(*two.handler.seen.lock(), seen);
    let status = one.transport.peers();
    assert!(matches!(&status[..], [status] if status.node == two.id && status.connected && status.sent_bytes > 0));
}

#[tokio::test]
async fn a_peer_that_came_back_elsewhere_is_reached_where_it_connects_from() {
    let [one, two] = nodes().await;
    // Nothing answers there: the socket is held and never read.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let before = Peer { address: silent.local_addr().unwrap().to_string(), ..two.peer() };
    one.transport.set_peers([(two.id, before)].into());
    two.call(&one, Service::Vote, b"here").await.unwrap();
    loop {
        match one.call(&two, Service::Vote, b"found").await {
            Ok(answer) => break assert_eq!(answer, Bytes::from_static(b"found")),
            Err(error) => assert!(matches!(error, CallError::Unreachable(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn large_requests_arrive_whole_and_larger_ones_are_not_sent() {
    let [one, two] = nodes().await;
    for bytes in [FRAME_BYTES_FIRST, FRAME_BYTES_FIRST + 1, FRAME_BYTES_MAX] {
        let request: Bytes = (0..bytes).map(|at| (at % 251) as u8).collect();
        assert_eq!(one.transport.call(two.id, Service::Propose, request.clone(), later()).await, Ok(request));
    }
    let request = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);
    let refused = one.transport.call(two.id, Service::Propose, request, later()).await;
    assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn streams_carry_frames_both_ways_on_both_lanes() {
    let [one, two] = nodes().await;
    for service in [Service::Append, Service::Bodies] {
        let opened = one.transport.open(two.id, service, Bytes::from_static(b"head"), later()).await;
        let Duplex { mut sender, mut receiver } = opened.unwrap();
        assert_eq!(receiver.next().await, Ok(Some(Bytes::from_static(b"head"))));
        for number in 0..100_u8 {
            sender.send(Bytes::from(vec![number; usize::from(number)])).await.unwrap();
        }
        sender.finish().unwrap();
        for number in 0..100_u8 {
            assert_eq!(receiver.next().await, Ok(Some(Bytes::from(vec![number; usize::from(number)]))));
        }
        assert_eq!(receiver.next().await, Ok(None));
    }
    assert_eq!(one.transport.quic().endpoint.open_connections(), 2, "a connection per lane");
}

#[tokio::test]
async fn a_stream_that_is_given_up_is_not_taken_for_finished() {
    let [one, two] = nodes().await;
    let Duplex { sender, mut receiver } =
        one.transport.open(two.id, Service::Watch, Bytes::from_static(b"head"), later()).await.unwrap();
    assert_eq!(receiver.next().await, Ok(Some(Bytes::from_static(b"head"))));
    drop(sender);
    assert!(matches!(receiver.next().await, Err(CallError::Unknown(_))));
}

#[tokio::test]
async fn a_peer_that_stops_reading_holds_its_sender_and_nobody_else() {
    const FRAME: usize = 1024 * 1024;
    let [one, two, three] = nodes().await;
    two.handler.reading.send_replace(false);
    let Duplex { mut sender, mut receiver } =
        one.transport.open(two.id, Service::Append, Bytes::new(), later()).await.unwrap();
    let sent = Arc::new(watch::Sender::new(0));
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for _ in 0..64 {
                sender.send(Bytes::from(vec![0; FRAME])).await.unwrap();
                sent.send_modify(|sent| *sent += 1);
            }
            sender.finish().unwrap();
        }
    });
    sent.subscribe().wait_for(|sent| *sent >= 4).await.unwrap();
    for round in 0..200 {
        let to = [&two, &three][round % 2];
        assert_eq!(one.call(to, Service::Propose, b"still here").await, Ok(Bytes::from_static(b"still here")));
        assert!(*sent.borrow() < 16, "what is not read is not sent");
    }
    two.handler.reading.send_replace(true);
    let mut received = 0;
    while let Some(frame) = receiver.next().await.unwrap() {
        received += frame.len();
    }
    assert_eq!(received, 64 * FRAME);
    sending.await.unwrap();
}

#[tokio::test]
async fn who_is_not_listed_is_not_let_in_and_is_told() {
    let [one, two] = nodes().await;
    let third = Node::start(3, Some(&one.authority)).await;
    third.knows(&[&one]);
    let refused = third.call(&one, Service::Vote, b"").await;
    assert!(matches!(&refused, Err(CallError::Unreachable(reason)) if reason.contains("no member")), "{refused:?}");
    // A member's certificate with a key that the directory does not pin.
    let posing = Node::start(2, Some(&one.authority)).await;
    posing.knows(&[&one]);
    assert!(matches!(posing.call(&one, Service::Vote, b"").await, Err(CallError::Unreachable(_))));
    one.transport.set_peers(BTreeMap::from([(two.id, Peer { address: posing.peer().address, ..two.peer() })]));
    let posed = one.call(&two, Service::Vote, b"").await;
    assert!(matches!(&posed, Err(CallError::Unreachable(reason)) if reason.contains("another key")), "{posed:?}");
    // A listed key under the name of another node.
    let renamed = authority(&two.directory, NodeId(5), Some(&one.authority));
    let renamed = Transport::bind(options(&renamed, NodeId(5), &two.handler, 0)).await.unwrap();
    one.knows(&[&two]);
    renamed.set_peers(BTreeMap::from([(one.id, one.peer())]));
    let refused = renamed.call(one.id, Service::Vote, Bytes::new(), later()).await;
    assert!(matches!(&refused, Err(CallError::Unreachable(reason)) if reason.contains("not that of")), "{refused:?}");
    assert_eq!(*one.handler.seen.lock(), []);
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_both_ways() {
    let (ours, theirs) = (Node::start(1, None).await, Node::start(2, None).await);
    ours.knows(&[&theirs]);
    theirs.knows(&[&ours]);
    assert!(matches!(ours.call(&theirs, Service::Vote, b"").await, Err(CallError::Unreachable(_))));
    assert!(matches!(theirs.call(&ours, Service::Vote, b"").await, Err(CallError::Unreachable(_))));
    assert_eq!((&*ours.handler.seen.lock(), &*theirs.handler.seen.lock()), (&vec![], &vec![]));
}

#[tokio::test]
async fn a_removed_peer_is_cut_in_the_middle_of_a_stream() {
    let [one, two] = nodes().await;
    let Duplex { sender: _sender, mut receiver } =
        two.transport.open(one.id, Service::Append, Bytes::new(), later()).await.unwrap();
    assert_eq!(receiver.next().await, Ok(Some(Bytes::new())));
    assert!(one.call(&two, Service::Vote, b"").await.is_ok());
    one.knows(&[]);
    let cut = receiver.next().await;
    assert!(matches!(&cut, Err(CallError::Unknown(reason)) if reason.contains("no member")), "{cut:?}");
    assert!(matches!(two.call(&one, Service::Vote, b"").await, Err(CallError::Unreachable(_))));
    assert!(matches!(one.call(&two, Service::Vote, b"").await, Err(CallError::Unreachable(_))));
    one.knows(&[&two]);
    assert!(one.call(&two, Service::Vote, b"").await.is_ok(), "and may come back");
}

#[tokio::test]
async fn garbage_changes_nothing_and_is_logged_once() {
    let [one, two] = nodes().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [1_usize, 20, 100, 1200, 1400] {
        for first in [0x00, 0x40, 0xc0, 0xff] {
            let mut datagram = vec![first; length];
            datagram.iter_mut().enumerate().skip(1).for_each(|(at, byte)| *byte = (at * 7) as u8);
            socket.send_to(&datagram, two.transport.local_address()).unwrap();
        }
    }
    let connection = one.transport.quic().connection(two.id, Lane::Control, later()).await.unwrap();
    let mut oversized = BytesMut::from(&[VERSION, Service::Propose as u8][..]);
    oversized.put_u32(u32::MAX);
    let cut = [VERSION, Service::Propose as u8, 0, 0, 0, 9, 1];
    let bad: [&[u8]; 4] = [&[VERSION, 200], &[VERSION + 1, Service::Vote as u8], &oversized, &cut];
    for _ in 0..3 {
        for bytes in bad {
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            send.write_all(bytes).await.unwrap();
            send.finish().unwrap();
            assert!(receive.read_to_end(100).await.is_err());
        }
    }
    assert_eq!(*two.handler.seen.lock(), []);
    assert_eq!(one.call(&two, Service::Vote, b"fine").await, Ok(Bytes::from_static(b"fine")));
    assert_eq!(two.transport.quic().complaints.logged().len(), bad.len(), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_of_a_peer_is_killed_and_started_again() {
    let [one, two] = nodes().await;
    let (id, address) = (two.id, two.transport.local_address());
    let Node { directory, authority, handler, transport, .. } = two;
    transport.shutdown().await;
    drop(transport);
    let peers = BTreeMap::from([(one.id, one.peer())]);
    // A runtime that ends without a farewell is as good as a killed process.
    let start = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options = || options(&authority, id, &handler, address.port());
        let transport = loop {
            match runtime.block_on(Transport::bind(options())) {
                Ok(transport) => break transport,
                Err(error) => assert!(matches!(error, TransportError::Bind { .. }), "{error}"),
            }
        };
        transport.set_peers(peers.clone());
        (runtime, transport)
    };
    let start = || tokio::task::block_in_place(start);
    let (runtime, transport) = start();
    loop {
        match one.transport.call(id, Service::Vote, Bytes::new(), later()).await {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, CallError::Unreachable(_)), "{error}"),
        }
        tokio::task::yield_now().await;
    }
    drop(transport);
    runtime.shutdown_background();
    let (runtime, transport) = start();
    let lost = one.transport.call(id, Service::Vote, Bytes::new(), later()).await;
    assert_eq!(lost, Err(CallError::Unknown("the other node was started again".into())));
    assert!(one.transport.call(id, Service::Vote, Bytes::new(), later()).await.is_ok());
    drop(transport);
    runtime.shutdown_background();
    drop(directory);
}

#[tokio::test]
async fn a_stranger_asks_one_thing_of_the_right_cluster() {
    let node = Node::start(1, None).await;
    let (address, fingerprint) = (node.transport.local_address().to_string(), node.authority.fingerprint());
    let please = |binding: [u8; 32]| Bytes::from([&binding[..], b"please"].concat());
    assert_eq!(ask_as_stranger(&address, fingerprint, please, later()).await, Ok(Bytes::from_static(b"welcome")));
    let without = |_| Bytes::from_static(b"please");
    let refused = ask_as_stranger(&address, fingerprint, without, later()).await;
    assert_eq!(refused, Err(JoinError::Refused("no token".into())));
    let other = ask_as_stranger(&address, [7; 32], |_| panic!("nothing is said to strangers"), later()).await;
    assert_eq!(other, Err(JoinError::OtherCluster));
    let large = |_| Bytes::from(vec![0; STRANGER_BYTES_MAX + 2]);
    assert!(matches!(ask_as_stranger(&address, fingerprint, large, later()).await, Err(JoinError::Unknown(_))));
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let unreachable = ask_as_stranger(&nobody, fingerprint, please, later()).await;
    assert!(matches!(unreachable, Err(JoinError::Unreachable(_))), "{unreachable:?}");
    assert!(matches!(ask_as_stranger("nowhere", fingerprint, please, later()).await, Err(JoinError::Address(_))));
    assert!(node.transport.peers().is_empty());
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_by_the_next_connection() {
    let [one, two] = nodes().await;
    assert!(one.call(&two, Service::Vote, b"").await.is_ok());
    let almost = SystemTime::now() + crate::limits::CERTIFICATE_LIFE - Duration::from_secs(24 * 3600);
    let before = two.authority.node_certificate();
    assert!(two.authority.renew_if_due(almost).unwrap());
    one.knows(&[]);
    one.knows(&[&two]);
    // It begins in the future of this test, so it is refused; that shows that it was shown.
    assert_ne!(two.authority.node_certificate(), before);
    let refused = one.call(&two, Service::Vote, b"").await;
    assert!(matches!(&refused, Err(CallError::Unreachable(_))), "{refused:?}");
}

/// Another process on a copy of a node's data directory.
async fn copy(of: &Node, peers: &[&Node]) -> Transport {
    let copy = Transport::bind(options(&of.authority, of.id, &of.handler, 0)).await.unwrap();
    copy.set_peers(peers.iter().map(|node| (node.id, node.peer())).collect());
    copy
}

/// Calls a node until `transport` is displaced by another process; why, and what came of the calls.
async fn until_displaced(transport: &Transport, to: NodeId) -> (String, Vec<Result<Bytes, CallError>>) {
    let (mut displaced, mut answers) = (std::pin::pin!(transport.displaced()), Vec::new());
    let calling = async {
        loop {
            tokio::select! {
                biased;
                why = &mut displaced => break why,
                answer = transport.call(to, Service::Vote, Bytes::new(), later()) => answers.push(answer),
            }
        }
    };
    let why = timeout_at(later(), calling).await.expect("it is never displaced");
    (why, answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_node_is_turned_away_while_the_node_answers() {
    for node_dials in [true, false] {
        let [one, two] = nodes().await;
        let (from, to) = if node_dials { (&two, &one) } else { (&one, &two) };
        from.call(to, Service::Vote, b"here").await.unwrap();
        let copy = copy(&two, &[&one]).await;
        let (why, answers) = until_displaced(&copy, one.id).await;
        assert!(why.contains("another process runs as node 2"), "{why}");
        assert!(answers.iter().all(|answer| matches!(answer, Err(CallError::Unreachable(_)))), "{answers:?}");
        assert!(one.transport.quic().complaints.logged().iter().any(|complaint| complaint.contains("another process")));
        assert!(from.call(to, Service::Vote, b"still here").await.is_ok());
        assert!(to.call(from, Service::Vote, b"still here").await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stood_still_is_replaced_and_told_when_it_wakes_up() {
    let [one, two] = nodes().await;
    two.transport.shutdown().await;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let peers = BTreeMap::from([(one.id, one.peer())]);
    let (to, options) = (one.id, options(&two.authority, two.id, &two.handler, 0));
    let starting = runtime.spawn(async move {
        let first = Transport::bind(options).await.unwrap();
        first.set_peers(peers);
        first.call(to, Service::Vote, Bytes::new(), later()).await.map(|_| first)
    });
    let first = starting.await.unwrap().unwrap();
    // The only thread of its runtime waits, as all do in a process that is stopped.
    let (stops, stopped) = tokio::sync::oneshot::channel();
    let (wakes, woken) = std::sync::mpsc::channel::<()>();
    runtime.spawn(async move {
        stops.send(()).unwrap();
        let _ = woken.recv();
    });
    stopped.await.unwrap();
    let second = copy(&two, &[&one]).await;
    loop {
        match second.call(one.id, Service::Vote, Bytes::new(), later()).await {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, CallError::Unreachable(_)), "{error}"),
        }
    }
    drop(wakes);
    let (why, _) = runtime.spawn(async move { until_displaced(&first, to).await }).await.unwrap();
    assert!(why.contains("another process runs as node 2"), "{why}");
    assert!(second.call(one.id, Service::Vote, Bytes::new(), later()).await.is_ok());
    runtime.shutdown_background();
}
