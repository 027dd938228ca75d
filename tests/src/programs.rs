//! Other people's programs run against a node: found or loudly missed, in a home of their own, ended when they take too
//! long, their output kept for whoever reads the failure. Knows nothing of mail.

use rustix::process::{Pid, Signal, kill_process_group};
use std::env;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may run, on a machine that also compiles.
const RUN_TIMEOUT: Duration = Duration::from_secs(120);

/// Whether all of these can be run; says which cannot.
///
/// # Panics
/// As [`missing`].
pub fn installed(programs: &[&str]) -> bool {
    let absent: Vec<_> = programs.iter().filter(|program| !in_path(program)).copied().collect();
    if !absent.is_empty() {
        missing(&absent.join(", "));
    }
    absent.is_empty()
}

/// Says past the test harness, which would keep it to itself, that something is not there and a test did not run.
///
/// # Panics
/// When `CI=true`: there nothing may be missing.
pub fn missing(what: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "not installed: {what}");
    let test = thread::current().name().unwrap_or_default().to_owned();
    let line = format!("\n!!! SKIPPED {test}: not installed: {what}\n");
    // Nothing is left to do when standard error is closed.
    let _ = io::stderr().write_all(line.as_bytes());
}

fn in_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// A program about to run.
pub struct Program {
    command: Command,
    input: Vec<u8>,
}

impl Program {
    /// With `home` as its home, working and temporary directory, and nothing of the tester's configuration.
    pub fn new(name: impl AsRef<OsStr>, home: &Path) -> Program {
        let mut command = Command::new(name);
        command.current_dir(home).env("HOME", home).env("TMPDIR", home).env("TERM", "vt100").env("LC_ALL", "C.UTF-8");
        for name in ["MAIL", "EMAIL", "MAILDIR", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "PYTHONHOME", "PYTHONPATH"] {
            command.env_remove(name);
        }
        // A group of its own, so that what it started ends with it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        Program { command, input: Vec::new() }
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        self.command.args(arguments);
        self
    }

    /// What it reads from standard input; nothing unless given.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Program {
        self.input = bytes.into();
        self
    }

    /// Runs it to its end, which comes by force when it takes too long.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(mut self) -> Finished {
        let what = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let (stdout, stderr) = (child.stdout.take().map(read), child.stderr.take().map(read));
        let stdin = child.stdin.take();
        // Both directions at once: it may answer before it has read all. It may also end without reading.
        let writer = thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&self.input)));
        let ends = Instant::now() + RUN_TIMEOUT;
        let [stdout, stderr] = [stdout, stderr].map(|pipe| collect(pipe, ends, &child));
        let _ = writer.join();
        let in_time = Instant::now() < ends;
        let status = child.wait().unwrap_or_else(|error| panic!("{what}: {error}"));
        Finished { what, status, stdout, stderr, in_time }
    }
}

/// Sends what a pipe gave when it is closed.
fn read(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut all = Vec::new();
        // What came before an error is what there is to show.
        let _ = pipe.read_to_end(&mut all);
        let _ = sender.send(all);
    });
    receiver
}

/// Waits for a pipe to be closed; ends the program's whole group when that takes too long.
fn collect(pipe: Option<Receiver<Vec<u8>>>, ends: Instant, child: &Child) -> String {
    let Some(pipe) = pipe else { return String::new() };
    let bytes = pipe.recv_timeout(ends.saturating_duration_since(Instant::now())).or_else(|_| {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // Fails only when all of the group has ended.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        pipe.recv_timeout(Duration::from_secs(5))
    });
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    what: String,
    status: ExitStatus,
    in_time: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Finished {
    /// Its standard output.
    ///
    /// # Panics
    /// With all it said, unless it ended by itself with exit code 0.
    pub fn ok(self) -> String {
        assert!(self.in_time && self.status.success(), "{}", self.report());
        self.stdout
    }

    /// Its standard output and error, one after the other.
    ///
    /// # Panics
    /// With all it said, unless it ended by itself with this exit code.
    pub fn fails_with(self, code: i32) -> String {
        assert!(self.in_time && self.status.code() == Some(code), "wanted exit code {code}: {}", self.report());
        self.stdout + &self.stderr
    }

    fn report(&self) -> String {
        let Finished { what, status, stdout, stderr, in_time } = self;
        let late = if *in_time { "" } else { ", ended because it took too long" };
        format!("{what}\n{status}{late}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
