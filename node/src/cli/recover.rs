//! `cluster recover`: on a stopped node, after telling what may be lost and asking.

use super::exit::{Exit, tell};
use super::listing::print;
use crate::admin::ranges;
use crate::boot::open_store;
use crate::{ids, runtime};
use chrono::{DateTime, SecondsFormat};
use cluster::{Clock, Prospect, Recovery, SystemClock};
use std::fmt::{Display, Write as _};
use std::io::{self, BufRead};
use std::path::Path;

/// Looks, tells, asks unless told not to, and does it.
pub(super) fn run(data: &Path, yes: bool) -> Exit {
    // Opening a store would make one.
    if !data.join("rows").is_dir() {
        return tell(&format!("{}: there is no data directory of a node", data.display()), Exit::Usage);
    }
    match runtime::build() {
        Ok(runtime) => runtime.block_on(recover(data, yes)),
        Err(error) => tell(&error, Exit::NotStarted),
    }
}

async fn recover(data: &Path, yes: bool) -> Exit {
    let failed = |error: &dyn Display| tell(&error, Exit::NotStarted);
    let store = match open_store(data).await {
        Ok(store) => store,
        Err(error) => return failed(&error),
    };
    let recovery = match Recovery::look(&store).await {
        Ok(recovery) => recovery,
        Err(error) => return failed(&error),
    };
    let prospect = recovery.prospect();
    if prospect.others.is_empty() {
        return tell(&"this node is a cluster of one already", Exit::Refused);
    }
    if print(&words(data, &prospect)).is_err() || !(yes || asked()) {
        return tell(&"nothing was changed", Exit::Refused);
    }
    let now = SystemClock.now();
    if let Err(error) = recovery.carry_out(ids::operation(now), now).await {
        return failed(&error);
    }
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    match closed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    }
    let done = format!("Done. Start it: mailnode --data {}\n", data.display());
    print(&done).unwrap_or_else(super::exit::Failure::tell)
}

fn words(data: &Path, prospect: &Prospect) -> String {
    let mut text = format!("The node in {} becomes a cluster of one.\n\n", data.display());
    let others = prospect.others.join(", ");
    let _ = writeln!(text, "  The other nodes ({others}) must never run again: destroy their data directories.");
    let newest = prospect.newest.and_then(|at| DateTime::from_timestamp_millis(i64::try_from(at).ok()?));
    if let Some(newest) = newest {
        let newest = newest.to_rfc3339_opts(SecondsFormat::Secs, true);
        let _ = writeln!(
            text,
            "  The newest change in the logs here is of {newest}: what the others acknowledged later is lost."
        );
    } else {
        let _ = writeln!(text, "  What the others acknowledged and this node did not receive is lost.");
    }
    let _ = writeln!(text, "  Kept: {} groups.", prospect.groups);
    if !prospect.missing.is_empty() {
        let missing = ranges(prospect.missing.iter().map(|group| group.0));
        let _ = writeln!(text, "  LOST: the mail of shards {missing}: nothing of them is here.");
    }
    text.push('\n');
    text
}

fn asked() -> bool {
    eprint!("Type \"yes\" to go on: ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).is_ok() && line.trim() == "yes"
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::GroupId;

    #[test]
    fn what_may_be_lost_is_said_first() {
        let prospect = Prospect {
            others: vec!["b".into(), "c".into()],
            groups: 31,
            missing: vec![GroupId(3), GroupId(4)],
            newest: Some(1_700_000_000_000),
        };
        let text = words(Path::new("/srv/mail"), &prospect);
        for expected in ["(b, c) must never run again", "2023-11-14T22:13:20Z", "31 groups", "shards 3-4"] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }

    #[test]
    fn without_a_data_directory_nothing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("none");
        assert_eq!(run(&data, true), Exit::Usage);
        assert!(!data.exists());
    }
}
