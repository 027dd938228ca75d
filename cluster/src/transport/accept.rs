//! The way in: who may connect, and which part of the handler carries out a stream.
//!
//! Nothing that arrives changes anything before the connection is admitted: a certificate of this cluster, for a node the
//! directory lists, with the key it pins.

use crate::limits::{CALLED_BYTES_MAX, FRAME_BYTES_FIRST, FRAME_BYTES_MAX, HANDSHAKE_TIMEOUT};
use crate::runtime::timeout;
use crate::transport::dial::peer_certificate;
use crate::transport::error::{CallError, Code, tell};
use crate::transport::frame::{Duplex, FrameReceiver, FrameSender};
use crate::transport::service::Service;
use crate::transport::table::Admission;
use crate::transport::twin::Instance;
use crate::transport::{JOIN_PROTOCOL, MEMBER_PROTOCOL, Shared, VERSION, stranger};
use model::NodeId;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, Incoming, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Accepts connections until the endpoint is closed.
pub async fn run(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        match shared.handshakes.clone().try_acquire_owned() {
            Ok(permit) => {
                let serving = shared.clone();
                shared.clone().spawn(async move {
                    let greeted = greet(&serving, incoming).await;
                    drop(permit);
                    if let Some((connection, visitor)) = greeted {
                        serve(serving, connection, visitor).await;
                    }
                });
            }
            Err(_) => incoming.ignore(),
        }
    }
}

enum Visitor {
    Member(NodeId),
    Stranger,
}

/// Finishes the handshake and decides who it is; `None` when the connection is not let in, which was logged.
async fn greet(shared: &Shared, incoming: Incoming) -> Option<(Connection, Visitor)> {
    let from = incoming.remote_address().ip().to_string();
    let connection = match timeout(HANDSHAKE_TIMEOUT, incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            shared.complaints.log(&from, &format!("a connection was not let in: {}", tell(&error)));
            return None;
        }
        Err(_) => {
            shared.complaints.log(&from, "a connection did not finish its handshake in time");
            return None;
        }
    };
    let protocol = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok()?.protocol);
    if protocol.as_deref() == Some(JOIN_PROTOCOL) {
        return Some((connection, Visitor::Stranger));
    }
    let admitted = match peer_certificate(&connection) {
        Some(certificate) if protocol.as_deref() == Some(MEMBER_PROTOCOL) => {
            admit(shared, &certificate, &connection).await
        }
        _ => Err((Code::NotAdmitted, "it shows no certificate".into())),
    };
    match admitted {
        Ok(node) => Some((connection, Visitor::Member(node))),
        Err((code, reason)) => {
            shared.complaints.log(&from, &format!("a connection was not let in: {reason}"));
            connection.close(code.number(), format!("not let in: {reason}").as_bytes());
            None
        }
    }
}

/// Lets a member in, unless another process of it is here and alive.
async fn admit(
    shared: &Shared,
    certificate: &CertificateDer<'_>,
    connection: &Connection,
) -> Result<NodeId, (Code, String)> {
    let refused = |reason| (Code::NotAdmitted, reason);
    let heard = timeout(HANDSHAKE_TIMEOUT, Instance::hear(connection)).await;
    let instance = heard.map_err(|_| refused("it does not say which process it is".into()))?.map_err(refused)?;
    loop {
        let admission = shared.table.lock().admit(certificate, connection, instance).map_err(refused)?;
        match admission {
            Admission::Member(node) => return Ok(node),
            Admission::Rivals(node, rivals) => shared.outlive(node, &rivals).await.map_err(|why| (Code::Twin, why))?,
        }
    }
}

async fn serve(shared: Arc<Shared>, connection: Connection, visitor: Visitor) {
    match visitor {
        Visitor::Stranger => stranger::serve(&shared, connection).await,
        Visitor::Member(node) => {
            if shared.instance.say(&connection).await.is_err() {
                return;
            }
            let room = Arc::new(Semaphore::new(CALLED_BYTES_MAX));
            while let Ok((send, receive)) = connection.accept_bi().await {
                let (serving, room) = (shared.clone(), room.clone());
                shared.clone().spawn(async move {
                    if let Err(reason) = serve_stream(&serving, node, &room, send, receive).await {
                        serving.complaints.log(&format!("node {}", node.0), &reason);
                    }
                });
            }
            shared.refusals.ended(node, &connection.closed().await);
        }
    }
}

/// Carries one stream out; an error is what is wrong with it, not that it was cut.
async fn serve_stream(
    shared: &Shared,
    from: NodeId,
    room: &Semaphore,
    send: SendStream,
    mut receive: RecvStream,
) -> Result<(), String> {
    let mut head = [0; 2];
    if !matches!(timeout(HANDSHAKE_TIMEOUT, receive.read_exact(&mut head)).await, Ok(Ok(()))) {
        return Ok(());
    }
    let [version, number] = head;
    let mut duplex = Duplex { sender: FrameSender::new(send), receiver: FrameReceiver::new(receive, FRAME_BYTES_MAX) };
    let service = Service::of_number(number).filter(|_| version == VERSION);
    let Some(service) = service else {
        duplex.sender.reset(Code::BadHead);
        duplex.receiver.stop(Code::BadHead);
        return Err(format!("a stream of unknown version {version} or service {number}"));
    };
    duplex.sender.set_priority(service);
    let read = match service.is_stream() {
        true => stream(shared, from, service, duplex).await,
        false => call(shared, from, service, room, duplex).await,
    };
    read.map_err(|reason| format!("a bad frame for {service:?}: {reason}"))
}

async fn stream(shared: &Shared, from: NodeId, service: Service, mut duplex: Duplex) -> Result<(), String> {
    match duplex.receiver.next().await {
        Ok(Some(head)) => {
            shared.handler.stream(from, service, head, duplex).await;
            Ok(())
        }
        other => duplex.give_up(other.err()),
    }
}

async fn call(
    shared: &Shared,
    from: NodeId,
    service: Service,
    room: &Semaphore,
    mut duplex: Duplex,
) -> Result<(), String> {
    let bytes = match duplex.receiver.length().await {
        Ok(Some(bytes)) => bytes,
        other => return duplex.give_up(other.err()),
    };
    // Small requests never wait: among them are the votes and heartbeats that larger ones wait for.
    let wanted = if bytes <= FRAME_BYTES_FIRST { 0 } else { u32::try_from(bytes).unwrap_or(u32::MAX) };
    let Ok(permit) = room.acquire_many(wanted).await else { return Ok(()) };
    match duplex.receiver.next().await {
        Ok(Some(request)) => {
            let answer = shared.handler.call(from, service, request).await;
            // Whoever asked may be gone.
            let _ = duplex.sender.answer(answer).await;
            drop(permit);
            Ok(())
        }
        other => duplex.give_up(other.err()),
    }
}

impl Duplex {
    /// Ends a stream whose frames cannot be read; an error when that is its sender's fault.
    fn give_up(mut self, error: Option<CallError>) -> Result<(), String> {
        match error {
            Some(CallError::Refused(reason)) => {
                self.sender.reset(Code::BadFrame);
                Err(reason)
            }
            _ => Ok(()),
        }
    }
}
