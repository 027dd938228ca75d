//! Services, their standard ports, and the addresses they are to listen on. Real ports are known after binding only.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Something the node listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Mail from other servers (RFC 5321).
    Smtp,
    /// Mail from users, TLS from the first byte (RFC 8314).
    Submissions,
    /// Mail from users, with STARTTLS (RFC 6409).
    Submission,
    /// Mail from a local agent (RFC 2033). Takes mail without authentication, so it listens on this machine only,
    /// unless the file says otherwise.
    Lmtp,
    /// Reading mail, with STARTTLS (RFC 9051).
    Imap,
    /// Reading mail, TLS from the first byte.
    Imaps,
    /// Health and metrics.
    Http,
    /// The other nodes of the cluster: QUIC, so UDP. One address, never several.
    Cluster,
}

/// Every service in the order of the table.
pub fn services() -> [Service; 8] {
    use Service::*;
    [Smtp, Submission, Submissions, Lmtp, Imap, Imaps, Http, Cluster]
}

impl Service {
    /// The name in the table, the file and `listeners.json`.
    pub fn name(self) -> &'static str {
        match self {
            Service::Smtp => "smtp",
            Service::Submissions => "submissions",
            Service::Submission => "submission",
            Service::Lmtp => "lmtp",
            Service::Imap => "imap",
            Service::Imaps => "imaps",
            Service::Http => "http",
            Service::Cluster => "cluster",
        }
    }

    /// The port before the offset.
    pub fn standard_port(self) -> u16 {
        match self {
            Service::Smtp => 25,
            Service::Submissions => 465,
            Service::Submission => 587,
            Service::Lmtp => 24,
            Service::Imap => 143,
            Service::Imaps => 993,
            Service::Http => 80,
            Service::Cluster => 7025,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Where everything is to listen; `given` addresses stand as they are.
pub(super) fn settle(
    bind: Option<&[IpAddr]>,
    offset: u16,
    ephemeral: bool,
    given: &BTreeMap<Service, Vec<SocketAddr>>,
) -> BTreeMap<Service, Vec<SocketAddr>> {
    let everywhere = bind.map_or_else(all_addresses, <[IpAddr]>::to_vec);
    let addresses = |service: Service| {
        if let Some(given) = given.get(&service) {
            return given.clone();
        }
        let port = if ephemeral { 0 } else { service.standard_port().saturating_add(offset) };
        let hosts = if service == Service::Lmtp { vec![IpAddr::V4(Ipv4Addr::LOCALHOST)] } else { everywhere.clone() };
        hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect()
    };
    services().into_iter().map(|service| (service, addresses(service))).collect()
}

/// All addresses of the machine: one dual-stack socket where there is IPv6, one of IPv4 where there is none,
/// both where the system keeps them apart.
fn all_addresses() -> Vec<IpAddr> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    if TcpListener::bind((v6, 0)).is_err() {
        return vec![v4];
    }
    let apart = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").is_ok_and(|text| text.trim() == "1");
    if apart { vec![v4, v6] } else { vec![v6] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_standard_plus_offset_and_lmtp_stays_at_home() {
        let bind = ["192.0.2.1".parse().unwrap()];
        let settled = settle(Some(&bind), 10_000, false, &BTreeMap::new());
        assert_eq!(settled[&Service::Imaps], ["192.0.2.1:10993".parse().unwrap()]);
        assert_eq!(settled[&Service::Lmtp], ["127.0.0.1:10024".parse().unwrap()]);
    }

    #[test]
    fn given_addresses_stand_and_the_rest_may_be_ephemeral() {
        let given = BTreeMap::from([(Service::Lmtp, vec!["192.0.2.9:24".parse().unwrap()])]);
        let settled = settle(Some(&["::1".parse().unwrap()]), 0, true, &given);
        assert_eq!(settled[&Service::Lmtp], given[&Service::Lmtp]);
        assert_eq!(settled[&Service::Smtp], ["[::1]:0".parse().unwrap()]);
    }
}
