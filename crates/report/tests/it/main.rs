//! Tests of recordings, courses and reports.

mod corpus;
mod courses;
mod page;
mod recording;
mod well_formed;
