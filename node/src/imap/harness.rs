//! For tests: the mailbox service on a real store, IMAP sessions over loopback sockets, and a client that speaks lines.

use super::Imap;
use crate::net::{Connection, Protocol, SessionContext, SessionId};
use crate::services::directory::{Directory, DirectorySource};
use crate::services::mailbox::Mailboxes;
use crate::services::passwords::Passwords;
use crate::tls::{CertificateFiles, Tls};
use cluster::{Cluster, StartOptions, SystemClock};
use model::directory::DirectoryCommand;
use model::memory::MemoryTxn;
use model::{GroupId, Outcome, ReadError};
use std::sync::Arc;
use storage::{Options, Store};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The user everybody is.
pub const USER: &str = "ann@example.org";
/// Her password.
pub const PASSWORD: &str = "correct horse";

/// A node that speaks nothing but IMAP.
pub struct Node {
    /// The mailboxes.
    pub mailboxes: Mailboxes,
    /// Tells sessions to end.
    pub stop: CancellationToken,
    /// Where it listens.
    pub address: std::net::SocketAddr,
    cluster: Cluster,
    store: Store,
    data: tempfile::TempDir,
}

struct Rows(MemoryTxn);

impl DirectorySource for Rows {
    fn rows(&self) -> Result<Box<dyn model::Read + '_>, ReadError> {
        Ok(Box::new(self.0.clone()))
    }
}

fn directory() -> Directory {
    let mut rows = MemoryTxn::new();
    let credentials = Passwords::derive(PASSWORD).unwrap();
    for command in [
        DirectoryCommand::AddDomain { name: "example.org".into() },
        DirectoryCommand::AddAccount { address: USER.into(), shard: GroupId(3), credentials, admin: false },
    ] {
        model::directory::apply(&mut rows, 1, &command, &mut Outcome::default()).unwrap();
    }
    Directory::new(Rows(rows))
}

impl Node {
    /// Starts on a fresh directory.
    pub async fn start() -> Node {
        let data = tempfile::tempdir().unwrap();
        let options = Options {
            data: data.path().join("data"),
            decode: Arc::new(cluster::decode_record),
            progress: Box::new(|_, _| {}),
            block_cache_bytes: None,
        };
        let store = Store::open(options).unwrap();
        let options = StartOptions::alone(store.clone(), "test");
        let cluster = Cluster::start(options).await.unwrap();
        let mailboxes = Mailboxes::start(cluster.clone(), Arc::new(SystemClock), None).await.unwrap();
        let files = CertificateFiles { certificate: data.path().join("c.pem"), private_key: data.path().join("k.pem") };
        crate::tls::write_self_signed(&files, &["localhost".into()]).unwrap();
        let imap = Imap {
            hostname: "localhost".into(),
            passwords: Passwords::new(directory(), [7; 32], 1).unwrap(),
            mailboxes: mailboxes.clone(),
            tls: Tls::load(&files).unwrap(),
        };
        let (address, stop) = (listen(imap).await, CancellationToken::new());
        Node { mailboxes, stop: stop.clone(), address: address(stop), cluster, store, data }
    }

    /// A client that has read the greeting.
    pub async fn connect(&self) -> Client {
        let mut client = Client { stream: BufReader::new(TcpStream::connect(self.address).await.unwrap()), tag: 0 };
        assert!(client.line().await.starts_with("* OK "));
        client
    }

    /// A client that has logged in.
    pub async fn login(&self) -> Client {
        let mut client = self.connect().await;
        client.ok(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
        client
    }

    /// Takes agreement away, as being in a minority does; the rows stay.
    pub async fn lose_the_others(&self) {
        self.cluster.shutdown().await;
    }

    /// Takes every body off the disk, as a replica that goes does; the rows stay.
    pub fn lose_bodies(&self) {
        for folder in std::fs::read_dir(self.data.path().join("data/bodies")).unwrap() {
            for body in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                std::fs::remove_file(body.unwrap().path()).unwrap();
            }
        }
    }

    /// Stops everything in order.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.mailboxes.stop();
        self.cluster.shutdown().await;
        tokio::task::spawn_blocking(move || self.store.close()).await.unwrap().unwrap();
    }
}

/// Binds now, accepts once it is told how to stop.
async fn listen(imap: Imap) -> impl FnOnce(CancellationToken) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    move |stop| {
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let context = SessionContext { id: SessionId(1), peer, stop: stop.clone() };
                tokio::spawn(imap.serve(Connection::accept(stream).unwrap(), context));
            }
        });
        address
    }
}

/// A client on a plain connection.
pub struct Client {
    /// The connection.
    pub stream: BufReader<TcpStream>,
    tag: u32,
}

impl Client {
    /// One line without its end, literals with their bytes in place.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            let read = self.stream.read_until(b'\n', &mut line).await.unwrap();
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&line));
            let text = line.strip_suffix(b"\r\n").expect("lines end in CRLF");
            let literal = text.strip_suffix(b"}").and_then(|text| {
                let start = text.iter().rposition(|byte| *byte == b'{')?;
                std::str::from_utf8(&text[start + 1..]).ok()?.parse::<usize>().ok()
            });
            let Some(size) = literal else { return String::from_utf8_lossy(text).into_owned() };
            let mut bytes = vec![0; size];
            self.stream.read_exact(&mut bytes).await.unwrap();
            line.extend(bytes);
        }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// Sends a command and gives its untagged lines and the tagged one, without tag.
    pub async fn command(&mut self, text: &str) -> (Vec<String>, String) {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.send(format!("{tag}{text}\r\n").as_bytes()).await;
        let mut untagged = Vec::new();
        loop {
            let line = self.line().await;
            match line.strip_prefix(&tag) {
                Some(result) => return (untagged, result.to_owned()),
                None => untagged.push(line),
            }
        }
    }

    /// As [`Self::command`]; the tagged line must be OK.
    pub async fn ok(&mut self, text: &str) -> Vec<String> {
        let (untagged, result) = self.command(text).await;
        assert!(result.starts_with("OK"), "{text}: {result}");
        untagged
    }

    /// Appends one message with a non-synchronising literal.
    pub async fn append(&mut self, mailbox: &str, flags: &str, message: &str) -> String {
        let (_, result) =
            self.command(&format!("APPEND {mailbox} ({flags}) {{{}+}}\r\n{message}", message.len())).await;
        assert!(result.starts_with("OK [APPENDUID "), "{result}");
        result
    }
}
