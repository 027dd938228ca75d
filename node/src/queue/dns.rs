//! The questions delivery asks of the DNS: which hosts take mail for a domain, and where those hosts are.
//! It decides nothing about delivery; it tells "no such", "not now" and answers apart.

use crate::limits::{DNS_ATTEMPTS, DNS_QUERIES_MAX, DNS_TIMEOUT, MX_HOSTS_MAX};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::{IpAddr, SocketAddr};

/// A resolver with its cache. Clones share it.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
}

/// A host that takes mail for a domain (RFC 5321 section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its name, lower-case, without the final dot.
    pub host: String,
    /// Lower is tried first.
    pub preference: u16,
}

/// Why there is no answer to work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist.
    #[error("no such domain")]
    NoSuchName,
    /// The name exists but has no record of the kind.
    #[error("no address record")]
    NoRecord,
    /// The domain takes no mail (RFC 7505).
    #[error("the domain accepts no mail")]
    NullMx,
    /// Something the DNS cannot hold as a name.
    #[error("not a domain name")]
    BadName,
    /// No server answered, or one failed.
    #[error("name server trouble: {0}")]
    Trouble(String),
}

impl Dns {
    /// Asks the machine's configured name servers.
    ///
    /// # Errors
    /// When the machine's configuration cannot be read.
    pub fn system() -> Result<Self, DnsError> {
        let builder = TokioResolver::builder_tokio().map_err(|error| DnsError::Trouble(error.to_string()))?;
        Self::build(builder)
    }

    /// Asks only the server at this address; the machine's configuration and hosts file are not looked at.
    ///
    /// # Errors
    /// When the resolver cannot be made.
    pub fn at(server: SocketAddr) -> Result<Self, DnsError> {
        let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
        name_server.connections.iter_mut().for_each(|connection| connection.port = server.port());
        let config = ResolverConfig::from_name_servers(vec![name_server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
        Self::build(builder)
    }

    fn build(mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, DnsError> {
        let options = builder.options_mut();
        options.timeout = DNS_TIMEOUT;
        options.attempts = DNS_ATTEMPTS;
        options.max_active_requests = DNS_QUERIES_MAX;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.preserve_intermediates = false;
        let resolver = builder.build().map_err(|error| DnsError::Trouble(error.to_string()))?;
        Ok(Dns { resolver })
    }

    /// The hosts that take mail for a domain, best first; at most [`MX_HOSTS_MAX`].
    ///
    /// # Errors
    /// `NoSuchName`, `NullMx`, `BadName`, `Trouble`; never `NoRecord`: a domain without MX records is its own host.
    pub async fn exchanges(&self, domain: &str) -> Result<Vec<Exchange>, DnsError> {
        let answer = match self.resolver.lookup(absolute(domain), RecordType::MX).await {
            Ok(answer) => answer,
            Err(error) => match classify(&error) {
                // RFC 5321 section 5.1: without MX records the domain itself is the host, an implicit MX.
                DnsError::NoRecord => return Ok(implicit(domain)),
                other => return Err(other),
            },
        };
        let mut hosts: Vec<Exchange> = answer
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::MX(mx) => Some(Exchange { host: plain(&mx.exchange.to_string()), preference: mx.preference }),
                _ => None,
            })
            .collect();
        if hosts.is_empty() {
            return Ok(implicit(domain));
        }
        // RFC 7505 section 3: a single MX whose host is the root says that the domain takes no mail.
        if hosts.iter().all(|exchange| exchange.host.is_empty()) {
            return Err(DnsError::NullMx);
        }
        hosts.retain(|exchange| !exchange.host.is_empty());
        hosts.sort_by_key(|exchange| exchange.preference);
        hosts.truncate(MX_HOSTS_MAX);
        Ok(hosts)
    }

    /// The addresses of a host; an address literal's own.
    ///
    /// # Errors
    /// `NoSuchName`, `NoRecord`, `BadName`, `Trouble`.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let answer = self.resolver.lookup_ip(absolute(host)).await.map_err(|error| classify(&error))?;
        let addresses: Vec<_> = answer.iter().collect();
        if addresses.is_empty() { Err(DnsError::NoRecord) } else { Ok(addresses) }
    }
}

fn implicit(domain: &str) -> Vec<Exchange> {
    vec![Exchange { host: domain.to_owned(), preference: 0 }]
}

/// With the final dot no search list is tried.
fn absolute(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn classify(error: &NetError) -> DnsError {
    match error {
        error if error.is_nx_domain() => DnsError::NoSuchName,
        error if error.is_no_records_found() => DnsError::NoRecord,
        NetError::Proto(_) => DnsError::BadName,
        error => DnsError::Trouble(error.to_string()),
    }
}
