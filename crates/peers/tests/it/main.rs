#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod argo;
mod classifier;
mod flagger;
mod hostile;
mod import;
mod preparing;
mod release;
mod scorer;
mod stage;
