//! The settings as they are given: each optional, the same from flags, environment and file.

use super::listeners::Service;
use super::parse::{self, HostPort, LogFormat, Token};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Settings of one source. Each flag has an environment variable `MAILNODE_…` and a TOML key of the same name.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Options of the node (each also as MAILNODE_… in the environment)")]
pub struct Settings {
    /// Data directory [default: ./mailnode-data]
    #[arg(long, value_name = "DIR", env = "MAILNODE_DATA", hide_env = true, global = true)]
    pub data: Option<PathBuf>,
    /// TOML file with settings of the same names
    #[arg(long, value_name = "FILE", env = "MAILNODE_CONFIG", hide_env = true, global = true)]
    pub config: Option<PathBuf>,
    /// Name of this node in the cluster [default: the host name's first part]
    #[arg(long, value_name = "NODE", env = "MAILNODE_NAME", hide_env = true, value_parser = parse::name)]
    pub name: Option<String>,
    /// Name said in greetings and Received fields [default: the machine's]
    #[arg(long, value_name = "HOST", env = "MAILNODE_HOSTNAME", hide_env = true, value_parser = parse::hostname)]
    pub hostname: Option<String>,
    /// First local domain, made at the first start [default: the host name's domain, else localhost]
    #[arg(long, value_name = "DOMAIN", env = "MAILNODE_DOMAIN", hide_env = true, value_parser = parse::domain)]
    pub domain: Option<String>,
    /// Address to listen on; may be repeated [default: all]
    #[arg(long, value_name = "ADDR", env = "MAILNODE_BIND", hide_env = true, value_delimiter = ',', value_parser = parse::address)]
    pub bind: Option<Vec<IpAddr>>,
    /// Added to every standard port [default: 0 for root, else 10000]
    #[arg(long, value_name = "N", env = "MAILNODE_PORT_OFFSET", hide_env = true, value_parser = parse::port_offset)]
    pub port_offset: Option<u16>,
    /// Listen on free ports that the system chooses; they are written to DIR/listeners.json
    #[arg(long, env = "MAILNODE_EPHEMERAL_PORTS", hide_env = true)]
    pub ephemeral_ports: bool,
    /// Send all outgoing mail to this host instead of looking up MX records
    #[arg(long, value_name = "HOST:PORT", env = "MAILNODE_RELAY", hide_env = true, value_parser = parse::host_port)]
    pub relay: Option<HostPort>,
    /// DNS resolver to ask instead of the system's
    #[arg(long, value_name = "ADDR:PORT", env = "MAILNODE_DNS", hide_env = true, value_parser = parse::socket_address)]
    pub dns: Option<SocketAddr>,
    /// Join the cluster of the node with this cluster port; a data directory that belongs to one just starts
    #[arg(long, value_name = "HOST:PORT", env = "MAILNODE_JOIN", hide_env = true, value_parser = parse::host_port)]
    pub join: Option<HostPort>,
    /// The token from `mailnode token create`
    #[arg(long, value_name = "TOKEN", env = "MAILNODE_TOKEN", hide_env = true, value_parser = parse::token)]
    pub token: Option<Token>,
    /// Where the other nodes reach this one's cluster port [default: found out by connecting]
    #[arg(long, value_name = "HOST:PORT", env = "MAILNODE_ADVERTISE", hide_env = true, value_parser = parse::host_port)]
    pub advertise: Option<HostPort>,
    /// Networks of balancers whose connections begin with a PROXY protocol header; may be repeated
    #[arg(long, value_name = "NET", env = "MAILNODE_PROXY_PROTOCOL_FROM", hide_env = true, value_delimiter = ',', value_parser = parse::network)]
    pub proxy_protocol_from: Option<Vec<IpNet>>,
    /// text or json
    #[arg(long, value_name = "FORMAT", env = "MAILNODE_LOG_FORMAT", hide_env = true, value_parser = parse::log_format)]
    pub log_format: Option<LogFormat>,
    /// Certificate chain (PEM) [default: a self-signed one, made at the first start]
    #[arg(long, value_name = "FILE", env = "MAILNODE_CERTIFICATE", hide_env = true)]
    pub certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "MAILNODE_PRIVATE_KEY", hide_env = true)]
    pub private_key: Option<PathBuf>,
    /// Seconds before an undelivered message is tried again for the first time
    #[arg(long, value_name = "SECONDS", env = "MAILNODE_QUEUE_RETRY_FIRST", hide_env = true, value_parser = parse::seconds)]
    pub queue_retry_first: Option<u64>,
    /// Megabytes per second this node sends to others that catch up, so that mail is not held up [default: 64]
    #[arg(long, value_name = "MB", env = "MAILNODE_CATCH_UP_RATE", hide_env = true, value_parser = parse::megabytes)]
    pub catch_up_rate: Option<u64>,
    /// Megabytes of memory for reading rows of the index [default: 1/192 of the machine's memory, from 32 to 1024]
    #[arg(long, value_name = "MB", env = "MAILNODE_BLOCK_CACHE", hide_env = true, value_parser = parse::cache_megabytes)]
    pub block_cache: Option<u64>,
    /// Addresses of single services: only in the file, table `[listeners]`.
    #[arg(skip)]
    pub listeners: BTreeMap<Service, Vec<SocketAddr>>,
}

impl Settings {
    /// These settings, and where they are silent those of `base`.
    pub fn over(self, base: Settings) -> Settings {
        Settings {
            data: self.data.or(base.data),
            config: self.config,
            name: self.name.or(base.name),
            hostname: self.hostname.or(base.hostname),
            domain: self.domain.or(base.domain),
            bind: self.bind.or(base.bind),
            port_offset: self.port_offset.or(base.port_offset),
            ephemeral_ports: self.ephemeral_ports || base.ephemeral_ports,
            relay: self.relay.or(base.relay),
            dns: self.dns.or(base.dns),
            join: self.join.or(base.join),
            token: self.token.or(base.token),
            advertise: self.advertise.or(base.advertise),
            proxy_protocol_from: self.proxy_protocol_from.or(base.proxy_protocol_from),
            log_format: self.log_format.or(base.log_format),
            certificate: self.certificate.or(base.certificate),
            private_key: self.private_key.or(base.private_key),
            queue_retry_first: self.queue_retry_first.or(base.queue_retry_first),
            catch_up_rate: self.catch_up_rate.or(base.catch_up_rate),
            block_cache: self.block_cache.or(base.block_cache),
            listeners: if self.listeners.is_empty() { base.listeners } else { self.listeners },
        }
    }
}
