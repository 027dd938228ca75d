//! Who may send what to whom, by the directory alone: senders at MAIL, recipients at RCPT.
//! It answers verdicts and remembers nothing.

use super::SmtpServices;
use crate::services::delivery::{Resolved, as_written};
use crate::services::directory::Resolution;
use crate::services::passwords::Account;
use model::directory::view::{NoTarget, Target};
use protocols::address::Address;
use protocols::smtp::server::Service;
use protocols::smtp::{EnhancedCode, Mail, Recipient, Reply};

/// Whether a sender may begin a transaction. `user` is who logged in on submission.
///
/// # Errors
/// The reply that refuses it.
pub fn check_sender(
    services: &SmtpServices,
    service: Service,
    user: Option<&Account>,
    mail: &Mail,
) -> Result<(), Reply> {
    if (services.is_full)() {
        return Err(Reply::new(452, EnhancedCode::new(4, 3, 1), "Insufficient storage, try again later"));
    }
    match (service, user, &mail.sender) {
        // The null sender is for reports and notifications (RFC 5321 section 4.5.5); anybody may make one.
        (Service::Mx | Service::Lmtp, _, _) | (Service::Submission, Some(_), None) => Ok(()),
        (Service::Submission, Some(user), Some(sender)) if owns(services, user, sender)? => Ok(()),
        (Service::Submission, Some(_), Some(_)) => {
            // RFC 6409 section 6.1: a submission server may insist on a sender that fits the login.
            Err(Reply::new(553, EnhancedCode::new(5, 7, 1), "This sender address is not yours"))
        }
        (Service::Submission, None, _) => Err(Reply::new(530, EnhancedCode::new(5, 7, 0), "Authentication required")),
    }
}

/// An address is a user's own when mail to it reaches them: their address, an alias, a sub-address, a catch-all.
fn owns(services: &SmtpServices, user: &Account, sender: &Address) -> Result<bool, Reply> {
    match resolve(services, sender)? {
        Resolution::Targets(targets) => {
            let own = |target: &Target| matches!(target, Target::Account { account, .. } if *account == user.id);
            Ok(targets.iter().any(own))
        }
        Resolution::Nowhere(_) => Ok(false),
    }
}

/// Where a recipient leads. Before one is refused for good this node's copy of the directory is brought up to date.
///
/// # Errors
/// The reply that refuses it.
pub async fn check_recipient(
    services: &SmtpServices,
    service: Service,
    recipient: &Recipient,
) -> Result<Resolved, Reply> {
    match resolve_recipient(services, service, recipient) {
        Err(reply) if reply.is_permanent() => {
            if services.directory.catch_up().await {
                resolve_recipient(services, service, recipient)
            } else {
                Err(Reply::new(451, EnhancedCode::new(4, 4, 0), "Recipients cannot be checked now, try again later"))
            }
        }
        resolved => resolved,
    }
}

fn resolve_recipient(services: &SmtpServices, service: Service, recipient: &Recipient) -> Result<Resolved, Reply> {
    let address = &recipient.address;
    let targets = match resolve(services, address)? {
        Resolution::Targets(targets) => as_written(address, &targets),
        Resolution::Nowhere(reason) if is_postmaster(services, address, reason)? => postmasters(services)?,
        Resolution::Nowhere(NoTarget::NotLocal) if service == Service::Submission => {
            vec![Target::Outside(address.to_string())]
        }
        Resolution::Nowhere(NoTarget::NotLocal) => {
            return Err(Reply::new(550, EnhancedCode::new(5, 7, 1), "Relaying denied"));
        }
        Resolution::Nowhere(NoTarget::Unknown) => {
            return Err(Reply::new(550, EnhancedCode::new(5, 1, 1), "No such user here"));
        }
        Resolution::Nowhere(NoTarget::Loop) => {
            return Err(Reply::new(550, EnhancedCode::new(5, 4, 6), "The alias leads in a circle"));
        }
    };
    Ok(Resolved { recipient: recipient.clone(), targets })
}

fn resolve(services: &SmtpServices, address: &Address) -> Result<Resolution, Reply> {
    // The directory keeps local parts without quotes.
    let plain = format!("{}@{}", address.local_part(), address.domain());
    services.directory.resolve(&plain).map_err(|error| unreadable(&error))
}

/// RFC 5321 section 4.5.1: mail to postmaster of this host and of its domains is taken, alias or not.
fn is_postmaster(services: &SmtpServices, address: &Address, reason: NoTarget) -> Result<bool, Reply> {
    if !address.local_part().eq_ignore_ascii_case("postmaster") {
        return Ok(false);
    }
    Ok(reason == NoTarget::Unknown || address.domain() == services.hostname.to_ascii_lowercase())
}

/// The oldest account that administers.
fn postmasters(services: &SmtpServices) -> Result<Vec<Target>, Reply> {
    let admin = services.directory.with_rows(model::directory::view::first_admin);
    let admin = admin.map_err(|error| unreadable(&error))?;
    let target = admin.map(|(account, row)| Target::Account { account, address: row.address, folder: None });
    target
        .map(|target| vec![target])
        .ok_or_else(|| Reply::new(450, EnhancedCode::new(4, 1, 1), "There is no postmaster yet, try again later"))
}

fn unreadable(error: &model::ReadError) -> Reply {
    tracing::error!(%error, "the directory cannot be read");
    Reply::try_later("The directory cannot be read, try again later")
}
