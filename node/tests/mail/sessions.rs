//! SMTP, submission and LMTP over sockets: what each service lets whom do, and where the mail ends up.

use crate::sink::{Script, Sink};
use crate::world::{ANN, PASSWORD, Plan, World, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::SystemClock;
use node::net::{ListenerSpec, Network, NetworkOptions, Permits, Security};
use node::services::passwords::Passwords;
use node::smtp::{Smtp, SmtpServices};
use node::tls::{CertificateFiles, Tls, write_self_signed};
use protocols::smtp::server::Service;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// A world whose three services listen.
struct Node {
    world: World,
    network: Network,
    full: Arc<AtomicBool>,
    _certificate: tempfile::TempDir,
}

impl Node {
    async fn start(plan: Plan) -> Node {
        let world = World::start(plan).await;
        let certificate = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate: certificate.path().join("certificate.pem"),
            private_key: certificate.path().join("key.pem"),
        };
        write_self_signed(&files, &["node.example.org".to_owned()]).unwrap();
        let tls = Tls::load(&files).unwrap();
        let full = Arc::new(AtomicBool::new(false));
        let is_full = full.clone();
        let shared = Arc::new(SmtpServices {
            hostname: "node.example.org".into(),
            directory: world.directory.clone(),
            passwords: Passwords::new(world.directory.clone(), [7; 32], 1).unwrap(),
            delivery: world.delivery.clone(),
            bodies: world.cluster.bodies(),
            tls: tls.clone(),
            clock: Arc::new(SystemClock),
            pieces: Arc::new(tokio::sync::Semaphore::new(node::limits::LARGE_PIECES_MAX)),
            is_full: Arc::new(move || is_full.load(Ordering::Relaxed)),
        });
        let spec = |name, service| ListenerSpec {
            name,
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            security: Security::StartTls,
            protocol: Arc::new(Smtp::new(service, shared.clone())),
            balancers: node::net::Balancers::default(),
        };
        let specs =
            vec![spec("smtp", Service::Mx), spec("submission", Service::Submission), spec("lmtp", Service::Lmtp)];
        let options = NetworkOptions {
            tls,
            permits: Permits::default(),
            metrics: Arc::default(),
            gate: node::net::Gate::new(CancellationToken::new()),
        };
        let network = Network::start(specs, options).await.unwrap();
        Node { world, network, full, _certificate: certificate }
    }

    async fn connect(&self, name: &str) -> Client {
        let address = self.network.bound().iter().find(|bound| bound.name == name).unwrap().address;
        Client::connect(address).await
    }

    async fn stop(self) {
        self.network.stop().await;
        self.world.stop().await;
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> Client {
        let mut client = Client(BufReader::new(TcpStream::connect(address).await.unwrap()));
        assert!(client.reply().await.starts_with("220 node.example.org"));
        client
    }

    /// One reply, all its lines.
    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let from = reply.len();
            assert_ne!(self.0.read_line(&mut reply).await.unwrap(), 0, "closed after {reply:?}");
            if reply.as_bytes()[from..].get(3) != Some(&b'-') {
                return reply;
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }

    /// Says a line and checks how the reply begins.
    async fn expect(&mut self, line: &str, reply: &str) {
        let said = self.say(line).await;
        assert!(said.starts_with(reply), "{line}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_reach_mailboxes_here_and_nobody_else() {
    let node = Node::start(Plan::relay("127.0.0.1:9".parse().unwrap())).await;
    let mut client = node.connect("smtp").await;
    client.expect("EHLO other.example", "250-node.example.org").await;
    client.expect("MAIL FROM:<bob@example.net>", "250 2.1.0").await;
    client.expect("RCPT TO:<nobody@example.org>", "550 5.1.1").await;
    client.expect("RCPT TO:<eve@example.com>", "550 5.7.1").await;
    client.expect("RCPT TO:<Ann+Nowhere@EXAMPLE.org>", "250 2.1.5").await;
    client.expect("RCPT TO:<Postmaster>", "250 2.1.5").await;
    client.expect("DATA", "354").await;
    client.expect("Subject: hi\r\n\r\n..dot\r\n.", "250 2.0.0").await;
    client.expect("QUIT", "221").await;
    let inbox = node.world.inbox(0);
    // Both recipients are ann: she administers, so she is postmaster.
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].starts_with("Return-Path: <bob@example.net>\r\nReceived: from other.example"), "{}", inbox[0]);
    assert!(inbox[0].ends_with("Subject: hi\r\n\r\n.dot\r\n"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_send_from_their_own_addresses_after_logging_in() {
    let sink = Sink::start(Script::default()).await;
    let node = Node::start(Plan::relay(sink.address)).await;
    let mut client = node.connect("submission").await;
    client.expect("EHLO laptop", "250-").await;
    client.expect("MAIL FROM:<ann@example.org>", "530").await;
    let plain = |password: &str| format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{}\0{password}", ANN.0)));
    client.expect(&plain("wrong"), "535 5.7.8").await;
    client.expect(&plain(PASSWORD), "235 2.7.0").await;
    client.expect("MAIL FROM:<ben@example.org>", "553 5.7.1").await;
    client.expect("MAIL FROM:<ann+news@example.org>", "250").await;
    client.expect("RCPT TO:<bob@example.net>", "250").await;
    client.expect("RCPT TO:<ben@example.org>", "250").await;
    client.expect("DATA", "354").await;
    client.expect("Subject: both\r\n\r\nhello\r\n.", "250 2.0.0").await;
    node.world.drained().await;
    let (inside, outside) = (node.world.inbox(1), sink.taken.lock().clone());
    assert_eq!((inside.len(), outside.len()), (1, 1));
    assert!(inside[0].starts_with("Return-Path: <ann+news@example.org>\r\nReceived: "));
    assert!(outside[0].data.starts_with("Received: "), "no Return-Path leaves this host: {}", outside[0].data);
    for message in [&inside[0], &outside[0].data] {
        assert!(message.contains("\r\nDate: ") && message.contains("\r\nMessage-ID: <"), "{message}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lmtp_answers_for_each_recipient() {
    let node = Node::start(Plan::relay("127.0.0.1:9".parse().unwrap())).await;
    let mut client = node.connect("lmtp").await;
    client.expect("LHLO agent", "250-").await;
    client.expect("MAIL FROM:<>", "250").await;
    client.expect("RCPT TO:<ann@example.org>", "250").await;
    client.expect("RCPT TO:<ben@example.org>", "250").await;
    client.expect("DATA", "354").await;
    client.expect("Subject: two\r\n\r\nhello\r\n.", "250").await;
    assert!(client.reply().await.starts_with("250"));
    until("both have it", || node.world.inbox(0).len() == 1 && node.world.inbox(1).len() == 1).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_in_chunks_is_staged_and_one_given_up_leaves_nothing() {
    let node = Node::start(Plan::relay("127.0.0.1:9".parse().unwrap())).await;
    let mut client = node.connect("smtp").await;
    client.expect("EHLO other.example", "250-").await;
    let line = "0123456789 0123456789 0123456789\r\n".repeat(4_000);
    for (last, replies) in [("RSET", 0), ("BDAT 0 LAST", 1)] {
        client.expect("MAIL FROM:<bob@example.net>", "250").await;
        client.expect("RCPT TO:<ann@example.org>", "250").await;
        // The client's own line end is the last of each chunk.
        client.expect("BDAT 14\r\nSubject: big", "250").await;
        client.expect(&format!("BDAT {}\r\n\r\n{line}", line.len() + 4), "250").await;
        client.expect(last, "250").await;
        assert_eq!(node.world.inbox(0).len(), replies);
    }
    assert!(node.world.inbox(0)[0].ends_with(&format!("{line}\r\n")));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_no_mail_and_says_so() {
    let node = Node::start(Plan::relay("127.0.0.1:9".parse().unwrap())).await;
    node.full.store(true, Ordering::Relaxed);
    let mut client = node.connect("smtp").await;
    client.expect("EHLO other.example", "250-").await;
    client.expect("MAIL FROM:<bob@example.net>", "452 4.3.1").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_told_when_the_node_stops() {
    let node = Node::start(Plan::relay("127.0.0.1:9".parse().unwrap())).await;
    let mut client = node.connect("smtp").await;
    client.expect("EHLO other.example", "250-").await;
    let Node { world, network, .. } = node;
    let (said, ()) = tokio::join!(client.reply(), network.stop());
    assert!(said.starts_with("421 4.3.2"), "{said}");
    world.stop().await;
}
