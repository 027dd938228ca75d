//! Asking for a password: from standard input for scripts, from the terminal, without showing it, for people.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Write};

/// The first line of standard input.
pub fn from_standard_input() -> io::Result<String> {
    let line = read_line()?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no password on standard input"));
    }
    Ok(line)
}

/// Asks twice on the terminal; `None` when nothing was typed or there is no terminal: the node then makes one.
pub fn from_terminal(address: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let first = ask(&format!("Password for {address} (empty: make one): "))?;
    if first.is_empty() {
        return Ok(None);
    }
    if ask("Again: ")? != first {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the passwords differ"));
    }
    Ok(Some(first))
}

fn ask(question: &str) -> io::Result<String> {
    eprint!("{question}");
    io::stderr().flush()?;
    let hidden = Hidden::start()?;
    let line = read_line();
    drop(hidden);
    eprintln!();
    line
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Keeps the terminal from showing what is typed, until dropped.
struct Hidden(Termios);

impl Hidden {
    fn start() -> io::Result<Hidden> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing better is left to do when the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
