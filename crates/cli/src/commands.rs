//! The verbs, a file each (those that only send one command share `change`).

pub(crate) mod backtest;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod feedback;
pub(crate) mod hidden;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod judge;
pub(crate) mod log;
pub(crate) mod preflight;
pub(crate) mod release;
pub(crate) mod replay;
pub(crate) mod shell;
pub(crate) mod status;
pub(crate) mod stop;
mod template;

use std::time::Duration;

/// Reads a span: a number and `ms`, `s`, `m` or `h`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| format!("'{text}' is not a time such as 90s, 15m or 2h"))?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("'{text}' has no unit: write 90s, 15m or 2h")),
    };
    Ok(Duration::from_millis(number.saturating_mul(unit_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_needs_a_unit() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("2h"), Ok(Duration::from_hours(2)));
        assert!(span("90").unwrap_err().contains("no unit"));
        assert!(span("soon").is_err());
    }
}
