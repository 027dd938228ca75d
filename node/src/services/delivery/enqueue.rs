//! The queue rows of an accepted message: a local part and an outside part, each with the bytes made for it. Pure.

use super::{Message, Resolved};
use crate::queue::Retry;
use model::directory::view::Target;
use model::queue::NewQueued;
use model::queue::row::{Content, DsnEnvelope, Notify, Progress, QueueRecipient, QueueRow};
use model::{BodyRef, MessageId};
use protocols::smtp::{Body, Recipient, Return};
use std::collections::BTreeSet;

/// The rows for the recipients whose place is `wanted`. A message with both parts gives the local one a sibling's id.
pub(super) fn rows(message: &Message, wanted: impl Fn(usize) -> bool, retry: &Retry) -> Vec<NewQueued> {
    let chosen: Vec<&Resolved> =
        message.recipients.iter().enumerate().filter(|(place, _)| wanted(*place)).map(|(_, to)| to).collect();
    let parts =
        [(&message.outside_body, recipients(&chosen, outside)), (&message.local_body, recipients(&chosen, local))];
    let mut ids = [message.id, sibling(message.id)].into_iter();
    parts
        .into_iter()
        .filter_map(|(body, recipients)| Some((body.as_ref().filter(|_| !recipients.is_empty())?, recipients)))
        .zip(&mut ids)
        .map(|((body, recipients), id)| part(message, id, body, recipients, retry))
        .collect()
}

fn part(message: &Message, id: MessageId, body: &BodyRef, recipients: Vec<QueueRecipient>, retry: &Retry) -> NewQueued {
    let mail = &message.mail;
    let row = QueueRow {
        sender: mail.sender.as_ref().map(ToString::to_string).unwrap_or_default(),
        dsn: DsnEnvelope {
            return_full: mail.ret.map(|wanted| wanted == Return::Full),
            envelope_id: mail.envelope_id.clone(),
        },
        content: Content {
            eight_bit: mail.body != Body::SevenBit,
            binary: mail.body == Body::Binary,
            smtp_utf8: mail.smtputf8,
        },
        accepted_at: message.accepted_at,
        expires_at: message.accepted_at.saturating_add(retry.lifetime_ms),
        next_attempt_at: message.accepted_at,
        attempts: 0,
        delay_told: false,
        hash: body.hash,
        size: body.size,
        lease: None,
        recipients,
    };
    NewQueued { message: id, body: body.clone(), row }
}

/// The id of the other part of the same message: it differs in its last bit only, so that people see that they belong together.
fn sibling(id: MessageId) -> MessageId {
    let mut bytes = id.0;
    bytes[15] ^= 1;
    MessageId { 0: bytes }
}

/// One queue recipient per unique address that `address_of` finds.
fn recipients(chosen: &[&Resolved], address_of: fn(&Target) -> Option<String>) -> Vec<QueueRecipient> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for to in chosen {
        for address in to.targets.iter().filter_map(address_of) {
            if seen.insert(address.clone()) {
                all.push(queue_recipient(&to.recipient, address));
            }
        }
    }
    all
}

fn queue_recipient(asked: &Recipient, address: String) -> QueueRecipient {
    let given = asked.original.as_ref().map(|original| format!("{};{}", original.address_type, original.address));
    // RFC 3461 section 5.2.7.1: what a name was expanded from is told to the sender, not what it led to.
    let asked_for = asked.address.to_string();
    let original = given.or_else(|| {
        let kind = if asked.address.is_ascii() { "rfc822" } else { "utf-8" };
        (asked_for != address).then(|| format!("{kind};{asked_for}"))
    });
    let notify = asked.notify.map_or_else(Notify::default, |notify| Notify {
        success: notify.success,
        failure: notify.failure,
        delay: notify.delay,
    });
    QueueRecipient { address, original, notify, progress: Progress::Pending, last_text: String::new() }
}

fn local(target: &Target) -> Option<String> {
    match target {
        Target::Account { address, folder: Some(folder), .. } => {
            let (user, domain) = address.rsplit_once('@')?;
            Some(format!("{user}+{folder}@{domain}"))
        }
        Target::Account { address, .. } => Some(address.clone()),
        Target::Outside(_) => None,
    }
}

fn outside(target: &Target) -> Option<String> {
    match target {
        Target::Outside(address) => Some(address.clone()),
        Target::Account { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AccountId, BodyHash};
    use protocols::address::Address;
    use protocols::smtp::Mail;

    fn resolved(address: &str, targets: Vec<Target>) -> Resolved {
        Resolved { recipient: Recipient::new(Address::parse(address).unwrap()), targets }
    }

    fn ann(folder: Option<&str>) -> Target {
        let folder = folder.map(str::to_owned);
        Target::Account { account: AccountId(1), address: "ann@example.org".into(), folder }
    }

    fn body(byte: u8) -> Option<BodyRef> {
        Some(BodyRef { hash: BodyHash([byte; 32]), size: 1, inline: None })
    }

    fn message(recipients: Vec<Resolved>) -> Message {
        let id = MessageId::new(5, [4; 10]);
        let mail = Mail { sender: Some(Address::parse("zoe@example.org").unwrap()), ..Mail::default() };
        Message { id, accepted_at: 5, mail, recipients, local_body: body(1), outside_body: body(2) }
    }

    #[test]
    fn both_parts_have_their_own_id_and_bytes() {
        let list = vec![ann(None), Target::Outside("bob@example.net".into())];
        let message =
            message(vec![resolved("list@example.org", list), resolved("ann+x@example.org", vec![ann(Some("x"))])]);
        let rows = rows(&message, |_| true, &Retry::default());
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].message, rows[0].row.hash), (message.id, BodyHash([2; 32])));
        assert_eq!((rows[1].message, rows[1].row.hash), (sibling(message.id), BodyHash([1; 32])));
        let addresses: Vec<_> = rows[1].row.recipients.iter().map(|to| to.address.as_str()).collect();
        assert_eq!(addresses, ["ann@example.org", "ann+x@example.org"]);
        assert_eq!(rows[0].row.recipients[0].original.as_deref(), Some("rfc822;list@example.org"));
        assert_eq!(rows[0].row.sender, "zoe@example.org");
    }

    #[test]
    fn one_part_keeps_the_id_and_only_the_wanted_are_in_it() {
        let mut message = message(vec![
            resolved("ann@example.org", vec![ann(None)]),
            resolved("b@example.org", vec![ann(Some("b"))]),
        ]);
        message.outside_body = None;
        let rows = rows(&message, |place| place == 1, &Retry::default());
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].message, message.id);
        assert_eq!(rows[0].row.recipients[0].address, "ann+b@example.org");
    }
}
