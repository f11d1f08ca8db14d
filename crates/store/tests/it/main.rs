//! One binary for all tests of the store.

mod contract;
mod samples;
mod sqlite_open;
