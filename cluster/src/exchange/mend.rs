//! Fetches bodies that rows name and this node has lost, from whoever has them, and gives them their names again (I2).

use crate::exchange::fetch;
use crate::limits::MEND_INTERVAL;
use crate::transport::Transport;
use model::BodyHash;
use std::io;
use storage::Store;

/// Looks for lost bodies now and then, for ever.
pub async fn run(store: Store, transport: Transport) {
    loop {
        for hash in store.bodies().missing() {
            if let Err(error) = mend(&store, &transport, hash).await {
                tracing::warn!(body = hash.to_hex(), %error, "a message's body is missing here and could not be fetched");
            }
        }
        crate::runtime::sleep(MEND_INTERVAL).await;
    }
}

/// Brings one body back.
async fn mend(store: &Store, transport: &Transport, hash: BodyHash) -> Result<(), fetch::FetchError> {
    let peers = transport.peers().into_iter().map(|peer| peer.node);
    fetch::fetch(transport, peers, &store.bodies(), vec![hash]).await?;
    let store = store.clone();
    let mended = crate::runtime::blocking(move || store.repair_body(hash)).await;
    Ok(mended.map_err(io::Error::from).flatten()?)
}
