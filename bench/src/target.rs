//! The server under load: its addresses, its users, its process.

use clap::Args;
use clients::imap::Imap;
use clients::smtp::Smtp;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Where the server listens and who its users are.
#[derive(Args)]
pub struct Target {
    /// SMTP addresses (port 25's listener); sessions take turns.
    #[arg(long, value_delimiter = ',', required = true)]
    pub smtp: Vec<SocketAddr>,
    /// IMAP addresses; users are spread over them, the first user is not at the first.
    #[arg(long, value_delimiter = ',', required = true)]
    pub imap: Vec<SocketAddr>,
    /// SMTP sessions opened so far.
    #[arg(skip)]
    pub opened: AtomicUsize,
    /// The server's processes; CPU time and memory are summed over these and their descendants.
    #[arg(long, value_delimiter = ',')]
    pub pid: Vec<u32>,
    /// Users are u0@DOMAIN, u1@DOMAIN …
    #[arg(long, default_value = "bench.test")]
    pub domain: String,
    /// How many users there are.
    #[arg(long, default_value_t = 50)]
    pub users: usize,
    /// The password of all of them.
    #[arg(long, default_value = "benchmark-secret")]
    pub password: String,
}

impl Target {
    /// The address of user `n`, counted around.
    pub fn user(&self, n: usize) -> String {
        format!("u{}@{}", n % self.users, self.domain)
    }

    /// A greeted SMTP session.
    pub fn smtp(&self) -> io::Result<Smtp> {
        self.smtp_patiently(Duration::from_secs(60))
    }

    /// As [`Self::smtp`], with how long the server may be silent.
    pub fn smtp_patiently(&self, silence: Duration) -> io::Result<Smtp> {
        let turn = self.opened.fetch_add(1, Ordering::Relaxed);
        let mut smtp = Smtp::connect_patiently(pick(&self.smtp, turn)?, silence)?;
        smtp.command("EHLO bench.invalid")?.expect(250)?;
        Ok(smtp)
    }

    /// A logged-in IMAP session.
    pub fn imap(&self, user: usize) -> io::Result<Imap> {
        self.imap_of(&self.user(user), user + 1, Duration::from_secs(120))
    }

    /// A logged-in IMAP session of the user with this address, at the IMAP address of this turn, with how long the
    /// server may be silent.
    pub fn imap_of(&self, user: &str, turn: usize, silence: Duration) -> io::Result<Imap> {
        let mut imap = Imap::connect_patiently(pick(&self.imap, turn)?, silence)?;
        imap.login(user, &self.password)?;
        Ok(imap)
    }

    /// Messages in all users' INBOXes.
    pub fn visible(&self, sessions: &mut [Imap]) -> io::Result<u64> {
        let mut sum = 0;
        for imap in sessions {
            sum += imap.ok("STATUS INBOX (MESSAGES)")?.number_after("MESSAGES").unwrap_or(0);
        }
        Ok(sum)
    }
}

fn pick(addresses: &[SocketAddr], turn: usize) -> io::Result<SocketAddr> {
    addresses.get(turn % addresses.len().max(1)).copied().ok_or_else(|| io::Error::other("no address"))
}

/// A text message of about `bytes` bytes, different for every `id`.
pub fn message(id: u64, bytes: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Sender <sender@elsewhere.test>\r\nTo: <u@bench.test>\r\nSubject: message {id} about topic{}\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}.{bytes}@bench.invalid>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
        id % 1000
    )
    .into_bytes();
    let mut seed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() + 2 < bytes {
        let width = 76.min(bytes - text.len() - 2);
        for _ in 0..width {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(b'a' + (seed >> 33) as u8 % 26);
        }
        text.extend(b"\r\n");
    }
    text
}
