//! SIGTERM and SIGINT: both ask for a graceful stop; a second one ends the process at once, which is safe too.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listening for signals.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Takes the signals over.
pub fn listen() -> io::Result<Signals> {
    Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
}

impl Signals {
    /// Waits for the next signal and gives its name. Cancel-safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// From now on a signal ends the process.
    pub fn end_at_once_when_told_again(mut self) {
        tokio::spawn(async move {
            let again = self.next().await;
            tracing::warn!(signal = again, "told again to stop: ending at once");
            std::process::exit(i32::from(crate::cli::Exit::NotStarted.code()));
        });
    }
}
