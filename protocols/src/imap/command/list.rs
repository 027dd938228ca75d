//! LIST (RFC 9051 section 6.3.9) with LIST-EXTENDED (5258), LIST-STATUS (5819), SPECIAL-USE (6154), CHILDREN (3348).
//! The store gives all mailboxes; which of them are told, and how, is decided here. REMOTE adds nothing: there are no
//! mailboxes on other servers.

use std::collections::BTreeMap;

use super::list_match::Pattern;
use super::{Finish, Running, Step, call, status};
use crate::imap::core::Core;
use crate::imap::encode;
use crate::imap::mailbox_name::DELIMITER;
use crate::imap::parser::list::{ListArguments, ListSelect};
use crate::imap::store::{MailboxInfo, MailboxStatus, Reply, Request, SpecialUse, StoreError};
use crate::limits::imap::LIST_SLICE_STEPS;

pub(super) fn start(core: &mut Core, arguments: ListArguments) -> Step {
    status::note_condstore(core, &arguments.returning.status);
    if !arguments.extended && arguments.patterns.iter().all(String::is_empty) {
        // RFC 9051 section 6.3.9: an empty pattern asks for the delimiter.
        core.line("LIST (\\Noselect) \"/\" \"\"");
        return Finish::ok("LIST completed").into();
    }
    call(Request::List, move |core, reply| match reply {
        Ok(Reply::Mailboxes(mailboxes)) => Box::new(Choosing::new(mailboxes, arguments)).resume(core),
        Ok(_) => Finish::internal().into(),
        Err(error) => Finish::refused(error).into(),
    })
}

/// One LIST response.
#[derive(Debug)]
pub(super) struct Line {
    pub name: String,
    /// `None`: not a mailbox (any more).
    pub info: Option<MailboxInfo>,
    pub has_children: bool,
    /// A child, not itself, fits the selection options (RFC 5258 section 4).
    pub child_info: bool,
    /// A pattern names it.
    pub matches: bool,
}

impl Line {
    pub fn new(name: String, info: Option<MailboxInfo>, has_children: bool) -> Self {
        Self { name, info, has_children, child_info: false, matches: false }
    }
}

/// The tree of all names with what is known of each; parents that nobody created are in it too.
fn tree(mailboxes: Vec<MailboxInfo>) -> BTreeMap<String, Line> {
    let mut tree: BTreeMap<String, Line> = BTreeMap::new();
    for info in mailboxes {
        let exists = info.folder.is_some();
        for (at, _) in info.name.match_indices(DELIMITER) {
            let parent = info.name.get(..at).unwrap_or_default();
            if let Some(line) = tree.get_mut(parent) {
                line.has_children |= exists;
            } else {
                let name = parent.to_owned();
                tree.insert(name.clone(), Line::new(name, None, exists));
            }
        }
        let name = info.name.clone();
        let children = tree.get(&name).is_some_and(|line| line.has_children);
        tree.insert(name.clone(), Line::new(name, Some(info), children));
    }
    tree
}

/// Finds out which names the patterns name, a slice at a time.
struct Choosing {
    tree: BTreeMap<String, Line>,
    names: std::vec::IntoIter<String>,
    patterns: Vec<Pattern>,
    arguments: ListArguments,
}

impl Choosing {
    fn new(mailboxes: Vec<MailboxInfo>, arguments: ListArguments) -> Self {
        let tree = tree(mailboxes);
        let names: Vec<String> = tree.keys().cloned().collect();
        let pattern = |pattern: &String| Pattern::new(&arguments.reference, pattern);
        let patterns = arguments.patterns.iter().map(pattern).collect();
        Self { tree, names: names.into_iter(), patterns, arguments }
    }

    /// The lines to tell, INBOX first, then by name.
    fn lines(&mut self) -> Vec<Line> {
        let select = self.arguments.select;
        if select.recursive_match {
            mark_parents(&mut self.tree, select);
        }
        let chosen = |line: &Line| line.matches && (fits(line, select) || line.child_info);
        let mut lines: Vec<Line> = std::mem::take(&mut self.tree).into_values().filter(chosen).collect();
        lines.sort_by_key(|line| line.name != "INBOX");
        lines
    }
}

impl Running for Choosing {
    fn reply(self: Box<Self>, _: &mut Core, _: Result<Reply, StoreError>) -> Step {
        Finish::internal().into()
    }

    fn resume(mut self: Box<Self>, core: &mut Core) -> Step {
        let mut steps = 0;
        while let Some(name) = self.names.next() {
            steps += self.patterns.iter().map(|pattern| pattern.steps(&name)).sum::<usize>();
            let matches = self.patterns.iter().any(|pattern| pattern.matches(&name));
            if let Some(line) = self.tree.get_mut(&name) {
                line.matches = matches;
            }
            if steps > LIST_SLICE_STEPS {
                return Step::Yield(self);
            }
        }
        let lines = self.lines();
        if self.arguments.returning.status.is_empty() {
            return Box::new(Telling { lines, next: 0, arguments: self.arguments, statuses: Vec::new() }).resume(core);
        }
        with_status(lines, self.arguments)
    }
}

/// Whether a line fits the selection options. Without options: mailboxes that exist, and parents of such.
fn fits(line: &Line, select: ListSelect) -> bool {
    let Some(info) = &line.info else {
        return !select.subscribed && !select.special_use && line.has_children;
    };
    if select.subscribed && !info.subscribed || select.special_use && info.special_use.is_none() {
        return false;
    }
    info.folder.is_some() || select.subscribed || line.has_children
}

/// RFC 5258 section 3.5: with RECURSIVEMATCH a parent is told when a descendant fits that no pattern names itself.
fn mark_parents(tree: &mut BTreeMap<String, Line>, select: ListSelect) {
    let hidden = |line: &&Line| !line.matches && fits(line, select);
    let names: Vec<String> = tree.values().filter(hidden).map(|line| line.name.clone()).collect();
    for name in names {
        for (at, _) in name.match_indices(DELIMITER) {
            if let Some(parent) = name.get(..at).and_then(|parent| tree.get_mut(parent)) {
                parent.child_info = true;
            }
        }
    }
}

fn with_status(lines: Vec<Line>, arguments: ListArguments) -> Step {
    let selectable = |line: &&Line| line.info.as_ref().is_some_and(|info| info.folder.is_some() && !info.no_select);
    let names: Vec<String> = lines.iter().filter(selectable).map(|line| line.name.clone()).collect();
    let want = status::want(&arguments.returning.status);
    call(Request::Status { names: names.clone(), want }, move |core, reply| match reply {
        Ok(Reply::Statuses(statuses)) => {
            let statuses = names.into_iter().zip(statuses).filter_map(|(name, status)| Some((name, status?))).collect();
            Box::new(Telling { lines, next: 0, arguments, statuses }).resume(core)
        }
        Ok(_) => Finish::internal().into(),
        Err(error) => Finish::refused(error).into(),
    })
}

/// Responses in pieces.
struct Telling {
    lines: Vec<Line>,
    next: usize,
    arguments: ListArguments,
    /// In the order of `lines`, for some of them.
    statuses: Vec<(String, MailboxStatus)>,
}

impl Running for Telling {
    fn reply(self: Box<Self>, _: &mut Core, _: Result<Reply, StoreError>) -> Step {
        Finish::internal().into()
    }

    fn resume(mut self: Box<Self>, core: &mut Core) -> Step {
        let mut statuses = std::mem::take(&mut self.statuses).into_iter().peekable();
        while let Some(line) = self.lines.get(self.next) {
            self.next += 1;
            write(core, "LIST", line, &attributes(line, &self.arguments), self.arguments.select);
            // RFC 5819 section 2: the STATUS response follows its LIST response.
            if let Some((name, status)) = statuses.next_if(|(name, _)| *name == line.name) {
                status::write(core, &name, &self.arguments.returning.status, &status);
            }
            if core.is_full() {
                self.statuses = statuses.collect();
                return Step::More(self);
            }
        }
        Finish::ok("LIST completed").into()
    }
}

fn attributes(line: &Line, arguments: &ListArguments) -> Vec<&'static str> {
    let mut attributes = Vec::new();
    match &line.info {
        Some(info) => {
            if info.folder.is_none() {
                attributes.push("\\NonExistent");
            } else if info.no_select {
                attributes.push("\\Noselect");
            }
            if info.subscribed && (arguments.select.subscribed || arguments.returning.subscribed) {
                attributes.push("\\Subscribed");
            }
        }
        None if arguments.extended => attributes.push("\\NonExistent"),
        None => attributes.push("\\Noselect"),
    }
    attributes.push(if line.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
    // RFC 6154 section 2: attributes of use may go with a plain LIST as well, and clients look for them there.
    if let Some(special_use) = line.info.as_ref().and_then(|info| info.special_use) {
        attributes.push(special_use_name(special_use));
    }
    attributes
}

fn special_use_name(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::All => "\\All",
        SpecialUse::Archive => "\\Archive",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Flagged => "\\Flagged",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Trash => "\\Trash",
    }
}

/// ```text
/// mailbox-list = "(" [mbx-list-flags] ")" SP DQUOTE "/" DQUOTE SP mailbox [SP mbox-list-extended]
/// ```
pub(super) fn write(core: &mut Core, label: &str, line: &Line, attributes: &[&str], select: ListSelect) {
    let utf8 = core.utf8();
    core.write("* ");
    core.write(label);
    core.write(" (");
    core.write(&attributes.join(" "));
    core.write(") \"/\" ");
    encode::mailbox(&mut core.out, &line.name, utf8);
    if line.child_info {
        let criteria = match (select.subscribed, select.special_use) {
            (true, true) => "\"SUBSCRIBED\" \"SPECIAL-USE\"",
            (true, false) => "\"SUBSCRIBED\"",
            _ => "\"SPECIAL-USE\"",
        };
        core.write(" (\"CHILDINFO\" (");
        core.write(criteria);
        core.write("))");
    }
    core.write("\r\n");
}
