//! Reads the mailboxes of a node that came back and compares them with the history.

use super::history::{COPIES, History, Inner};
use super::work::{Endpoints, Users};
use clients::imap::{Answer, Imap};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

struct Seen {
    uid: u32,
    uidvalidity: u32,
    flagged: bool,
}

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What no earlier check has seen.
    New,
    /// Everything.
    All,
}

/// Everything wrong with the mailboxes, in words; empty when all is well. Also notes UIDs seen.
pub fn verify(at: Endpoints, users: &Users, history: &History, extent: Extent) -> io::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for user in 0..users.count {
        let mut imap = Imap::connect(at.imap)?;
        imap.login(&users.address(user), &users.password)?;
        let select = imap.ok("EXAMINE INBOX")?;
        let uidvalidity = select.number_after("[UIDVALIDITY").unwrap_or(0) as u32;
        let uidnext = select.number_after("[UIDNEXT").unwrap_or(0) as u32;
        let first = if extent == Extent::New { history.with(|history| first_unseen(user, history)) } else { 1 };
        let seen = read_inbox(&mut imap, first, uidvalidity, &mut wrong)?;
        let folders = imap.ok("LIST \"\" *")?.text();
        let copies = read_copies(&mut imap, &mut wrong)?;
        history.with(|history| {
            compare(user, &seen, extent, history, &mut wrong);
            compare_folders(user, &folders, history, &mut wrong);
            compare_copies(user, &copies, history, &mut wrong);
        });
        if seen.values().any(|seen| seen.uid >= uidnext) {
            wrong.push(format!("user {user}: UIDNEXT {uidnext} is not above every UID"));
        }
    }
    Ok(wrong)
}

/// UIDs only rise, so everything new lies behind what was seen.
fn first_unseen(user: usize, history: &Inner) -> u32 {
    let seen = history.uids.iter().filter(|(id, _)| history.attempted.get(id) == Some(&user));
    seen.map(|(_, (uid, _))| uid + 1).max().unwrap_or(1)
}

fn read_inbox(
    imap: &mut Imap,
    first: u32,
    uidvalidity: u32,
    wrong: &mut Vec<String>,
) -> io::Result<BTreeMap<u64, Seen>> {
    let mut found = BTreeMap::new();
    for (id, uid, text) in fetch(imap, first, wrong)? {
        let seen = Seen { uid, uidvalidity, flagged: text.contains("\\Flagged") };
        if found.insert(id, seen).is_some() {
            wrong.push(format!("message {id} is there twice"));
        }
    }
    Ok(found)
}

/// The id, the UID and the whole answer for each message of the selected folder.
fn fetch(imap: &mut Imap, first: u32, wrong: &mut Vec<String>) -> io::Result<Vec<(u64, u32, String)>> {
    let items = "UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)]";
    let answer: Answer = imap.ok(&format!("UID FETCH {first}:* ({items})"))?;
    let mut found = Vec::new();
    for line in &answer.untagged {
        let text = String::from_utf8_lossy(line).into_owned();
        if !text.contains(" FETCH ") {
            continue;
        }
        let number = |word: &str| text.split(word).nth(1)?.split([' ', ')', '-']).next()?.parse::<u64>().ok();
        match (number("id-"), number("UID ")) {
            (Some(id), Some(uid)) => found.push((id, uid as u32, text)),
            _ => wrong.push(format!("unreadable: {text}")),
        }
    }
    Ok(found)
}

/// What lies in the folder of copies, which need not exist.
fn read_copies(imap: &mut Imap, wrong: &mut Vec<String>) -> io::Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    if !imap.command(&format!("EXAMINE {COPIES}"))?.status.starts_with("OK") {
        return Ok(found);
    }
    for (id, ..) in fetch(imap, 1, wrong)? {
        if !found.insert(id) {
            wrong.push(format!("message {id} was copied twice"));
        }
    }
    Ok(found)
}

fn compare(user: usize, seen: &BTreeMap<u64, Seen>, extent: Extent, history: &mut Inner, wrong: &mut Vec<String>) {
    let expected = |id: &&u64| {
        history.attempted.get(id) == Some(&user) && (extent == Extent::All || !history.uids.contains_key(id))
    };
    for id in history.acknowledged.iter().filter(expected) {
        match seen.get(id) {
            None => wrong.push(format!("acknowledged message {id} is lost")),
            Some(seen) if history.flagged.contains(id) && !seen.flagged => {
                wrong.push(format!("acknowledged flag of message {id} is lost"));
            }
            Some(_) => {}
        }
    }
    let mut owners: BTreeMap<u32, u64> = BTreeMap::new();
    for (id, seen) in seen {
        if owners.insert(seen.uid, *id).is_some() {
            wrong.push(format!("UID {} of user {user} names two messages", seen.uid));
        }
        if history.attempted.get(id) != Some(&user) {
            wrong.push(format!("message {id} was never sent to user {user}"));
        }
        if seen.flagged && !history.flag_attempted.contains(id) {
            wrong.push(format!("message {id} was never flagged"));
        }
        let now = (seen.uid, seen.uidvalidity);
        if *history.uids.entry(*id).or_insert(now) != now {
            wrong.push(format!("message {id} changed its UID"));
        }
    }
}

fn compare_folders(user: usize, listed: &str, history: &Inner, wrong: &mut Vec<String>) {
    for (_, name) in history.folders.iter().filter(|(owner, _)| *owner == user) {
        if !listed.lines().any(|line| line.trim_end_matches('"').ends_with(name.as_str())) {
            wrong.push(format!("acknowledged folder {name} of user {user} is lost"));
        }
    }
}

fn compare_copies(user: usize, seen: &BTreeSet<u64>, history: &Inner, wrong: &mut Vec<String>) {
    let own = |id: &&u64| history.attempted.get(id) == Some(&user);
    for id in history.copied.iter().filter(own).filter(|id| !seen.contains(id)) {
        wrong.push(format!("acknowledged copy of message {id} is lost"));
    }
    for id in seen.iter().filter(|id| !own(id)) {
        wrong.push(format!("a copy of message {id}, which was never sent to user {user}"));
    }
}
