//! Tests of recordings, courses and reports.

mod corpus;
mod page;
mod recording;
mod well_formed;
