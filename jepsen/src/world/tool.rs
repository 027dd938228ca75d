//! Runs other programs with a time limit: a command against a stopped node must not stop the harness.

use crate::limits::{LOOK_INTERVAL, TOOL_PATIENCE};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a tool of the machine that must succeed; gives its standard output.
pub fn tool(line: &[&str]) -> Result<String> {
    let (program, arguments) = line.split_first().context("a program")?;
    let output = limited(Command::new(program).args(arguments), "", TOOL_PATIENCE)
        .with_context(|| format!("{line:?} did not run or did not end"))?;
    if !output.status.success() {
        bail!("{line:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end; `None` when it does not start or was ended because it took too long.
pub fn limited(command: &mut Command, input: &str, patience: Duration) -> Option<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let status = ended(&mut child, patience)?;
    let whole = |pipe: Option<thread::JoinHandle<Vec<u8>>>| pipe.and_then(|pipe| pipe.join().ok()).unwrap_or_default();
    Some(Output { status, stdout: whole(stdout), stderr: whole(stderr) })
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        // What came before an error is what there is.
        let _ = pipe.read_to_end(&mut all);
        all
    })
}

/// Waits for the end of a process and kills it when that does not come.
fn ended(child: &mut Child, patience: Duration) -> Option<std::process::ExitStatus> {
    let end = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => thread::park_timeout(LOOK_INTERVAL / 5),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let slow = limited(Command::new("sleep").arg("600"), "", Duration::from_millis(50));
        assert!(slow.is_none());
        assert_eq!(tool(&["echo", "here"]).unwrap(), "here\n");
        assert!(tool(&["false"]).is_err());
    }
}
