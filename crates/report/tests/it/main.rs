//! Tests of recordings, courses and reports.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod corpus;
mod courses;
mod page;
mod recording;
mod well_formed;
