//! Binding listening sockets, with errors that say what to do.

use super::NetworkError;
use crate::limits::LISTEN_BACKLOG;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};

/// A bound socket; kept by the supervisor, so that a restarted listener loses no waiting connection.
#[derive(Clone)]
pub struct BoundListener {
    /// The socket.
    pub socket: Arc<TcpListener>,
    /// Its real address, also when port 0 was asked for.
    pub address: SocketAddr,
}

/// Binds and listens; `name` is for the error.
///
/// # Errors
/// Says what to do where something can be done.
pub fn bind(name: &'static str, address: SocketAddr) -> Result<BoundListener, NetworkError> {
    listen(address).map_err(|error| NetworkError::Bind { name, address, error })
}

fn listen(address: SocketAddr) -> io::Result<BoundListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let socket = socket.listen(LISTEN_BACKLOG)?;
    let address = socket.local_addr()?;
    Ok(BoundListener { socket: Arc::new(socket), address })
}
