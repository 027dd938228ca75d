//! The PROXY protocol, versions 1 and 2 (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt): which peers are
//! balancers that speak it, and reading the header that such a peer must send first. Never takes a byte behind the
//! header: it may belong to a TLS handshake.

use crate::limits::{PROXY_HEADER_BYTES_MAX, PROXY_HEADER_TIMEOUT};
use ipnet::IpNet;
use ppp::{v1, v2};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;

/// The first bytes of version 2 in front of its length: signature, version and command, family.
const V2_FIXED_BYTES: usize = 16;
/// The longest header of version 1 (section 2.1), CRLF included.
const V1_BYTES_MAX: usize = 107;
const V1_START: &[u8] = b"PROXY ";

/// The networks whose connections begin with a header, and no others' do. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Balancers(Arc<[IpNet]>);

impl Balancers {
    /// These networks.
    pub fn new(networks: &[IpNet]) -> Balancers {
        Balancers(networks.into())
    }

    /// Whether a connection of `peer` must begin with a header.
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

/// For whom a balancer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// For a client.
    Client {
        /// The client's address.
        source: SocketAddr,
        /// The address the client connected to, on the balancer.
        destination: SocketAddr,
    },
    /// For itself: a health check (LOCAL), or it does not know (UNKNOWN, UNSPEC, sockets of its own machine).
    Balancer,
}

/// Reads the header, bounded in bytes and time.
///
/// # Errors
/// `InvalidData` with the reason when there is no right header, `TimedOut`, `UnexpectedEof`, or as the system says.
pub async fn read_header(stream: &TcpStream) -> io::Result<Origin> {
    let reading = tokio::time::timeout(PROXY_HEADER_TIMEOUT, read_whole(stream));
    let header =
        reading.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no PROXY header came in time"))??;
    parse(&header).map_err(wrong)
}

async fn read_whole(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut taken = Vec::new();
    let mut buffer = [0; 512];
    loop {
        // Looked at before it is taken, so that what follows the header stays in the socket.
        let seen = stream.peek(&mut buffer).await?;
        if seen == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before its PROXY header"));
        }
        let before = taken.len();
        taken.extend_from_slice(buffer.get(..seen).unwrap_or_default());
        let extent = extent(&taken).map_err(wrong)?;
        taken.truncate(extent.known());
        let wanted = taken.len() - before;
        match stream.try_read(buffer.get_mut(..wanted).unwrap_or_default()) {
            Ok(count) => taken.truncate(before + count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => taken.truncate(before),
            Err(error) => return Err(error),
        }
        if extent == Extent::Whole(taken.len()) {
            return Ok(taken);
        }
    }
}

/// How far the header reaches in the bytes seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Over this many bytes, and it is complete with them.
    Whole(usize),
    /// Over this many bytes at least; more must come.
    Part(usize),
}

impl Extent {
    fn known(self) -> usize {
        match self {
            Extent::Whole(count) | Extent::Part(count) => count,
        }
    }
}

fn extent(seen: &[u8]) -> Result<Extent, &'static str> {
    if begins(seen, v2::PROTOCOL_PREFIX) {
        let Some(length) = seen.get(V2_FIXED_BYTES - 2..V2_FIXED_BYTES) else { return Ok(Extent::Part(seen.len())) };
        let whole = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) + V2_FIXED_BYTES;
        if whole > PROXY_HEADER_BYTES_MAX {
            return Err("the PROXY header is too long");
        }
        return Ok(if seen.len() < whole { Extent::Part(seen.len()) } else { Extent::Whole(whole) });
    }
    if begins(seen, V1_START) {
        return match seen.iter().position(|byte| *byte == b'\n') {
            Some(end) if end < V1_BYTES_MAX => Ok(Extent::Whole(end + 1)),
            None if seen.len() < V1_BYTES_MAX => Ok(Extent::Part(seen.len())),
            _ => Err("the PROXY header is too long"),
        };
    }
    Err("a balancer must send a PROXY header first")
}

/// Whether `seen` starts with `prefix` or may still become so.
fn begins(seen: &[u8], prefix: &[u8]) -> bool {
    seen.starts_with(prefix) || prefix.starts_with(seen)
}

fn parse(header: &[u8]) -> Result<Origin, &'static str> {
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        let header = v2::Header::try_from(header).map_err(|_| "the PROXY header (version 2) is not valid")?;
        return match (header.command, header.protocol, header.addresses) {
            (v2::Command::Local, ..) => Ok(Origin::Balancer),
            (_, v2::Protocol::Datagram, _) => Err("the PROXY header is not about a stream"),
            (_, _, v2::Addresses::IPv4(at)) => Ok(client(
                (at.source_address.into(), at.source_port),
                (at.destination_address.into(), at.destination_port),
            )),
            (_, _, v2::Addresses::IPv6(at)) => Ok(client(
                (at.source_address.into(), at.source_port),
                (at.destination_address.into(), at.destination_port),
            )),
            (_, _, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => Ok(Origin::Balancer),
        };
    }
    // Section 2.1: whatever follows UNKNOWN is to be ignored.
    if header.starts_with(b"PROXY UNKNOWN\r\n") || header.starts_with(b"PROXY UNKNOWN ") && header.ends_with(b"\r\n") {
        return Ok(Origin::Balancer);
    }
    let header = v1::Header::try_from(header).map_err(|_| "the PROXY header (version 1) is not valid")?;
    match header.addresses {
        v1::Addresses::Tcp4(at) => {
            Ok(client((at.source_address.into(), at.source_port), (at.destination_address.into(), at.destination_port)))
        }
        v1::Addresses::Tcp6(at) => {
            Ok(client((at.source_address.into(), at.source_port), (at.destination_address.into(), at.destination_port)))
        }
        v1::Addresses::Unknown => Ok(Origin::Balancer),
    }
}

fn client(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Origin {
    let address = |(ip, port): (IpAddr, u16)| SocketAddr::new(ip.to_canonical(), port);
    Origin::Client { source: address(source), destination: address(destination) }
}

fn wrong(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        header.extend(payload);
        header
    }

    fn over_ipv4() -> Vec<u8> {
        // Addresses, ports, and one TLV that nobody asked for.
        v2(1, 0x11, &[192, 0, 2, 9, 198, 51, 100, 1, 0x12, 0x34, 0, 25, 0x04, 0, 1, 0])
    }

    fn from(source: &str, destination: &str) -> Origin {
        Origin::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn both_versions_name_the_client() {
        let ipv6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 15], &[1], &[0, 7, 0, 8]].concat();
        for (header, expected) in [
            (over_ipv4(), from("192.0.2.9:4660", "198.51.100.1:25")),
            (v2(1, 0x21, &ipv6), from("[2001:db8::1]:7", "[::1]:8")),
            (b"PROXY TCP4 192.0.2.9 198.51.100.1 4660 25\r\n".to_vec(), from("192.0.2.9:4660", "198.51.100.1:25")),
            (b"PROXY TCP6 2001:db8::1 ::1 7 8\r\n".to_vec(), from("[2001:db8::1]:7", "[::1]:8")),
            (b"PROXY TCP6 ::ffff:192.0.2.9 ::1 7 8\r\n".to_vec(), from("192.0.2.9:7", "[::1]:8")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Origin::Balancer),
            (b"PROXY UNKNOWN a b c d e f g\r\n".to_vec(), Origin::Balancer),
            (v2(0, 0x00, &[]), Origin::Balancer),
            (v2(0, 0x11, &[0; 12]), Origin::Balancer),
            (v2(1, 0x00, &[]), Origin::Balancer),
            (v2(1, 0x31, &[0; 216]), Origin::Balancer),
        ] {
            assert_eq!(extent(&header), Ok(Extent::Whole(header.len())), "{header:?}");
            assert_eq!(parse(&header), Ok(expected), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for header in [
            v2(2, 0x11, &[0; 12]),
            v2(1, 0x11, &[0; 11]),
            v2(1, 0x12, &[0; 12]),
            b"PROXY TCP4 192.0.2.9 198.51.100.1 4660 65536\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.9 198.51.100.1 4660 25\n".to_vec(),
            b"PROXY TCP4 192.0.2.9 198.51.100.1 4660 25 26\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
            b"PROXY UNKNOWNER\r\n".to_vec(),
        ] {
            assert!(parse(&header).is_err(), "{header:?}");
        }
        assert!(extent(b"EHLO client.example\r\n").is_err());
        assert!(extent(&v2(1, 0x11, &[0; PROXY_HEADER_BYTES_MAX])).is_err());
        assert!(extent(&[V1_START, &[b'1'; V1_BYTES_MAX]].concat()).is_err());
    }

    #[test]
    fn balancers_are_matched_in_any_form_of_their_address() {
        let balancers = Balancers::new(&["10.0.0.0/8".parse().unwrap(), "2001:db8::/64".parse().unwrap()]);
        let contains = |peer: &str| balancers.contains(peer.parse().unwrap());
        assert!(contains("10.255.0.1") && contains("::ffff:10.0.0.1") && contains("2001:db8::9"));
        assert!(!contains("11.0.0.1") && !contains("2001:db8:0:1::9") && !contains("::1"));
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic_and_parts_are_never_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..60) {
            for header in [over_ipv4(), b"PROXY TCP4 192.0.2.9 198.51.100.1 4660 25\r\n".to_vec()] {
                let part = &header[..cut.min(header.len() - 1)];
                prop_assert_eq!(extent(part), Ok(Extent::Part(part.len())));
                let mangled = [&header[..cut.min(header.len())], &bytes].concat();
                if let Ok(Extent::Whole(whole)) = extent(&mangled) {
                    let _ = parse(&mangled[..whole]);
                }
            }
        }
    }

    #[tokio::test]
    async fn the_header_is_taken_byte_by_byte_and_what_follows_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for header in [over_ipv4(), b"PROXY TCP4 192.0.2.9 198.51.100.1 4660 25\r\n".to_vec()] {
            let mut balancer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let (start, end) = header.split_at(header.len() - 3);
            let sender = async {
                for byte in start {
                    balancer.write_all(&[*byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
                balancer.write_all(&[end, b"EHLO x\r\n"].concat()).await.unwrap();
                drop(balancer);
            };
            let (origin, ()) = tokio::join!(read_header(&stream), sender);
            assert_eq!(origin.unwrap(), from("192.0.2.9:4660", "198.51.100.1:25"));
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "EHLO x\r\n");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_balancer_and_a_closed_one_are_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let balancer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(read_header(&stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(balancer);
        assert_eq!(read_header(&stream).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
