//! The field's judges as they are: Kayenta, Argo Rollouts, Flagger, and the plain ratio rule.
//!
//! Semantics were read in their sources; where one is knowingly not reproduced, the module says so and
//! `docs/compatibility.md` lists it. Everything is pure: what a release did comes in as [`Stretch`]es of counts, latency
//! and values of both sides, and a [`Play`] answers when a peer would have acted, and why. The benchmark and the binary
//! play the same ones.

pub mod argo;
pub mod flagger;
pub mod import;
pub mod kayenta;
pub mod named;
pub mod policy;
pub mod ratio;
pub mod signal;
pub mod span;

pub use policy::{Act, Outcome, Play, Policy, Side, Stretch, Tape};
pub use signal::{Reading, Signal};
