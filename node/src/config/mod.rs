//! What belongs to this machine: where the data is, what the node is called, where it listens. Flags, environment and
//! one small TOML file have the same names and the same parsers; everything else is replicated and set by the CLI.

mod defaults;
mod environment;
mod file;
mod listeners;
mod parse;
mod settings;
mod suggest;

pub use environment::unknown_variables;
pub use file::FileError;
pub use listeners::{Service, services};
pub use parse::{HostPort, LogFormat, Token};
pub use settings::Settings;

use crate::tls::CertificateFiles;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The settled configuration of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// The node's name in the cluster.
    pub name: String,
    /// The name said in greetings and `Received` fields; Unicode domains in A-label form.
    pub hostname: String,
    /// The first local domain, made at the first start.
    pub domain: String,
    /// Where each service listens.
    pub listeners: BTreeMap<Service, Vec<SocketAddr>>,
    /// The next hop for all outgoing mail; `None` looks up MX records.
    pub relay: Option<HostPort>,
    /// The resolver to ask; `None` is the system's.
    pub dns: Option<SocketAddr>,
    /// The cluster to join, when the data directory belongs to none yet.
    pub join: Option<Join>,
    /// Where the other nodes reach this one's cluster port; `None` leaves it to be found out.
    pub advertise: Option<HostPort>,
    /// Networks of balancers: their connections begin with a PROXY protocol header, nobody else's do.
    pub proxy_protocol_from: Vec<IpNet>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The operator's certificate; `None` makes a self-signed one in the data directory.
    pub certificate: Option<CertificateFiles>,
    /// The first pause before an undelivered message is tried again; `None` is the queue's own.
    pub queue_retry_first: Option<Duration>,
    /// What this node gives per second to others that catch up; `None` is the cluster's own.
    pub catch_up_bytes_per_second: Option<u64>,
    /// Memory for the block cache of the rows; `None` takes a part of the machine's.
    pub block_cache_bytes: Option<usize>,
}

/// An invitation and where to come with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The cluster port of a node.
    pub address: HostPort,
    /// The invitation.
    pub token: Token,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// Settings that do not go together.
    #[error("{0}")]
    Contradiction(String),
}

impl Config {
    /// Reads the file that the settings name, lays the settings (flags and environment) over it and fills in defaults.
    ///
    /// # Errors
    /// Names file, line and word.
    pub fn settle(settings: Settings) -> Result<Config, ConfigError> {
        let settings = with_file(settings)?;
        let hostname = settings.hostname.unwrap_or_else(defaults::hostname);
        let listeners = listeners::settle(
            settings.bind.as_deref(),
            settings.port_offset.unwrap_or_else(defaults::port_offset),
            settings.ephemeral_ports,
            &settings.listeners,
        );
        let certificate = match (settings.certificate, settings.private_key) {
            (Some(certificate), Some(private_key)) => Some(CertificateFiles { certificate, private_key }),
            (None, None) => None,
            _ => {
                let reason = "certificate and private-key go together: set both or none";
                return Err(ConfigError::Contradiction(reason.to_owned()));
            }
        };
        if settings.listeners.get(&Service::Cluster).is_some_and(|addresses| addresses.len() > 1) {
            return Err(ConfigError::Contradiction("listeners: cluster takes one address".to_owned()));
        }
        let join = match (settings.join, settings.token) {
            (Some(address), Some(token)) => Some(Join { address, token }),
            (None, None) => None,
            _ => {
                let reason = "join and token go together: see mailnode token create on a node of the cluster";
                return Err(ConfigError::Contradiction(reason.to_owned()));
            }
        };
        Ok(Config {
            join,
            advertise: settings.advertise,
            data: settings.data.unwrap_or_else(defaults::data),
            name: settings.name.unwrap_or_else(|| defaults::name(&hostname)),
            domain: settings.domain.unwrap_or_else(|| defaults::domain(&hostname)),
            hostname,
            listeners,
            relay: settings.relay,
            dns: settings.dns,
            proxy_protocol_from: settings.proxy_protocol_from.unwrap_or_default(),
            log_format: settings.log_format.unwrap_or_default(),
            certificate,
            queue_retry_first: settings.queue_retry_first.map(Duration::from_secs),
            catch_up_bytes_per_second: settings.catch_up_rate.map(|megabytes| megabytes.saturating_mul(1_000_000)),
            block_cache_bytes: settings.block_cache.and_then(|megabytes| usize::try_from(megabytes << 20).ok()),
        })
    }

    /// Where the cluster port is bound: one address, since a node answers under the one it was reached at.
    pub fn cluster_bind(&self) -> SocketAddr {
        let given = self.listeners.get(&Service::Cluster).and_then(|addresses| addresses.first());
        given.copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], Service::Cluster.standard_port())))
    }

    /// The data directory alone, for commands that talk to a running node.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn data_directory(settings: Settings) -> Result<PathBuf, ConfigError> {
        Ok(with_file(settings)?.data.unwrap_or_else(defaults::data))
    }
}

fn with_file(settings: Settings) -> Result<Settings, ConfigError> {
    match settings.config.clone() {
        Some(path) => Ok(settings.over(file::read(&path)?)),
        None => Ok(settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn settle(flags: &[&str]) -> Result<Config, ConfigError> {
        Config::settle(Line::parse_from([&["mailnode"], flags].concat()).settings)
    }

    #[test]
    fn flags_stand_over_the_file_and_defaults_fill_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mailnode.toml");
        std::fs::write(&file, "hostname = \"mail.example.org\"\nbind = \"192.0.2.1\"\nport-offset = 3\n").unwrap();
        let config = settle(&["--config", file.to_str().unwrap(), "--port-offset", "7"]).unwrap();
        assert_eq!((config.hostname.as_str(), config.name.as_str()), ("mail.example.org", "mail"));
        assert_eq!(config.domain, "example.org");
        assert_eq!(config.listeners[&Service::Smtp], ["192.0.2.1:32".parse().unwrap()]);
        assert_eq!(config.log_format, LogFormat::Text);
    }

    #[test]
    fn half_a_certificate_is_refused() {
        let error = settle(&["--certificate", "/x.pem"]).unwrap_err();
        assert!(error.to_string().contains("private-key"));
        let error = settle(&["--join", "192.0.2.1:7025"]).unwrap_err();
        assert!(error.to_string().contains("token"));
        assert!(settle(&["--join", "192.0.2.1:7025", "--token", "MN1.a.b.c"]).unwrap().join.is_some());
    }
}
