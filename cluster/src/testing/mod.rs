//! What the unit tests of this crate share.

mod streams;
mod virtual_time;

pub use streams::streams;
pub use virtual_time::on_virtual_time;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{OpenError, Options, Store};

/// How long the tasks of a node that was shut down may hold its store.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens (or makes) a data directory.
pub fn open_store(data: &Path) -> Store {
    try_open(data).unwrap()
}

/// Opens a data directory once the tasks of the node that had it before are gone.
pub async fn reopen_store(data: &Path) -> Store {
    let late = Instant::now() + PATIENCE;
    loop {
        match try_open(data) {
            Err(_) if Instant::now() < late => crate::runtime::sleep(Duration::from_millis(5)).await,
            opened => return opened.unwrap(),
        }
    }
}

fn try_open(data: &Path) -> Result<Store, OpenError> {
    let decode = Arc::new(crate::decode_record);
    Store::open(Options { data: data.to_path_buf(), decode, progress: Box::new(|_, _| ()), block_cache_bytes: None })
}
