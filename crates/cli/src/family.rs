//! The processes of a data directory and how they look after each other.
//!
//! Three roles, each held by at most one process: the *resident* process (engine, store,
//! supervisor, API), the *proxy* (traffic), and the *keeper*, which does nothing but watch. Keeper
//! and resident process both start whatever is missing, so that any of the three can be killed and
//! is back within a second; only killing keeper and resident process in the same instant leaves
//! the proxy alone, and then the next verb of the CLI starts them again.

mod seat;
mod spawn;
mod watch;

pub(crate) use seat::{Identity, Seat, holder};
pub(crate) use spawn::{Program, detach_from_terminal, spawn};
pub(crate) use watch::{LOOK_MS, Watch, end};

use std::fmt;

/// What a process of ours is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Engine, store, supervisor and API.
    Resident,
    /// Watches the resident process and the proxy.
    Keeper,
    /// Serves traffic.
    Proxy,
}

impl Role {
    /// The hidden verb that plays it.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Keeper => "keep",
            Self::Proxy => "proxy",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Resident => "resident",
            Self::Keeper => "keeper",
            Self::Proxy => "proxy",
        })
    }
}
