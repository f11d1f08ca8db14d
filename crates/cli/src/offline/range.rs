//! Ranges of a Prometheus: a query is taken apart as for live releases, so that counters are asked
//! for rather than a smoothed rate.

use std::collections::BTreeMap;
use std::time::Duration;

use taxiway_adapters::metrics::prometheus::{Range, RangeSeries, range_blocking};
use taxiway_model::counts::Counts;
use taxiway_model::metrics::{Api, Moments, Query, Shape, Side, Source, Types};

use super::series::{Has, Point, Series};
use crate::error::{CliError, Code};

/// Time limit of one question.
const ANSWER: Duration = Duration::from_secs(30);

/// Points of a series that a Prometheus gives at most.
const POINTS_MAX: f64 = 11_000.0;

/// Whom is asked, about which times.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) source: &'a Source,
    /// Versions of canary and baseline.
    pub(crate) versions: [&'a str; 2],
    /// Beginning and end for canary and baseline, in seconds since the epoch.
    pub(crate) spans: [[f64; 2]; 2],
    pub(crate) step_s: f64,
}

/// What a query gave: both sides' figures, canary first, or why there are none on one of them.
pub(crate) type Found = Result<[Series; 2], String>;

impl Asked<'_> {
    /// Whether the times can be asked for.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        for ([from_s, to_s], name) in self.spans.iter().zip(["", "baseline-"]) {
            if to_s <= from_s {
                let why = format!("--{name}to does not lie after --{name}from");
                return Err(CliError::new(Code::BadArgument, why).hint("write the earlier time first"));
            }
            if (to_s - from_s) / self.step_s > POINTS_MAX {
                let why = format!("a Prometheus gives at most {POINTS_MAX} points; this span has more");
                return Err(
                    CliError::new(Code::BadArgument, why).hint("take a longer --step or a shorter span")
                );
            }
        }
        Ok(())
    }

    /// Both sides' figures of a query. The baseline's times are put on the canary's.
    pub(crate) fn read(&self, query: &Query) -> Result<Found, CliError> {
        let mut sides = Vec::new();
        for (at, side) in Side::BOTH.into_iter().enumerate() {
            match self.side(query, side, at)? {
                Ok(series) => sides.push(series),
                Err(why) => return Ok(Err(why)),
            }
        }
        let [canary, mut baseline] = <[Series; 2]>::try_from(sides).expect("there are two sides");
        let later_us = micros(self.spans[0][0]) - micros(self.spans[1][0]);
        for point in &mut baseline.points {
            point.at_us = point.at_us.saturating_add(later_us);
        }
        Ok(Ok([canary, baseline]))
    }

    fn side(&self, query: &Query, side: Side, at: usize) -> Result<Result<Series, String>, CliError> {
        let Api::Prometheus { url, credentials } = &self.source.api else {
            return Ok(Err(format!("of {} no ranges can be asked", self.source.api.word())));
        };
        let mut answers = Vec::new();
        for selector in self.source.questions(&query.shape, side, self.versions[at]) {
            let [from_s, to_s] = self.spans[at];
            let range = Range { query: &selector, from_s, to_s, step_s: self.step_s };
            let answer = range_blocking(url, credentials.as_ref(), range, ANSWER).map_err(|why| {
                // Both sides are asked with the same secret, and its place is named in the sentence.
                let hint = match &why {
                    why if why.contains("secret") => {
                        "set what is named there, or name another with --credentials"
                    }
                    _ => "is it a Prometheus, up, and to be reached from here?",
                };
                CliError::new(Code::SourceUnusable, format!("{url}: {why}")).hint(hint)
            })?;
            answers.push(answer);
        }
        let whole = match query.shape {
            // Without errors there is no series of them.
            Shape::Counts { .. } | Shape::Types { .. } => answers.last(),
            _ => answers.first(),
        };
        if whole.is_none_or(Vec::is_empty) {
            let labels = self.source.known_by(side, self.versions[at]);
            return Ok(Err(format!("{url} knows nothing of the {}: no series for {labels:?}", side.word())));
        }
        Ok(series(&query.shape, &answers).map_err(|why| format!("{} side: {why}", side.word())))
    }
}

fn series(shape: &Shape, answers: &[Vec<RangeSeries>]) -> Result<Series, String> {
    let none = Has::default();
    let (points, has) = match shape {
        Shape::Counts { .. } => (counts(answers), Has { errors: true, ..none }),
        Shape::Buckets { unit_us, .. } => {
            (buckets(&answers[0], *unit_us as f64), Has { buckets: true, ..none })
        }
        Shape::Scalar { .. } => (values(&answers[0])?, Has { values: true, ..none }),
        Shape::Moments { .. } => (moments(answers), none),
        Shape::Types { by, .. } => (types(answers, by), none),
        Shape::Values { .. } => return Err("a Prometheus has no single values".to_owned()),
    };
    if points.is_empty() {
        return Err("its series have less than two points in this time".to_owned());
    }
    Ok(Series { points, has, notes: Vec::new() })
}

fn micros(at_s: f64) -> i64 {
    (at_s * 1e6).round() as i64
}

/// What each counter gained between two points; one that went back began anew.
fn grown(series: &RangeSeries) -> impl Iterator<Item = (i64, f64)> + '_ {
    let finite = || series.points.iter().filter(|(_, value)| value.is_finite());
    finite().zip(finite().skip(1)).map(|((_, before), (at_s, now))| {
        let more = if now >= before { now - before } else { *now };
        (micros(*at_s), more.max(0.0))
    })
}

fn gains(series: &RangeSeries) -> impl Iterator<Item = (i64, u64)> + '_ {
    grown(series).map(|(at_us, more)| (at_us, more.round() as u64))
}

/// Bad ones (the first answer) among all (the second).
fn counts(answers: &[Vec<RangeSeries>]) -> Vec<Point> {
    let mut sums: BTreeMap<i64, [u64; 2]> = BTreeMap::new();
    for (place, answer) in answers.iter().enumerate().take(2) {
        for (at_us, more) in answer.iter().flat_map(gains) {
            sums.entry(at_us).or_default()[place] += more;
        }
    }
    let point = |(at_us, [bad, total]): (i64, [u64; 2])| {
        let mut point = Point { at_us, ..Point::default() };
        let bad = bad.min(total);
        point.counts.requests = total;
        point.counts.status = [0, total - bad, 0, 0, bad];
        point
    };
    sums.into_iter().map(point).collect()
}

/// Values by bucket, taken apart: Prometheus counts every bucket into those above it.
fn buckets(answer: &[RangeSeries], unit_us: f64) -> Vec<Point> {
    let mut sums: BTreeMap<i64, BTreeMap<u64, u64>> = BTreeMap::new();
    for series in answer {
        let edge = match series.labels.get("le").map(String::as_str) {
            Some("+Inf" | "inf" | "Inf") => u64::MAX,
            Some(text) => text.parse::<f64>().map_or(u64::MAX, |edge| (edge * unit_us).round() as u64),
            None => continue,
        };
        for (at_us, more) in gains(series) {
            *sums.entry(at_us).or_default().entry(edge).or_default() += more;
        }
    }
    let point = |(at_us, cumulative): (i64, BTreeMap<u64, u64>)| {
        let mut below = 0;
        let apart = |(edge, count): (u64, u64)| {
            let own = count.saturating_sub(below);
            below = below.max(count);
            (edge, own)
        };
        let buckets: Vec<(u64, u64)> = cumulative.into_iter().map(apart).collect();
        let requests = buckets.iter().map(|(_, count)| count).sum();
        let counts = Counts { requests, status: [0, requests, 0, 0, 0], ..Counts::default() };
        Point { at_us, counts, buckets, ..Point::default() }
    };
    sums.into_iter().map(point).collect()
}

/// Counts, sums and, where there are any, sums of squares.
fn moments(answers: &[Vec<RangeSeries>]) -> Vec<Point> {
    let mut sums: BTreeMap<i64, [f64; 3]> = BTreeMap::new();
    for (place, answer) in answers.iter().enumerate().take(3) {
        for (at_us, more) in answer.iter().flat_map(grown) {
            sums.entry(at_us).or_default()[place] += more;
        }
    }
    let has_squares = answers.len() > 2;
    let point = |(at_us, [count, sum, squares]): (i64, [f64; 3])| {
        let moments = Moments::of(count.round() as u64, sum, has_squares.then_some(squares))?;
        Some(Point { at_us, moments: Some(moments), ..Point::default() })
    };
    sums.into_iter().filter_map(point).collect()
}

/// Bad ones by a label among all.
fn types(answers: &[Vec<RangeSeries>], by: &str) -> Vec<Point> {
    let mut sums: BTreeMap<i64, Types> = BTreeMap::new();
    for (at_us, more) in answers.get(1).into_iter().flatten().flat_map(gains) {
        sums.entry(at_us).or_default().total += more;
    }
    for series in answers.first().into_iter().flatten() {
        let name = series.labels.get(by).map_or("", String::as_str);
        for (at_us, more) in gains(series) {
            sums.entry(at_us).or_default().add(name, more);
        }
    }
    let point = |(at_us, types): (i64, Types)| Point { at_us, types: Some(types), ..Point::default() };
    sums.into_iter().map(point).collect()
}

fn values(answer: &[RangeSeries]) -> Result<Vec<Point>, String> {
    let [series] = answer else {
        return Err(format!("the query gives {} series a side; sum or average them", answer.len()));
    };
    let micro = |value: f64| (value * 1e6).round() as i64;
    let finite = series.points.iter().filter(|(_, value)| value.is_finite() && value.abs() < 9e12);
    Ok(finite
        .map(|(at_s, value)| Point { at_us: micros(*at_s), value: Some(micro(*value)), ..Point::default() })
        .collect())
}
