//! What sessions of every protocol ask for: where addresses lead, who may log in, taking mail in, reading it back.

pub mod delivery;
pub mod directory;
pub mod following;
pub mod leadership;
pub mod mailbox;
pub mod passwords;
pub mod propose;
pub mod reading;
