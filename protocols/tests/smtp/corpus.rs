//! Replays the committed seeds of the fuzz target `smtp_session` and checks on each what the properties demand.

use crate::properties::run;
use protocols::smtp::server::Service;
use std::path::Path;

#[test]
fn every_seed_gives_the_same_session_however_it_is_cut() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/smtp_session");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with('.') {
            continue;
        }
        let input = std::fs::read(&path).unwrap();
        for service in [Service::Mx, Service::Submission, Service::Lmtp] {
            let whole = run(service, &input, usize::MAX);
            for size in [1, 3, 64, 1000] {
                assert_eq!(run(service, &input, size), whole, "{path:?} as {service:?} in pieces of {size}");
            }
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} seeds found");
}
