//! From sockets to sessions: binding, permits, the actors that supervise connections, and the connection itself.
//! Knows no protocol: a [`Protocol`] brings its own driver.

mod connection;
mod gate;
mod incoming;
mod listener;
mod permits;
mod proxy;
mod session;
mod session_actor;
mod socket;
mod supervisor;
#[cfg(test)]
mod tests;

pub use connection::{Connection, TlsInfo, Traffic};
pub use gate::Gate;
pub use incoming::Incoming;
pub use listener::{ListenerSpec, Security};
pub use permits::{Permit, Permits, Refused};
pub use proxy::{Balancers, Origin};
pub use session::{Protocol, SessionContext, SessionEnd, SessionId, SessionSummary};
pub use socket::{BoundListener, bind};
pub use supervisor::{Bound, Network, NetworkError, NetworkOptions};
