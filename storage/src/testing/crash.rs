//! The crash test: a script of commands, the power cut after every single operation, and the invariants afterwards.

use super::checks;
use super::driver::{Driver, GROUP, Witness, decode, wait};
use super::workload::{Step, script};
use crate::Store;
use crate::disk::SimDisk;
use crate::rows::SimRows;
use crate::sim::{Power, mutants};
use std::sync::Arc;

const ALWAYS: u64 = u64::MAX;

struct World {
    power: Power,
    disk: SimDisk,
    rows: SimRows,
    witness: Arc<Witness>,
}

impl World {
    fn new(allowed: u64, seed: u64) -> Self {
        let power = Power::new(allowed, seed);
        World { disk: SimDisk::new(power.clone()), rows: SimRows::new(power.clone()), power, witness: Arc::default() }
    }

    fn open(&self) -> std::io::Result<Driver> {
        let store = Store::open_simulated(Arc::new(self.disk.clone()), Arc::new(self.rows.clone()), decode())?;
        Ok(Driver { store, witness: self.witness.clone() })
    }

    fn crash(&self, allowed: u64) {
        self.disk.recover();
        self.rows.recover();
        self.power.restore(allowed);
    }

    /// Everything that must hold after a start, then after going on, then after everything old is purged.
    fn check(&self, more: &[Step]) -> Result<(), String> {
        let driver = self.open().map_err(|error| format!("the start failed: {error}"))?;
        let store = &driver.store;
        checks::acknowledged(store, &self.witness)?;
        checks::rows_agree(store, &self.witness)?;
        checks::bodies_whole(store)?;
        let go_on =
            |step: &Step| driver.play(std::slice::from_ref(step)).map_err(|error| format!("going on failed: {error}"));
        // Files may be ahead of rows that a crash took, until the entries that made them are applied again.
        go_on(&Step::Apply)?;
        checks::files_agree(store, &self.disk.paths())?;
        more.iter().try_for_each(go_on)?;
        [Step::Apply, Step::Tick].iter().try_for_each(go_on)?;
        checks::rows_agree(store, &self.witness)?;
        checks::bodies_whole(store)?;
        checks::files_agree(store, &self.disk.paths())?;
        [Step::Purge, Step::Tick, Step::Tick, Step::Tick].iter().try_for_each(go_on)?;
        checks::bodies_whole(store)?;
        checks::nothing_left_over(store, &self.disk.paths())?;
        let size = store.log(GROUP).map_err(|error| error.to_string())?.size();
        if size.entries > 0 { Err(format!("the log is not bounded: {size:?}")) } else { Ok(()) }
    }
}

/// Cuts the power after every operation of a script, and again during the start that follows.
fn crash_everywhere(seed: u64, steps: usize) -> Result<(), String> {
    let script = script(seed, steps);
    let (script, more) = script.split_at(steps - 3);
    let whole = World::new(ALWAYS, seed);
    let opened = {
        let driver = whole.open().map_err(|error| error.to_string())?;
        let opened = whole.power.used();
        driver.play(script).map_err(|error| format!("without a crash: {error}"))?;
        opened
    };
    let operations = whole.power.used();
    whole.check(more).map_err(|why| format!("seed {seed} without a crash: {why}"))?;
    for allowed in (0..opened).step_by(97).chain(opened..operations) {
        let world = World::new(allowed, seed ^ allowed.wrapping_mul(0x9e37_79b9));
        if let Ok(driver) = world.open() {
            // The power goes out somewhere in here.
            let _ = driver.play(script);
        }
        for _ in 0..2 {
            let again = world.power.random(60);
            world.crash(again);
            // A start that is cut short as well, or one that is followed by a crash at once.
            let _ = world.open();
        }
        world.crash(ALWAYS);
        world
            .check(more)
            .map_err(|why| format!("seed {seed}, power cut after {allowed} of {operations} operations: {why}"))?;
    }
    Ok(())
}

/// `STORAGE_CRASH_SEED` and `STORAGE_CRASH_SEEDS` choose where to begin and how many to run.
fn seeds() -> impl Iterator<Item = u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("STORAGE_CRASH_SEED").unwrap_or(1);
    first..first + number("STORAGE_CRASH_SEEDS").unwrap_or(30)
}

#[test]
fn nothing_acknowledged_is_lost_by_any_crash() {
    for seed in seeds() {
        if let Err(why) = crash_everywhere(seed, 30) {
            panic!("{why}");
        }
    }
}

/// Each deliberate fault must be noticed by at least one of the seeds that the right store passes.
fn noticed(mutant: &'static std::thread::LocalKey<std::cell::Cell<bool>>) -> bool {
    mutant.set(true);
    let noticed = seeds().any(|seed| crash_everywhere(seed, 30).is_err());
    mutant.set(false);
    noticed
}

#[test]
fn completing_before_the_sync_is_noticed() {
    assert!(noticed(&mutants::EARLY_COMPLETION));
}

#[test]
fn rows_before_files_are_noticed() {
    assert!(noticed(&mutants::ROWS_BEFORE_FILES));
}

#[test]
fn forgetting_to_sync_files_is_noticed() {
    assert!(noticed(&mutants::NO_FILE_SYNC));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = || {
        let world = World::new(ALWAYS, 5);
        let driver = world.open().unwrap();
        driver.play(&script(5, 40)).unwrap();
        (world.power.used(), world.disk.paths())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_snapshot_moves_a_group_to_another_node() {
    for seed in 1..=20 {
        let (from, to) = (World::new(ALWAYS, seed), World::new(ALWAYS, seed + 1));
        let source = from.open().unwrap();
        source.play(&script(seed, 40)).unwrap();
        source.play(&[Step::Apply]).unwrap();
        let target = to.open().unwrap();
        // The other node lags with a state of its own that the snapshot replaces.
        target.play(&script(seed, 12)).unwrap();
        target.play(&[Step::Apply]).unwrap();
        transfer(&source, &target).unwrap();
        *to.witness.proposed.lock() = from.witness.proposed.lock().clone();
        to.witness.replied.lock().clear();
        *to.witness.durable.lock() = 0;
        checks::rows_agree(&target.store, &to.witness).unwrap();
        checks::bodies_whole(&target.store).unwrap();
        checks::files_agree(&target.store, &to.disk.paths()).unwrap();
        drop(target);
        to.crash(ALWAYS);
        to.check(&[Step::Tick]).unwrap();
    }
}

/// A crash anywhere in an installation leaves the old state or the new one, with files that agree.
#[test]
fn a_crash_while_a_snapshot_is_taken_over_leaves_one_state() {
    // The other node has nothing at all, or lags with a state of its own.
    for (seed, lag) in [(1, 12), (2, 0), (3, 12), (4, 0), (5, 20), (6, 0)] {
        let from = World::new(ALWAYS, seed);
        let source = from.open().unwrap();
        source.play(&script(seed, 40)).unwrap();
        source.play(&[Step::Apply]).unwrap();
        let mut taken_over = 0;
        for allowed in 0.. {
            let to = World { witness: from.witness.clone(), ..World::new(ALWAYS, seed ^ allowed) };
            let lagging = Driver { store: to.open().unwrap().store, witness: Arc::default() };
            lagging.play(script(seed, 40).get(..lag).unwrap()).unwrap();
            lagging.play(&[Step::Apply]).unwrap();
            let old = lagging.store.state(GROUP).unwrap().applied();
            to.power.restore(allowed);
            let finished = transfer(&source, &lagging).is_ok();
            drop(lagging);
            to.crash(ALWAYS);
            let again = Driver { store: to.open().unwrap().store, witness: Arc::default() };
            let applied = again.store.state(GROUP).unwrap().applied();
            taken_over += u64::from(applied > old);
            assert!(!finished || applied > old, "seed {seed}, {allowed} operations: a finished installation is gone");
            again.play(&[Step::Apply, Step::Tick]).unwrap();
            if !finished {
                // What a torn attempt left must not pass for the real thing in the next.
                transfer(&source, &again).unwrap();
            }
            let paths = to.disk.paths();
            let checked = checks::rows_agree(&again.store, &Witness::of(&from.witness))
                .and_then(|()| checks::bodies_whole(&again.store))
                .and_then(|()| checks::files_agree(&again.store, &paths));
            assert_eq!(checked, Ok(()), "seed {seed}, power cut after {allowed} operations of the installation");
            if finished {
                break;
            }
        }
        assert!(taken_over > 0);
    }
}

fn transfer(source: &Driver, target: &Driver) -> std::io::Result<()> {
    let snapshot = wait(|done| source.store.state(GROUP).unwrap().snapshot(done))?;
    let install = target.store.state(GROUP)?.install()?;
    let mut cursor = crate::snapshot::Cursor::default();
    while let Some(chunk) = snapshot.read(&mut cursor)? {
        install.write(&chunk)?;
    }
    for hash in install.missing(&snapshot.manifest()?)? {
        let body = source.store.bodies().open_body(&hash)?;
        let mut bytes = vec![0; body.len() as usize];
        body.read_at(0, &mut bytes)?;
        let mut staged = target.store.bodies().stage();
        staged.write(&bytes)?;
        assert_eq!(staged.finish_as_file()?, hash);
    }
    wait(|done| install.finish(snapshot.position().clone(), done))
}
