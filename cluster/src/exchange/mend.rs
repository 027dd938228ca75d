//! Fetches bodies that rows name and this node has lost, from whoever has them, and gives them their names again (I2).

use crate::exchange::fetch::{self, FetchError};
use crate::limits::MEND_INTERVAL;
use crate::transport::Transport;
use model::BodyHash;
use std::io;
use storage::Store;

/// Looks for lost bodies now and then, for ever.
pub async fn run(store: Store, transport: Transport) {
    loop {
        for hash in store.bodies().missing() {
            match mend(&store, &transport, hash).await {
                Ok(()) => {}
                // Expunged before this node had the body, and so nowhere any more.
                Err(FetchError::Absent(_)) if !is_missed(&store, hash).await => {}
                Err(error) => {
                    tracing::warn!(body = hash.to_hex(), %error, "a message's body is missing here and could not be fetched");
                }
            }
        }
        crate::runtime::sleep(MEND_INTERVAL).await;
    }
}

/// Whether a row still names it, as far as can be told.
async fn is_missed(store: &Store, hash: BodyHash) -> bool {
    let store = store.clone();
    let looked = crate::runtime::blocking(move || store.is_missed(&hash)).await;
    !matches!(looked, Ok(Ok(false)))
}

/// Brings one body back.
async fn mend(store: &Store, transport: &Transport, hash: BodyHash) -> Result<(), FetchError> {
    let peers = transport.peers().into_iter().map(|peer| peer.node);
    fetch::fetch(transport, peers, &store.bodies(), vec![hash]).await?;
    let store = store.clone();
    let mended = crate::runtime::blocking(move || store.repair_body(hash)).await;
    Ok(mended.map_err(io::Error::from).flatten()?)
}
