//! Where mail for a domain goes next: the relay when one is configured, else the domain's MX hosts.
//! Answers hosts in the order to try them, and addresses of a host; connects to nothing.

use super::dns::{Dns, DnsError, Exchange};
use super::result::Obstacle;
use crate::limits::HOST_ADDRESSES_MAX;
use std::net::{IpAddr, SocketAddr};

/// A configured next hop for all mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A host to hand mail to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHost {
    /// Name, or an address in text form.
    pub name: String,
    /// TCP port.
    pub port: u16,
}

/// Finds the way. Clones share the resolver.
#[derive(Clone)]
pub struct Router {
    dns: Dns,
    relay: Option<Relay>,
    hostname: String,
    port: u16,
}

impl Router {
    /// `hostname` is this node's own, so that it is never its own next host; `port` is where MX hosts listen: 25.
    pub fn new(dns: Dns, relay: Option<Relay>, hostname: &str, port: u16) -> Self {
        Router { dns, relay, hostname: hostname.to_ascii_lowercase(), port }
    }

    /// What deliveries to a domain compete for: the domain, or the relay that all mail goes through.
    pub fn destination(&self, domain: &str) -> String {
        self.relay.as_ref().map_or_else(|| domain.to_owned(), |relay| format!("{}:{}", relay.host, relay.port))
    }

    /// The hosts to try for a domain, best first, at least one.
    ///
    /// # Errors
    /// The obstacle for every recipient in that domain.
    pub async fn hosts(&self, domain: &str) -> Result<Vec<NextHost>, Obstacle> {
        if let Some(relay) = &self.relay {
            return Ok(vec![NextHost { name: relay.host.clone(), port: relay.port }]);
        }
        if let Some(address) = literal(domain) {
            return Ok(vec![NextHost { name: address.to_string(), port: self.port }]);
        }
        let exchanges = self.dns.exchanges(domain).await.map_err(|error| no_exchange(domain, &error))?;
        let hosts = before_ourselves(exchanges, &self.hostname);
        if hosts.is_empty() {
            // RFC 5321 section 5.1: the best host is this one, yet the domain is not local.
            return Err(loops(domain));
        }
        Ok(hosts.into_iter().map(|exchange| NextHost { name: exchange.host, port: self.port }).collect())
    }

    /// Where a host is; at most [`HOST_ADDRESSES_MAX`] addresses, both families taking turns.
    ///
    /// # Errors
    /// The obstacle in the way to this host; another host of the domain may still do.
    pub async fn addresses(&self, host: &NextHost) -> Result<Vec<SocketAddr>, Obstacle> {
        let found = match host.name.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.dns.addresses(&host.name).await.map_err(|error| no_address(&host.name, &error))?,
        };
        Ok(take_turns(found).into_iter().map(|address| SocketAddr::new(address, host.port)).collect())
    }
}

/// RFC 5321 section 5.1: a host that is itself an MX of the domain hands mail only to better ones.
fn before_ourselves(mut exchanges: Vec<Exchange>, hostname: &str) -> Vec<Exchange> {
    if let Some(own) = exchanges.iter().find(|exchange| exchange.host == hostname).map(|own| own.preference) {
        exchanges.retain(|exchange| exchange.preference < own);
    }
    exchanges
}

/// Mail for a domain would come back to this node.
pub fn loops(domain: &str) -> Obstacle {
    Obstacle::refused(4, 6, format!("mail for {domain} loops back to this host"))
}

fn no_exchange(domain: &str, error: &DnsError) -> Obstacle {
    match error {
        // RFC 7505 section 4.2: 556 with 5.1.10.
        DnsError::NullMx => Obstacle::refused(1, 10, format!("{domain} accepts no mail (null MX)")),
        DnsError::NoSuchName | DnsError::BadName => Obstacle::refused(1, 2, format!("{domain}: {error}")),
        DnsError::NoRecord | DnsError::Trouble(_) => Obstacle::later(4, 3, format!("{domain}: {error}")),
    }
}

fn no_address(host: &str, error: &DnsError) -> Obstacle {
    match error {
        DnsError::Trouble(_) => Obstacle::later(4, 3, format!("{host}: {error}")),
        _ => Obstacle::refused(1, 2, format!("{host}: {error}")),
    }
}

/// The address in a domain such as `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3).
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    inner.strip_prefix("IPv6:").unwrap_or(inner).parse().ok()
}

/// IPv6 and IPv4 in turns, so that one broken family costs one attempt, not all.
fn take_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (four, six): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    let (mut four, mut six) = (four.into_iter(), six.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] || mixed.len() >= HOST_ADDRESSES_MAX {
            mixed.truncate(HOST_ADDRESSES_MAX);
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(host: &str, preference: u16) -> Exchange {
        Exchange { host: host.into(), preference }
    }

    #[test]
    fn only_better_hosts_than_ourselves_are_tried() {
        let all = vec![exchange("a.example", 5), exchange("us.example", 10), exchange("b.example", 10)];
        assert_eq!(before_ourselves(all.clone(), "us.example"), [exchange("a.example", 5)]);
        assert_eq!(before_ourselves(all.clone(), "other.example"), all);
        assert_eq!(before_ourselves(vec![exchange("us.example", 0)], "us.example"), []);
    }

    #[test]
    fn families_take_turns_within_the_bound() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mixed = take_turns(vec![address("192.0.2.1"), address("192.0.2.2"), address("2001:db8::1")]);
        assert_eq!(mixed, [address("2001:db8::1"), address("192.0.2.1"), address("192.0.2.2")]);
        let many = (0..50).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        assert_eq!(take_turns(many).len(), HOST_ADDRESSES_MAX);
    }

    #[test]
    fn literals_are_addresses() {
        assert_eq!(literal("[192.0.2.1]"), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(literal("[IPv6:2001:db8::1]"), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(literal("example.org"), None);
    }
}
