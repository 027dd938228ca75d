//! Sorts the pending recipients of a queue message by where they lead now: mailboxes here, destinations outside, nowhere.

use super::notice::envelope_recipient;
use super::result::{Obstacle, RecipientResult};
use super::route::Router;
use crate::services::delivery::{LocalTarget, as_written, local_targets};
use crate::services::directory::{Directory, Resolution};
use model::directory::view::NoTarget;
use model::queue::row::{QueueRecipient, QueueRow};
use protocols::smtp::Recipient;

/// The recipients of a message, sorted.
#[derive(Debug, Default, PartialEq)]
pub struct Sorted {
    /// Those that are decided already.
    pub results: Vec<RecipientResult>,
    /// Place in the row, and the mailboxes it leads to.
    pub local: Vec<(u32, Vec<LocalTarget>)>,
    /// By destination, in the order of the row.
    pub outside: Vec<Group>,
}

/// Recipients that go the same way.
#[derive(Debug, PartialEq)]
pub struct Group {
    /// What the delivery competes for: see [`Router::destination`].
    pub destination: String,
    /// The domain to find hosts for.
    pub domain: String,
    /// Places in the row.
    pub places: Vec<u32>,
    /// Pairwise with `places`.
    pub recipients: Vec<Recipient>,
}

enum Way {
    Decided(Obstacle),
    Local(Vec<LocalTarget>),
    Outside(Recipient),
}

/// Sorts.
pub fn sort(row: &QueueRow, directory: &Directory, router: &Router) -> Sorted {
    let mut sorted = Sorted::default();
    for (place, kept) in (0_u32..).zip(&row.recipients).filter(|(_, kept)| kept.progress.is_pending()) {
        match way(kept, directory) {
            Way::Decided(obstacle) => sorted.results.push(obstacle.result(place)),
            Way::Local(targets) => sorted.local.push((place, targets)),
            Way::Outside(recipient) => sorted.add(place, recipient, router),
        }
    }
    sorted
}

/// The destination whose turn a message needs first; `None` when it needs none.
pub fn first_destination(row: &QueueRow, directory: &Directory, router: &Router) -> Option<String> {
    row.recipients.iter().filter(|kept| kept.progress.is_pending()).find_map(|kept| match way(kept, directory) {
        Way::Outside(recipient) => Some(router.destination(recipient.address.domain())),
        Way::Decided(_) | Way::Local(_) => None,
    })
}

impl Sorted {
    fn add(&mut self, place: u32, recipient: Recipient, router: &Router) {
        let domain = recipient.address.domain().to_owned();
        let destination = router.destination(&domain);
        match self.outside.iter_mut().find(|group| group.destination == destination) {
            Some(group) => {
                group.places.push(place);
                group.recipients.push(recipient);
            }
            None => {
                let (places, recipients) = (vec![place], vec![recipient]);
                self.outside.push(Group { destination, domain, places, recipients });
            }
        }
    }
}

fn way(kept: &QueueRecipient, directory: &Directory) -> Way {
    let Some(recipient) = envelope_recipient(kept) else {
        return Way::Decided(Obstacle::refused(1, 3, "not an address"));
    };
    let address = &recipient.address;
    // The directory keeps local parts without quotes.
    match directory.resolve(&format!("{}@{}", address.local_part(), address.domain())) {
        Ok(Resolution::Targets(targets)) => match local_targets(as_written(address, &targets).iter()) {
            Some(targets) => Way::Local(targets),
            // Addresses are expanded when a message is accepted; this one became an alias to the outside since.
            None => Way::Decided(Obstacle::refused(1, 6, "the mailbox has moved")),
        },
        Ok(Resolution::Nowhere(NoTarget::NotLocal)) => Way::Outside(recipient),
        Ok(Resolution::Nowhere(NoTarget::Unknown)) => Way::Decided(Obstacle::refused(1, 1, "no such user here")),
        Ok(Resolution::Nowhere(NoTarget::Loop)) => Way::Decided(Obstacle::refused(4, 6, "the alias leads in a circle")),
        Err(_) => Way::Decided(Obstacle::later(3, 0, "the directory cannot be read now")),
    }
}
