//! A simulated power supply that [`crate::disk::SimDisk`] and [`crate::rows::SimRows`] share: it counts every operation
//! of both and fails at a chosen one. What survives is drawn from a seed, so a run can be repeated (I12).

use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// Counts operations; goes out before the one after the last it allows.
#[derive(Clone)]
pub struct Power {
    state: Arc<Mutex<PowerState>>,
}

struct PowerState {
    used: u64,
    allowed: u64,
    random: u64,
}

impl Power {
    /// Power for `allowed` operations; `seed` decides what a crash leaves.
    pub fn new(allowed: u64, seed: u64) -> Self {
        Power { state: Arc::new(Mutex::new(PowerState { used: 0, allowed, random: seed.wrapping_mul(2) | 1 })) }
    }

    /// Takes one operation.
    pub(crate) fn step(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.used >= state.allowed {
            return Err(io::Error::other("the simulated power is out"));
        }
        state.used += 1;
        Ok(())
    }

    /// Operations done.
    pub fn used(&self) -> u64 {
        self.state.lock().used
    }

    /// Whether an operation was refused or would be.
    pub fn is_out(&self) -> bool {
        let state = self.state.lock();
        state.used >= state.allowed
    }

    /// Puts the power back on for `allowed` more operations.
    pub fn restore(&self, allowed: u64) {
        let mut state = self.state.lock();
        state.used = 0;
        state.allowed = allowed;
    }

    /// A number below `end` (xorshift64*); 0 for 0.
    pub(crate) fn random(&self, end: u64) -> u64 {
        let mut state = self.state.lock();
        state.random ^= state.random >> 12;
        state.random ^= state.random << 25;
        state.random ^= state.random >> 27;
        state.random.wrapping_mul(0x2545_f491_4f6c_dd1d).checked_rem(end).unwrap_or(0)
    }
}

/// Deliberate faults that the crash test must notice.
#[cfg(test)]
pub(crate) mod mutants {
    use std::cell::Cell;
    thread_local! {
        /// The log writer completes before it syncs.
        pub static EARLY_COMPLETION: Cell<bool> = const { Cell::new(false) };
        /// Apply writes rows before files.
        pub static ROWS_BEFORE_FILES: Cell<bool> = const { Cell::new(false) };
        /// Files count as synced without a sync.
        pub static NO_FILE_SYNC: Cell<bool> = const { Cell::new(false) };
    }
}
