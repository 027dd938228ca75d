//! The same paths on RocksDB and a real directory, with reopening.

use super::checks;
use super::driver::{Driver, GROUP, Witness, decode, wait};
use super::workload::{Step, script};
use crate::{GroupLog, LogRecord, OpenError, Options, Store};
use bytes::Bytes;
use model::{BodyHash, GroupId};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

fn open(data: &Path) -> Result<Store, OpenError> {
    Store::open(Options {
        data: data.to_path_buf(),
        decode: decode(),
        progress: Box::new(|_, _| ()),
        block_cache_bytes: None,
    })
}

fn paths(root: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), metadata.ino());
            if metadata.is_dir() {
                waiting.push(path);
            }
        }
    }
    found
}

fn check(driver: &Driver, data: &Path) {
    checks::acknowledged(&driver.store, &driver.witness).unwrap();
    checks::rows_agree(&driver.store, &driver.witness).unwrap();
    checks::bodies_whole(&driver.store).unwrap();
    checks::files_agree(&driver.store, &paths(data)).unwrap();
}

#[test]
fn everything_is_there_after_closing_and_after_dropping() {
    for (seed, close) in [(1, true), (2, false), (3, true), (4, false), (5, true), (6, true), (7, true)] {
        let data = tempfile::tempdir().unwrap();
        let witness = Arc::new(Witness::default());
        let steps = script(seed, 60);
        for (run, part) in steps.chunks(20).enumerate() {
            let left = paths(data.path());
            let driver = Driver { store: open(data.path()).unwrap(), witness: witness.clone() };
            checks::acknowledged(&driver.store, &witness).unwrap();
            if close && run > 0 {
                checks::files_agree(&driver.store, &left).unwrap();
            }
            driver.play(part).unwrap();
            if close {
                // Flags changed a moment before the end are in the names too.
                driver.play(&[Step::Apply]).unwrap();
                driver.store.close().unwrap();
            } else {
                abandon(&driver);
            }
        }
        let driver = Driver { store: open(data.path()).unwrap(), witness };
        driver.play(&[Step::Apply, Step::Tick]).unwrap();
        // Renames run on the apply thread: an empty apply behind them waits for it.
        wait(|done| driver.store.state(GROUP).unwrap().snapshot(done)).map(drop).unwrap();
        check(&driver, data.path());
        driver.store.close().unwrap();
    }
}

/// Ends the store without letting it finish anything it was not asked to.
fn abandon(driver: &Driver) {
    driver.store.abandon();
}

#[test]
fn a_second_process_is_told() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    assert!(matches!(open(data.path()), Err(OpenError::Locked(_))));
    store.close().unwrap();
}

#[test]
fn another_format_is_refused() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("VERSION"), "mailnode data 99\n").unwrap();
    assert!(matches!(open(data.path()), Err(OpenError::Version { .. })));
}

#[test]
fn votes_and_identity_are_kept() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let log = store.log(GroupId(0)).unwrap();
    assert_eq!(log.read_vote().unwrap(), None);
    wait(|done| log.save_vote(Bytes::from_static(b"vote 7"), done)).unwrap();
    log.save_committed(Some(Bytes::from_static(b"at 9"))).unwrap();
    store.set_identity(b"node 1").unwrap();
    drop(log);
    store.close().unwrap();
    drop(store);
    let store = open(data.path()).unwrap();
    let log = store.log(GroupId(0)).unwrap();
    assert_eq!(log.read_vote().unwrap(), Some(Bytes::from_static(b"vote 7")));
    assert_eq!(log.read_committed().unwrap(), Some(Bytes::from_static(b"at 9")));
    assert_eq!(store.identity().unwrap(), Some(Bytes::from_static(b"node 1")));
    store.close().unwrap();
}

fn record(index: u64, size: usize) -> LogRecord {
    LogRecord { index, bytes: Bytes::from(vec![index as u8; size]), bodies: Vec::new() }
}

#[test]
fn a_log_whose_write_failed_takes_nothing_more_until_it_is_back_at_what_is_durable() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let (log, other) = (store.log(GroupId(9)).unwrap(), store.log(GroupId(8)).unwrap());
    let append = |log: &GroupLog, record: LogRecord| wait(|done| log.append(vec![record], done));
    append(&log, record(0, 10)).unwrap();
    let nowhere = LogRecord { bodies: vec![BodyHash([7; 32])], ..record(1, 10) };
    assert_eq!(append(&log, nowhere).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    append(&log, record(2, 10)).unwrap_err();
    append(&other, record(0, 10)).unwrap();
    assert_eq!((log.last_index(), log.durable_index()), (Some(2), Some(0)), "in memory, and kept by nobody");
    wait(|done| log.recover(done)).unwrap();
    assert_eq!((log.last_index(), log.durable_index()), (Some(0), Some(0)));
    append(&log, record(1, 20)).unwrap();
    let both = log.read(0..9, usize::MAX).unwrap();
    assert_eq!(both.iter().map(|(index, bytes)| (*index, bytes.len())).collect::<Vec<_>>(), [(0, 10), (1, 20)]);
    wait(|done| log.recover(done)).unwrap();
    assert_eq!(log.last_index(), Some(1), "a whole log stays as it is");
    drop((log, other));
    store.close().unwrap();
    drop(store);
    let store = open(data.path()).unwrap();
    let log = store.log(GroupId(9)).unwrap();
    assert_eq!(log.read(0..9, usize::MAX).unwrap(), both);
    assert_eq!(log.size().bytes, 30);
    drop(log);
    store.close().unwrap();
}

#[test]
fn the_log_reads_truncates_and_purges() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let log = store.log(GroupId(9)).unwrap();
    wait(|done| log.append((0..100).map(|index| record(index, 50_000)).collect(), done)).unwrap();
    assert_eq!(log.durable_index(), Some(99));
    assert_eq!(log.size().entries, 100);
    assert_eq!(log.size().bytes, 5_000_000);
    let all = log.read(0..1000, usize::MAX).unwrap();
    assert_eq!(all.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(log.read(3..1000, 1).unwrap().len(), 1);
    assert_eq!(log.read(50..1000, 160_000).unwrap().len(), 3);
    wait(|done| log.truncate_after(Some(89), done)).unwrap();
    assert_eq!(log.size().bytes, 4_500_000);
    wait(|done| log.append(vec![record(90, 10)], done)).unwrap();
    assert_eq!(log.read(88..1000, usize::MAX).unwrap().len(), 3);
    assert!(wait(|done| log.append(vec![record(95, 10)], done)).is_err());
    // Nothing is applied, so nothing may be purged yet (C6).
    wait(|done| log.purge(40, Bytes::from_static(b"p40"), done)).unwrap();
    assert_eq!(log.purged_index(), None);
    log.set_purge_limit(Some(60));
    assert_eq!(log.purged_index(), Some(40));
    assert_eq!(log.size(), crate::LogSize { entries: 50, bytes: 49 * 50_000 + 10 });
    drop(log);
    store.close().unwrap();
    drop(store);
    let store = open(data.path()).unwrap();
    let log = store.log(GroupId(9)).unwrap();
    let bounds = log.bounds().unwrap();
    assert_eq!(bounds.purged, Some(Bytes::from_static(b"p40")));
    assert_eq!(bounds.last.map(|(index, bytes)| (index, bytes.len())), Some((90, 10)));
    assert_eq!(log.read(0..1000, usize::MAX).unwrap().first().map(|(index, _)| *index), Some(41));
    assert_eq!(log.size(), crate::LogSize { entries: 50, bytes: 49 * 50_000 + 10 });
    store.close().unwrap();
}

#[test]
fn a_record_whose_body_is_nowhere_fails() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let log = store.log(GroupId(9)).unwrap();
    let named = LogRecord { bodies: vec![model::BodyHash([7; 32])], ..record(0, 9) };
    let error = wait(|done| log.append(vec![named], done)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    store.close().unwrap();
}

#[test]
fn bodies_are_inline_or_staged_by_size() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let small = {
        let mut staged = store.bodies().stage();
        staged.write(b"small").unwrap();
        staged.finish().unwrap()
    };
    assert_eq!(small.inline.as_deref(), Some(b"small".as_slice()));
    let bytes: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
    let large = {
        let mut staged = store.bodies().stage();
        bytes.chunks(777).for_each(|piece| staged.write(piece).unwrap());
        staged.finish().unwrap()
    };
    assert_eq!((large.inline.is_none(), large.size), (true, 100_000));
    assert_eq!(large.hash.0, *blake3::hash(&bytes).as_bytes());
    assert!(store.bodies().contains(&large.hash).unwrap());
    assert_eq!(store.bodies().open_body(&large.hash).unwrap().hash().unwrap(), large.hash);
    let mut unfinished = store.bodies().stage();
    unfinished.write(&bytes).unwrap();
    drop(unfinished);
    assert_eq!(std::fs::read_dir(data.path().join("staging")).unwrap().count(), 1);
    store.close().unwrap();
    drop(store);
    let store = open(data.path()).unwrap();
    assert_eq!(std::fs::read_dir(data.path().join("staging")).unwrap().count(), 0, "an orphan is swept at the start");
    store.close().unwrap();
}

#[test]
fn derived_records_go_with_their_message() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let state = store.state(GROUP).unwrap();
    let (account, folder) = (model::AccountId(1), model::FolderId(2));
    state.cache_put(account, folder, vec![(7, 1, b"seven".to_vec()), (8, 1, b"eight".to_vec())]).unwrap();
    assert_eq!(state.cache_get(account, folder, 7, 1).unwrap(), Some(b"seven".to_vec()));
    let mut seen = Vec::new();
    state
        .cache_scan(account, folder, 1..=7, &mut |uid, kind, bytes| {
            seen.push((uid, kind, bytes.to_vec()));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, [(7, 1, b"seven".to_vec())]);
    store.close().unwrap();
}

#[test]
fn a_lost_body_is_reported_and_repaired_from_a_copy() {
    let data = tempfile::tempdir().unwrap();
    let driver = Driver { store: open(data.path()).unwrap(), witness: Arc::default() };
    driver.play(&script(7, 60)).unwrap();
    driver.play(&[Step::Apply]).unwrap();
    let view = driver.store.state(GROUP).unwrap().read().unwrap();
    let (path, hash) = checks::expected_files(&view).into_iter().next().unwrap();
    drop(view);
    let place = data.path().join(crate::bodies::place(&hash));
    let bytes = std::fs::read(&place).unwrap();
    std::fs::remove_file(place).unwrap();
    assert!(driver.store.bodies().open_body(&hash).is_err());
    assert!(driver.store.repair_body(hash).is_err());
    let never_named = model::BodyHash([9; 32]);
    [hash, never_named].iter().for_each(|hash| driver.store.bodies().add_missing(*hash));
    assert!(driver.store.is_missed(&hash).unwrap() && !driver.store.is_missed(&never_named).unwrap());
    assert_eq!(driver.store.bodies().missing(), [hash], "what no row names is missed by nobody");
    let mut staged = driver.store.bodies().stage();
    staged.write(&bytes).unwrap();
    staged.finish_as_file().unwrap();
    driver.store.repair_body(hash).unwrap();
    assert_eq!(driver.store.bodies().open_body(&hash).unwrap().hash().unwrap(), hash);
    assert_eq!(driver.store.bodies().missing(), []);
    driver.play(&[Step::Tick]).unwrap();
    assert!(paths(data.path()).contains_key(&path));
    driver.store.close().unwrap();
}

/// The newest write-ahead log of a store with 200 records that was killed.
fn killed_with_records(data: &Path) -> std::path::PathBuf {
    let store = open(data).unwrap();
    let log = store.log(GroupId(9)).unwrap();
    wait(|done| log.append((0..200).map(|index| record(index, 4000)).collect(), done)).unwrap();
    wait(|done| log.append((200..400).map(|index| record(index, 4000)).collect(), done)).unwrap();
    store.abandon();
    let files = std::fs::read_dir(data.join("rows")).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect();
    logs.sort_by_key(|path| path.metadata().unwrap().len());
    logs.pop().unwrap()
}

#[test]
fn a_damaged_log_stops_the_start() {
    let data = tempfile::tempdir().unwrap();
    let path = killed_with_records(data.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[300_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    assert!(matches!(open(data.path()), Err(OpenError::Rows(_))), "acknowledged records were forgotten silently");
}

#[test]
fn a_torn_end_of_the_log_is_no_damage() {
    let data = tempfile::tempdir().unwrap();
    let path = killed_with_records(data.path());
    let size = path.metadata().unwrap().len();
    std::fs::File::options().write(true).open(path).unwrap().set_len(size - 1000).unwrap();
    let store = open(data.path()).unwrap();
    assert_eq!(store.log(GroupId(9)).unwrap().last_index(), Some(199));
    store.close().unwrap();
}

#[test]
fn an_erased_group_leaves_nothing_and_may_come_again_as_new() {
    let data = tempfile::tempdir().unwrap();
    let files = |data: &Path| {
        // Shelves of bodies and the directories of domains may stay.
        let shelf = |path: &str| path.matches('/').count() == 1 && !path.starts_with("queue/");
        let kept = |path: &str| ["mail/", "bodies/", "queue/"].iter().any(|under| path.starts_with(under));
        paths(data).into_keys().filter(|path| kept(path) && !shelf(path)).collect::<Vec<_>>()
    };
    for (seed, reopened) in [(7, false), (8, true), (9, false)] {
        let driver = Driver { store: open(data.path()).unwrap(), witness: Arc::default() };
        assert_eq!(driver.store.log(GROUP).unwrap().last_index(), None);
        assert!(driver.store.state(GROUP).unwrap().applied().is_none());
        driver.play(&script(seed, 60)).unwrap();
        driver.play(&[Step::Apply]).unwrap();
        assert!(!files(data.path()).is_empty());
        let store = driver.store.clone();
        if reopened {
            store.close().unwrap();
            drop((driver, store));
            let store = open(data.path()).unwrap();
            store.erase(GROUP).unwrap();
            store.close().unwrap();
        } else {
            store.erase(GROUP).unwrap();
            store.close().unwrap();
        }
        assert_eq!(files(data.path()), Vec::<String>::new());
    }
}
