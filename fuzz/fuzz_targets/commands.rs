//! Any bytes as a log: what decodes is applied on two replicas, which must agree, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::memory::MemoryTxn;
use model::{Entry, GroupId, apply, codec};

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = codec::decode::<Vec<Entry>>(bytes) else { return };
    for group in [GroupId::DIRECTORY, GroupId(1)] {
        let (mut one, mut two) = (MemoryTxn::new(), MemoryTxn::new());
        for (index, entry) in (1..).zip(&log) {
            let outcome = apply(&mut one, group, index, entry).expect("memory rows are readable");
            assert_eq!(outcome, apply(&mut two, group, index, entry).expect("memory rows are readable"));
        }
        assert_eq!(one, two);
    }
});
