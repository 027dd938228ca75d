//! FETCH: the compiled item list, the facts the driver looks up for it, and the pure rendering of one message.
//! Opens no file and holds no body: long parts are handed on as ranges or decoded in chunks.

mod render;

use std::ops::Range;
use std::sync::Arc;

pub use render::{RenderError, render};

use super::store::{FolderId, MessageState};
use crate::mime::{Envelope, SentDate, Structure};

/// One data item (RFC 9051 section 6.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// `UID`.
    Uid,
    /// `FLAGS`.
    Flags,
    /// `MODSEQ` (RFC 7162).
    ModSeq,
    /// `INTERNALDATE`.
    InternalDate,
    /// `RFC822.SIZE`.
    Size,
    /// `SAVEDATE` (RFC 8514).
    SaveDate,
    /// `EMAILID` (RFC 8474).
    EmailId,
    /// `THREADID` (RFC 8474).
    ThreadId,
    /// `PREVIEW` (RFC 8970).
    Preview,
    /// `ENVELOPE`.
    Envelope,
    /// `BODY`.
    Body,
    /// `BODYSTRUCTURE`.
    BodyStructure,
    /// `BODY[...]`, `RFC822`, `RFC822.HEADER`, `RFC822.TEXT`.
    Section {
        /// Which bytes.
        section: Section,
        /// `<offset.count>`, bytes.
        partial: Option<(u64, u64)>,
        /// Do not set `\Seen`.
        peek: bool,
        /// The obsolete name under which the client asked.
        alias: Option<&'static str>,
    },
    /// `BINARY[...]` (RFC 3516).
    Binary {
        /// Part numbers; empty: the whole message.
        path: Vec<u32>,
        /// `<offset.count>` of the decoded bytes.
        partial: Option<(u64, u64)>,
        /// Do not set `\Seen`.
        peek: bool,
    },
    /// `BINARY.SIZE[...]`.
    BinarySize {
        /// Part numbers; empty: the whole message.
        path: Vec<u32>,
    },
}

/// The inside of `BODY[...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Part numbers; empty: the message itself.
    pub path: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
}

/// What of a part is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// `BODY[]`, `BODY[1.2]`.
    Whole,
    /// `HEADER`.
    Header,
    /// `TEXT`.
    Text,
    /// `MIME`.
    Mime,
    /// `HEADER.FIELDS`, or with `not` `HEADER.FIELDS.NOT`.
    Fields {
        /// As the client wrote them.
        names: Vec<String>,
        /// All but these.
        not: bool,
    },
}

/// What a driver has to look up before it can render a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchNeeds {
    /// Internal date, size, ids, save date: the message's own record.
    pub record: bool,
    /// [`MessageFacts::envelope`].
    pub envelope: bool,
    /// [`MessageFacts::structure`].
    pub structure: bool,
    /// The bytes of the message may be read.
    pub body: bool,
}

/// One message of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchTarget {
    /// Message sequence number to print.
    pub sequence: u32,
    /// UID, flags and modseq to print.
    pub state: MessageState,
    /// `FLAGS` is to be added although not asked for: `\Seen` was just set.
    pub flags_changed: bool,
}

/// A batch of messages to render.
#[derive(Clone, Debug)]
pub struct FetchPlan {
    /// Where they are.
    pub folder: FolderId,
    /// What to print; shared between the batches of one FETCH.
    pub items: Arc<FetchItems>,
    /// Sorted by UID, at most `FETCH_BATCH_MESSAGES`.
    pub messages: Vec<FetchTarget>,
}

/// A compiled item list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchItems {
    /// In the order of printing.
    pub items: Vec<FetchItem>,
    /// What they cost.
    pub needs: FetchNeeds,
    /// The folder's keyword table.
    pub keywords: Arc<Vec<String>>,
    /// UTF-8 may be sent in quoted strings (UTF8=ACCEPT or IMAP4rev2).
    pub utf8: bool,
    /// `MODSEQ` goes with every `FLAGS` (CONDSTORE is on).
    pub condstore: bool,
}

/// What the driver knows of one message beyond its state; for FETCH and SEARCH. What the plan does not need may be
/// left at default.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageFacts<'a> {
    /// Seconds since 1970 UTC.
    pub internaldate: i64,
    /// Seconds since 1970 UTC when it was saved into this folder.
    pub savedate: Option<i64>,
    /// Bytes.
    pub size_bytes: u64,
    /// Object identifier of the content, `[A-Za-z0-9_-]{1,255}`.
    pub email_id: &'a str,
    /// Object identifier of the thread.
    pub thread_id: Option<&'a str>,
    /// At most 200 characters; `None`: let the renderer make it from structure and body.
    pub preview: Option<&'a str>,
    /// Of the digest.
    pub envelope: Option<&'a Envelope>,
    /// Of the digest.
    pub sent_date: Option<SentDate>,
    /// Of the digest.
    pub structure: Option<&'a Structure>,
}

impl FetchItems {
    /// Compiles items, in their order.
    pub fn new(items: Vec<FetchItem>, keywords: Arc<Vec<String>>, utf8: bool, condstore: bool) -> Self {
        let mut needs = FetchNeeds::default();
        for item in &items {
            needs.add(item);
        }
        Self { items, needs, keywords, utf8, condstore }
    }

    /// Whether nothing but the snapshot is needed.
    pub fn from_snapshot(&self) -> bool {
        self.needs == FetchNeeds::default()
    }

    /// Whether showing these items marks the message as read.
    pub fn sets_seen(&self) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item, FetchItem::Section { peek: false, .. } | FetchItem::Binary { peek: false, .. }))
    }
}

impl FetchNeeds {
    fn add(&mut self, item: &FetchItem) {
        match item {
            FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq => {}
            FetchItem::InternalDate
            | FetchItem::Size
            | FetchItem::SaveDate
            | FetchItem::EmailId
            | FetchItem::ThreadId => self.record = true,
            FetchItem::Envelope => self.envelope = true,
            FetchItem::Body | FetchItem::BodyStructure => self.structure = true,
            FetchItem::Preview | FetchItem::Binary { .. } | FetchItem::BinarySize { .. } => {
                (self.record, self.structure, self.body) = (true, true, true);
            }
            FetchItem::Section { section, .. } => {
                (self.record, self.body) = (true, true);
                self.structure |= !section.is_whole_message();
            }
        }
    }
}

impl Section {
    /// `BODY[]`
    pub fn is_whole_message(&self) -> bool {
        self.path.is_empty() && self.text == SectionText::Whole
    }
}

/// Where rendering writes to.
pub trait Sink {
    /// Small pieces of protocol text; the sink should gather them.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()>;
    /// These bytes of the message itself.
    fn body_range(&mut self, range: Range<u64>) -> std::io::Result<()>;
}
