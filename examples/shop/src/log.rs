//! One line per start, stop and error on standard output.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes one line; a full disk or a closed output must not take the service down.
pub(crate) fn line(text: &str) {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}.{:03} {text}", at.as_secs(), at.subsec_millis());
    drop(written.and_then(|()| out.flush()));
}
