//! Scalars: durations, sizes, shares, addresses, words of a command.

use super::problem::Code;
use std::net::{IpAddr, SocketAddr};

/// Why a scalar could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: String,
}

pub(super) type Read<T> = Result<T, Fault>;

pub(super) fn fault<T>(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Read<T> {
    Err(Fault { code, message: message.into(), hint: hint.into() })
}

/// A decimal number without sign or exponent, and what follows it.
struct Number<'t> {
    whole: u64,
    part: &'t str,
    rest: &'t str,
}

impl<'t> Number<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || part.is_empty() || part.contains('.') {
            return None;
        }
        Some(Self { whole: whole.parse().ok()?, part, rest })
    }

    /// The number times `scale`; none when the result is not whole or does not fit.
    fn times(&self, scale: u64) -> Option<u64> {
        let part = self.part.trim_end_matches('0');
        let below = if part.is_empty() {
            0
        } else {
            let unit = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
            let scaled = part.parse::<u64>().ok()?.checked_mul(scale)?;
            if scaled % unit != 0 {
                return None;
            }
            scaled / unit
        };
        self.whole.checked_mul(scale)?.checked_add(below)
    }
}

/// Units of time in microseconds.
const TIME_UNITS: &[(&str, u64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// A span of time in microseconds: `500ms`, `90s`, `5m`, `1h30m`, `1.5h`.
pub(super) fn span_us(text: &str) -> Read<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let Some(number) = Number::read(rest) else {
            return fault(
                Code::BadValue,
                format!("`{text}` is not a span of time"),
                "write one like 500ms, 90s, 5m or 24h",
            );
        };
        let end = number.rest.find(|c: char| c.is_ascii_digit()).unwrap_or(number.rest.len());
        let (unit, after) = number.rest.split_at(end);
        let Some((_, scale)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
            return wrong_time_unit(text, &rest[..rest.len() - number.rest.len()], unit);
        };
        match number.times(*scale).and_then(|more| sum.checked_add(more)) {
            Some(more) => sum = more,
            None => return fault(Code::OutOfRange, format!("`{text}` is too long or too fine a span"), ""),
        }
        rest = after;
    }
    if text.is_empty() {
        fault(Code::BadValue, "a span of time is needed", "write one like 90s or 5m")
    } else {
        Ok(sum)
    }
}

fn wrong_time_unit(text: &str, number: &str, unit: &str) -> Read<u64> {
    let unit = unit.trim();
    if unit.is_empty() {
        let message = format!("`{text}` has no unit");
        return fault(Code::WrongUnit, message, format!("write {number}s, {number}m or {number}h"));
    }
    let lower = unit.to_ascii_lowercase();
    let meant = match lower.as_str() {
        l if l.starts_with("mil") || l == "msec" || l == "msecs" => Some("ms"),
        l if l.starts_with("mi") || l == "m" => Some("m"),
        l if l.starts_with("us") || l.starts_with("mic") || l.starts_with('µ') => Some("us"),
        l if l.starts_with('s') => Some("s"),
        l if l.starts_with('h') => Some("h"),
        l if l.starts_with('d') => Some("d"),
        _ => None,
    };
    let hint = match meant {
        Some(meant) => format!("write {number}{meant}"),
        None => "units of time are ms, s, m, h and d".to_owned(),
    };
    fault(Code::WrongUnit, format!("`{unit}` is not a unit of time"), hint)
}

/// A span of time in milliseconds, at most a hundred years.
pub(super) fn span_ms(text: &str) -> Read<u64> {
    let us = span_us(text)?;
    if us % 1_000 != 0 {
        return fault(
            Code::OutOfRange,
            format!("`{text}` is finer than a millisecond"),
            "write at least 1ms",
        );
    }
    if us > 36_525 * 86_400_000_000 {
        return fault(Code::OutOfRange, format!("`{text}` is more than a hundred years"), "");
    }
    Ok(us / 1_000)
}

/// A size in bytes: `512`, `64KiB`, `1.5GiB`, `100MB`.
pub(super) fn size(text: &str) -> Read<u64> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let Some(number) = Number::read(text) else {
        return fault(
            Code::BadValue,
            format!("`{text}` is not a size"),
            "write one like 64KiB, 512MiB or 2GiB",
        );
    };
    let unit = number.rest.trim();
    let digits = &text[..text.len() - number.rest.len()];
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == number.rest) else {
        let initial = unit.chars().next().unwrap_or(' ').to_ascii_uppercase();
        let hint = match initial {
            'K' | 'M' | 'G' | 'T' => format!("write {digits}{initial}iB"),
            'B' => format!("write {digits}B"),
            _ => "units of size are B, KiB, MiB and GiB".to_owned(),
        };
        return fault(Code::WrongUnit, format!("`{unit}` is not a unit of size"), hint);
    };
    match number.times(*scale) {
        Some(bytes) => Ok(bytes),
        None => fault(Code::OutOfRange, format!("`{text}` is not a whole number of bytes, or too many"), ""),
    }
}

/// A share in parts of `whole` (10,000 for basis points): `5%`, `0.5%`. `above` allows more than all.
pub(super) fn share(text: &str, whole: u64, above: bool) -> Read<u64> {
    let Some(number) = Number::read(text) else {
        let negative = text.starts_with('-');
        let message =
            if negative { format!("`{text}` is below nothing") } else { format!("`{text}` is not a share") };
        return fault(Code::BadValue, message, "write one like 5% or 0.5%");
    };
    let digits = &text[..text.len() - number.rest.len()];
    match number.rest {
        "%" => {}
        "" => return fault(Code::WrongUnit, format!("`{text}` has no `%`"), format!("write {digits}%")),
        other => {
            let message = format!("`{}` is not how a share is written", other.trim());
            // A multiple of something is so much more of it: 1.2x is 20% more.
            let more = number.times(100).filter(|percent| above && other == "x" && *percent > 100);
            let hint = more
                .map_or(format!("write {digits}%"), |percent| format!("write {}% for {text}", percent - 100));
            return fault(Code::WrongUnit, message, hint);
        }
    }
    match number.times(whole / 100) {
        Some(parts) if parts <= whole || above => Ok(parts),
        Some(_) => fault(Code::OutOfRange, format!("{text} is more than everything"), "at most 100%"),
        None => {
            let finest = if whole == 10_000 { "0.01%" } else { "0.0001%" };
            fault(Code::OutOfRange, format!("{text} is finer than {finest}"), "")
        }
    }
}

/// A multiple in basis points: `2x` is 20,000.
pub(super) fn multiple(text: &str) -> Read<u64> {
    let Some(number) = Number::read(text) else {
        return fault(Code::BadValue, format!("`{text}` is not a multiple"), "write one like 2x or 1.5x");
    };
    let digits = &text[..text.len() - number.rest.len()];
    if !matches!(number.rest, "x" | "×") {
        let message = format!("`{text}` does not say times how much");
        return fault(Code::WrongUnit, message, format!("write {digits}x"));
    }
    match number.times(10_000) {
        Some(bp) if (10_000..=100_000_000).contains(&bp) => Ok(bp),
        Some(_) => fault(Code::OutOfRange, format!("{text} is not between 1x and 10000x"), ""),
        None => fault(Code::OutOfRange, format!("{text} is finer than 0.0001x"), ""),
    }
}

/// CPU in thousandths of a core: `0.5`, `2`, `250m`.
pub(super) fn cores(text: &str) -> Read<u64> {
    let hint = "write cores like 0.5 or 2, or thousandths like 250m";
    match Number::read(text) {
        Some(number) if matches!(number.rest, "" | "m") => {
            match number.times(if number.rest == "m" { 1 } else { 1_000 }) {
                Some(milli @ 1..=1_000_000) => Ok(milli),
                _ => fault(Code::OutOfRange, format!("{text} is not between 0.001 and 1000 cores"), hint),
            }
        }
        Some(_) => fault(Code::WrongUnit, format!("`{text}` is not a number of cores"), hint),
        None => fault(Code::BadValue, format!("`{text}` is not a number of cores"), hint),
    }
}

/// A decimal number in millionths: `3`, `0.05`.
pub(super) fn decimal_micro(text: &str) -> Read<u64> {
    let hint = "write a number like 3 or 0.05";
    match Number::read(text) {
        Some(number) if number.rest.is_empty() => match number.times(1_000_000) {
            Some(micro) => Ok(micro),
            None => fault(Code::OutOfRange, format!("{text} is too large, or finer than a millionth"), hint),
        },
        _ => fault(Code::BadValue, format!("`{text}` is not a number"), hint),
    }
}

/// A whole number within bounds.
pub(super) fn whole(text: &str, least: u64, most: u64) -> Read<u64> {
    match text.parse::<u64>() {
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        Ok(_) => fault(Code::OutOfRange, format!("{text} is not between {least} and {most}"), ""),
        Err(_) => fault(
            Code::BadValue,
            format!("`{text}` is not a whole number"),
            format!("write a number from {least} to {most}"),
        ),
    }
}

/// Yes or no.
pub(super) fn flag(text: &str) -> Read<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => {
            let hint = match other.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "1" | "true" => "write true",
                "no" | "off" | "n" | "0" | "false" => "write false",
                _ => "write true or false",
            };
            fault(Code::BadValue, format!("`{other}` is neither true nor false"), hint)
        }
    }
}

/// An address to listen on, as `ip:port`; `localhost` is 127.0.0.1.
pub(super) fn address(text: &str) -> Read<String> {
    let numeric = text.strip_prefix("localhost:").map_or(text.to_owned(), |port| format!("127.0.0.1:{port}"));
    if let Ok(address) = numeric.parse::<SocketAddr>() {
        return Ok(address.to_string());
    }
    let bare = text.trim_start_matches(':');
    let hint = if bare.parse::<u16>().is_ok() {
        format!("write 127.0.0.1:{bare}, or 0.0.0.0:{bare} to be reached from elsewhere")
    } else if text.parse::<IpAddr>().is_ok() {
        "add a port, like 127.0.0.1:8080 or [::1]:8080".to_owned()
    } else {
        "write an IP address and a port, like 127.0.0.1:8080".to_owned()
    };
    fault(Code::BadValue, format!("`{text}` is not an address to listen on"), hint)
}

/// A network as `address/bits`; an address alone is itself.
pub(super) fn network(text: &str) -> Read<String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let hint = "write one like 10.0.0.0/8 or fd00::/8";
    let Ok(ip) = address.parse::<IpAddr>() else {
        return fault(Code::BadValue, format!("`{text}` is not a network"), hint);
    };
    let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
    match bits.map_or(Ok(most), str::parse::<u8>) {
        Ok(bits) if bits <= most => Ok(format!("{ip}/{bits}")),
        _ => fault(Code::OutOfRange, format!("`{text}` has no prefix between 0 and {most}"), hint),
    }
}

/// The words of a command written as one text: spaces divide, quotes and backslashes hold together.
pub(super) fn words(text: &str) -> Read<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '\\') => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return fault(Code::BadValue, "the command ends in a backslash", "remove it"),
            },
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '|' | '&' | ';' | '<' | '>' | '`') => {
                let message = format!("`{c}` would need a shell, and commands are started without one");
                let hint = "write it as a list: [sh, -c, '…'], or put quotes around it";
                return fault(Code::BadValue, message, hint);
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return fault(
            Code::BadValue,
            "a quote in the command is not closed",
            "close it, or write the command as a list",
        );
    }
    words.extend(word);
    if words.is_empty() { fault(Code::BadValue, "the command is empty", "name a program") } else { Ok(words) }
}

/// The nearest of `known` words, if one is near enough to have been meant.
pub(super) fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
    let given = plain(given);
    known
        .map(|word| (strsim::damerau_levenshtein(&given, &plain(word)), word))
        .filter(|(distance, word)| *distance <= (word.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_sizes_and_shares_are_read_exactly() {
        let ok: &[(&str, u64)] =
            &[("500ms", 500), ("90s", 90_000), ("1h30m", 5_400_000), ("1.5h", 5_400_000), ("0s", 0)];
        for (text, ms) in ok {
            assert_eq!(span_ms(text), Ok(*ms), "{text}");
        }
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        assert_eq!(size("100"), Ok(100));
        assert_eq!(share("0.5%", 10_000, false), Ok(50));
        assert_eq!(share("100%", 10_000, false), Ok(10_000));
        assert_eq!(share("0.1%", 1_000_000, false), Ok(1_000));
        assert_eq!(multiple("1.5x"), Ok(15_000));
        assert_eq!(cores("0.25"), Ok(250));
        assert_eq!(cores("250m"), Ok(250));
    }

    #[test]
    fn wrong_units_say_which_was_meant() {
        let hint = |read: Read<u64>| read.map_err(|f| (f.code, f.hint)).unwrap_err();
        assert_eq!(hint(span_ms("10 minuts")), (Code::WrongUnit, "write 10m".into()));
        assert_eq!(hint(span_ms("5x")), (Code::WrongUnit, "units of time are ms, s, m, h and d".into()));
        assert_eq!(hint(span_ms("5")), (Code::WrongUnit, "write 5s, 5m or 5h".into()));
        assert_eq!(hint(span_ms("0.5us")).0, Code::OutOfRange);
        assert_eq!(hint(span_ms("99999999999999999999d")).0, Code::BadValue);
        assert_eq!(hint(size("64M")), (Code::WrongUnit, "write 64MiB".into()));
        assert_eq!(hint(share("5", 10_000, false)), (Code::WrongUnit, "write 5%".into()));
        assert_eq!(hint(share("5x", 10_000, false)), (Code::WrongUnit, "write 5%".into()));
        assert_eq!(hint(share("1.2x", 10_000, true)), (Code::WrongUnit, "write 20% for 1.2x".into()));
        assert_eq!(hint(share("101%", 10_000, false)).0, Code::OutOfRange);
        assert_eq!(hint(share("0.001%", 10_000, false)).0, Code::OutOfRange);
        assert_eq!(hint(share("-5%", 10_000, false)).0, Code::BadValue);
        assert_eq!(hint(multiple("2")), (Code::WrongUnit, "write 2x".into()));
    }

    #[test]
    fn commands_are_split_like_a_shell_would_without_being_one() {
        assert_eq!(
            words(r#"./run --name "a b" c\ d 'e"f' "#).unwrap(),
            ["./run", "--name", "a b", "c d", "e\"f"]
        );
        assert!(words("a | b").is_err() && words("a 'b").is_err() && words("  ").is_err());
    }

    #[test]
    fn addresses_and_networks_are_normalised() {
        assert_eq!(address("localhost:80").unwrap(), "127.0.0.1:80");
        assert_eq!(address("[::1]:80").unwrap(), "[::1]:80");
        assert!(address("8080").unwrap_err().hint.contains("127.0.0.1:8080"));
        assert_eq!(network("10.1.2.3").unwrap(), "10.1.2.3/32");
        assert!(network("10.0.0.0/33").is_err());
    }

    #[test]
    fn near_words_are_proposed_and_far_ones_are_not() {
        let known = ["listen", "sticky", "limits"];
        assert_eq!(nearest("lisen", known.into_iter()), Some("listen"));
        assert_eq!(nearest("Sticky", known.into_iter()), Some("sticky"));
        assert_eq!(nearest("replicas", known.into_iter()), None);
    }
}
