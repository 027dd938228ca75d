//! The bytes of one IMAP session: reading without a buffer that waits, gathered writes, TLS and DEFLATE in between.

use super::deflate::Deflate;
use crate::limits::{IMAP_INPUT_BYTES_PAUSE, IMAP_READ_BYTES, IMAP_WRITE_BYTES, IMAP_WRITE_TIMEOUT};
use crate::net::Connection;
use crate::tls::Tls;
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::ready;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// A connection with what waits to be written to it.
pub struct Transport {
    connection: Connection,
    deflate: Option<Box<Deflate>>,
    output: Vec<u8>,
}

impl Transport {
    /// Nothing written yet.
    pub fn new(connection: Connection) -> Self {
        Transport { connection, deflate: None, output: Vec::new() }
    }

    /// The connection below.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Waits for bytes from the client and adds them to `input`; 0 at the end of the stream. Cancel-safe. While it
    /// waits no buffer is held: bytes are read onto the stack of the poll that finds them.
    pub async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        loop {
            let unpacked = self.unpack_waiting(input)?;
            if unpacked > 0 {
                return Ok(unpacked);
            }
            let (connection, deflate) = (&mut self.connection, &mut self.deflate);
            let count = poll_fn(|context| {
                let mut stack = [MaybeUninit::uninit(); IMAP_READ_BYTES];
                let mut buffer = ReadBuf::uninit(&mut stack);
                ready!(Pin::new(&mut *connection).poll_read(context, &mut buffer))?;
                match deflate {
                    Some(deflate) => deflate.take(buffer.filled()),
                    None => input.extend_from_slice(buffer.filled()),
                }
                std::task::Poll::Ready(io::Result::Ok(buffer.filled().len()))
            })
            .await?;
            if count == 0 || self.deflate.is_none() {
                return Ok(count);
            }
        }
    }

    /// Adds bytes that have arrived but were not unpacked for want of room; says how many.
    pub fn unpack_waiting(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        let room = IMAP_INPUT_BYTES_PAUSE.saturating_sub(input.len());
        match &mut self.deflate {
            Some(deflate) if room > 0 => deflate.unpack(input, room),
            _ => Ok(0),
        }
    }

    /// Takes bytes for the client. They are gathered: [`Self::flush`] sends the last of them.
    pub async fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        if self.output.is_empty() {
            self.output = bytes;
        } else {
            self.output.extend_from_slice(&bytes);
        }
        if self.output.len() >= IMAP_WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends everything gathered.
    ///
    /// # Errors
    /// As the connection; `TimedOut` when the client takes nothing for too long.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let mut output = std::mem::take(&mut self.output);
        if let Some(deflate) = &mut self.deflate {
            output = deflate.pack(&output)?;
        }
        let mut rest = output.as_slice();
        while !rest.is_empty() {
            let written = timeout(IMAP_WRITE_TIMEOUT, self.connection.write(rest)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        timeout(IMAP_WRITE_TIMEOUT, self.connection.flush()).await?
    }

    /// Sends everything gathered as it is, then packs and unpacks. `input` is what the client sent behind the command:
    /// packed already.
    pub async fn start_deflate(&mut self, input: &mut BytesMut) -> io::Result<()> {
        self.flush().await?;
        self.deflate = Some(Box::new(Deflate::new(std::mem::take(input).to_vec())));
        Ok(())
    }

    /// Sends everything gathered, then does the handshake.
    pub async fn start_tls(mut self, tls: &Tls) -> io::Result<Transport> {
        self.flush().await?;
        Ok(Transport { connection: self.connection.start_tls(tls).await?, ..self })
    }

    /// Says goodbye to the peer's socket.
    pub async fn close(&mut self) {
        // The session is over either way; the client may be gone already.
        let _ = timeout(IMAP_WRITE_TIMEOUT, self.connection.shutdown()).await;
    }
}
