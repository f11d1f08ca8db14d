//! Logs of HdrHistogram (`.hlog`, formats 1.0 to 1.3): a histogram of latencies for each interval, with
//! tags, a time at which the log began and a time from which its times count. Also encoded histograms
//! without a log around them.

use std::collections::BTreeSet;

use base64::Engine as _;
use taxiway_model::counts::{Counts, Histogram};
use taxiway_stats::histogram::{SCALE, index_of};

use super::hdr::{self, Decoded};
use super::series::{Has, Point, Reading, Series, TimeUnit};
use super::table::File;
use crate::error::CliError;

/// Times that lie further than this before the log's beginning count from that.
const YEAR_S: f64 = 365.0 * 86_400.0;

/// An interval as its line has it.
struct Interval<'a> {
    line: u32,
    tag: &'a str,
    at_s: f64,
    /// The largest value as the writer scaled it.
    max: f64,
    histogram: Decoded,
}

/// Whether a file is a histogram log or an encoded histogram, by its first line that is not a comment.
pub(crate) fn is_log(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !(line.is_empty() || line.starts_with('#')));
    text.starts_with("#[Histogram log format")
        || first.is_some_and(|line| {
            line.starts_with("\"StartTimestamp\"") || line.starts_with("Tag=") || hdr::is_encoded(line)
        })
}

/// Reads a log.
pub(crate) fn read(file: File<'_>, reading: Reading<'_>) -> Result<Series, CliError> {
    let mut intervals = intervals(file)?;
    let tags: BTreeSet<&str> = intervals.iter().map(|interval| interval.tag).collect();
    let names = || {
        let name = |tag: &&str| if tag.is_empty() { "none (--tag '')".to_owned() } else { (*tag).to_owned() };
        tags.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    match reading.tag {
        Some(tag) if !tags.contains(tag) => {
            let why = format!("no interval has the tag {tag:?}; there are {}", names());
            return Err(file.wrong(1, 1, why, "name one of them with --tag"));
        }
        Some(tag) => intervals.retain(|interval| interval.tag == tag),
        None if tags.len() > 1 => {
            let why = format!("its intervals have several tags: {}", names());
            return Err(file.wrong(
                1,
                1,
                why,
                "name one with --tag: tags are different things, not to be added up",
            ));
        }
        None => {}
    }
    let (unit, note) = unit(file, &intervals, reading.unit);
    let alone = intervals.iter().all(|interval| interval.at_s == 0.0).then(|| {
        let why = "histograms without times are one moment, of which the judge cannot learn what to expect of the next";
        format!("{}: {why}; an interval log has several", file.name)
    });
    let points = intervals.iter().map(|interval| Point {
        at_us: (interval.at_s * 1e6) as i64,
        counts: counts(&interval.histogram, unit.us()),
        ..Point::default()
    });
    Ok(Series {
        points: points.collect(),
        has: Has { latency: true, ..Has::default() },
        notes: note.into_iter().chain(alone).collect(),
    })
}

fn intervals(file: File<'_>) -> Result<Vec<Interval<'_>>, CliError> {
    let (mut start_s, mut base_s) = (None, None);
    let mut intervals: Vec<Interval<'_>> = Vec::new();
    for (text, line) in file.text.trim_start_matches('\u{feff}').lines().zip(1_u32..) {
        let text = text.trim();
        if let Some(at) = text.strip_prefix("#[StartTime:") {
            start_s = seconds(at);
        } else if let Some(at) = text.strip_prefix("#[BaseTime:") {
            base_s = seconds(at);
        }
        if text.is_empty() || text.starts_with(['#', '"']) {
            continue;
        }
        let mut interval = interval(file, line, text)?;
        // As its own reader has it: without a start the first time is one, without a base small times count from it.
        let start_s = *start_s.get_or_insert(interval.at_s);
        let base_s = *base_s.get_or_insert(if interval.at_s < start_s - YEAR_S { start_s } else { 0.0 });
        interval.at_s += base_s;
        let before = intervals.iter().rev().find(|before| before.tag == interval.tag);
        if before.is_some_and(|before| before.at_s > interval.at_s) {
            let hint = "order the intervals by time, oldest first";
            return Err(file.wrong(line, 1, "the time goes back", hint));
        }
        intervals.push(interval);
    }
    if intervals.is_empty() {
        return Err(file.wrong(
            1,
            1,
            "there is no interval in the log",
            "write it with a HistogramLogWriter",
        ));
    }
    Ok(intervals)
}

fn seconds(text: &str) -> Option<f64> {
    let number = text.trim_start().split([' ', ']', '(']).next()?.parse::<f64>().ok()?;
    number.is_finite().then_some(number)
}

/// A line: an optional tag, start, length, maximum and the histogram; or the histogram alone.
fn interval<'a>(file: File<'a>, line: u32, text: &'a str) -> Result<Interval<'a>, CliError> {
    let hint = "a line has start, length, maximum and a histogram in base64, before them perhaps Tag=NAME";
    let wrong = |why: &str| file.wrong(line, 1, why, hint);
    if hdr::is_encoded(text) {
        let histogram = decoded(file, line, text)?;
        return Ok(Interval { line, tag: "", at_s: 0.0, max: 0.0, histogram });
    }
    let (tag, rest) = match text.strip_prefix("Tag=") {
        Some(tagged) => tagged.split_once(',').ok_or_else(|| wrong("there is a tag and nothing after it"))?,
        None => ("", text),
    };
    let fields: Vec<&str> = rest.split([',', ' ', '\t']).filter(|field| !field.is_empty()).collect();
    let [at, length, max, histogram] = fields[..] else {
        return Err(wrong("the line is not one of a histogram log"));
    };
    let number =
        |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && number.abs() < 9e12);
    let (Some(at_s), Some(_), Some(max)) = (number(at), number(length), number(max)) else {
        return Err(wrong("start, length and maximum are not all numbers"));
    };
    Ok(Interval { line, tag, at_s, max, histogram: decoded(file, line, histogram)? })
}

fn decoded(file: File<'_>, line: u32, encoded: &str) -> Result<Decoded, CliError> {
    let hint = "histograms of HdrHistogram are read as its writers encode them (base64 that begins with HIST); is the line whole?";
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .map_err(|error| file.wrong(line, 1, format!("the histogram is not base64: {error}"), hint))?;
    hdr::decode(&bytes)
        .map_err(|why| file.wrong(line, 1, format!("the histogram cannot be read: {why}"), hint))
}

/// The unit of a log's values. Its maxima are in milliseconds where a writer was left as it is, which gives the unit
/// away.
fn unit(file: File<'_>, intervals: &[Interval<'_>], asked: Option<TimeUnit>) -> (TimeUnit, Option<String>) {
    if let Some(unit) = asked {
        return (unit, None);
    }
    let factor = intervals
        .iter()
        .filter(|interval| interval.max > 0.0 && interval.histogram.max() > 0.0)
        .max_by(|a, b| a.max.total_cmp(&b.max))
        .map(|interval| (interval.histogram.max() / interval.max, interval.line));
    let (unit, why) = match factor {
        Some((5e5..2e6, line)) => {
            (TimeUnit::Ns, format!("nanoseconds: line {line} has its maximum in milliseconds"))
        }
        Some((5e2..2e3, line)) => {
            (TimeUnit::Us, format!("microseconds: line {line} has its maximum in milliseconds"))
        }
        _ => (TimeUnit::Us, "microseconds".to_owned()),
    };
    (unit, Some(format!("{}: its values are read as {why} (--unit says otherwise)", file.name)))
}

fn counts(histogram: &Decoded, per_value_us: f64) -> Counts {
    let mut latency = Histogram::default();
    for (value, count) in &histogram.counts {
        let index = i16::try_from(index_of((value * per_value_us).max(1.0), SCALE)).unwrap_or(i16::MAX);
        let slot = latency.buckets.entry(index).or_default();
        *slot = slot.saturating_add(*count);
    }
    let requests = latency.total();
    Counts { requests, status: [0, requests, 0, 0, 0], latency, ..Counts::default() }
}
