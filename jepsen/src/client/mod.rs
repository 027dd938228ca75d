//! Clients with time limits that say how each operation ended, and the mail server of the outside world. They know SMTP,
//! IMAP and the CLI, nothing of the node.

pub mod mailbox;
pub mod outcome;
pub mod sink;
pub mod submission;

use crate::limits::CLI_PATIENCE;
use crate::world::Doors;
use crate::world::node::without_settings;
use crate::world::tool::limited;
use outcome::Outcome;
use std::path::PathBuf;
use std::process::Command;

/// The password of every account that the harness makes before the run.
pub const PASSWORD: &str = "three of a kind";

/// The subject of message `number`.
pub fn subject(number: i64) -> String {
    format!("Subject: mj-{number}-\r\n")
}

/// The number in a text that holds such a subject.
pub fn number_in(text: &str) -> Option<i64> {
    let rest = text.split_once("mj-")?.1;
    rest.split_once('-')?.0.parse().ok()
}

/// A small message with a number.
pub fn message(number: i64) -> Vec<u8> {
    let head = format!(
        "From: <bob@example.net>\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <{number}@harness.example.net>\r\n"
    );
    // Every fourth is larger than what rides inside a log entry.
    let size = if number % 4 == 0 { 40_000 } else { 300 };
    let line = "The quick brown fox jumps over the lazy dog and does not come back.\r\n";
    format!("{head}{}\r\n{}", subject(number), line.repeat(size / line.len())).into_bytes()
}

/// What a worker of a workload works with.
#[derive(Clone)]
pub struct Access {
    /// Where the nodes are.
    pub doors: Doors,
    /// The binary and each node's data directory, for the CLI.
    pub tools: Vec<(PathBuf, PathBuf)>,
}

impl Access {
    /// Runs a CLI command that changes something.
    pub fn cli(&self, node: usize, arguments: &[&str], input: &str) -> Outcome<String> {
        let Some((binary, data)) = self.tools.get(node) else { return Outcome::Fail("no such node".to_owned()) };
        let mut command = Command::new(binary);
        command.args(arguments).arg("--data").arg(data);
        without_settings(&mut command);
        let Some(output) = limited(&mut command, input, CLI_PATIENCE) else {
            return Outcome::Unknown("the command did not end in time".to_owned());
        };
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => Outcome::Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            // Refused.
            Some(1) => Outcome::Fail(said),
            // Nobody was asked.
            Some(3) if said.contains("no node runs") => Outcome::Fail(said),
            // The node cannot now, as a 451, or the answer was lost.
            _ => Outcome::Unknown(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_again() {
        let text = String::from_utf8(message(4)).unwrap();
        assert_eq!(number_in(&text), Some(4));
        assert!(text.len() > 36_000 && message(5).len() < 1_000);
        assert_eq!(number_in("nothing"), None);
    }
}
