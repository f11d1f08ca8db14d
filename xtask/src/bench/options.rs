//! The few numbers a bench can be asked for.

use crate::shell::Error;

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// Interleaved runs of every program; the median counts.
    pub(super) rounds: usize,
    /// Length of one run.
    pub(super) seconds: u64,
    /// Whether the latency runs get real-time priority, all programs alike, so that other work on the machine does not
    /// count. Takes root.
    pub(super) real_time: bool,
    /// Whether the result is appended to docs/benchmarks.
    pub(super) record: bool,
}

impl Options {
    /// The agreed measurement. Ten seconds at a core and a half are 1,500 ticks of the kernel's CPU accounting.
    pub(super) const AGREED: Self = Self { rounds: 5, seconds: 10, real_time: false, record: true };

    /// A run other than the agreed one is for trying things out and not recorded.
    pub(super) fn parse(words: &[String]) -> Result<Self, Error> {
        let mut options = Self::AGREED;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = |max: u64| {
                let value = words.next().and_then(|value| value.parse::<u64>().ok());
                value
                    .filter(|value| (1..=max).contains(value))
                    .ok_or_else(|| Error::new(format!("`{word}` takes a number from 1 to {max}")))
            };
            match word.as_str() {
                "--rounds" => options.rounds = number(50)? as usize,
                "--seconds" => options.seconds = number(600)?,
                "--real-time" => options.real_time = true,
                other => {
                    let told =
                        format!("`{other}` is not known; there are --rounds, --seconds and --real-time");
                    return Err(Error::new(told));
                }
            }
            options.record &= word == "--real-time";
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Error> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_agreed_run_is_the_one_on_record() {
        assert_eq!(parse("").expect("no words are fine"), Options::AGREED);
        let tried = parse("--rounds 1 --seconds 3").expect("both are numbers");
        assert_eq!(tried, Options { rounds: 1, seconds: 3, real_time: false, record: false });
        assert_eq!(
            parse("--real-time").expect("it is known"),
            Options { real_time: true, ..Options::AGREED }
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--rounds", "--rounds 0", "--seconds ten", "--fast"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
