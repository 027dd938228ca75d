//! Small blocking mail clients for tests and benchmarks: they speak plainly and say exactly what came back.

pub mod imap;
pub mod smtp;
