//! The bytes of one message on their way from a session to the log: small ones ride in the entry, large ones are written to
//! staging and pushed to the shard's other machines meanwhile, as in `node`.

use bytes::Bytes;
use cluster::runtime::blocking;
use cluster::{Cluster, Push, StagedBody};
use model::limits::INLINE_BODY_BYTES_MAX;
use model::{BodyRef, GroupId};
use std::io;

/// Bytes of a large message that are written at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// See the module.
pub struct Arriving {
    cluster: Cluster,
    shard: GroupId,
    /// Not written yet; everything while the message is small.
    gathered: Vec<u8>,
    large: Option<(StagedBody, Push)>,
}

impl Arriving {
    /// Nothing yet of a message for a shard.
    pub fn new(cluster: &Cluster, shard: GroupId) -> Self {
        Arriving { cluster: cluster.clone(), shard, gathered: Vec::new(), large: None }
    }

    /// Takes bytes.
    pub async fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(bytes);
        let is_large = self.large.is_some() || self.gathered.len() > INLINE_BODY_BYTES_MAX;
        if is_large && self.gathered.len() >= PIECE_BYTES {
            self.write_out().await?;
        }
        Ok(())
    }

    async fn write_out(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        let (mut staged, mut push) = match self.large.take() {
            Some(large) => large,
            None => (self.cluster.bodies().stage(), self.cluster.push(self.shard).await),
        };
        push.write(&piece).await;
        let written = blocking(move || staged.write(&piece).map(|()| staged));
        self.large = Some((written.await.map_err(io::Error::other)??, push));
        Ok(())
    }

    /// The message is complete.
    pub async fn finish(mut self) -> io::Result<BodyRef> {
        if self.large.is_some() {
            self.write_out().await?;
        }
        match self.large {
            None => {
                let mut staged = self.cluster.bodies().stage();
                staged.write(&self.gathered)?;
                staged.finish()
            }
            Some((staged, push)) => {
                let size = staged.size();
                let hash = blocking(move || staged.finish_as_file()).await.map_err(io::Error::other)??;
                push.finish(hash).await;
                Ok(BodyRef { hash, size, inline: None })
            }
        }
    }
}
