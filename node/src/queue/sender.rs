//! Sending to one domain: its hosts in order, their addresses in order, until one takes the message or none is left.
//! In: an envelope and a body; out: one result per recipient. It knows no queue.

use super::connection::Connector;
use super::conversation::{Conversation, Introduction, Parcel, converse};
use super::result::{Obstacle, RecipientResult, Verdict, bounded};
use super::route::{NextHost, Router};
use protocols::smtp::client::{Outcome, Report, Stage, TlsPolicy};
use std::net::SocketAddr;

/// Sends. Clones share resolver and TLS configuration.
#[derive(Clone)]
pub struct Sender {
    /// Finds hosts.
    pub router: Router,
    /// Connects to them.
    pub connector: Connector,
    /// This node's name for EHLO.
    pub hostname: String,
}

impl Sender {
    /// Sends a parcel towards a domain. `places` are those of its recipients in the queue row, pairwise.
    pub async fn send(&self, domain: &str, parcel: &Parcel, places: &[u32]) -> Vec<RecipientResult> {
        let hosts = match self.router.hosts(domain).await {
            Ok(hosts) => hosts,
            Err(obstacle) => return places.iter().map(|place| obstacle.result(*place)).collect(),
        };
        let mut worst = None;
        for host in &hosts {
            match self.try_host(host, domain, parcel).await {
                Ok(conversation) => return results(host, conversation, places),
                Err(obstacle) => worst = Some(milder(worst, obstacle)),
            }
        }
        let obstacle = worst.unwrap_or_else(|| Obstacle::later(4, 4, format!("no host for {domain}")));
        places.iter().map(|place| obstacle.result(*place)).collect()
    }

    /// Tries the addresses of a host. `Err` when none of them came as far as deciding about a recipient.
    async fn try_host(&self, host: &NextHost, domain: &str, parcel: &Parcel) -> Result<Conversation, Obstacle> {
        let mut worst = None;
        for address in self.router.addresses(host).await? {
            match self.try_address(host, address, domain, parcel).await {
                Ok(conversation) => return Ok(conversation),
                Err(obstacle) => worst = Some(milder(worst, obstacle)),
            }
        }
        Err(worst.unwrap_or_else(|| Obstacle::later(4, 4, format!("no address of {}", host.name))))
    }

    async fn try_address(
        &self,
        host: &NextHost,
        address: SocketAddr,
        domain: &str,
        parcel: &Parcel,
    ) -> Result<Conversation, Obstacle> {
        let first = self.talk(host, address, domain, parcel, TlsPolicy::Opportunistic).await?;
        // RFC 3207 section 4.1: TLS that does not work leaves the choice to the client; plain is better than not at all
        // for mail that any host could have asked for in the plain.
        let conversation =
            if tls_failed(&first) { self.talk(host, address, domain, parcel, TlsPolicy::Never).await? } else { first };
        match conversation.outcomes.first().filter(|_| conversation.broke_early).and_then(report) {
            Some((verdict, report)) => Err(Obstacle {
                verdict,
                reply: bounded(report.reply.clone()),
                host: report.from_remote.then(|| host.name.clone()),
            }),
            None => Ok(conversation),
        }
    }

    async fn talk(
        &self,
        host: &NextHost,
        address: SocketAddr,
        domain: &str,
        parcel: &Parcel,
        tls: TlsPolicy,
    ) -> Result<Conversation, Obstacle> {
        let stream = self.connector.connect(address, domain).await.map_err(|obstacle| obstacle.by(&host.name))?;
        let introduction = Introduction { hostname: &self.hostname, host: &host.name, address, tls };
        Ok(converse(&self.connector, Box::new(stream), introduction, parcel).await)
    }
}

fn tls_failed(conversation: &Conversation) -> bool {
    let at_tls = |outcome: &Outcome| report(outcome).is_some_and(|(_, report)| report.stage == Stage::StartTls);
    conversation.outcomes.iter().all(at_tls)
}

fn report(outcome: &Outcome) -> Option<(Verdict, &Report)> {
    match outcome {
        Outcome::Delivered(_) => None,
        Outcome::Refused(report) => Some((Verdict::Refused, report)),
        Outcome::TryLater(report) | Outcome::Unknown(report) => Some((Verdict::Later, report)),
    }
}

/// While one host may still take it, the message is not refused.
fn milder(before: Option<Obstacle>, now: Obstacle) -> Obstacle {
    match before {
        Some(before) if before.verdict == Verdict::Later && now.verdict == Verdict::Refused => before,
        _ => now,
    }
}

fn results(host: &NextHost, conversation: Conversation, places: &[u32]) -> Vec<RecipientResult> {
    let reports = conversation.offers_dsn;
    let pairs = places.iter().zip(conversation.outcomes);
    pairs.map(|(place, outcome)| result(host, *place, outcome, reports)).collect()
}

fn result(host: &NextHost, recipient: u32, outcome: Outcome, reports: bool) -> RecipientResult {
    let (verdict, reply, from_remote) = match outcome {
        Outcome::Delivered(reply) => (Verdict::Relayed { reports }, reply, true),
        Outcome::Refused(report) => (Verdict::Refused, report.reply, report.from_remote),
        Outcome::TryLater(report) | Outcome::Unknown(report) => (Verdict::Later, report.reply, report.from_remote),
    };
    let host = from_remote.then(|| host.name.clone());
    RecipientResult { recipient, verdict, reply: bounded(reply), host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_to_try_later_outweighs_another_that_refuses() {
        let (later, refused) = (Obstacle::later(4, 1, "down"), Obstacle::refused(7, 1, "go away"));
        assert_eq!(milder(Some(later.clone()), refused.clone()), later);
        assert_eq!(milder(Some(refused.clone()), later.clone()), later);
        assert_eq!(milder(None, refused.clone()), refused);
    }
}
