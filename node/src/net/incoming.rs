//! Connections for HTTP: those of balancers are given on when their PROXY header has come, under the client's address.
//! A balancer that is slow with its header holds up nobody.

use super::proxy::{self, Origin};
use super::{Balancers, BoundListener};
use crate::limits::PROXY_HEADERS_AWAITED_MAX;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

type Opened = (SocketAddr, io::Result<(TcpStream, SocketAddr)>);

/// See the module.
pub struct Incoming {
    bound: BoundListener,
    balancers: Balancers,
    /// Connections whose header has not come yet.
    awaited: FuturesUnordered<BoxFuture<'static, Opened>>,
}

impl Incoming {
    /// Over a bound socket.
    pub fn new(bound: BoundListener, balancers: Balancers) -> Incoming {
        Incoming { bound, balancers, awaited: FuturesUnordered::new() }
    }
}

impl web::Incoming for Incoming {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            tokio::select! {
                Some((balancer, opened)) = self.awaited.next() => match opened {
                    Ok(opened) => return Ok(opened),
                    Err(error) => tracing::info!(%balancer, %error, "http: connection of a balancer refused"),
                },
                accepted = self.bound.socket.accept(), if self.awaited.len() < PROXY_HEADERS_AWAITED_MAX => {
                    let (stream, peer) = accepted?;
                    if !self.balancers.contains(peer.ip()) {
                        return Ok((stream, peer));
                    }
                    self.awaited.push(Box::pin(async move { (peer, open(stream, peer).await) }));
                }
            }
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.bound.address)
    }
}

async fn open(stream: TcpStream, peer: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    match proxy::read_header(&stream).await? {
        Origin::Client { source, .. } => Ok((stream, source)),
        Origin::Balancer => Ok((stream, peer)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bind;
    use super::*;
    use tokio::io::AsyncWriteExt;
    use web::Incoming as _;

    #[tokio::test]
    async fn a_slow_balancer_holds_up_nobody_and_a_wrong_one_is_refused() {
        let bound = bind("http", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bound.address;
        let mut incoming = Incoming::new(bound, Balancers::new(&["127.0.0.0/8".parse().unwrap()]));
        let _silent = TcpStream::connect(address).await.unwrap();
        let mut wrong = TcpStream::connect(address).await.unwrap();
        wrong.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut right = TcpStream::connect(address).await.unwrap();
        right.write_all(b"PROXY TCP4 192.0.2.9 198.51.100.1 4660 80\r\nGET").await.unwrap();
        let (_, client) = incoming.accept().await.unwrap();
        assert_eq!(client, "192.0.2.9:4660".parse().unwrap());
    }
}
