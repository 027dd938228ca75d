//! Duty of this crate: see its Cargo.toml description and docs/decisions; filled in crate by crate.
