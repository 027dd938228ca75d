//! The layout that DESIGN draws, held by a test: which crate may know which, where the big libraries may be named, and
//! that no crate allows unsafe code.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Per crate: the crates of this workspace it may depend on, and libraries it must not.
const CRATES: [(&str, &[&str], &[&str]); 11] = [
    ("faults", &[], &["tokio", "serde", "rocksdb", "openraft", "quinn", "ractor"]),
    (
        "model",
        &["faults"],
        &[
            "tokio",
            "futures",
            "async-trait",
            "chrono",
            "getrandom",
            "rocksdb",
            "openraft",
            "quinn",
            "ractor",
            "rustix",
            "tracing",
        ],
    ),
    (
        "protocols",
        &["model"],
        &["tokio", "tokio-util", "futures", "getrandom", "rocksdb", "openraft", "quinn", "ractor", "rustix"],
    ),
    ("storage", &["faults", "model"], &["openraft", "tokio", "ractor", "quinn", "rustls"]),
    ("cluster", &["faults", "model", "storage"], &["ractor", "rocksdb"]),
    ("web", &[], &["openraft", "rocksdb", "ractor", "quinn"]),
    ("node", &["faults", "model", "protocols", "storage", "cluster", "web"], &["openraft", "rocksdb"]),
    ("clients", &[], &["tokio", "openraft", "rocksdb", "ractor", "quinn"]),
    (
        "tests",
        &["clients", "cluster", "faults", "model", "node", "protocols", "storage"],
        &["openraft", "rocksdb", "ractor", "quinn"],
    ),
    ("bench", &["clients"], &["openraft", "rocksdb", "ractor", "quinn"]),
    ("jepsen", &["clients"], &["tokio", "openraft", "rocksdb", "ractor", "quinn"]),
];

/// Libraries that are named in one folder only.
const NAMED_IN: [(&str, &str); 4] = [
    ("openraft", "cluster/src/raft/"),
    ("quinn", "cluster/src/transport/"),
    ("rocksdb", "storage/src/rows/"),
    ("ractor", "node/src/"),
];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().manifest_path(root().join("Cargo.toml")).exec().expect("cargo metadata runs")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

/// What a crate builds with; what its tests use is free.
fn dependencies(package: &Package) -> BTreeSet<&str> {
    let built = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    built.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn no_crate_knows_what_it_must_not() {
    let metadata = metadata();
    let own: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &metadata.packages {
        let rule = CRATES.iter().find(|(name, ..)| *name == package.name.as_str());
        let (name, may, must_not) = rule.unwrap_or_else(|| panic!("{} has no rule: add one here", package.name));
        for dependency in dependencies(package) {
            let allowed = !own.contains(dependency) || may.contains(&dependency);
            assert!(allowed && !must_not.contains(&dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn big_libraries_are_named_in_their_folder_only() {
    for file in sources() {
        let place = file.strip_prefix(root()).expect("below the workspace").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a source is text");
        for (library, folder) in NAMED_IN {
            let names = names_library(&text, library);
            assert!(!names || place.starts_with(folder), "{place} names {library}, which belongs to {folder}");
        }
    }
}

/// Whether the text uses a path into the library; words in comments and longer names do not count.
fn names_library(text: &str, library: &str) -> bool {
    let path = format!("{library}::");
    text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
        line.match_indices(&path).any(|(at, _)| {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            before.is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != ':')
        })
    })
}

#[test]
fn every_crate_forbids_unsafe_code_and_every_file_says_its_duty() {
    for package in metadata().packages {
        for target in package.targets.iter().filter(|target| target.is_lib() || target.is_bin()) {
            let text = fs::read_to_string(&target.src_path).expect("a source is text");
            assert!(text.contains("#![forbid(unsafe_code)]"), "{} allows unsafe code", target.src_path);
        }
    }
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source is text");
        assert!(text.starts_with("//!"), "{} does not say its duty", file.display());
    }
}

/// Every Rust file of every crate's sources.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for package in metadata().packages {
        let folder = package.manifest_path.parent().expect("a manifest is in a folder").join("src");
        collect(folder.as_std_path(), &mut files);
    }
    assert!(files.len() > 50, "the sources were found");
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn a_path_into_a_library_is_told_from_a_word() {
    assert!(names_library("use openraft::Raft;", "openraft"));
    assert!(names_library("let x = (openraft::Raft);", "openraft"));
    assert!(!names_library("// openraft::Raft", "openraft"));
    assert!(!names_library("my_openraft::Raft", "openraft"));
    assert!(!names_library("an openraft log", "openraft"));
}
