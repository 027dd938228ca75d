//! Talking to a cluster's nodes: by the CLI, by SMTP and by IMAP.

use super::{CLUSTER_PORT, Cluster, PASSWORD, PATIENCE, PORT_OFFSET, View};
use crate::kills::Endpoints;
use crate::node::command;
use clients::imap::Imap;
use clients::smtp::{Reply, Smtp};
use serde_json::Value;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Output;

impl Cluster {
    /// Where a service of a node listens, whether it runs or not.
    ///
    /// # Panics
    /// At a name that is none.
    pub fn address(&self, node: usize, service: &str) -> SocketAddr {
        let port = match service {
            "smtp" => 25,
            "lmtp" => 24,
            "submission" => 587,
            "submissions" => 465,
            "imap" => 143,
            "imaps" => 993,
            "http" => 80,
            "cluster" => CLUSTER_PORT,
            other => panic!("there is no service {other}"),
        };
        SocketAddr::new(IpAddr::V4(self.members[node].home), port + PORT_OFFSET)
    }

    /// Where clients of a node go.
    pub fn endpoints(&self, node: usize) -> Endpoints {
        Endpoints { smtp: self.address(node, "smtp"), imap: self.address(node, "imap") }
    }

    /// Runs a CLI command against a node.
    pub fn cli(&self, node: usize, arguments: &[&str]) -> Output {
        command().args(arguments).arg("--data").arg(&self.members[node].data).output().expect("the binary runs")
    }

    /// What a node says of itself and the cluster, or `None` when it does not answer.
    pub fn status(&self, node: usize) -> Option<Value> {
        let output = self.cli(node, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).ok()
    }

    /// What a node says of the cluster's groups.
    pub fn view(&self, node: usize) -> Option<View> {
        View::read(&self.status(node)?)
    }

    /// The node that leads the shard of an account.
    ///
    /// # Panics
    /// When there is none for long.
    pub fn leader_of(&self, account: &str) -> usize {
        self.wait_for(&format!("a leader for {account}"), PATIENCE, || {
            self.living().find_map(|node| {
                let accounts: Value =
                    serde_json::from_slice(&self.cli(node, &["account", "list", "--json"]).stdout).ok()?;
                let row = accounts.as_array()?.iter().find(|row| row["address"] == account)?;
                let leader = self.view(node)?.leader(row["shard"].as_u64()?)?;
                self.living().find(|node| self.name(*node) == leader)
            })
        })
    }

    /// How many groups a node leads, as another says.
    pub fn led_by(&self, asked: usize, node: usize) -> Option<usize> {
        Some(self.view(asked)?.led_by(self.name(node)))
    }

    /// The names of the nodes that belong, as one of them says.
    pub fn names_of_members(&self, asked: usize) -> Option<Vec<String>> {
        Some(self.view(asked)?.nodes)
    }

    /// Makes an account with [`PASSWORD`].
    ///
    /// # Panics
    /// When that is refused.
    pub fn add_account(&self, address: &str) {
        let node = self.living().next().expect("a living node");
        self.node(node).add_account(address, PASSWORD);
    }

    /// An IMAP session with a node.
    ///
    /// # Errors
    /// When there is no connection or the password is not taken.
    pub fn imap(&self, node: usize, user: &str) -> io::Result<Imap> {
        let mut imap = Imap::connect(self.address(node, "imap"))?;
        imap.login(user, PASSWORD)?;
        Ok(imap)
    }

    /// A greeted SMTP session with a node.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn smtp(&self, node: usize) -> io::Result<Smtp> {
        let mut smtp = Smtp::connect(self.address(node, "smtp"))?;
        smtp.command("EHLO client.example.net")?.expect(250)?;
        Ok(smtp)
    }

    /// Sends a small message through a node; gives the reply to its end.
    ///
    /// # Errors
    /// When the session does not come so far.
    pub fn deliver(&self, node: usize, to: &str, subject: &str) -> io::Result<Reply> {
        let message = format!("From: <bob@example.net>\r\nSubject: {subject}\r\n\r\nhello\r\n");
        self.smtp(node)?.deliver("bob@example.net", &[to], message.as_bytes())
    }

    /// Messages in a folder, as a node says.
    ///
    /// # Errors
    /// When it does not say.
    pub fn count(&self, node: usize, user: &str, folder: &str) -> io::Result<u64> {
        let answer = self.imap(node, user)?.ok(&format!("STATUS {folder} (MESSAGES)"))?;
        answer.number_after("MESSAGES").ok_or_else(|| io::Error::other(answer.text()))
    }
}
