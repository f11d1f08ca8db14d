//! Named places at which the process dies as by SIGKILL, for tests (feature `crash-points`).
//!
//! `TAXIWAY_CRASH_AT=<place>[:<nth>]` makes the process that passes the place for the nth time die
//! there, once: a file in the data directory remembers it for the processes that come after.

/// Arms the place the environment names. Without the feature this is nothing at all.
#[cfg(feature = "crash-points")]
pub(crate) fn set_up(data: &crate::data::Data) {
    use std::sync::atomic::{AtomicU64, Ordering};
    let Ok(wanted) = std::env::var("TAXIWAY_CRASH_AT") else { return };
    let (place, nth) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    let nth: u64 = nth.parse().expect("TAXIWAY_CRASH_AT is <place>[:<nth>]");
    let mark = data.path().join("crashed");
    if mark.exists() {
        return;
    }
    let passed = AtomicU64::new(0);
    let die = move || {
        if passed.fetch_add(1, Ordering::SeqCst) + 1 == nth && !mark.exists() {
            std::fs::write(&mark, std::process::id().to_string()).expect("the mark can be written");
            let me = nix::unistd::Pid::this();
            nix::sys::signal::kill(me, nix::sys::signal::Signal::SIGKILL).expect("we may kill ourselves");
            std::thread::sleep(std::time::Duration::from_secs(10));
        }
    };
    fail::cfg_callback(place, die).expect("a place has a name");
}

/// Arms the place the environment names. Without the feature this is nothing at all.
#[cfg(not(feature = "crash-points"))]
pub(crate) fn set_up(_: &crate::data::Data) {}
