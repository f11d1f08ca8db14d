//! What a table's columns mean, and one side's figures over time.

use std::collections::BTreeMap;

use taxiway_model::counts::{Counts, Histogram, quantile_us};
use taxiway_model::metrics::{Moments, Types};
use taxiway_stats::histogram::{SCALE, index_of};

use super::table::{Cell, File, Table};
use crate::error::CliError;

/// A count above this is a mistake, and sums of it over the rows of a file would not fit.
const COUNT_MAX: u64 = 1_000_000_000_000;

/// One side's figures.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Series {
    /// In order of time.
    pub(crate) points: Vec<Point>,
    /// What they hold.
    pub(crate) has: Has,
    /// What a reader should know of how it was read.
    pub(crate) notes: Vec<String>,
}

/// What a series holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Has {
    pub(crate) errors: bool,
    pub(crate) latency: bool,
    /// Upper edges and counts, coarser than a histogram.
    pub(crate) buckets: bool,
    pub(crate) values: bool,
}

impl Has {
    /// What there is, for people.
    pub(crate) fn words(self) -> String {
        let all = [
            (self.errors, "errors"),
            (self.latency, "latencies"),
            (self.buckets, "buckets"),
            (self.values, "values"),
        ];
        let words: Vec<&str> =
            all.into_iter().filter(|(is_there, _)| *is_there).map(|(_, word)| word).collect();
        if words.is_empty() { "requests".to_owned() } else { words.join(" and ") }
    }
}

/// Both sides' medians of latency this many times apart look like two units.
const UNITS_APART: f64 = 300.0;

/// A sentence where the two sides' latencies seem to be in different units.
pub(crate) fn unlike(canary: &Series, baseline: &Series) -> Option<String> {
    let median = |series: &Series| {
        let mut all = Histogram::default();
        series.points.iter().for_each(|point| all.merge(&point.counts.latency));
        quantile_us(&all, 5_000).filter(|us| *us > 0)
    };
    let (mine, theirs) = (median(canary)? as f64, median(baseline)? as f64);
    let times = (mine / theirs).max(theirs / mine);
    (times > UNITS_APART)
        .then(|| format!("the medians of the two sides are {times:.0}x apart: are both in the same unit?"))
}

/// Figures of a time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Point {
    /// Microseconds.
    pub(crate) at_us: i64,
    pub(crate) counts: Counts,
    /// Values up to an edge in microseconds and not below, for each edge.
    pub(crate) buckets: Vec<(u64, u64)>,
    /// In millionths.
    pub(crate) value: Option<i64>,
    /// Count, sum and sum of squares of values.
    pub(crate) moments: Option<Moments>,
    /// Errors by type.
    pub(crate) types: Option<Types>,
}

/// The unit of latencies that do not say theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TimeUnit {
    /// Nanoseconds
    Ns,
    /// Microseconds
    Us,
    /// Milliseconds
    Ms,
    /// Seconds
    S,
}

impl TimeUnit {
    /// Microseconds in it.
    pub(crate) fn us(self) -> f64 {
        match self {
            Self::Ns => 1e-3,
            Self::Us => 1.0,
            Self::Ms => 1e3,
            Self::S => 1e6,
        }
    }
}

/// How figures are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reading<'a> {
    /// Of latencies whose column does not say; none: milliseconds, and seconds for buckets.
    pub(crate) unit: Option<TimeUnit>,
    /// Counts only grow: what is new is the difference to the row before.
    pub(crate) cumulative: bool,
    /// Only the intervals of a histogram log that have this tag.
    pub(crate) tag: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Role {
    Time,
    Requests,
    Errors,
    /// One request took so long; the factor gives microseconds.
    Latency(f64),
    Status,
    Failed,
    Value,
    /// So many values up to this edge, in microseconds.
    Bucket(u64),
    Ignored,
}

fn role(name: &str, unit: Option<TimeUnit>) -> Role {
    let name = name.trim().to_ascii_lowercase();
    let edge = ["le_", "le=", "bucket_"].iter().find_map(|prefix| name.strip_prefix(prefix));
    if let Some(edge) = edge {
        return bucket(edge.trim_matches('"'), unit);
    }
    match name.replace([' ', '-', '.'], "_").as_str() {
        "time" | "timestamp" | "ts" | "date" | "datetime" | "at" | "_time" => Role::Time,
        "requests" | "total" | "count" | "n" | "all" | "hits" => Role::Requests,
        "errors" | "failed" | "bad" | "failures" | "error_count" | "5xx" => Role::Errors,
        "value" | "val" | "v" | "mean" => Role::Value,
        "status" | "code" | "status_code" => Role::Status,
        "error" | "is_error" | "fail" => Role::Failed,
        other => {
            let known = ["latency", "duration", "response_time", "elapsed", "took"];
            let Some(rest) = known.iter().find_map(|word| other.strip_prefix(word)) else {
                return Role::Ignored;
            };
            match rest {
                "_ns" => Role::Latency(TimeUnit::Ns.us()),
                "_us" => Role::Latency(TimeUnit::Us.us()),
                "_ms" => Role::Latency(TimeUnit::Ms.us()),
                "_s" | "_seconds" => Role::Latency(TimeUnit::S.us()),
                "" => Role::Latency(unit.unwrap_or(TimeUnit::Ms).us()),
                _ => Role::Ignored,
            }
        }
    }
}

fn bucket(edge: &str, unit: Option<TimeUnit>) -> Role {
    if matches!(edge, "inf" | "+inf") {
        return Role::Bucket(u64::MAX);
    }
    match edge.parse::<f64>() {
        Ok(edge) if edge > 0.0 && edge.is_finite() => {
            Role::Bucket((edge * unit.unwrap_or(TimeUnit::S).us()).round() as u64)
        }
        _ => Role::Ignored,
    }
}

impl Series {
    /// Reads a table as one side's figures.
    pub(crate) fn read(file: File<'_>, table: &Table, reading: Reading<'_>) -> Result<Self, CliError> {
        let roles: Vec<Role> = table.columns.iter().map(|name| role(name, reading.unit)).collect();
        let has = |wanted: fn(&Role) -> bool| roles.iter().any(wanted);
        let per_request = has(|role| matches!(role, Role::Latency(_) | Role::Status));
        let mut series = Self {
            has: Has {
                errors: has(|role| matches!(role, Role::Errors | Role::Status | Role::Failed)),
                latency: has(|role| matches!(role, Role::Latency(_))),
                buckets: has(|role| matches!(role, Role::Bucket(_))),
                values: has(|role| *role == Role::Value),
            },
            ..Self::default()
        };
        complete(file, table, &roles, series.has, per_request)?;
        let mut skipped = 0_u64;
        let mut before = Cumulative::default();
        for row in &table.rows {
            match point(file, row, &roles, per_request)? {
                Some(mut point) => {
                    in_order(file, row, &roles, series.points.last(), &point)?;
                    if reading.cumulative && !before.since(&mut point) {
                        series.points.push(Point { at_us: point.at_us, ..Point::default() });
                        continue;
                    }
                    series.points.push(point);
                }
                None => skipped += 1,
            }
        }
        if series.points.is_empty() {
            return Err(file.wrong(
                1,
                1,
                "not one row has data",
                "an empty cell or NaN is no data, not zero",
            ));
        }
        if skipped > 0 {
            let rows = if skipped == 1 { "1 row has".to_owned() } else { format!("{skipped} rows have") };
            series.notes.push(format!("{}: {rows} no data, left out", file.name));
        }
        Ok(series)
    }
}

/// Whether the columns say enough.
fn complete(
    file: File<'_>,
    table: &Table,
    roles: &[Role],
    has: Has,
    per_request: bool,
) -> Result<(), CliError> {
    let names = table.columns.join(", ");
    let hint = "columns that are read: time with requests and errors, or value, or latency_ms and status (a row each request), or le_0.1, le_0.5, le_inf";
    if !roles.contains(&Role::Time) {
        return Err(file.wrong(1, 1, format!("there is no time among the columns {names}"), hint));
    }
    let counted = roles.contains(&Role::Requests);
    if has.errors && !counted && !per_request {
        return Err(file.wrong(1, 1, "there are errors, and no column says of how many requests", hint));
    }
    if !(counted || per_request || has.buckets || has.values) {
        return Err(file.wrong(1, 1, format!("there is nothing to judge among the columns {names}"), hint));
    }
    if counted && !has.errors && !has.buckets && !per_request {
        return Err(file.wrong(1, 1, "there are requests, and no column says how many failed", hint));
    }
    Ok(())
}

fn in_order(
    file: File<'_>,
    row: &[Cell],
    roles: &[Role],
    last: Option<&Point>,
    point: &Point,
) -> Result<(), CliError> {
    if last.is_none_or(|last| last.at_us <= point.at_us) {
        return Ok(());
    }
    let cell = roles.iter().position(|role| *role == Role::Time).map_or(&row[0], |at| &row[at]);
    let hint = "order the rows by time, oldest first (sort -t, -k1,1)";
    Err(file.wrong_at(cell, format!("the time goes back to {}", cell.text), hint))
}

/// A row's figures; none where a cell that is needed has no data.
fn point(file: File<'_>, row: &[Cell], roles: &[Role], per_request: bool) -> Result<Option<Point>, CliError> {
    let mut point = Point::default();
    let (mut requests, mut errors) = (u64::from(per_request), 0);
    for (cell, role) in row.iter().zip(roles) {
        if *role == Role::Ignored {
            continue;
        }
        if is_nothing(&cell.text) {
            return Ok(None);
        }
        match *role {
            Role::Time => {
                let hint = "write seconds or milliseconds since 1970, or 2026-11-20T18:40:00Z";
                let wrong = || file.wrong_at(cell, format!("{:?} is not a time", cell.text), hint);
                point.at_us = super::time::read(&cell.text).ok_or_else(wrong)?;
            }
            Role::Requests => requests = count(file, cell)?,
            Role::Errors => errors = count(file, cell)?,
            Role::Status => errors = u64::from(count(file, cell)? >= 500),
            Role::Failed => errors = u64::from(truth(file, cell)?),
            Role::Latency(us) => {
                let index = index_of((number(file, cell)? * us).max(1.0), SCALE);
                let index = i16::try_from(index).unwrap_or(i16::MAX);
                point.counts.latency = Histogram { buckets: BTreeMap::from([(index, 1)]) };
            }
            Role::Value => point.value = Some(micro(file, cell)?),
            Role::Bucket(edge) => point.buckets.push((edge, count(file, cell)?)),
            Role::Ignored => {}
        }
    }
    if errors > requests {
        let message = format!("{errors} errors of {requests} requests");
        let cell = roles.iter().position(|role| *role == Role::Errors).map_or(&row[0], |at| &row[at]);
        return Err(file.wrong_at(cell, message, "errors are part of the requests, not beside them"));
    }
    point.buckets.sort_unstable();
    apart(file, &row[0], &mut point.buckets)?;
    if requests == 0 {
        requests = point.buckets.iter().map(|(_, count)| count).sum();
    }
    point.counts.requests = requests;
    point.counts.status = [0, requests - errors, 0, 0, errors];
    Ok(Some(point))
}

/// Prometheus counts every bucket into those above it.
fn apart(file: File<'_>, row: &Cell, buckets: &mut [(u64, u64)]) -> Result<(), CliError> {
    let mut below = 0;
    for (_, count) in buckets {
        let Some(own) = count.checked_sub(below) else {
            let hint = "the column le_0.5 has all values up to 0.5, also those of le_0.1";
            return Err(file.wrong(row.line, 1, "a bucket has fewer values than the one below it", hint));
        };
        below = *count;
        *count = own;
    }
    Ok(())
}

/// What was counted before, by kind.
#[derive(Debug, Default)]
struct Cumulative {
    last: Option<Point>,
}

impl Cumulative {
    /// Takes off what was there before; false for the first row, before which nobody knows. A
    /// count that went back began anew.
    fn since(&mut self, point: &mut Point) -> bool {
        let now = point.clone();
        let Some(last) = self.last.replace(now) else { return false };
        point.counts = point.counts.since(&last.counts);
        let all = |buckets: &[(u64, u64)]| buckets.iter().map(|(_, count)| *count).sum::<u64>();
        if all(&point.buckets) >= all(&last.buckets) {
            for ((_, count), (_, old)) in point.buckets.iter_mut().zip(&last.buckets) {
                *count = count.saturating_sub(*old);
            }
        }
        true
    }
}

fn is_nothing(text: &str) -> bool {
    text.is_empty() || ["nan", "null", "none", "-", "n/a"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn count(file: File<'_>, cell: &Cell) -> Result<u64, CliError> {
    let hint = "write a whole number; a rate is not a count: multiply it by the seconds of the row";
    let number = number(file, cell)?;
    if number.fract() != 0.0 {
        return Err(file.wrong_at(cell, format!("{:?} is not a whole number", cell.text), hint));
    }
    if number > COUNT_MAX as f64 {
        return Err(file.wrong_at(
            cell,
            format!("{:?} is more than {COUNT_MAX}", cell.text),
            "check the unit",
        ));
    }
    Ok(number as u64)
}

/// A number from zero on.
fn number(file: File<'_>, cell: &Cell) -> Result<f64, CliError> {
    match cell.text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        Ok(number) if number.is_finite() => {
            Err(file.wrong_at(cell, format!("{:?} is less than nothing", cell.text), "write 0 or more"))
        }
        _ => {
            let hint = "write a number with a point; an empty cell or NaN is no data";
            Err(file.wrong_at(cell, format!("{:?} is not a number", cell.text), hint))
        }
    }
}

fn micro(file: File<'_>, cell: &Cell) -> Result<i64, CliError> {
    match cell.text.parse::<f64>() {
        Ok(value) if value.is_finite() && value.abs() < 9e12 => Ok((value * 1e6).round() as i64),
        _ => {
            let message = format!("{:?} is not a number that can be judged", cell.text);
            Err(file.wrong_at(cell, message, "write a number below 9e12; an empty cell or NaN is no data"))
        }
    }
}

fn truth(file: File<'_>, cell: &Cell) -> Result<bool, CliError> {
    match cell.text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        _ => Err(file.wrong_at(
            cell,
            format!("{:?} is neither true nor false", cell.text),
            "write true or false",
        )),
    }
}
