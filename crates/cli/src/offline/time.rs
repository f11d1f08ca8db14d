//! Times as files have them: seconds, milliseconds, microseconds or nanoseconds since the epoch,
//! seconds since anything, or a date.

/// Microseconds since the epoch (or since the file's own zero); none: not a time.
pub(crate) fn read(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<f64>() {
        return numeric(number);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond());
    }
    // A date without a zone is read as UTC, so that two machines read the same.
    let civil: jiff::civil::DateTime = text.replacen(' ', "T", 1).parse().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

/// Which unit a number is in follows from its size: from 2001 to 2286 the ranges do not meet.
fn numeric(number: f64) -> Option<i64> {
    let us = match number.abs() {
        0.0..1e11 => number * 1e6,
        1e11..1e14 => number * 1e3,
        1e14..1e17 => number,
        1e17..9e18 => number / 1e3,
        _ => return None,
    };
    (us.abs() < 9e18).then_some(us.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_same_moment_in_every_form() {
        let moment = Some(1_795_200_000_000_000);
        for text in ["1795200000", "1795200000.0", "1795200000000", "1795200000000000", "1795200000000000000"]
        {
            assert_eq!(read(text), moment, "{text}");
        }
        for text in ["2026-11-20T18:40:00Z", "2026-11-20T19:40:00+01:00", "2026-11-20 18:40:00"] {
            assert_eq!(read(text), moment, "{text}");
        }
        assert_eq!(read("2.5"), Some(2_500_000));
        for text in ["", "soon", "NaN", "inf", "1e300"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
