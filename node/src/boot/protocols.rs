//! Makes the protocols and what stands behind them, and says on which listeners each is spoken.

use super::BootError;
use super::listeners::spec;
use crate::config::Service;
use crate::context::Services;
use crate::imap::Imap;
use crate::net::{ListenerSpec, Security};
use crate::services::mailbox::Mailboxes;
use std::fmt::Display;
use std::sync::Arc;

/// Starts what the protocols need and gives every protocol with its addresses.
pub async fn start(services: &Services) -> Result<Vec<ListenerSpec>, BootError> {
    let mailboxes = Mailboxes::start(services.cluster.clone(), Arc::clone(&services.clock), None);
    let imap = Arc::new(Imap {
        hostname: services.config.hostname.as_str().into(),
        passwords: services.passwords.clone(),
        mailboxes: mailboxes.await.map_err(not_started)?,
        tls: services.tls.clone(),
    });
    let config = &services.config;
    Ok(vec![
        spec(config, Service::Imap, Security::StartTls, imap.clone()),
        spec(config, Service::Imaps, Security::Implicit, imap),
    ])
}

fn not_started(error: impl Display) -> BootError {
    BootError::Other(error.to_string())
}
