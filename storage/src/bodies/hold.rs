//! A hold on bodies that something is about to name: while it lives they are neither swept nor removed, and those that
//! are known to be gone for good may be named all the same.

use super::Bodies;
use model::BodyHash;
use std::sync::Arc;

/// Keeps bodies that are here, or come meanwhile, until it is dropped.
pub struct BodyHold {
    bodies: Arc<Bodies>,
    hashes: Vec<BodyHash>,
    gone: Vec<BodyHash>,
}

impl Bodies {
    /// Holds bodies, whether they are here yet or not. What [`Bodies::contains`] finds afterwards stays while the hold does.
    pub fn hold(self: &Arc<Self>, hashes: &[BodyHash]) -> BodyHold {
        {
            let mut waiting = self.waiting.lock();
            for hash in hashes {
                *waiting.names.entry(*hash).or_default() += 1;
            }
        }
        // A removal that began before is over when its lock is free.
        hashes.iter().for_each(|hash| drop(self.lock(hash)));
        BodyHold { bodies: self.clone(), hashes: hashes.to_vec(), gone: Vec::new() }
    }
}

impl BodyHold {
    /// While the hold lives a record that names one of `gone`, which are nowhere, may be written without it.
    pub fn let_go(&mut self, gone: &[BodyHash]) {
        let mut waiting = self.bodies.waiting.lock();
        for hash in gone {
            *waiting.gone.entry(*hash).or_default() += 1;
        }
        self.gone.extend_from_slice(gone);
    }
}

impl Drop for BodyHold {
    fn drop(&mut self) {
        let mut waiting = self.bodies.waiting.lock();
        for hash in &self.hashes {
            waiting.unname(hash);
        }
        for hash in &self.gone {
            waiting.miss(hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::bodies::{Bodies, Removal};
    use crate::disk::{RealDisk, ensure_directory};
    use std::sync::Arc;

    #[test]
    fn what_is_held_is_neither_swept_nor_removed() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
        Bodies::directories().for_each(|made| ensure_directory(&*disk, &made).unwrap());
        let bodies = Arc::new(Bodies::new(disk));
        let mut staged = bodies.stage();
        staged.write(b"held").unwrap();
        let hash = staged.finish_as_file().unwrap();
        bodies.name(model::GroupId(1), 1, &[hash]);
        bodies.place(&hash, None, false).unwrap();
        let hold = bodies.hold(&[hash]);
        bodies.forget(model::GroupId(1), 0, 1);
        bodies.sweep_staging(&bodies.placed_staged()).unwrap();
        assert_eq!(bodies.remove_unreferenced(&hash).unwrap(), Removal::Wanted);
        drop(hold);
        bodies.sweep_staging(&bodies.placed_staged()).unwrap();
        assert_eq!(bodies.remove_unreferenced(&hash).unwrap(), Removal::Removed);
        assert!(!bodies.contains(&hash).unwrap());
    }
}
