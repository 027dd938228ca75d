//! What a recovery has decided, kept where the identity was until it is done: a node that finds it does not start, and the
//! command that finds it does what was decided then, whatever it finds now.

use super::report::Report;
use crate::error::StartError;
use crate::identity::{self, Identity};
use crate::raft::recover::Takeover;
use model::{Entry, GroupId, codec};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use storage::Store;

/// A recovery that was decided and perhaps begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// Who this node is when all is done.
    pub after: Identity,
    /// Groups that begin empty.
    pub erased: BTreeSet<GroupId>,
    /// How each of the others is taken over.
    pub takeovers: BTreeMap<GroupId, Takeover>,
    /// The first entry of the directory after that.
    pub entry: Entry,
    /// What was found, without the accounts.
    pub report: Report,
}

impl Marker {
    /// The recovery that was begun; `None` when none was. Blocks.
    pub fn load(store: &Store) -> Result<Option<Self>, StartError> {
        let Some(bytes) = identity::read(store)? else { return Ok(None) };
        if bytes.first() != Some(&identity::FORMAT_OF_RECOVERY) {
            return Ok(None);
        }
        codec::decode_as(identity::FORMAT_OF_RECOVERY, &bytes).map(Some).map_err(identity::damaged)
    }

    /// Writes it in place of the identity, durably. Blocks.
    pub fn save(&self, store: &Store) -> Result<(), StartError> {
        identity::write(store, &codec::encode_as(identity::FORMAT_OF_RECOVERY, self))
    }
}
