//! Random numbers: the system's, or the simulation's.

use super::simulation;

/// Fills `bytes` with random ones; an error says why there are none.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), String> {
    let Some(simulation) = simulation::current() else {
        return getrandom::fill(bytes).map_err(|error| error.to_string());
    };
    for some in bytes.chunks_mut(8) {
        some.iter_mut().zip(simulation.random().to_le_bytes()).for_each(|(byte, drawn)| *byte = drawn);
    }
    Ok(())
}

/// The simulation's next random number; `None` outside of one.
pub fn random() -> Option<u64> {
    simulation::current().map(|simulation| simulation.random())
}
