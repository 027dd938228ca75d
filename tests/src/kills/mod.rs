//! A node is killed with SIGKILL again and again while clients work; nothing acknowledged may be lost or doubled.
//!
//! Clients note what was acknowledged and what was in flight. After each restart the mailboxes are read and compared:
//! acknowledged ⊆ present ⊆ attempted, each once; flags and folders likewise (I1, I6, I7).

mod history;
mod verify;
mod work;

pub use history::History;
pub use verify::verify;
pub use work::{Endpoints, Users, work_until};
