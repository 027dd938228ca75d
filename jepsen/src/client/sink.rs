//! The mail server of the outside world: takes everything and remembers which numbers arrived, duplicates too. An arrival
//! counts when its final dot was read, before it is acknowledged.

use super::number_in;
use crate::limits::SINK_LINE_BYTES_MAX;
use anyhow::Result;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A running sink.
#[derive(Clone, Default)]
pub struct Sink {
    arrived: Arc<Mutex<Vec<i64>>>,
}

impl Sink {
    /// Listens on a Unix socket until the process ends.
    pub fn listen(at: &Path) -> Result<Sink> {
        let sink = Sink::default();
        let (listener, arrived) = (UnixListener::bind(at)?, Arc::clone(&sink.arrived));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let arrived = Arc::clone(&arrived);
                // A session that breaks is the sender's to repeat.
                thread::spawn(move || drop(session(stream, &arrived)));
            }
        });
        Ok(sink)
    }

    /// The numbers of all arrivals in order.
    pub fn arrived(&self) -> Vec<i64> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn session(stream: UnixStream, arrived: &Mutex<Vec<i64>>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(b"220 sink.elsewhere.test\r\n")?;
    while let Some(line) = line(&mut reader)? {
        let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "QUIT" => return writer.write_all(b"221 bye\r\n"),
            "DATA" => {
                writer.write_all(b"354 go on\r\n")?;
                let Some(number) = content(&mut reader)? else { return Ok(()) };
                arrived.lock().unwrap_or_else(PoisonError::into_inner).push(number);
                b"250 taken\r\n"
            }
            _ => b"250 fine\r\n",
        };
        writer.write_all(reply)?;
    }
    Ok(())
}

/// Reads a message up to its final dot; its number, -1 when it has none. None when the sender was cut off.
fn content(reader: &mut impl BufRead) -> io::Result<Option<i64>> {
    let mut number = -1;
    while let Some(line) = line(reader)? {
        if line == "." {
            return Ok(Some(number));
        }
        if line.starts_with("Subject:") {
            number = number_in(&line).unwrap_or(-1);
        }
    }
    Ok(None)
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let length = reader.take(SINK_LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes)?;
    let whole = bytes.ends_with(b"\n");
    let text = String::from_utf8_lossy(&bytes);
    Ok((length > 0 && whole).then(|| text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_when_its_dot_was_read() {
        let whole = b"Subject: mj-5-\r\n\r\nhello\r\n.\r\n".as_slice();
        assert_eq!(content(&mut BufReader::new(whole)).unwrap(), Some(5));
        let cut = b"Subject: mj-5-\r\n\r\nhello\r\n".as_slice();
        assert_eq!(content(&mut BufReader::new(cut)).unwrap(), None);
    }
}
