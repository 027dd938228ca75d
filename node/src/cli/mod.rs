//! The command line: parses, then either runs a node or talks to a running one over its admin socket.

mod accounts_file;
mod arguments;
mod exit;
mod export;
mod import;
mod listing;
mod members;
mod password;
mod recover;
mod run;
mod status;

pub use arguments::Arguments;
pub use exit::Exit;
pub(crate) use listing::table;

use crate::config::{self, Config};
use crate::limits::STRAGGLERS_TIMEOUT;
use crate::{boot, runtime, telemetry};
use arguments::{ClusterCommand, Command};
use clap::{CommandFactory, Parser};

/// Runs the whole program; what it returns becomes the exit code.
pub fn main() -> Exit {
    let arguments = Arguments::parse();
    match arguments.command {
        None => node(arguments),
        Some(Command::Completions { shell }) => {
            let mut out = std::io::stdout();
            clap_complete::generate(shell, &mut Arguments::command(), "mailnode", &mut out);
            Exit::Done
        }
        Some(command) => match Config::data_directory(arguments.settings) {
            Ok(data) => match command {
                Command::Cluster(ClusterCommand::Recover { yes }) => recover::run(&data, yes),
                command => run::run(&data, command).unwrap_or_else(|failure| failure.tell()),
            },
            Err(error) => exit::tell(&error, Exit::Usage),
        },
    }
}

fn node(arguments: Arguments) -> Exit {
    let config = match Config::settle(arguments.settings) {
        Ok(config) => config,
        Err(error) => return exit::tell(&error, Exit::Usage),
    };
    let _flushed_at_the_end = telemetry::start(config.log_format);
    config::unknown_variables().iter().for_each(|warning| tracing::warn!("{warning}"));
    let runtime = match runtime::build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::tell(&error, Exit::NotStarted),
    };
    let result = runtime.block_on(boot::run(config));
    // Work that was cut may still hold a thread; nothing depends on its end.
    runtime.shutdown_timeout(STRAGGLERS_TIMEOUT);
    match result {
        Ok(()) => Exit::Done,
        Err(error) => exit::tell(&error, Exit::NotStarted),
    }
}
