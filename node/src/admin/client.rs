//! The CLI's side of the admin socket: blocking, one command after another.

use super::frame;
use super::protocol::{AdminCommand, AdminError, AdminReply, Page, Request, Response, VERSION};
use super::socket;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// A connection to a running node.
pub struct Client {
    stream: UnixStream,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody serves the socket.
    #[error("no node runs with the data directory {data} (start it with: mailnode --data {data})", data = .0.display())]
    NotRunning(PathBuf),
    /// The socket exists, but this user may not use it.
    #[error("the node with the data directory {data} belongs to another user", data = .0.display())]
    Forbidden(PathBuf),
    /// The node went away or says something strange.
    #[error("the node does not answer: {0}")]
    Broken(#[from] io::Error),
    /// The node says no.
    #[error(transparent)]
    Node(#[from] AdminError),
}

impl Client {
    /// Connects to the node of a data directory.
    ///
    /// # Errors
    /// When none runs there.
    pub fn connect(data: &Path) -> Result<Client, ClientError> {
        match socket::connect(data) {
            Ok(stream) => Ok(Client { stream }),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning(data.to_owned()),
                io::ErrorKind::PermissionDenied => ClientError::Forbidden(data.to_owned()),
                _ => ClientError::Broken(error),
            }),
        }
    }

    /// One command.
    ///
    /// # Errors
    /// When the node refuses it or does not answer.
    pub fn call(&mut self, command: AdminCommand) -> Result<AdminReply, ClientError> {
        self.stream.write_all(&frame::encode(&Request { version: VERSION, command })?)?;
        let response: Response = frame::read_blocking(&mut self.stream)?;
        Ok(response.result?)
    }

    /// A whole listing, page after page. `ask` makes the command for a page, `take` the items of a reply, `name` the
    /// word of an item that the next page starts after.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn list<T>(
        &mut self,
        ask: fn(Page) -> AdminCommand,
        take: fn(AdminReply) -> Option<Vec<T>>,
        name: fn(&T) -> String,
    ) -> Result<Vec<T>, ClientError> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let page = Page { after: all.last().map(name) };
            let items = take(self.call(ask(page))?).ok_or_else(|| io::Error::other("an unexpected reply"))?;
            if items.is_empty() {
                return Ok(all);
            }
            all.extend(items);
        }
    }
}
