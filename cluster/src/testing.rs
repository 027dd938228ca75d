//! What the unit tests of this crate share.

use std::path::Path;
use storage::{Options, Store};

/// Opens (or makes) a data directory.
pub fn open_store(data: &Path) -> Store {
    Store::open(Options {
        data: data.to_path_buf(),
        decode: std::sync::Arc::new(crate::decode_record),
        progress: Box::new(|_, _| ()),
    })
    .unwrap()
}
