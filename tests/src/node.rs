//! A node as its users have it: the built binary in a process of its own, on free ports, in its own directory.

use serde_json::Value;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a node may take to say that it is ready, on a machine that also compiles.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running node. Dropping it kills it.
pub struct Node {
    child: Child,
    data: PathBuf,
    banner: String,
    /// Gives what it prints when it is ready.
    lines: Option<mpsc::Receiver<String>>,
    log: Log,
}

/// What a process said on standard error so far, and the thread that reads it.
#[derive(Default)]
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

/// The binary: `MAILNODE_BINARY` when set, else built once per test process by the cargo that runs the tests.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("MAILNODE_BINARY") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// Test executables lie in `<target>/<profile>/deps/`, the binary beside that folder.
fn build() -> PathBuf {
    let own = env::current_exe().expect("the test knows its own path");
    let folder = own.ancestors().nth(2).expect("a test executable lies in deps/").to_owned();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "node", "--bin", "mailnode"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "the binary does not build");
    folder.join("mailnode")
}

/// The binary with nothing of the tester's own environment that would change it.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MAILNODE_")).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command
}

impl Node {
    /// Starts a node for `mail.example.org` in a directory and waits until it is ready.
    ///
    /// # Errors
    /// With what it said when it is not.
    pub fn start(data: &Path) -> io::Result<Node> {
        Node::start_with(data, &[])
    }

    /// As [`Self::start`], with more flags.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(data: &Path, flags: &[&str]) -> io::Result<Node> {
        let usual = ["--ephemeral-ports", "--bind", "127.0.0.1", "--hostname", "mail.example.org"];
        let mut node = Node::spawn(data, &[&usual, flags].concat())?;
        node.ready()?;
        Ok(node)
    }

    /// Starts a node with these flags alone and does not wait.
    ///
    /// # Errors
    /// When the binary does not run.
    pub fn spawn(data: &Path, flags: &[&str]) -> io::Result<Node> {
        Node::spawn_in(data, flags, &[])
    }

    /// As [`Self::spawn`], with more in its environment.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub fn spawn_in(data: &Path, flags: &[&str], environment: &[(&str, &str)]) -> io::Result<Node> {
        let mut start = command();
        start.args(flags).arg("--data").arg(data).envs(environment.iter().copied());
        start.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = start.spawn()?;
        let log = child.stderr.take().map(Log::read).unwrap_or_default();
        let lines = child.stdout.take().map(read_banner);
        Ok(Node { child, data: data.to_owned(), banner: String::new(), lines, log })
    }

    /// Waits until it is ready; it is killed when it does not become so.
    ///
    /// # Errors
    /// With what it said.
    pub fn ready(&mut self) -> io::Result<()> {
        if let Some(lines) = self.lines.take() {
            self.banner = lines.recv_timeout(START_TIMEOUT).unwrap_or_default();
        }
        if self.banner.is_empty() {
            return Err(io::Error::other(format!("the node did not start: {}", self.kill())));
        }
        Ok(())
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// What it printed when it was ready.
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// The administrator's password, when this was the first start.
    pub fn admin_password(&self) -> Option<&str> {
        let line = self.banner.lines().find_map(|line| line.trim().strip_prefix("admin@example.org"))?;
        Some(line.trim())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where a service listens: `smtp`, `submission`, `submissions`, `lmtp`, `imap`, `imaps`, `http`.
    pub fn address(&self, service: &str) -> SocketAddr {
        let text =
            fs::read_to_string(self.data.join("listeners.json")).expect("a ready node has written its listeners");
        let listeners: Value = serde_json::from_str(&text).expect("listeners.json is JSON");
        let all = listeners["listeners"].as_array().expect("a list of listeners");
        let found = all.iter().find(|item| item["name"] == service).expect("the service listens");
        found["address"].as_str().and_then(|address| address.parse().ok()).expect("an address")
    }

    /// Runs a CLI command against it.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with_input(arguments, "")
    }

    /// As [`Self::cli`], with something on standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut run = command();
        run.args(arguments).arg("--data").arg(&self.data);
        run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().expect("the binary runs");
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
        child.wait_with_output().expect("the command ends")
    }

    /// Makes an account with a password.
    pub fn add_account(&self, address: &str, password: &str) {
        let output = self.cli_with_input(&["account", "add", address, "--password-stdin"], &format!("{password}\n"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Sends a signal to its process.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a pid"), signal).expect("the process is there");
    }

    /// Asks it to stop and waits; gives the exit status and the whole log.
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits for its end after a signal; gives the exit status and the whole log.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("the node ends");
        (status, self.log.whole())
    }

    /// Waits until it has ended by itself; gives the exit code and the whole log, or `None` when it has not in time.
    pub fn ended(&mut self, patience: Duration) -> Option<(Option<i32>, String)> {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is ours") {
                return Some((status.code(), self.log.whole()));
            }
            if Instant::now() > end {
                return None;
            }
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a crash would; gives the log.
    pub fn kill(&mut self) -> String {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.whole()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Log {
    fn read(mut from: impl Read + Send + 'static) -> Log {
        let text: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            // What was read before the pipe broke is what there is to show.
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
            }
        });
        Log { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Everything, once the process has ended.
    fn whole(&mut self) -> String {
        self.reader.take().map(thread::JoinHandle::join);
        self.text()
    }
}

/// Sends everything up to the last of the three commands to try, or nothing when the output ends before.
fn read_banner(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let (mut text, mut left) = (String::new(), None);
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            text.push_str(&line);
            text.push('\n');
            if line == "Try next:" {
                left = Some(4);
            } else if let Some(left) = &mut left {
                *left -= 1;
            }
            if left == Some(0) {
                let _ = sender.send(std::mem::take(&mut text));
            }
        }
    });
    receiver
}
