//! Count, sum and sum of squares of values, and counts by type: what a source gives where a share
//! of counts says too little. Whole numbers, since events hold no floats.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Beyond this a sum is a mistake, and the sum of two would not fit any more.
const SUM_MICRO_MAX: f64 = 1e36;

/// Types of errors that are told apart on a side; what comes up later is counted as [`OTHERS`].
pub const TYPES_MAX: usize = 200;

/// Stands for the types that found no room. Never new: nobody knows what is in it.
pub const OTHERS: &str = "(others)";

/// The most that is kept of a type's name, in characters.
const NAME_CHARS_MAX: usize = 80;

/// Values of one side: how many, their sum and the sum of their squares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// How many values.
    pub count: u64,
    /// Their sum, in millionths of the metric's unit.
    #[serde(with = "digits")]
    pub sum_micro: i128,
    /// The sum of their squares, in the square of that; none where the source has none.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "digits::optional")]
    pub squares: Option<i128>,
}

impl Moments {
    /// From what a source counted, in the metric's unit; none where it is not a number or beyond
    /// what can be a sum.
    pub fn of(count: u64, sum: f64, squares: Option<f64>) -> Option<Self> {
        let whole = |value: f64| (value.abs() <= SUM_MICRO_MAX).then(|| value.round() as i128);
        let squares = match squares {
            None => None,
            Some(squares) => Some(whole(squares.max(0.0) * 1e12).filter(|_| !squares.is_nan())?),
        };
        Some(Self { count, sum_micro: whole(sum * 1e6)?, squares })
    }

    /// The sum in the metric's unit.
    pub fn sum(&self) -> f64 {
        self.sum_micro as f64 / 1e6
    }

    /// The sum of the squares in the square of the metric's unit.
    pub fn squares(&self) -> Option<f64> {
        self.squares.map(|squares| squares as f64 / 1e12)
    }

    /// The mean in millionths of the unit; none without a value.
    pub fn mean_micro(&self) -> Option<i64> {
        let mean = self.sum_micro.checked_div(i128::from(self.count))?;
        i64::try_from(mean).ok()
    }

    /// What it has more than an earlier one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let less = |now: i128, then: i128| now.saturating_sub(then).max(0);
        Self {
            count: self.count.saturating_sub(earlier.count),
            sum_micro: self.sum_micro.saturating_sub(earlier.sum_micro),
            squares: self.squares.map(|now| less(now, earlier.squares.unwrap_or(0))),
        }
    }

    /// Both together; squares only where both have them.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let both = self.squares.zip(other.squares).map(|(one, other)| one.saturating_add(other));
        let squares = match (self.count, other.count) {
            (0, _) => other.squares,
            (_, 0) => self.squares,
            _ => both,
        };
        Self {
            count: self.count.saturating_add(other.count),
            sum_micro: self.sum_micro.saturating_add(other.sum_micro),
            squares,
        }
    }
}

/// Errors of one side by their type, among all sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Types {
    /// Sessions, or whatever else `total` counts.
    pub total: u64,
    /// How many of each type. A type that was there before counting began has a count of 0.
    pub by_type: BTreeMap<String, u64>,
}

impl Types {
    /// Adds to a type, within what there is room for. The name is made fit for a terminal.
    pub fn add(&mut self, name: &str, count: u64) {
        let name = named(name);
        let full = self.by_type.len() >= TYPES_MAX && !self.by_type.contains_key(&name);
        let sum = self.by_type.entry(if full { OTHERS.to_owned() } else { name }).or_default();
        *sum = sum.saturating_add(count);
    }

    /// What it has more than an earlier one: types that have grown, and types that came up.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let more = |(name, count): (&String, &u64)| match earlier.by_type.get(name) {
            Some(old) if old >= count => None,
            Some(old) => Some((name.clone(), count - old)),
            None => Some((name.clone(), *count)),
        };
        Self {
            total: self.total.saturating_sub(earlier.total),
            by_type: self.by_type.iter().filter_map(more).collect(),
        }
    }

    /// All errors of all types.
    pub fn errors(&self) -> u64 {
        self.by_type.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A type's name as it is kept: one line of bounded length, in which every run of digits is `#`,
/// so that `timeout after 1034 ms` and `timeout after 988 ms` are one type and not a thousand.
fn named(name: &str) -> String {
    let mut kept = String::new();
    let mut digits = false;
    for c in name.trim().chars() {
        let is_digit = c.is_ascii_digit();
        if !(is_digit && digits) {
            kept.push(if is_digit {
                '#'
            } else if c.is_control() || is_invisible(c) {
                ' '
            } else {
                c
            });
        }
        digits = is_digit;
        if kept.chars().count() >= NAME_CHARS_MAX {
            break;
        }
    }
    if kept.trim().is_empty() { "(no name)".to_owned() } else { kept }
}

/// Characters that turn the direction of text around, or that nobody sees.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Numbers beyond 64 bits as text, which every reader of JSON leaves as it is.
mod digits {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &i128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<i128, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not a whole number")))
    }

    pub(super) mod optional {
        use super::{Deserializer, Serializer};

        #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
        pub(in super::super) fn serialize<S: Serializer>(
            number: &Option<i128>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match number {
                Some(number) => super::serialize(number, to),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'d, D: Deserializer<'d>>(
            from: D,
        ) -> Result<Option<i128>, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_json_and_subtraction_at_any_size() {
        let small = Moments::of(3, -7.25, Some(100.5)).unwrap();
        let large = Moments::of(1_000_000_000_000, 1e18, Some(1e24)).unwrap();
        for moments in [small, large, small.merged(large), Moments { squares: None, ..small }] {
            let text = serde_json::to_value(moments).unwrap();
            assert_eq!(serde_json::from_value::<Moments>(text).unwrap(), moments);
        }
        assert_eq!(small.merged(large).since(large), small);
        assert_eq!(small.mean_micro(), Some(-2_416_666));
        for odd in [f64::NAN, f64::INFINITY, 1e40] {
            assert_eq!(Moments::of(1, odd, None), None);
            assert_eq!(Moments::of(1, 1.0, Some(odd)), None);
        }
    }

    #[test]
    fn types_are_named_for_a_terminal_and_bounded() {
        let mut types = Types::default();
        types.add("timeout after 1034 ms", 1);
        types.add("timeout after 9 ms", 2);
        types.add("\u{1b}[31mred\u{202e}", 1);
        assert_eq!(types.by_type["timeout after # ms"], 3);
        assert!(types.by_type.keys().all(|name| !name.chars().any(char::is_control)), "{types:?}");
        for number in 0..1_000_u32 {
            let letters: String = number.to_string().bytes().map(|b| char::from(b + 49)).collect();
            types.add(&letters, 1);
        }
        assert!(types.by_type.len() <= TYPES_MAX + 1);
        assert_eq!(types.errors(), 1_004);
        assert!(types.by_type[OTHERS] > 0);
    }

    #[test]
    fn a_type_that_was_there_is_told_once() {
        let mut before = Types::default();
        before.add("known", 0);
        let told = before.since(&Types::default());
        assert_eq!(told.by_type.get("known"), Some(&0));
        let mut now = before.clone();
        now.add("fresh", 2);
        assert_eq!(now.since(&before).by_type.into_iter().collect::<Vec<_>>(), [("fresh".to_owned(), 2)]);
    }
}
