//! Makes the protocols and what stands behind them, and says on which listeners each is spoken.

use super::BootError;
use super::listeners::spec;
use crate::config::{Config, Service};
use crate::context::Services;
use crate::imap::Imap;
use crate::limits::LARGE_PIECES_MAX;
use crate::net::{Bound, ListenerSpec, Security};
use crate::queue::connection::Connector;
use crate::queue::destinations::Destinations;
use crate::queue::dns::Dns;
use crate::queue::route::{Relay, Router};
use crate::queue::sender::Sender;
use crate::queue::{Queue, Retry, Worker};
use crate::services::delivery::Delivery;
use crate::services::mailbox::Mailboxes;
use crate::smtp::{Smtp, SmtpServices};
use protocols::smtp::server::Service as Rules;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Where other hosts take mail (RFC 5321 section 4.5.4.2).
const MX_PORT: u16 = 25;

/// Starts what the protocols need. Gives every protocol with its addresses, and the service that takes messages in.
pub async fn start(services: &Services) -> Result<(Vec<ListenerSpec>, Delivery), BootError> {
    let config = &services.config;
    let delivery = Delivery::new(
        services.cluster.clone(),
        Arc::clone(&services.clock),
        retry(config),
        Arc::clone(&services.metrics),
    );
    let shared = Arc::new(smtp(services, delivery.clone()));
    let imap = Arc::new(imap(services).await?);
    let smtp = |rules| Arc::new(Smtp::new(rules, Arc::clone(&shared)));
    let specs = vec![
        spec(config, Service::Smtp, Security::StartTls, smtp(Rules::Mx)),
        spec(config, Service::Submission, Security::StartTls, smtp(Rules::Submission)),
        spec(config, Service::Submissions, Security::Implicit, smtp(Rules::Submission)),
        spec(config, Service::Lmtp, Security::StartTls, smtp(Rules::Lmtp)),
        spec(config, Service::Imap, Security::StartTls, imap.clone()),
        spec(config, Service::Imaps, Security::Implicit, imap),
    ];
    Ok((specs, delivery))
}

fn smtp(services: &Services, delivery: Delivery) -> SmtpServices {
    let store = services.cluster.store().clone();
    SmtpServices {
        hostname: services.config.hostname.clone(),
        directory: services.directory.clone(),
        passwords: services.passwords.clone(),
        delivery,
        bodies: services.cluster.bodies(),
        tls: services.tls.clone(),
        clock: Arc::clone(&services.clock),
        pieces: Arc::new(Semaphore::new(LARGE_PIECES_MAX)),
        is_full: Arc::new(move || store.space().full),
    }
}

async fn imap(services: &Services) -> Result<Imap, BootError> {
    let mailboxes = Mailboxes::start(services.cluster.clone(), Arc::clone(&services.clock), None);
    Ok(Imap {
        hostname: services.config.hostname.as_str().into(),
        passwords: services.passwords.clone(),
        mailboxes: mailboxes.await.map_err(not_started)?,
        tls: services.tls.clone(),
    })
}

fn retry(config: &Config) -> Retry {
    let mut retry = Retry::default();
    if let Some(first) = config.queue_retry_first {
        retry.first_ms = first.as_secs().saturating_mul(1_000);
    }
    retry
}

/// Starts the queue of outgoing mail. `bound` tells it the node's own ports, so that it never sends to itself.
pub async fn start_queue(services: &Services, delivery: Delivery, bound: &[Bound]) -> Result<Queue, BootError> {
    let config = &services.config;
    let own_ports: Vec<u16> =
        bound.iter().filter(|bound| bound.name == Service::Smtp.name()).map(|bound| bound.address.port()).collect();
    let relay = config.relay.clone().map(|hop| Relay { host: hop.host, port: hop.port });
    let worker = Worker {
        cluster: services.cluster.clone(),
        directory: services.directory.clone(),
        delivery,
        sender: Sender {
            router: Router::new(resolver(config)?, relay, &config.hostname, MX_PORT),
            connector: Connector::new(&own_ports).map_err(not_started)?,
            hostname: config.hostname.clone(),
        },
        destinations: Destinations::default(),
        clock: Arc::clone(&services.clock),
        retry: retry(config),
        metrics: Arc::clone(&services.metrics),
    };
    Queue::start(worker).await.map_err(not_started)
}

/// The configured resolver, else the system's. A machine that has none still takes mail: what it sends waits in the queue.
fn resolver(config: &Config) -> Result<Dns, BootError> {
    let chosen = config.dns.map_or_else(Dns::system, Dns::at);
    chosen
        .or_else(|error| {
            tracing::warn!(%error, "the system's DNS settings cannot be used; asking a resolver on this machine");
            Dns::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)))
        })
        .map_err(not_started)
}

fn not_started(error: impl Display) -> BootError {
    BootError::Other(error.to_string())
}
