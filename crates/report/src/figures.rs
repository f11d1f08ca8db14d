//! Integers as people read them on a page.

pub use taxiway_model::counts::thousands;
use taxiway_model::time::ForPeople;

/// A share of so many: `3.2%`, `0.012%`, `0%`; `none` of nothing.
pub fn share(part: u64, of: u64) -> String {
    if of == 0 {
        return "none".to_owned();
    }
    ppm((u128::from(part) * 1_000_000 / u128::from(of)) as i64)
}

/// Parts per million as a percentage with two or three figures that count.
pub fn ppm(ppm: i64) -> String {
    let percent = ppm as f64 / 1e4;
    match ppm.unsigned_abs() {
        0 => "0%".to_owned(),
        100_000.. => format!("{percent:.0}%"),
        10_000.. => format!("{}%", trimmed(&format!("{percent:.1}"))),
        1_000.. => format!("{}%", trimmed(&format!("{percent:.2}"))),
        _ => format!("{}%", trimmed(&format!("{percent:.4}"))),
    }
}

/// Microseconds: `850 µs`, `12.3 ms`, `480 ms`, `2.4 s`.
pub fn micros(us: i64) -> String {
    let value = us as f64;
    match us.unsigned_abs() {
        0..1_000 => format!("{us} µs"),
        1_000..20_000 => format!("{} ms", trimmed(&format!("{:.1}", value / 1e3))),
        20_000..1_000_000 => format!("{:.0} ms", value / 1e3),
        _ => format!("{} s", trimmed(&format!("{:.1}", value / 1e6))),
    }
}

/// Millionths of some unit.
pub fn millionths(micro: i64) -> String {
    let value = micro as f64 / 1e6;
    match value.abs() {
        // Costs of a request are tiny; two figures of them count.
        0.0..0.001 => trimmed(&format!("{value:.6}")),
        0.001..0.01 => trimmed(&format!("{value:.5}")),
        0.01..10.0 => trimmed(&format!("{value:.3}")),
        10.0..1_000.0 => trimmed(&format!("{value:.1}")),
        _ => format!("{value:.0}"),
    }
}

/// Bytes: `3.5 MiB`, `400 MiB`.
pub fn mebibytes(bytes: i64) -> String {
    let value = bytes as f64 / 1_048_576.0;
    let places = usize::from(value.abs() < 10.0);
    format!("{} MiB", trimmed(&format!("{value:.places$}")))
}

/// A ratio in basis points: `1.02x`, `12.4x`, `412x`.
pub fn ratio(bp: u64) -> String {
    let times = bp as f64 / 1e4;
    match bp {
        0 => "0x".to_owned(),
        1..100_000 => format!("{times:.2}x"),
        100_000..1_000_000 => format!("{times:.1}x"),
        _ => format!("{}x", thousands((bp + 5_000) / 10_000)),
    }
}

/// A bound as it was set, without needless digits: `2x`, `1.2x`.
pub fn bound(bp: u32) -> String {
    format!("{}x", trimmed(&format!("{:.2}", f64::from(bp) / 1e4)))
}

/// A range of ratios.
pub fn range(from_bp: Option<u64>, to_bp: Option<u64>) -> String {
    match (from_bp, to_bp) {
        (Some(from), Some(to)) => format!("{} to {}", ratio(from), ratio(to)),
        (Some(from), None) => format!("{} or more", ratio(from)),
        (None, Some(to)) => format!("up to {}", ratio(to)),
        (None, None) => "not bounded yet".to_owned(),
    }
}

/// A span in milliseconds: `42s`, `4m10s`.
pub fn span(ms: u64) -> String {
    ForPeople(ms).to_string()
}

/// A time of day with its date, in UTC: `2026-11-20 18:40 UTC`.
pub fn utc(us: i64) -> String {
    let minutes = us.div_euclid(60_000_000);
    let (days, minute) = (minutes.div_euclid(1_440), minutes.rem_euclid(1_440));
    // Howard Hinnant's days to civil date: years begin in March, so that leap days are last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minute / 60, minute % 60)
}

/// How often a canary within tolerance gives that much evidence against itself, at any look: by
/// Ville's inequality at most once in `exp(evidence)` releases. None while it says nothing.
pub fn one_in(against_milli: i64) -> Option<String> {
    let times = libm::exp((against_milli as f64 / 1e3).min(34.5));
    match times {
        0.0..2.0 => None,
        2.0..1e4 => Some(thousands(libm::floor(times) as u64)),
        1e4..1e6 => Some(format!("{} thousand", libm::floor(times / 1e3))),
        1e6..1e9 => Some(format!("{} million", libm::floor(times / 1e6))),
        _ => Some("a thousand million and more".to_owned()),
    }
}

/// Without the zeros at the end that say nothing.
fn trimmed(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(1_795_200_000_000_000), "2026-11-20 18:40 UTC");
        assert_eq!(utc(951_782_400_000_000), "2000-02-29 00:00 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59 UTC");
    }

    #[test]
    fn figures_keep_what_counts() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 120, 1_000, 49_800, 1_000_000].map(ppm), ["0%", "0.012%", "0.1%", "5%", "100%"]);
        assert_eq!([850, 1_200, 12_345, 480_400].map(micros), ["850 µs", "1.2 ms", "12.3 ms", "480 ms"]);
        assert_eq!(micros(2_350_000), "2.4 s");
        assert_eq!([10_200, 124_000, 4_120_000].map(ratio), ["1.02x", "12.4x", "412x"]);
        assert_eq!([20_000, 12_000, 50_000].map(bound), ["2x", "1.2x", "5x"]);
        assert_eq!(share(1, 0), "none");
        assert_eq!([0, 213, 4_260, 1_500_000].map(millionths), ["0", "0.000213", "0.00426", "1.5"]);
        assert_eq!([0, 3_670_016, 400 << 20].map(mebibytes), ["0 MiB", "3.5 MiB", "400 MiB"]);
        assert_eq!(
            [0, 4_700, 25_000, 90_000].map(|e| one_in(e).unwrap_or_default()),
            ["", "109", "a thousand million and more", "a thousand million and more"]
        );
    }
}
