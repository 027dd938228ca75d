//! Logs to standard error, as text or JSON. Lines are handed to one writing thread, so that a slow terminal or pipe
//! never holds up a session; when it falls far behind, lines are dropped rather than memory filled.

use crate::config::LogFormat;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that may wait to be written.
const LINES_WAITING_MAX: usize = 16 * 1024;
/// Said by default; `MAILNODE_LOG` changes it in the notation of tracing's `EnvFilter`.
const DEFAULT_FILTER: &str = "info,openraft=error,ractor=warn";

/// Writes what is left when dropped.
pub struct Telemetry {
    _guard: WorkerGuard,
}

/// Starts logging. A second call in one process changes nothing.
pub fn start(format: LogFormat) -> Telemetry {
    let builder = NonBlockingBuilder::default().buffered_lines_limit(LINES_WAITING_MAX).lossy(true);
    let (writer, guard) = builder.finish(std::io::stderr());
    let filter = EnvFilter::try_from_env("MAILNODE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    // Fails only when a subscriber is already set, and then logs go there.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Telemetry { _guard: guard }
}
