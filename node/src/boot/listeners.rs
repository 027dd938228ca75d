//! Which protocol is spoken where, and the file that tells scripts and tests the real addresses.

use crate::admin::ListenerItem;
use crate::config::{Config, Service};
use crate::net::{Balancers, BoundListener, ListenerSpec, Network, Protocol, Security};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The file in the data directory: `{"listeners":[{"name","address","tls"}]}`.
pub const FILE: &str = "listeners.json";

/// A protocol where the configuration wants its service.
pub fn spec(config: &Config, service: Service, security: Security, protocol: Arc<dyn Protocol>) -> ListenerSpec {
    let addresses = config.listeners.get(&service).cloned().unwrap_or_default();
    // A local agent speaks LMTP; there is no balancer in front of it.
    let balancers = if service == Service::Lmtp { &[][..] } else { &config.proxy_protocol_from };
    ListenerSpec { name: service.name(), addresses, security, protocol, balancers: Balancers::new(balancers) }
}

/// Where everything really listens; `cluster` is the port for the other nodes.
pub fn table(network: &Network, web: &[BoundListener], cluster: SocketAddr) -> Vec<ListenerItem> {
    let item = |name: &str, address: SocketAddr, tls: &str| ListenerItem {
        name: name.to_owned(),
        address: address.to_string(),
        tls: tls.to_owned(),
    };
    let protocols = network.bound().iter().map(|bound| {
        let tls = match bound.security {
            Security::Plain => "none",
            Security::StartTls => "starttls",
            Security::Implicit => "implicit",
        };
        item(bound.name, bound.address, tls)
    });
    let web = web.iter().map(|bound| item(Service::Http.name(), bound.address, "none"));
    let cluster = std::iter::once(item(Service::Cluster.name(), cluster, "implicit"));
    protocols.chain(web).chain(cluster).collect()
}

/// Writes the file; readers see the old one or the new one, never a part.
pub fn write(data: &Path, listeners: &[ListenerItem]) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(&serde_json::json!({ "listeners": listeners }))?;
    let fresh = data.join(format!("{FILE}.new"));
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(&text)?;
    drop(file);
    std::fs::rename(fresh, data.join(FILE))
}
