//! EXPUNGE and UID EXPUNGE (RFC 9051 sections 6.4.3 and 6.4.9).

use super::row::flag;
use super::view;
use crate::apply::Outcome;
use crate::ids::{AccountId, FolderId};
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use crate::uidset::UidSet;
use faults::Fault;

/// Removes messages that have `\Deleted`, all or only those of `uids`.
pub fn expunge(
    txn: &mut dyn Txn,
    (account, folder): (AccountId, FolderId),
    uids: Option<&UidSet>,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let Some(mut writer) = super::copy::open_live(txn, account, folder)? else {
        return Ok(Reply::Refused(Refusal::NoFolder));
    };
    let takes_all = faults::planted(Fault::ExpungeTakesAll);
    let uids = uids.filter(|_| !takes_all);
    let mut gone = Vec::new();
    // The folder's count says when there is nothing to look for.
    if writer.row().deleted > 0 {
        for was in view::selected(txn, account, folder, uids)? {
            if was.flags & flag::DELETED != 0 || takes_all {
                writer.remove(txn, was, outcome)?;
                gone.push(was.uid);
            }
        }
    }
    let modseq = writer.highest_modseq();
    writer.finish(txn, outcome)?;
    Ok(Reply::Expunged { uids: gone.into_iter().collect(), modseq })
}
