//! How a log record is stored: bytes of the log up to its end, names of bodies, opaque bytes.

use crate::limits;
use bytes::Bytes;
use model::BodyHash;
use std::io;

/// A stored record.
pub struct Record<'a> {
    /// Opaque bytes of the group's log up to and with this record.
    pub total: u64,
    /// Staged bodies it names.
    pub bodies: Vec<BodyHash>,
    /// Opaque bytes.
    pub bytes: &'a [u8],
}

/// `total u64 | count u16 | count × hash | bytes`, little endian.
pub fn encode(total: u64, bodies: &[BodyHash], bytes: &[u8]) -> Vec<u8> {
    let bodies = bodies.get(..limits::BODIES_PER_RECORD_MAX).unwrap_or(bodies);
    let mut value = Vec::with_capacity(10 + 32 * bodies.len() + bytes.len());
    value.extend_from_slice(&total.to_le_bytes());
    value.extend_from_slice(&(bodies.len() as u16).to_le_bytes());
    bodies.iter().for_each(|hash| value.extend_from_slice(&hash.0));
    value.extend_from_slice(bytes);
    value
}

/// Reads what [`encode`] wrote.
pub fn decode(value: &[u8]) -> io::Result<Record<'_>> {
    let (total, rest) = value.split_first_chunk().ok_or_else(broken)?;
    let (count, rest) = rest.split_first_chunk().ok_or_else(broken)?;
    let (names, bytes) = rest.split_at_checked(32 * usize::from(u16::from_le_bytes(*count))).ok_or_else(broken)?;
    let (names, _) = names.as_chunks::<32>();
    Ok(Record { total: u64::from_le_bytes(*total), bodies: names.iter().map(|name| BodyHash(*name)).collect(), bytes })
}

/// `index u64 | total u64 | position`.
pub fn encode_purged(index: u64, total: u64, position: &[u8]) -> Vec<u8> {
    let mut value = index.to_le_bytes().to_vec();
    value.extend_from_slice(&total.to_le_bytes());
    value.extend_from_slice(position);
    value
}

/// Reads what [`encode_purged`] wrote.
pub fn decode_purged(value: &[u8]) -> io::Result<(u64, u64, Bytes)> {
    let (index, rest) = value.split_first_chunk().ok_or_else(broken)?;
    let (total, position) = rest.split_first_chunk().ok_or_else(broken)?;
    Ok((u64::from_le_bytes(*index), u64::from_le_bytes(*total), Bytes::copy_from_slice(position)))
}

/// The error of a row that is not what this crate wrote.
pub fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a row of the raft log is broken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_and_cut_ones_are_refused() {
        let value = encode(77, &[BodyHash([1; 32]), BodyHash([2; 32])], b"entry");
        let record = decode(&value).unwrap();
        assert_eq!((record.total, record.bodies.len(), record.bytes), (77, 2, b"entry".as_slice()));
        assert!((0..74).all(|end| decode(&value[..end]).is_err()));
        assert_eq!(decode_purged(&encode_purged(5, 6, b"at")).unwrap(), (5, 6, Bytes::from_static(b"at")));
    }
}
