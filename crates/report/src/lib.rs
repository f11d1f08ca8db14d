//! Judgements written for people: what a judge saw and said of a canary, as text, JSON or one page
//! of HTML with charts.
//!
//! The way through: a [`Recording`] (the evidence of one release, or of two files) is walked by
//! [`course::follow`] under a policy, with the very judge that runs live; [`Report::of`] puts the
//! walk into a value; [`text`], [`html`] and `serde` write it. [`compare`] puts several judges'
//! answers on the same recording side by side.
//!
//! Nothing here knows a clock, a file or an environment: the same recording gives the same page.

pub mod bins;
pub mod compare;
pub mod course;
pub mod figures;
pub mod html;
pub mod recording;
pub mod report;
pub mod text;
pub mod words;

mod chart;
mod used;

pub use course::{Course, Decision};
pub use recording::Recording;
pub use report::Report;
