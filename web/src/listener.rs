//! Accepting HTTP connections: a bounded number, each for a bounded time.

use crate::limits::{ACCEPT_FAILURE_PAUSE, CONNECTION_LIFETIME, CONNECTIONS_MAX};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Where connections come from.
pub trait Incoming: Send + 'static {
    /// The next connection and its client, who may be another than the socket's peer.
    ///
    /// # Errors
    /// As the system says; asking again is fine.
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;

    /// Where connections are accepted.
    ///
    /// # Errors
    /// As the system says.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

impl Incoming for Arc<TcpListener> {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        TcpListener::accept(self).await
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

/// A listener that waits for a free place before it accepts; the rest wait in the kernel.
pub struct BoundedListener<I> {
    incoming: I,
    places: Arc<Semaphore>,
}

/// A connection with its place and its end.
pub struct BoundedStream {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl<I: Incoming> BoundedListener<I> {
    /// Over a bound socket.
    pub fn new(incoming: I) -> Self {
        BoundedListener { incoming, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl<I: Incoming> Listener for BoundedListener<I> {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await;
            match (place, self.incoming.accept().await) {
                (Ok(place), Ok((stream, peer))) => {
                    let end = Box::pin(sleep(CONNECTION_LIFETIME));
                    return (BoundedStream { stream, end, _place: place }, peer);
                }
                (_, Err(error)) => tracing::warn!(%error, "http: accept failed"),
                (Err(_), _) => {}
            }
            sleep(ACCEPT_FAILURE_PAUSE).await;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.incoming.local_address()
    }
}

impl<I: Incoming> Connected<IncomingStream<'_, BoundedListener<I>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, BoundedListener<I>>) -> Self {
        Peer(stream.remote_addr().ip().to_canonical())
    }
}

impl BoundedStream {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        pin!(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}
