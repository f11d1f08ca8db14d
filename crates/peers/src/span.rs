//! Spans of time as Go and Prometheus write them.

/// Milliseconds of `90s`, `1m30s`, `500ms`, `1h`, `2d`; none of anything else.
pub fn parse_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        sum += number
            * match &rest[..word] {
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 6e4,
                "h" => 3.6e6,
                "d" => 8.64e7,
                "w" => 6.048e8,
                _ => return None,
            };
        rest = &rest[word..];
    }
    (0.0..=1e15).contains(&sum).then_some(sum as u64)
}

/// Milliseconds as a person writes them: `1m30s`, `90ms`.
pub fn show(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let parts = [("h", ms / 3_600_000), ("m", ms / 60_000 % 60), ("s", ms / 1_000 % 60), ("ms", ms % 1_000)];
    let shown = parts.iter().filter(|(_, count)| *count > 0);
    shown.map(|(unit, count)| format!("{count}{unit}")).collect::<Vec<_>>().concat()
}
