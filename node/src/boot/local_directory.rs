//! The directory as the replica of this node has it. What another node could show is no part of it: it would be gone
//! when the rows here are read.

use crate::limits::{DIRECTORY_CATCH_UP_TIMEOUT, READ_AGAIN_WAIT};
use crate::services::directory::DirectorySource;
use crate::services::reading::read_until;
use cluster::Cluster;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::{GroupId, ReadError};

/// Reads the replica here.
pub struct LocalDirectory(pub Cluster);

impl DirectorySource for LocalDirectory {
    fn rows(&self) -> Result<Box<dyn model::Read + '_>, ReadError> {
        match self.0.read_stale(GroupId::DIRECTORY) {
            Ok(view) => Ok(Box::new(view)),
            Err(error) => Err(ReadError(error.to_string())),
        }
    }

    fn catch_up(&self) -> BoxFuture<'_, bool> {
        until_here(|| self.shown()).boxed()
    }
}

impl LocalDirectory {
    async fn shown(&self) -> Result<Shown, cluster::ReadError> {
        let rows = read_until(&self.0, GroupId::DIRECTORY, DIRECTORY_CATCH_UP_TIMEOUT).await?;
        Ok(if rows.is_elsewhere() { Shown::Elsewhere } else { Shown::Here })
    }
}

/// Where the rows are that show everything acknowledged so far.
#[derive(Clone, Copy)]
enum Shown {
    Here,
    Elsewhere,
}

/// Asks until the rows are here: those that another node shows say nothing of those here. False when nobody can tell.
async fn until_here<E, F: Future<Output = Result<Shown, E>>>(mut shown: impl FnMut() -> F) -> bool {
    loop {
        match shown().await {
            Ok(Shown::Here) => return true,
            Ok(Shown::Elsewhere) => tokio::time::sleep(READ_AGAIN_WAIT).await,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Whether the directory counts as caught up after these answers, and how many of them it took.
    async fn after(answers: &[Result<Shown, ()>]) -> (bool, usize) {
        let mut left: VecDeque<_> = answers.iter().copied().collect();
        let caught_up = until_here(|| std::future::ready(left.pop_front().unwrap())).await;
        (caught_up, answers.len() - left.len())
    }

    #[tokio::test(start_paused = true)]
    async fn rows_that_only_another_node_shows_are_not_those_here() {
        let (here, elsewhere) = (Ok(Shown::Here), Ok(Shown::Elsewhere));
        assert_eq!(after(&[here]).await, (true, 1));
        assert_eq!(after(&[elsewhere, elsewhere, here]).await, (true, 3));
        assert_eq!(after(&[elsewhere, Err(()), here]).await, (false, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_stays_behind_is_never_caught_up() {
        let behind = until_here(|| std::future::ready(Ok::<_, ()>(Shown::Elsewhere)));
        assert!(tokio::time::timeout(DIRECTORY_CATCH_UP_TIMEOUT, behind).await.is_err());
    }
}
