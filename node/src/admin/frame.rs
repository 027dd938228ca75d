//! Frames of the admin socket: a length of four bytes, big endian, then that many bytes of JSON.

use crate::limits::ADMIN_FRAME_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The bytes of one frame.
///
/// # Errors
/// When it would be over the bound.
pub fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= ADMIN_FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| too_long(json.len()))?;
    Ok([&length.to_be_bytes(), json.as_slice()].concat())
}

/// Reads one frame; `None` at the end of the stream.
///
/// # Errors
/// `InvalidData` for a frame over the bound or one that is not the JSON expected.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut json = vec![0; checked(length)?];
    from.read_exact(&mut json).await?;
    Ok(Some(serde_json::from_slice(&json)?))
}

/// As [`read`], blocking; the end of the stream is an error.
///
/// # Errors
/// As [`read`].
pub fn read_blocking<T: DeserializeOwned>(from: &mut impl io::Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut json = vec![0; checked(length)?];
    from.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

fn checked(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(length);
    if length > ADMIN_FRAME_BYTES_MAX { Err(too_long(length as usize)) } else { Ok(length as usize) }
}

fn too_long(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes is over the bound"))
}
