//! The `mailnode` binary: sets the allocator and hands over to the command line.
#![forbid(unsafe_code)]

use mimalloc::MiMalloc;

/// Sessions allocate and free small things on every core; mimalloc does that faster and gives memory back sooner.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const _: () = assert!(!faults::ENABLED, "faults can be planted in this build: unset MAILNODE_FAULTS");

fn main() -> node::cli::Exit {
    node::cli::main()
}
