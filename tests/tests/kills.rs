//! A short run of the kill campaign; the long one is `cargo run --release -p tests --bin kills -- 1000`.

use tests::kills::{Campaign, run};

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills() {
    let directory = tempfile::tempdir().unwrap();
    let campaign = Campaign { directory: directory.path().join("node"), kills: 12, seed: 20_261_122, users: 4 };
    let report = run(&campaign, |_| {}).unwrap();
    assert!(report.wrong.is_empty(), "{report}");
    assert!(report.acknowledged > 100 && report.flagged > 10 && report.folders > 0, "too little was done: {report}");
}
