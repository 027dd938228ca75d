//! Bodies that a crash tore or that are nowhere, over a start, on a real directory.

use super::driver::{Driver, GROUP, decode};
use super::workload::{Step, body, body_bytes, script};
use crate::{Options, Store, bodies};
use model::mailbox::{MailboxCommand, NewMessage};
use model::{AccountId, BodyRef, Command, Entry, FolderId, OperationId};
use std::path::Path;
use std::sync::Arc;

fn open(data: &Path) -> Driver {
    let options =
        Options { data: data.to_path_buf(), decode: decode(), progress: Box::new(|_, _| ()), block_cache_bytes: None };
    Driver { store: Store::open(options).unwrap(), witness: Arc::default() }
}

/// A driver with the accounts of every script.
fn with_accounts(data: &Path) -> Driver {
    let driver = open(data);
    driver.play(&script(1, 2)).unwrap();
    driver.play(&[Step::Apply]).unwrap();
    driver
}

fn reopened(driver: Driver, data: &Path) -> Driver {
    driver.store.close().unwrap();
    drop(driver);
    open(data)
}

fn append(body: BodyRef) -> Step {
    let message = NewMessage { body, flags: 0, keywords: Vec::new(), internal_date: None, internal_zone: 0 };
    let (account, folder, messages) = (AccountId(1), FolderId(1), vec![message]);
    let command = Command::Mailbox(MailboxCommand::Append { account, folder, messages });
    Step::Propose(Box::new(Entry { operation: OperationId::new(1_800_000_000_000, [7; 10]), proposed_at: 1, command }))
}

#[test]
fn what_lost_rows_left_torn_is_whole_before_anybody_else_names_it() {
    let data = tempfile::tempdir().unwrap();
    let driver = with_accounts(data.path());
    let body = body(3, false);
    driver.play(&[append(body.clone())]).unwrap();
    driver.store.abandon();
    drop(driver);
    // Applied before a crash that took the rows and the bytes, but not the name.
    std::fs::write(data.path().join(bodies::place(&body.hash)), b"").unwrap();
    let driver = open(data.path());
    assert!(
        driver.store.state(GROUP).unwrap().applied().map(|(index, _)| index)
            < driver.store.log(GROUP).unwrap().last_index()
    );
    assert_eq!(driver.store.bodies().open_here(&body.hash).unwrap().hash().unwrap(), body.hash);
    driver.store.close().unwrap();
}

#[test]
fn a_body_that_was_missing_is_still_missed_after_a_start() {
    let data = tempfile::tempdir().unwrap();
    let driver = with_accounts(data.path());
    let body = body(3, true);
    driver.play(&[append(body.clone())]).unwrap();
    std::fs::remove_file(data.path().join("staging").join(body.hash.to_hex())).unwrap();
    driver.play(&[Step::Apply, Step::Tick]).unwrap();
    let mut driver = driver;
    for _ in 0..2 {
        assert_eq!(driver.store.bodies().missing(), [body.hash]);
        driver = reopened(driver, data.path());
    }
    let mut staged = driver.store.bodies().stage();
    staged.write(&body_bytes(3)).unwrap();
    staged.finish_as(body.hash).unwrap();
    driver.store.repair_body(body.hash).unwrap();
    driver = reopened(driver, data.path());
    assert_eq!(driver.store.bodies().missing(), []);
    assert_eq!(driver.store.bodies().open_here(&body.hash).unwrap().hash().unwrap(), body.hash);
    driver.store.close().unwrap();
}
