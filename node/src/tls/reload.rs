//! Takes a new certificate when its files change or SIGHUP comes. Files that do not fit together (one is written before
//! the other) leave the old certificate in place and are looked at again.

use super::{CertificateFiles, Tls};
use crate::limits::CERTIFICATE_POLL_INTERVAL;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Watches until `stop`.
pub async fn reload_when_changed(tls: Tls, files: CertificateFiles, stop: CancellationToken) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return tracing::warn!("SIGHUP cannot be listened for: certificates are read at start only");
    };
    let mut seen = files.modified();
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            _ = hangup.recv() => true,
            () = tokio::time::sleep(CERTIFICATE_POLL_INTERVAL) => false,
        };
        let now = files.modified();
        if !asked && now == seen {
            continue;
        }
        match tls.reload(&files) {
            Ok(()) => {
                tracing::info!(certificate = %files.certificate.display(), "the certificate was read again");
                seen = now;
            }
            Err(error) => tracing::warn!(%error, "the certificate cannot be used; the old one stays"),
        }
    }
}
