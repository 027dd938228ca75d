//! One accepted connection, plain or under TLS: an async byte stream that knows its ends and counts its bytes.
//! It buffers nothing of its own; reading ahead and coalescing writes is its driver's duty.

use super::Origin;
use crate::limits::TLS_HANDSHAKE_TIMEOUT;
use crate::tls::Tls;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection to a client.
pub struct Connection {
    stream: Stream,
    peer: SocketAddr,
    local: SocketAddr,
    /// A balancer stands between: neither end is this machine's own, whatever the addresses say.
    relayed: bool,
    traffic: Traffic,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Bytes that crossed the connection, without TLS framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the client.
    pub bytes_in: u64,
    /// To the client.
    pub bytes_out: u64,
}

/// What was agreed on in the TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite by its IANA name, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
}

impl Connection {
    /// Takes over an accepted socket and switches Nagle's delay off: replies are coalesced by drivers.
    ///
    /// # Errors
    /// When the socket is already dead.
    pub fn accept(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        let (peer, local) = (canonical(stream.peer_addr()?), canonical(stream.local_addr()?));
        Ok(Connection { stream: Stream::Plain(stream), peer, local, relayed: false, traffic: Traffic::default() })
    }

    /// As [`Self::accept`], for a balancer that said for whom it speaks.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub fn accept_relayed(stream: TcpStream, origin: Origin) -> io::Result<Connection> {
        let direct = Connection { relayed: true, ..Connection::accept(stream)? };
        Ok(match origin {
            Origin::Client { source, destination } => Connection { peer: source, local: destination, ..direct },
            Origin::Balancer => direct,
        })
    }

    /// The client's address; IPv4 in its own form even on a dual-stack socket.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address the client connected to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// What TLS agreed on; `None` on a plain connection.
    pub fn tls(&self) -> Option<TlsInfo> {
        let Stream::Tls(stream) = &self.stream else { return None };
        let (_, session) = stream.get_ref();
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLS",
        };
        let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
        Some(TlsInfo { version, cipher: suite.and_then(|suite| suite.as_str()).unwrap_or("unknown") })
    }

    /// Whether a password may cross it readable: under TLS, or to a peer on this machine.
    pub fn is_private(&self) -> bool {
        matches!(self.stream, Stream::Tls(_)) || self.is_from_here()
    }

    /// Whether the peer is on this machine and no balancer in between.
    pub fn is_from_here(&self) -> bool {
        !self.relayed && self.peer.ip().is_loopback()
    }

    /// Bytes so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The server's side of a TLS handshake, for implicit TLS and STARTTLS. Whatever the driver had read ahead
    /// before this belongs to nobody: it must be thrown away (RFC 3207 section 4.2).
    ///
    /// # Errors
    /// When the handshake fails, takes longer than the bound, or TLS already runs.
    pub async fn start_tls(self, tls: &Tls) -> io::Result<Connection> {
        let Stream::Plain(stream) = self.stream else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS already runs on this connection"));
        };
        let handshake = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream));
        let stream = handshake.await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(Connection { stream: Stream::Tls(Box::new(stream)), ..self })
    }

    /// Waits until the socket has something to read, holding no buffer. Under TLS only to be used after
    /// [`Self::try_read`] said `WouldBlock`: what is already decrypted does not show on the socket.
    ///
    /// # Errors
    /// As the system says.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.stream {
            Stream::Plain(stream) => stream.readable().await,
            Stream::Tls(stream) => stream.get_ref().0.readable().await,
        }
    }

    /// Reads what is there without waiting; 0 at the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, else as the system or TLS says.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.stream {
            Stream::Plain(stream) => stream.try_read(buffer)?,
            Stream::Tls(stream) => {
                let mut target = ReadBuf::new(buffer);
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(stream.as_mut()).poll_read(&mut context, &mut target) {
                    Poll::Ready(result) => result.map(|()| target.filled().len())?,
                    Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        };
        self.traffic.bytes_in += count as u64;
        Ok(count)
    }
}

/// An IPv4 address that came mapped into IPv6, as dual-stack sockets show it, in its own form.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(IpAddr::to_canonical(&address.ip()), address.port())
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(match &mut self.stream {
            Stream::Plain(stream) => pin!(stream).poll_read(context, buffer),
            Stream::Tls(stream) => pin!(stream).poll_read(context, buffer),
        })?;
        self.traffic.bytes_in += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(match &mut self.stream {
            Stream::Plain(stream) => pin!(stream).poll_write(context, bytes),
            Stream::Tls(stream) => pin!(stream).poll_write(context, bytes),
        })?;
        self.traffic.bytes_out += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(match &mut self.stream {
            Stream::Plain(stream) => pin!(stream).poll_write_vectored(context, pieces),
            Stream::Tls(stream) => pin!(stream).poll_write_vectored(context, pieces),
        })?;
        self.traffic.bytes_out += count as u64;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => pin!(stream).poll_flush(context),
            Stream::Tls(stream) => pin!(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => pin!(stream).poll_shutdown(context),
            Stream::Tls(stream) => pin!(stream).poll_shutdown(context),
        }
    }
}
