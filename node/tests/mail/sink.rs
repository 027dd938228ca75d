//! A mail host for tests: says what its script says, and keeps the messages it takes.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the host does. Lists are used up one by one; then it says yes.
#[derive(Default)]
pub struct Script {
    /// Replies to RCPT.
    pub recipient: VecDeque<&'static str>,
    /// Replies to the final dot; `drop` closes the connection without one.
    pub content: VecDeque<&'static str>,
    /// Lines of the EHLO reply beside PIPELINING.
    pub offers: Vec<&'static str>,
    /// Whether STARTTLS is offered and works.
    pub tls: Tls,
}

/// What STARTTLS leads to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    NotOffered,
    Works,
    /// Offered, but no handshake follows.
    Broken,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub sender: String,
    pub recipients: Vec<String>,
    pub data: String,
    pub tls: bool,
}

/// A running host.
pub struct Sink {
    pub address: SocketAddr,
    pub taken: Arc<Mutex<Vec<Taken>>>,
    /// Connections so far.
    pub connections: Arc<Mutex<usize>>,
    /// The most connections that were open at a time.
    pub open_most: Arc<Mutex<usize>>,
}

impl Sink {
    pub async fn start(script: Script) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Sink {
            address: listener.local_addr().unwrap(),
            taken: Arc::default(),
            connections: Arc::default(),
            open_most: Arc::default(),
        };
        let (taken, connections, open_most) = (sink.taken.clone(), sink.connections.clone(), sink.open_most.clone());
        let open = Arc::new(());
        let script = Arc::new(Mutex::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock() += 1;
                let host = Host { script: script.clone(), taken: taken.clone(), tls: false };
                let open = open.clone();
                let mut most = open_most.lock();
                *most = (*most).max(Arc::strong_count(&open) - 1);
                tokio::spawn(async move {
                    let _open = open;
                    // A client that goes away ends its connection only.
                    let _ = host.serve(Box::new(stream), true).await;
                });
            }
        });
        sink
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Host {
    script: Arc<Mutex<Script>>,
    taken: Arc<Mutex<Vec<Taken>>>,
    tls: bool,
}

impl Host {
    async fn serve(self, stream: Box<dyn Stream>, greet: bool) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        if greet {
            stream.write_all(b"220 sink.example ESMTP\r\n").await?;
        }
        let (mut sender, mut recipients) = (String::new(), Vec::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let verb = line.trim().to_ascii_uppercase();
            let reply = if verb.starts_with("EHLO") {
                self.hello()
            } else if verb == "STARTTLS" {
                stream.write_all(b"220 go\r\n").await?;
                return self.start_tls(stream.into_inner()).await;
            } else if verb.starts_with("MAIL") {
                (sender, recipients) = (line.trim().to_owned(), Vec::new());
                "250 ok".to_owned()
            } else if verb.starts_with("RCPT") {
                let reply = self.script.lock().recipient.pop_front().unwrap_or("250 ok");
                if reply.starts_with('2') {
                    recipients.push(line.trim().to_owned());
                }
                reply.to_owned()
            } else if verb == "DATA" && recipients.is_empty() {
                "503 no recipients".to_owned()
            } else if verb == "DATA" {
                stream.write_all(b"354 go\r\n").await?;
                let data = read_data(&mut stream).await?;
                let reply = self.script.lock().content.pop_front().unwrap_or("250 taken");
                if reply == "drop" {
                    return Ok(());
                }
                if reply.starts_with('2') {
                    let (sender, recipients) = (sender.clone(), recipients.clone());
                    self.taken.lock().push(Taken { sender, recipients, data, tls: self.tls });
                }
                reply.to_owned()
            } else if verb == "QUIT" {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            } else {
                "250 ok".to_owned()
            };
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        }
    }

    fn hello(&self) -> String {
        let script = self.script.lock();
        let mut reply = "250-sink.example\r\n".to_owned();
        let start_tls = script.tls != Tls::NotOffered && !self.tls;
        for offer in script.offers.iter().copied().chain(start_tls.then_some("STARTTLS")) {
            reply.push_str(&format!("250-{offer}\r\n"));
        }
        reply + "250 PIPELINING"
    }

    async fn start_tls(mut self, stream: Box<dyn Stream>) -> std::io::Result<()> {
        if self.script.lock().tls == Tls::Broken {
            let mut stream = stream;
            return stream.write_all(b"this is no handshake at all\r\n").await;
        }
        let stream = acceptor().accept(stream).await?;
        self.tls = true;
        Box::pin(self.serve(Box::new(stream), false)).await
    }
}

async fn read_data(stream: &mut BufReader<Box<dyn Stream>>) -> std::io::Result<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

fn acceptor() -> TlsAcceptor {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["sink.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
