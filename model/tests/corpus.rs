//! Replays the committed seeds of the fuzz target `commands`: encoded logs, applied on two replicas.

use model::memory::MemoryTxn;
use model::{Entry, GroupId, apply, codec};
use std::path::Path;

#[test]
fn every_seed_leads_two_replicas_to_the_same_rows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/commands");
    let (mut seeds, mut applied) = (0, 0);
    for seed in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(seed.unwrap().path()).unwrap();
        seeds += 1;
        // A damaged seed is refused whole; that is part of what is replayed.
        let Ok(log) = codec::decode::<Vec<Entry>>(&bytes) else { continue };
        for group in [GroupId::DIRECTORY, GroupId(1)] {
            let (mut one, mut two) = (MemoryTxn::new(), MemoryTxn::new());
            for (index, entry) in (1..).zip(&log) {
                let outcome = apply(&mut one, group, index, entry).unwrap();
                assert_eq!(outcome, apply(&mut two, group, index, entry).unwrap());
                applied += 1;
            }
            assert_eq!(one, two);
        }
    }
    assert!(seeds >= 3 && applied > 20, "{seeds} seeds, {applied} entries");
}
