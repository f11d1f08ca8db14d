//! One binary for all tests of the store.

mod contract;
mod crashes;
mod damage;
mod failures;
mod files;
mod model;
mod poison;
mod power;
mod samples;
mod sqlite_open;
mod withheld;
