//! The node's side of the admin socket: reads requests, hands them to a handler, writes replies.
//! A bad frame ends its connection and nothing else.

use super::frame;
use super::protocol::{AdminCommand, AdminError, AdminReply, Request, Response, VERSION};
use crate::limits::{ACCEPT_FAILURE_PAUSE, ADMIN_CONNECTIONS_MAX, ADMIN_IDLE_TIMEOUT};
use futures::future::BoxFuture;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Carries out commands.
pub trait Handler: Send + Sync + 'static {
    /// One command.
    fn handle(&self, command: AdminCommand) -> BoxFuture<'_, Result<AdminReply, AdminError>>;
}

/// Serves connections until `stop`; those at work then end with their command.
pub async fn serve(listener: UnixListener, handler: Arc<dyn Handler>, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    loop {
        // Holding accept back until a permit is free leaves the rest waiting in the kernel.
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, permit))
        };
        let (stream, permit) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => match next {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "admin socket: accept failed");
                    tokio::time::sleep(ACCEPT_FAILURE_PAUSE).await;
                    continue;
                }
            },
        };
        let (handler, stop) = (Arc::clone(&handler), stop.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(stream, &*handler, &stop).await {
                tracing::debug!(%error, "admin connection ended");
            }
            drop(permit);
        });
    }
}

async fn connection(mut stream: UnixStream, handler: &dyn Handler, stop: &CancellationToken) -> io::Result<()> {
    loop {
        let request = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            request = tokio::time::timeout(ADMIN_IDLE_TIMEOUT, frame::read::<Request>(&mut stream)) => request??,
        };
        let Some(request) = request else { return Ok(()) };
        let result = if request.version == VERSION {
            handler.handle(request.command).await
        } else {
            Err(AdminError::Version(VERSION))
        };
        stream.write_all(&frame::encode(&Response { version: VERSION, result })?).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Client, ClientError, Page, bind};
    use super::*;
    use futures::FutureExt;
    use std::io::Write;

    struct Names;

    impl Handler for Names {
        fn handle(&self, command: AdminCommand) -> BoxFuture<'_, Result<AdminReply, AdminError>> {
            let result = match command {
                AdminCommand::AccountPassword { .. } => Ok(AdminReply::Password("generated".to_owned())),
                AdminCommand::AliasList(Page { after: Some(_) }) => Ok(AdminReply::Aliases(Vec::new())),
                AdminCommand::AliasList(_) => {
                    let item = super::super::AliasItem { address: "a@b".to_owned(), targets: vec!["c@d".to_owned()] };
                    Ok(AdminReply::Aliases(vec![item]))
                }
                _ => Err(AdminError::Refused("no".to_owned())),
            };
            async { result }.boxed()
        }
    }

    async fn with_server(test: impl FnOnce(std::path::PathBuf) + Send + 'static) {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(bind(&deep).unwrap(), Arc::new(Names), stop.clone()));
        tokio::task::spawn_blocking(move || test(deep)).await.unwrap();
        stop.cancel();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn commands_go_there_and_replies_come_back_even_in_a_deep_directory() {
        with_server(|data| {
            let mut client = Client::connect(&data).unwrap();
            let ask = AdminCommand::AccountPassword { address: "ann@example.org".into(), password: None };
            assert_eq!(client.call(ask).unwrap(), AdminReply::Password("generated".into()));
            let error = client.call(AdminCommand::Status).unwrap_err();
            assert!(matches!(error, ClientError::Node(AdminError::Refused(_))));
            let take = |reply| if let AdminReply::Aliases(items) = reply { Some(items) } else { None };
            let all = client.list(AdminCommand::AliasList, take, |item| item.address.clone()).unwrap();
            assert_eq!(all.len(), 1);
        })
        .await;
    }

    #[tokio::test]
    async fn frames_over_the_bound_and_other_versions_are_refused() {
        with_server(|data| {
            let mut stream = super::super::socket::connect(&data).unwrap();
            stream.write_all(&u32::MAX.to_be_bytes()).unwrap();
            assert!(frame::read_blocking::<Response>(&mut stream).is_err());
            let mut stream = super::super::socket::connect(&data).unwrap();
            stream.write_all(&frame::encode(&Request { version: 2, command: AdminCommand::Status }).unwrap()).unwrap();
            let response: Response = frame::read_blocking(&mut stream).unwrap();
            assert_eq!(response.result, Err(AdminError::Version(VERSION)));
        })
        .await;
    }

    #[test]
    fn without_a_node_the_error_says_how_to_start_one() {
        let directory = tempfile::tempdir().unwrap();
        let error = Client::connect(directory.path()).err().unwrap();
        assert!(matches!(error, ClientError::NotRunning(_)));
        assert!(error.to_string().contains("mailnode --data"));
    }
}
