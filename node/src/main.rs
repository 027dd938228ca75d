//! The `mailnode` binary.

fn main() {}
