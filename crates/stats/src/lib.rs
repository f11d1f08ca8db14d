//! Sequential tests over plain numbers: has never heard of a release.
//!
//! Everything is a pure function or a fold of windows; floats go through pinned `libm`, so that the same counts give the
//! same bits on every machine and in every build profile. Counts may be anything from 0 to 10^12 and beyond; no function
//! panics on them or answers NaN.
//!
//! Where to look: [`reject`] (is it worse than tolerated?), [`exclude`] (how bad can it still be?), [`profile`] (the
//! ratio with a confidence sequence), [`latency`].

pub mod bounds;
pub mod burn;
pub mod combine;
pub mod dispersion;
pub mod exclude;
pub mod histogram;
pub mod increment;
pub mod interval;
pub mod latency;
pub mod math;
pub mod preflight;
pub mod profile;
pub mod reject;
pub mod softrank;
pub mod split;

mod error;
mod window;

pub use error::Error;
pub use increment::Boundary;
pub use window::{Arm, Window};
