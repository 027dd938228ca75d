//! `cluster recover`: on the data directory of a stopped node; says what may be lost, asks, and then does it.

use super::exit::{Exit, Failure, tell};
use super::listing::print;
use crate::admin::some_of;
use chrono::{DateTime, SecondsFormat};
use cluster::recover::{Copy, Report, examine, recover};
use cluster::{Clock, SystemClock};
use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;
use storage::{Options, Store};

/// What has to be typed.
const CONSENT: &str = "yes";

/// Makes the node of `data` a cluster of one. Without `consents` a person is asked.
pub(super) fn run(data: &Path, consents: bool) -> Exit {
    // Opening a store would make one.
    if !data.join("rows").is_dir() {
        return tell(&format!("{}: there is no data directory of a node", data.display()), Exit::Usage);
    }
    let decode = Arc::new(|record: &[u8]| cluster::decode_record(record));
    let options = Options { data: data.to_owned(), decode, progress: Box::new(|_, _| ()), block_cache_bytes: None };
    let store = match Store::open(options) {
        Ok(store) => store,
        Err(error) => return tell(&error, Exit::NotStarted),
    };
    let done = with_store(&store, consents).unwrap_or_else(Failure::tell);
    match store.close() {
        Ok(()) => done,
        Err(error) => tell(&error, Exit::NotStarted),
    }
}

fn with_store(store: &Store, consents: bool) -> Result<Exit, Failure> {
    let report = match examine(store) {
        Ok(report) => report,
        Err(error) => return Ok(tell(&error, Exit::Refused)),
    };
    print(&words(&report))?;
    if !consents && !asked()? {
        return Ok(tell(&"nothing was changed", Exit::Refused));
    }
    match recover(store, SystemClock.now()) {
        Ok(_) => print("Done. Start the node; others can join it with empty data directories: mailnode token create\n"),
        Err(error) => Ok(tell(&error, Exit::NotStarted)),
    }
}

fn asked() -> io::Result<bool> {
    eprint!("\nGo on? Type {CONSENT}: ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == CONSENT)
}

fn words(report: &Report) -> String {
    let mut said = Vec::new();
    if report.is_begun {
        said.push("A recovery was begun here and not finished. It will be finished as it was decided then:".to_owned());
    }
    let others: Vec<&str> = report.dropped.iter().map(|node| node.name.as_str()).collect();
    if others.is_empty() {
        said.push(format!("{} is a cluster of one already; its copies would begin anew under new ids.", report.name));
    } else {
        said.push(format!("{} would go on alone and refuse for ever: {}.", report.name, others.join(", ")));
        said.push("Switch these off first: together they might go on as another cluster of the same name.".to_owned());
    }
    if report.nothing_is_lost() {
        said.push("Nothing acknowledged is lost: nothing could be acknowledged without this node.".to_owned());
    } else {
        said.push("What may be lost:".to_owned());
        said.extend(losses(report).into_iter().map(|loss| format!("- {loss}")));
    }
    let uncertain = report.not_known_committed();
    if uncertain > 0 {
        said.push(format!("{uncertain} entries are not known to have been acknowledged; they are kept and count."));
    }
    said.join("\n") + "\n"
}

fn losses(report: &Report) -> Vec<String> {
    let mut said = Vec::new();
    if report.copies().any(|(_, copy)| !copy.has_everything) {
        let newest = report.newest().and_then(|at| DateTime::from_timestamp_millis(i64::try_from(at).ok()?));
        let newest = newest.map_or("unknown".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        said.push(format!(
            "mail and changes that the other nodes acknowledged without this one; the newest entry here is of {newest}"
        ));
    }
    for (group, copy) in report.copies() {
        said.extend(weakness(copy).map(|weakness| format!("{group}: the copy here {weakness}")));
    }
    for lost in report.lost() {
        said.push(match &lost.accounts[..] {
            [] => format!("{}: no copy is here, and no account lives there", lost.group),
            accounts => format!("{}: no copy is here; all mail of {} is lost", lost.group, some_of(accounts)),
        });
    }
    said
}

fn weakness(copy: &Copy) -> Option<&'static str> {
    match (copy.is_voter, copy.is_listed) {
        (_, false) => Some("was about to be removed and may be old"),
        (false, true) => Some("was still being made and may be far behind"),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::recover::{GroupReport, LostNode};
    use model::{GroupId, NodeId};

    fn copy() -> Copy {
        Copy {
            replica: 1,
            is_voter: true,
            is_listed: true,
            has_everything: true,
            last: 10,
            last_term: 1,
            applied: Some(10),
            not_known_committed: 0,
            newest: Some(1_800_000_000_000),
            members: Vec::new(),
        }
    }

    fn report(copies: Vec<Option<Copy>>) -> Report {
        let group = |(group, here): (u32, Option<Copy>)| {
            let accounts =
                if here.is_none() { vec!["a@example.org".into(), "b@example.org".into()] } else { Vec::new() };
            GroupReport { group: GroupId(group), here, accounts }
        };
        Report {
            node: NodeId(1),
            name: "n1".into(),
            is_begun: false,
            dropped: vec![LostNode { node: NodeId(2), name: "n2".into() }],
            groups: (0..).zip(copies).map(group).collect(),
        }
    }

    #[test]
    fn without_a_data_directory_nothing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("none");
        assert_eq!(run(&data, true), Exit::Usage);
        assert!(!data.exists());
    }

    #[test]
    fn of_two_nodes_nothing_acknowledged_is_lost() {
        let said = words(&report(vec![Some(copy()), Some(Copy { not_known_committed: 3, ..copy() })]));
        let expected = "\
n1 would go on alone and refuse for ever: n2.
Switch these off first: together they might go on as another cluster of the same name.
Nothing acknowledged is lost: nothing could be acknowledged without this node.
3 entries are not known to have been acknowledged; they are kept and count.
";
        assert_eq!(said, expected);
    }

    #[test]
    fn what_may_be_lost_is_said_for_each_group() {
        let behind = Copy { has_everything: false, is_voter: false, ..copy() };
        let old = Copy { has_everything: false, is_listed: false, ..copy() };
        let said = words(&report(vec![Some(copy()), Some(behind), Some(old), None]));
        for loss in [
            "- mail and changes that the other nodes acknowledged without this one; the newest entry here is of 2027-01-15T08:00:00Z\n",
            "- shard 1: the copy here was still being made and may be far behind\n",
            "- shard 2: the copy here was about to be removed and may be old\n",
            "- shard 3: no copy is here; all mail of a@example.org, b@example.org is lost\n",
        ] {
            assert!(said.contains(loss), "{said}");
        }
        assert!(!said.contains("Nothing acknowledged"));
    }
}
