//! Sequential tests over plain numbers: has never heard of a release.
//!
//! Everything is a pure function or a fold of windows; floats go through pinned `libm`, so that the same counts give the
//! same bits on every machine and in every build profile. Counts may be anything from 0 to 10^12 and beyond; no function
//! panics on them or answers NaN.
//!
//! Where to look: [`reject`] (is it worse than tolerated?), [`exclude`] (how bad can it still be?), [`threshold`] (when
//! is evidence enough?), [`profile`] (the ratio with a confidence sequence), [`latency`] (with [`ordered`]), [`shift`]
//! and [`means`] (other metrics), [`fewer`] (successes that drop, also late), [`starts`] (faults that begin late),
//! [`combine`] (many metrics, one verdict), [`softrank`] and [`dispersion`] (when requests do not fail independently),
//! [`preflight`] and [`bounds`] (what can be seen at all), [`burn`] (absolute guards), [`split`] (lost requests),
//! [`interval`] and [`sequence`] (for display).

pub mod bounds;
pub mod burn;
pub mod combine;
pub mod compact;
pub mod dispersion;
pub mod exclude;
pub mod fewer;
pub mod histogram;
pub mod increment;
pub mod interval;
pub mod latency;
pub mod math;
pub mod means;
pub mod ordered;
pub mod preflight;
pub mod profile;
pub mod ranksum;
pub mod reject;
pub mod sequence;
pub mod shift;
pub mod softrank;
pub mod split;
pub mod starts;
pub mod threshold;

mod error;
mod logs;
mod window;

pub use error::Error;
pub use increment::Boundary;
pub use window::{Arm, FULL_CANARY, FULL_S, Window};
