//! One node's process: started inside its namespace, ended by its process id, its output kept in files. Ends with the
//! harness, however that ends.

use super::tool::limited;
use crate::limits::{CLI_PATIENCE, LOOK_INTERVAL, START_PATIENCE};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Instant;

/// Where libfaketime lies on Debian.
const FAKETIME: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"];

/// How a node is started, the same each time.
pub struct Place {
    /// The binary.
    pub binary: PathBuf,
    /// The network namespace.
    pub namespace: String,
    /// Its data directory.
    pub data: PathBuf,
    /// What it logs is added to this file.
    pub log: PathBuf,
    /// Its flags but `--data`.
    pub flags: Vec<String>,
    /// The file that says how far its clock is off, when clocks are played with.
    pub clock: Option<PathBuf>,
}

/// A running process.
pub struct Process {
    child: Child,
    output: PathBuf,
}

impl Place {
    /// Starts it and does not wait.
    pub fn start(&self, more: &[&str]) -> Result<Process> {
        let output = self.log.with_extension("out");
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("ip");
        // Each replaces itself by the next, so that the process id is the node's own.
        command.args(["netns", "exec", &self.namespace, "setpriv", "--pdeathsig", "KILL", "--"]);
        command.arg("env");
        if let (Some(clock), Some(library)) = (&self.clock, faketime()) {
            command.arg(format!("LD_PRELOAD={library}"));
            command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()));
            // Only the wall clock is off: timers follow the monotonic clock, as on a machine whose clock was set.
            command.args(["FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_CACHE_DURATION=1"]);
        }
        command.arg(&self.binary).args(&self.flags).args(more).arg("--data").arg(&self.data);
        without_settings(&mut command);
        command.stdin(Stdio::null()).stdout(File::create(&output)?).stderr(log);
        let child = command.spawn().context("needs iproute2 and util-linux")?;
        Ok(Process { child, output })
    }

    /// Runs a CLI command against it; `None` when there was no answer in time.
    pub fn cli(&self, arguments: &[&str], input: &str) -> Option<Output> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data").arg(&self.data);
        without_settings(&mut command);
        limited(&mut command, input, CLI_PATIENCE)
    }
}

/// Nothing of the tester's own environment may change a node.
pub fn without_settings(command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MAILNODE_")) {
        command.env_remove(name);
    }
}

/// The library that moves a process's clock, where it is installed.
pub fn faketime() -> Option<&'static str> {
    FAKETIME.into_iter().find(|path| Path::new(path).exists())
}

impl Process {
    /// Waits until it has said that it is ready.
    pub fn ready(&mut self) -> Result<()> {
        let end = Instant::now() + START_PATIENCE;
        while !fs::read_to_string(&self.output).unwrap_or_default().contains("Try next:") {
            if let Some(status) = self.child.try_wait()? {
                bail!("the node ended: {status}");
            }
            if Instant::now() > end {
                bail!("the node is not ready after {START_PATIENCE:?}");
            }
            thread::park_timeout(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Whether it has not ended by itself.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it stands still.
    pub fn is_paused(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Ends it as a power cut of the process would. Whether it was running.
    pub fn kill(&mut self) -> bool {
        let lived = self.lives();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // libfaketime leaves these behind when its process is killed.
        for kind in ["faketime_shm", "sem.faketime_sem"] {
            let _ = fs::remove_file(format!("/dev/shm/{kind}_{}", self.child.id()));
        }
        lived
    }

    /// Asks it to stop and waits; it is killed when that takes too long.
    pub fn stop(&mut self) {
        let end = Instant::now() + CLI_PATIENCE;
        if self.signal(Signal::TERM).is_ok() {
            while self.lives() && Instant::now() < end {
                thread::park_timeout(LOOK_INTERVAL);
            }
        }
        self.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
