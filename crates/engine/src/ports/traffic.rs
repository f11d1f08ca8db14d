//! The router, as the engine needs it.

use taxiway_model::control::Snapshot;
use taxiway_model::ids::{Generation, StreamId};
use taxiway_model::route::{Applied, RouteTable};

/// Why a router did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The intent is older than one the router has seen.
    #[error("the router is at {current}, the order is of {given}: an old order is not carried out")]
    Stale {
        /// The order's generation.
        given: Generation,
        /// The newest one seen.
        current: Generation,
    },
    /// The router understood and will not: port taken, certificate unreadable, …
    #[error("the router refuses: {0}")]
    Refused(String),
    /// The router does not answer; worth another try.
    #[error("the router does not answer: {0}")]
    Unavailable(String),
    /// The router has no table for this stream.
    #[error("the router has no table for {0}")]
    NoTable(StreamId),
}

/// What splits the traffic. An answer means: in force from the next request on.
pub trait Traffic: Send + Sync {
    /// Puts a table in force, or renews the lease of the one in force.
    fn apply(&self, table: &RouteTable) -> Result<Applied, Error>;

    /// Gives everything to the baseline. Must need nothing but the router.
    fn to_baseline(&self, stream: &StreamId, generation: Generation) -> Result<Applied, Error>;

    /// Cumulative counts and what is in force.
    fn counts(&self, stream: &StreamId) -> Result<Snapshot, Error>;

    /// Forgets a stream and closes its listeners.
    fn remove(&self, stream: &StreamId) -> Result<(), Error>;
}
