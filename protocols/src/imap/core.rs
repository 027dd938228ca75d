//! What commands see of a session: its configuration, what the client turned on, the selected mailbox and the bytes
//! to be written. No input, no phases.

use super::encode;
use super::snapshot::Snapshot;
use crate::limits::imap::OUTPUT_BYTES_PAUSE;

/// What a listener knows before a connection speaks.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host name of the greeting.
    pub hostname: String,
    /// TLS is on already (port 993).
    pub tls: bool,
    /// STARTTLS is offered as long as TLS is off.
    pub starttls: bool,
    /// Readable passwords are taken without TLS (the peer is a loopback address).
    pub insecure_login: bool,
    /// COMPRESS=DEFLATE is offered.
    pub compress: bool,
    /// Greatest message APPEND takes, bytes.
    pub append_bytes_max: u64,
}

/// Extensions that change responses once the client asked for them (RFC 5161).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// MODSEQ in untagged FETCH (RFC 7162 section 3.1).
    pub condstore: bool,
    /// VANISHED in place of EXPUNGE (RFC 7162 section 3.2).
    pub qresync: bool,
    /// IMAP4rev2 conduct (RFC 9051).
    pub rev2: bool,
    /// UTF8=ACCEPT (RFC 6855).
    pub utf8: bool,
}

/// The state commands work on.
#[derive(Debug)]
pub(crate) struct Core {
    pub config: Config,
    pub features: Features,
    pub tls: bool,
    pub compressed: bool,
    pub authenticated: bool,
    pub selected: Option<Snapshot>,
    /// The selected mailbox has news.
    pub changed: bool,
    /// News could not be fetched; the next command asks again. IDLE waits for the driver to call.
    pub stale: bool,
    pub bad_commands: u32,
    pub login_failures: u32,
    /// Bytes for the client, not yet handed out.
    pub out: Vec<u8>,
}

impl Core {
    pub fn new(config: Config) -> Self {
        Self {
            tls: config.tls,
            config,
            features: Features::default(),
            compressed: false,
            authenticated: false,
            selected: None,
            changed: false,
            stale: false,
            bad_commands: 0,
            login_failures: 0,
            out: Vec::new(),
        }
    }

    /// Mailbox names and strings may be UTF-8.
    pub fn utf8(&self) -> bool {
        self.features.utf8 || self.features.rev2
    }

    /// Enough waits to be written: production should pause.
    pub fn is_full(&self) -> bool {
        self.out.len() >= OUTPUT_BYTES_PAUSE
    }

    pub fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub fn number(&mut self, value: u64) {
        encode::number(&mut self.out, value);
    }

    /// An untagged line made of text and numbers.
    pub fn line(&mut self, text: &str) {
        self.write("* ");
        self.write(text);
        self.write("\r\n");
    }

    /// `* FLAGS (...)` and `* OK [PERMANENTFLAGS (...)]` of the selected mailbox.
    pub fn write_flag_tables(&mut self) {
        let Some(snapshot) = &self.selected else { return };
        self.out.extend_from_slice(b"* FLAGS ");
        encode::flag_table(&mut self.out, &snapshot.keywords, "");
        self.out.extend_from_slice(b"\r\n* OK [PERMANENTFLAGS ");
        if snapshot.read_only {
            self.out.extend_from_slice(b"()] Read-only mailbox.\r\n");
        } else {
            let room = snapshot.keywords.len() < super::store::Flags::KEYWORDS_MAX;
            encode::flag_table(&mut self.out, &snapshot.keywords, if room { " \\*" } else { "" });
            self.out.extend_from_slice(b"] Flags permitted.\r\n");
        }
    }

    /// Which items an untagged FETCH has that the client did not ask for in detail. RFC 7162 section 3.2.4: UID with
    /// QRESYNC; RFC 9051 section 7.5.2: UID in IMAP4rev2.
    pub fn unsolicited_items(&self) -> encode::StateItems {
        encode::StateItems {
            uid: self.features.qresync || self.features.rev2,
            flags: true,
            modseq: self.features.condstore,
        }
    }
}
