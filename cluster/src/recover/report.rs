//! What a stopped node has of each group, for a person who decides whether to go on with it.

use model::{GroupId, NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

/// What going on with this node alone means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// This node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// A recovery was begun and not finished; the rest is as it was found then.
    pub is_begun: bool,
    /// Nodes that are refused for ever from then on.
    pub dropped: Vec<LostNode>,
    /// Every group, the directory first.
    pub groups: Vec<GroupReport>,
}

/// A node that does not come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostNode {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReport {
    /// Which.
    pub group: GroupId,
    /// What is here of it; without a copy it begins empty.
    pub here: Option<Copy>,
    /// Accounts that lose their mail because there is no copy, oldest first.
    pub accounts: Vec<String>,
}

/// A copy of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The replica that has it.
    pub replica: u64,
    /// Whether it voted when it last heard of it. One that did not may be far behind.
    pub is_voter: bool,
    /// Whether the directory lists it; one that is not listed was about to be removed and may be old.
    pub is_listed: bool,
    /// No acknowledgement can have been given without it: nothing acknowledged is lost.
    pub has_everything: bool,
    /// Index of the last entry.
    pub last: u64,
    /// Its term.
    pub last_term: u64,
    /// Index of the last applied entry.
    pub applied: Option<u64>,
    /// Entries at the end that are not known to be acknowledged. They are kept, and count from then on.
    pub not_known_committed: u64,
    /// When the newest entry that has a time was proposed.
    pub newest: Option<UnixMillis>,
    /// The members when it was last told, by replica.
    pub members: Vec<(u64, NodeId)>,
}

impl Report {
    /// Whether it is certain that nothing acknowledged is lost.
    pub fn nothing_is_lost(&self) -> bool {
        self.copies().count() == self.groups.len() && self.copies().all(|(_, copy)| copy.has_everything)
    }

    /// The groups with a copy here.
    pub fn copies(&self) -> impl Iterator<Item = (GroupId, &Copy)> {
        self.groups.iter().filter_map(|group| Some((group.group, group.here.as_ref()?)))
    }

    /// The groups without a copy here.
    pub fn lost(&self) -> impl Iterator<Item = &GroupReport> {
        self.groups.iter().filter(|group| group.here.is_none())
    }

    /// Entries that count as acknowledged from then on, though it is not known that they were.
    pub fn not_known_committed(&self) -> u64 {
        self.copies().map(|(_, copy)| copy.not_known_committed).sum()
    }

    /// When the newest entry of any group that has a time was proposed.
    pub fn newest(&self) -> Option<UnixMillis> {
        self.copies().filter_map(|(_, copy)| copy.newest).max()
    }
}
