//! Sessions are isolated from each other, bounded, and told when the node stops: over real sockets with a protocol that
//! panics when asked to.

use super::{
    Balancers, Connection, Gate, ListenerSpec, Network, NetworkOptions, Permits, Protocol, Security, SessionContext,
    SessionEnd, SessionSummary,
};
use crate::tls::{CertificateFiles, Tls, write_self_signed};
use futures::FutureExt;
use futures::future::BoxFuture;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Repeats every line; `panic` panics.
struct Echo;

impl Protocol for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn busy_line(&self) -> &'static str {
        "busy\r\n"
    }

    fn closed_line(&self) -> &'static str {
        "elsewhere\r\n"
    }

    fn serve(&self, connection: Connection, session: SessionContext) -> BoxFuture<'static, SessionSummary> {
        async move {
            let mut stream = BufReader::new(connection);
            let mut line = String::new();
            loop {
                line.clear();
                tokio::select! {
                    () = session.stop.cancelled() => {
                        stream.write_all(b"bye\r\n").await.unwrap();
                        return SessionSummary { end: SessionEnd::Stopped, ..SessionSummary::default() };
                    }
                    read = stream.read_line(&mut line) => if read.unwrap() == 0 {
                        return SessionSummary::default();
                    }
                }
                assert_ne!(line.trim(), "panic", "asked to");
                stream.write_all(line.as_bytes()).await.unwrap();
            }
        }
        .boxed()
    }
}

struct World {
    network: Network,
    gate: Gate,
    permits: Permits,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

async fn world(sessions_max: usize) -> World {
    world_of(Arc::new(Echo), Permits::new(sessions_max, sessions_max), &[]).await
}

async fn world_of(protocol: Arc<dyn Protocol>, permits: Permits, balancers: &[IpNet]) -> World {
    let directory = tempfile::tempdir().unwrap();
    let files = CertificateFiles {
        certificate: directory.path().join("certificate.pem"),
        private_key: directory.path().join("key.pem"),
    };
    write_self_signed(&files, &["localhost".to_owned()]).unwrap();
    let gate = Gate::new(CancellationToken::new());
    let options = NetworkOptions {
        tls: Tls::load(&files).unwrap(),
        permits: permits.clone(),
        metrics: Arc::default(),
        gate: gate.clone(),
    };
    let spec = ListenerSpec {
        name: "echo",
        addresses: vec!["127.0.0.1:0".parse().unwrap()],
        security: Security::Plain,
        protocol,
        balancers: Balancers::new(balancers),
    };
    let network = Network::start(vec![spec], options).await.unwrap();
    let address = network.bound()[0].address;
    World { network, gate, permits, address, _directory: directory }
}

async fn say(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    let mut reply = vec![0; line.len() + 1];
    stream.read_exact(&mut reply).await.unwrap();
    String::from_utf8(reply).unwrap()
}

#[tokio::test]
async fn a_panic_ends_its_own_session_only() {
    let world = world(10).await;
    let mut calm = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(say(&mut calm, "one").await, "one\n");
    for _ in 0..3 {
        let mut wild = TcpStream::connect(world.address).await.unwrap();
        assert_eq!(say(&mut wild, "hello").await, "hello\n");
        wild.write_all(b"panic\n").await.unwrap();
        assert_eq!(wild.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert_eq!(say(&mut calm, "two").await, "two\n");
    }
    drop(calm);
    assert!(world.permits.all_returned(Duration::from_secs(60)).await, "permits of panicked sessions came back");
    world.network.stop().await;
}

#[tokio::test]
async fn over_the_bound_a_client_hears_the_protocols_word_and_nobody_else_notices() {
    let world = world(1).await;
    let mut first = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(say(&mut first, "one").await, "one\n");
    let mut text = String::new();
    TcpStream::connect(world.address).await.unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "busy\r\n");
    assert_eq!(say(&mut first, "two").await, "two\n");
    drop(first);
    assert!(world.permits.all_returned(Duration::from_secs(60)).await);
    let mut next = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(say(&mut next, "three").await, "three\n");
    world.network.stop().await;
}

#[tokio::test]
async fn stopping_tells_sessions_and_accepts_no_more() {
    let world = world(10).await;
    let mut session = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(say(&mut session, "one").await, "one\n");
    world.network.stop().await;
    let mut rest = String::new();
    session.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye\r\n");
    assert_eq!(world.permits.in_use(), 0);
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[tokio::test]
async fn a_closed_gate_sends_sessions_elsewhere_until_it_opens() {
    let world = world(10).await;
    let mut session = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(say(&mut session, "one").await, "one\n");
    world.gate.close();
    let mut rest = String::new();
    session.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye\r\n");
    let mut text = String::new();
    TcpStream::connect(world.address).await.unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "elsewhere\r\n");
    world.gate.open();
    let mut next = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(say(&mut next, "two").await, "two\n");
    world.network.stop().await;
}

/// Panics where the accept task asks it.
struct Trap;

impl Protocol for Trap {
    fn name(&self) -> &'static str {
        "trap"
    }

    fn busy_line(&self) -> &'static str {
        panic!("asked to")
    }

    fn serve(&self, connection: Connection, session: SessionContext) -> BoxFuture<'static, SessionSummary> {
        Echo.serve(connection, session)
    }
}

#[tokio::test]
async fn a_failed_accept_task_is_started_again_and_its_sessions_go_on() {
    let world = world_of(Arc::new(Trap), Permits::new(1, 1), &[]).await;
    let mut first = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(say(&mut first, "one").await, "one\n");
    let mut refused = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(refused.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0);
    assert_eq!(say(&mut first, "two").await, "two\n");
    drop(first);
    assert!(world.permits.all_returned(Duration::from_secs(60)).await);
    let mut next = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(say(&mut next, "three").await, "three\n");
    world.network.stop().await;
}

/// Says whom it serves and whether passwords may cross, then ends.
struct WhoAmI;

impl Protocol for WhoAmI {
    fn name(&self) -> &'static str {
        "who"
    }

    fn busy_line(&self) -> &'static str {
        "busy\r\n"
    }

    fn serve(&self, mut connection: Connection, session: SessionContext) -> BoxFuture<'static, SessionSummary> {
        async move {
            assert_eq!(session.peer, connection.peer());
            let line = format!("{} {} {}\r\n", connection.peer(), connection.local(), connection.is_private());
            connection.write_all(line.as_bytes()).await.unwrap();
            // Holds its permit until the client has gone.
            let _ = connection.read(&mut [0]).await;
            SessionSummary::default()
        }
        .boxed()
    }
}

async fn line_after(address: SocketAddr, header: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(header.as_bytes()).await.unwrap();
    let mut line = String::new();
    // A connection closed with input unread is reset: nothing was said then.
    let _ = BufReader::new(&mut stream).read_line(&mut line).await;
    (stream, line)
}

#[tokio::test]
async fn behind_a_balancer_sessions_are_those_of_its_clients() {
    let local = ["127.0.0.0/8".parse().unwrap()];
    let world = world_of(Arc::new(WhoAmI), Permits::new(10, 1), &local).await;
    let ann = "PROXY TCP4 192.0.2.1 198.51.100.1 4660 25\r\n";
    let (held, line) = line_after(world.address, ann).await;
    assert_eq!(line, "192.0.2.1:4660 198.51.100.1:25 false\r\n");
    assert_eq!(line_after(world.address, ann).await.1, "busy\r\n");
    let here = line_after(world.address, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n").await;
    assert_eq!(here.1, "127.0.0.1:1 127.0.0.1:2 false\r\n", "a client behind a balancer is never local");
    let check = line_after(world.address, "PROXY UNKNOWN\r\n").await;
    assert!(check.1.starts_with("127.0.0.1:") && check.1.ends_with(" false\r\n"));
    assert_eq!(line_after(world.address, "EHLO client.example\r\n").await.1, "");
    drop((held, here, check));
    assert!(world.permits.all_returned(Duration::from_secs(60)).await);
    assert_eq!(line_after(world.address, ann).await.1, line);
    world.network.stop().await;
}

#[tokio::test]
async fn from_elsewhere_a_header_is_just_input() {
    let world = world_of(Arc::new(Echo), Permits::new(10, 10), &["192.0.2.0/24".parse().unwrap()]).await;
    let header = "PROXY TCP4 192.0.2.1 198.51.100.1 4660 25\r\n";
    assert_eq!(line_after(world.address, header).await.1, header);
    world.network.stop().await;
}
