//! All release logic, as functions from values to values.
//!
//! [`handle`] answers a person, [`evolve`](environment::evolve) folds the log, [`next`] decides
//! what a situation asks for, [`check`] is a second opinion on it. Nothing here knows a clock, a
//! thread, a socket or a database; the same inputs give the same outputs, byte for byte, which is
//! what `taxiway replay` proves. Read [`next`] first.

pub mod check;
pub mod environment;
pub mod feedback;
pub mod handle;
pub mod holding;
pub mod judge;
pub mod next;
pub mod normal;
pub mod plan;
pub mod preflight;
pub mod replay;

pub use check::check;
pub use handle::handle;
pub use next::{Situation, next};
