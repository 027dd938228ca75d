//! Who wants to hear of which folder. Sessions listen here, not in the mailbox actor: so an account that only idles
//! needs no actor, and a crash of one loses no listener.

use model::{AccountId, Change, FolderId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// All listeners of a node. Clones share them.
#[derive(Clone, Default)]
pub struct Fanout {
    listened: Arc<Mutex<Listened>>,
}

type Listened = HashMap<AccountId, HashMap<FolderId, watch::Sender<()>>>;

/// Hears of changes of one folder, for as long as it is held.
pub struct Listener {
    fanout: Fanout,
    account: AccountId,
    folder: FolderId,
    heard: Option<watch::Receiver<()>>,
}

impl Fanout {
    /// Hears of a folder from now on.
    pub fn listen(&self, account: AccountId, folder: FolderId) -> Listener {
        let mut listened = self.listened.lock();
        let sender = listened.entry(account).or_default().entry(folder).or_insert_with(|| watch::Sender::new(()));
        Listener { fanout: self.clone(), account, folder, heard: Some(sender.subscribe()) }
    }

    /// Tells the listeners what this change concerns. A change of the list of folders concerns all of the account:
    /// one of them may be gone.
    pub fn tell(&self, change: &Change) {
        let listened = self.listened.lock();
        match change {
            Change::Folder { account, folder, .. } => {
                listened.get(account).and_then(|folders| folders.get(folder)).into_iter().for_each(ring);
            }
            Change::FolderList(account) => listened.get(account).into_iter().flat_map(HashMap::values).for_each(ring),
            Change::Queue | Change::Directory => {}
        }
    }

    /// Tells everybody: changes may have been missed.
    pub fn tell_all(&self) {
        self.listened.lock().values().flat_map(HashMap::values).for_each(ring);
    }

    fn leave(&self, account: AccountId, folder: FolderId) {
        let mut listened = self.listened.lock();
        let Some(folders) = listened.get_mut(&account) else { return };
        if folders.get(&folder).is_some_and(|sender| sender.receiver_count() == 0) {
            folders.remove(&folder);
        }
        if folders.is_empty() {
            listened.remove(&account);
        }
    }
}

fn ring(sender: &watch::Sender<()>) {
    sender.send_replace(());
}

impl Listener {
    /// Waits for news since the last call of this or of [`Self::take_news`]. Cancel-safe.
    pub async fn news(&mut self) {
        match &mut self.heard {
            // The table holds the sender for as long as there is a listener.
            Some(heard) => drop(heard.changed().await),
            None => std::future::pending().await,
        }
    }

    /// Whether there were news since the last call of this or of [`Self::news`].
    pub fn take_news(&mut self) -> bool {
        self.heard.as_mut().is_some_and(|heard| {
            let news = heard.has_changed().unwrap_or(false);
            heard.mark_unchanged();
            news
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.heard = None;
        self.fanout.leave(self.account, self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AccountId = AccountId(1);

    fn change(folder: u64) -> Change {
        Change::Folder { account: ANN, folder: FolderId(folder), modseq: 2 }
    }

    #[test]
    fn listeners_hear_of_their_folder_only_and_once() {
        let fanout = Fanout::default();
        let (mut one, mut two) = (fanout.listen(ANN, FolderId(1)), fanout.listen(ANN, FolderId(2)));
        fanout.tell(&change(1));
        fanout.tell(&change(1));
        assert!(one.take_news() && !one.take_news());
        assert!(!two.take_news());
        fanout.tell(&Change::FolderList(ANN));
        assert!(one.take_news() && two.take_news());
    }

    #[test]
    fn the_last_listener_leaves_nothing_behind() {
        let fanout = Fanout::default();
        let one = fanout.listen(ANN, FolderId(1));
        let mut other = fanout.listen(ANN, FolderId(1));
        drop(one);
        fanout.tell_all();
        assert!(other.take_news());
        drop(other);
        assert!(fanout.listened.lock().is_empty());
    }
}
