//! What every client is given: a node with an account, a home directory, the node's certificate to verify it by. And what
//! every client is followed by: the node stops and its Maildir tree says what IMAP said.

use clients::imap::Imap;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tests::node::Node;
use tests::programs::{Program, installed};

/// The account.
pub const USER: &str = "ann@example.org";
/// Its password; the blank has to survive every client's quoting.
pub const PASSWORD: &str = "wind over water";

/// A node with an account, and a home for clients.
pub struct World {
    directory: tempfile::TempDir,
    node: Node,
}

impl World {
    /// Starts a node; nothing when one of `clients` or Python, which reads the Maildir in the end, is missing.
    pub fn start(clients: &[&str]) -> Option<World> {
        if !installed(&[clients, &["python3"]].concat()) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("home")).unwrap();
        let node = Node::start(&directory.path().join("data")).unwrap();
        node.add_account(USER, PASSWORD);
        Some(World { directory, node })
    }

    /// The clients' home directory.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Writes a file into the home directory.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The node's certificate, which is its own authority; it is valid for `localhost`.
    pub fn certificate(&self) -> PathBuf {
        self.node.data().join("tls/self-signed.pem")
    }

    /// The port of a service on `localhost`.
    pub fn port(&self, service: &str) -> u16 {
        self.node.address(service).port()
    }

    /// A client about to run.
    pub fn program(&self, name: &str) -> Program {
        Program::new(name, &self.home())
    }

    /// One of the Python programs beside this file, told where the node is by its first argument.
    pub fn python(&self, script: &str) -> Program {
        let ports = ["smtp", "submission", "submissions", "imap", "imaps"].map(|name| (name, self.port(name)));
        let ports: serde_json::Map<_, _> = ports.iter().map(|(name, port)| ((*name).into(), json!(port))).collect();
        let place = json!({ "ports": ports, "certificate": self.certificate(), "user": USER, "password": PASSWORD });
        self.program("python3").args([script_path(script), place.to_string().into()])
    }

    /// A session of our own client, logged in, for what the client under test cannot say.
    pub fn imap(&self) -> Imap {
        let mut imap = Imap::connect(self.node.address("imap")).unwrap();
        imap.login(USER, PASSWORD).unwrap();
        imap
    }

    /// The untagged answers of our own client to commands that succeed.
    pub fn ask(&self, commands: &[&str]) -> String {
        let mut imap = self.imap();
        let answers = commands.iter().flat_map(|command| imap.ok(command).unwrap().untagged);
        String::from_utf8_lossy(&answers.collect::<Vec<_>>().join(&b'\n')).into_owned()
    }

    /// The account as IMAP shows it: `{folder: [{"subject", "flags", "bytes", "text"}]}`, read by imaplib.
    pub fn by_imap(&self) -> Value {
        parse(&self.python("snapshot.py").args(["imap"]).run().ok())
    }

    /// A Maildir++ tree in the same shape, read by Python's `mailbox`. `names` is the encoding of folder names,
    /// `percent` or `utf7`.
    pub fn by_maildir(&self, tree: &Path, names: &str) -> Value {
        parse(&self.python("snapshot.py").args(["maildir", names]).args([tree]).run().ok())
    }

    /// Stops the node, requires that its Maildir tree holds what IMAP said, and gives that.
    pub fn finish(self) -> Value {
        let said = self.by_imap();
        let World { directory, node } = self;
        let (status, log) = node.stop();
        assert!(status.success() && !log.contains("panicked"), "{log}");
        let domain = directory.path().join("data/mail/example.org");
        let mut accounts = fs::read_dir(&domain).unwrap().map(|entry| entry.unwrap().path());
        let name_starts = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("ann~");
        let tree = accounts.find(name_starts).expect("the account has a directory");
        let reader = Program::new("python3", &directory.path().join("home"));
        let found = reader.args([script_path("snapshot.py"), "{}".into()]).args(["maildir", "percent"]).args([&tree]);
        assert_eq!(parse(&found.run().ok()), said, "Maildir (left) and IMAP (right) in {}", tree.display());
        said
    }
}

fn script_path(name: &str) -> std::ffi::OsString {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name).into()
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// `subject flags` of every message of a folder, sorted.
pub fn listing(account: &Value, folder: &str) -> Vec<String> {
    let messages = account[folder].as_array().unwrap_or_else(|| panic!("no folder {folder} in {account}"));
    let text = |message: &Value, field: &str| message[field].as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<_> =
        messages.iter().map(|message| text(message, "subject") + " " + &text(message, "flags")).collect();
    lines.sort();
    lines
}
