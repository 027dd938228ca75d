//! The endpoints. `/healthz` says the process lives, `/readyz` that it takes mail, `/metrics` counts; metrics tell of a
//! node's traffic, so they are for private networks only.

use crate::Health;
use crate::listener::Peer;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::IpAddr;
use std::sync::Arc;

/// All endpoints.
pub fn router(health: Arc<dyn Health>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Arc<dyn Health>>) -> Response {
    match health.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

async fn metrics(State(health): State<Arc<dyn Health>>, ConnectInfo(Peer(peer)): ConnectInfo<Peer>) -> Response {
    if !is_private(peer) {
        return (StatusCode::FORBIDDEN, "metrics are for private networks\n").into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.metrics()).into_response()
}

/// Loopback, RFC 1918, link-local, and unique local addresses (RFC 4193).
fn is_private(peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(peer) => peer.is_loopback() || peer.is_private() || peer.is_link_local(),
        IpAddr::V6(peer) => peer.is_loopback() || peer.is_unique_local() || peer.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    struct Fixed(Result<(), String>);

    impl Health for Fixed {
        fn ready(&self) -> Result<(), String> {
            self.0.clone()
        }

        fn metrics(&self) -> String {
            "mailnode_sessions 3\n".to_owned()
        }
    }

    async fn ask(health: Fixed, path: &str) -> String {
        let socket = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(crate::serve(socket, Arc::new(health), async { drop(stopped.await) }));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        drop(stop);
        server.await.unwrap().unwrap();
        reply
    }

    #[tokio::test]
    async fn endpoints_answer() {
        assert!(ask(Fixed(Ok(())), "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(Fixed(Ok(())), "/readyz").await.ends_with("ready\n"));
        let stopping = ask(Fixed(Err("stopping".into())), "/readyz").await;
        assert!(stopping.starts_with("HTTP/1.1 503") && stopping.ends_with("not ready: stopping\n"));
        assert!(ask(Fixed(Ok(())), "/metrics").await.contains("mailnode_sessions 3"));
        assert!(ask(Fixed(Ok(())), "/nothing").await.starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn metrics_are_for_private_networks() {
        for (peer, private) in
            [("127.0.0.1", true), ("10.1.2.3", true), ("fd00::1", true), ("192.0.2.1", false), ("2001:db8::1", false)]
        {
            assert_eq!(is_private(peer.parse().unwrap()), private, "{peer}");
        }
    }
}
