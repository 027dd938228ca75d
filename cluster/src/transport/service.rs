//! What a stream is for, and which lane it takes.

/// The service a stream asks for. Numbers are on the wire and never change meaning.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// A call: vote for a candidate.
    Vote = 1,
    /// A call: would you vote for me?
    PreVote = 2,
    /// A stream: entries of one group to one replica.
    Append = 3,
    /// A call: the heartbeats of many groups together.
    Heartbeats = 4,
    /// A call: become the leader.
    Transfer = 5,
    /// A bulk stream: the whole state of a group.
    Snapshot = 6,
    /// A bulk stream: bodies by hash.
    Bodies = 7,
    /// A call: propose an entry to the group's leader.
    Propose = 8,
    /// A call: how far must a replica have applied to be up to date?
    ReadIndex = 9,
    /// A stream: read rows of a group that the caller has no replica of.
    View = 10,
    /// A stream: changes of a group.
    Watch = 11,
    /// A call: how the node and its replicas stand.
    Status = 12,
    /// A bulk stream: a body that is about to be named by an entry.
    Stage = 13,
    /// A call: the node's clock.
    Clock = 14,
    /// A call: change of a node's part in the cluster.
    Configure = 15,
    /// A call: which members does the node know?
    Members = 16,
}

/// A connection of its own per peer, with its own congestion control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Small and urgent.
    Control,
    /// Large and patient.
    Bulk,
}

impl Service {
    const ALL: [Service; 16] = [
        Service::Vote,
        Service::PreVote,
        Service::Append,
        Service::Heartbeats,
        Service::Transfer,
        Service::Snapshot,
        Service::Bodies,
        Service::Propose,
        Service::ReadIndex,
        Service::View,
        Service::Watch,
        Service::Status,
        Service::Stage,
        Service::Clock,
        Service::Configure,
        Service::Members,
    ];

    /// The service of a number on the wire.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|service| *service as u8 == number)
    }

    /// The connection it takes.
    pub fn lane(self) -> Lane {
        match self {
            Service::Snapshot | Service::Bodies | Service::Stage => Lane::Bulk,
            _ => Lane::Control,
        }
    }

    /// Whether it is a long-lived stream; otherwise it is a call.
    pub fn is_stream(self) -> bool {
        use Service::{Append, Bodies, Snapshot, Stage, View, Watch};
        matches!(self, Append | Snapshot | Bodies | View | Watch | Stage)
    }

    /// Higher goes first on a connection: what keeps leaders in office before what they do.
    pub(super) fn priority(self) -> i32 {
        use Service::{Heartbeats, PreVote, Transfer, Vote};
        i32::from(matches!(self, Vote | PreVote | Heartbeats | Transfer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_one_service_each_and_others_none() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|number| Service::of_number(*number).is_some()).collect();
        assert_eq!(known, (1..=16).collect::<Vec<u8>>());
        assert!(known.iter().all(|number| Service::of_number(*number).map(|service| service as u8) == Some(*number)));
    }

    #[test]
    fn only_streams_are_bulk() {
        assert!(Service::ALL.iter().all(|service| service.lane() == Lane::Control || service.is_stream()));
    }
}
