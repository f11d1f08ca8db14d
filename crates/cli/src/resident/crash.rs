//! Named places at which a process dies as by SIGKILL, for tests.
//!
//! `TAXIWAY_CRASH_AT=<place>[:<nth>]` makes the process that passes the place for the nth time die
//! there, once: a file in the data directory remembers it for the processes that come after.
//! Without the feature `failpoints` of the crate `fail`, which only tests turn on, this does
//! nothing and the places are not there.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::data::Data;

/// Arms the place the environment names.
pub(crate) fn set_up(data: &Data) {
    if !fail::has_failpoints() {
        return;
    }
    let Ok(wanted) = std::env::var("TAXIWAY_CRASH_AT") else { return };
    let (place, nth) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    let nth: u64 = nth.parse().unwrap_or(1);
    let mark = data.path().join("crashed");
    if mark.exists() {
        return;
    }
    let passed = AtomicU64::new(0);
    let die = move || {
        if passed.fetch_add(1, Ordering::SeqCst) + 1 < nth {
            return;
        }
        let first = std::fs::OpenOptions::new().write(true).create_new(true).open(&mark);
        if first.is_ok() {
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
    };
    if let Err(why) = fail::cfg_callback(place, die) {
        tracing::warn!(place, why, "no place to crash at");
    }
}
