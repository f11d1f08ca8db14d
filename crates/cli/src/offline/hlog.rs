//! Logs of HdrHistogram (`.hlog`, format 1.x with V2 histograms): a histogram of latencies for each
//! interval.

use base64::Engine as _;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry, LogIteratorError};
use taxiway_model::counts::{Counts, Histogram};
use taxiway_stats::histogram::{SCALE, index_of};

use super::series::{Has, Point, Series, TimeUnit};
use super::table::File;
use crate::error::CliError;

/// Reads a log; its values are in `unit`, microseconds where nobody says.
pub(crate) fn read(file: File<'_>, unit: Option<TimeUnit>) -> Result<Series, CliError> {
    let per_value = unit.unwrap_or(TimeUnit::Us).us();
    let mut series = Series { has: Has { latency: true, ..Has::default() }, ..Series::default() };
    if unit.is_none() {
        series
            .notes
            .push(format!("{}: its values are read as microseconds (--unit says otherwise)", file.name));
    }
    let mut lines = file.text.lines().zip(1_u32..).filter(|(line, _)| {
        let line = line.trim_start();
        line.starts_with("#[StartTime")
            || line.starts_with("#[BaseTime")
            || !(line.is_empty() || line.starts_with(['#', '"']))
    });
    let (mut start_s, mut base_s) = (0.0, None);
    for entry in IntervalLogIterator::new(file.text.as_bytes()) {
        let number = lines.next().map_or(1, |(_, number)| number);
        let entry = entry.map_err(|error| {
            let why = match error {
                LogIteratorError::ParseError { .. } => "the line is not one of a histogram log",
            };
            file.wrong(number, 1, why, "a line has tag, start, length, maximum and a histogram in base64")
        })?;
        match entry {
            LogEntry::StartTime(at) => start_s = at.as_secs_f64(),
            LogEntry::BaseTime(at) => base_s = Some(at.as_secs_f64()),
            LogEntry::Interval(interval) => {
                let counts = decoded(file, number, interval.encoded_histogram(), per_value)?;
                let at_s = interval.start_timestamp().as_secs_f64();
                let at_us = ((absolute(at_s, start_s, base_s)) * 1e6) as i64;
                if series.points.last().is_some_and(|last| last.at_us > at_us) {
                    let hint = "order the intervals by time, oldest first";
                    return Err(file.wrong(number, 1, "the time goes back", hint));
                }
                series.points.push(Point { at_us, counts, ..Point::default() });
            }
        }
    }
    if series.points.is_empty() {
        return Err(file.wrong(
            1,
            1,
            "there is no interval in the log",
            "write it with a HistogramLogWriter",
        ));
    }
    Ok(series)
}

/// A time in the log counts from its base; where there is none, small ones count from its start.
fn absolute(at_s: f64, start_s: f64, base_s: Option<f64>) -> f64 {
    const YEAR_S: f64 = 365.0 * 86_400.0;
    match base_s {
        Some(base_s) => base_s + at_s,
        None if at_s < start_s - YEAR_S => start_s + at_s,
        None => at_s,
    }
}

fn decoded(file: File<'_>, number: u32, encoded: &str, per_value: f64) -> Result<Counts, CliError> {
    let hint =
        "V2 histograms are read (they begin with HISTFAA); write them again with a current HdrHistogram";
    let wrong = |why: String| file.wrong(number, 1, why, hint);
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .map_err(|error| wrong(format!("the histogram is not base64: {error}")))?;
    let histogram: Hdr<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| wrong(format!("the histogram cannot be read: {error}")))?;
    let mut latency = Histogram::default();
    for value in histogram.iter_recorded() {
        let us = (value.value_iterated_to() as f64 * per_value).max(1.0);
        let index = i16::try_from(index_of(us, SCALE)).unwrap_or(i16::MAX);
        *latency.buckets.entry(index).or_default() += value.count_at_value();
    }
    let requests = latency.total();
    Ok(Counts { requests, status: [0, requests, 0, 0, 0], latency, ..Counts::default() })
}
