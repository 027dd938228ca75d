//! Tests of the whole store: random replicated commands over simulated and real parts, crashes everywhere, and the
//! invariants checked from outside.

mod bodies;
mod checks;
mod crash;
mod driver;
mod real;
mod workload;
