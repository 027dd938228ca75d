//! Placeholder until the simulated disk stands.
/// x
pub struct SimDisk;
