//! Two ranges of a Prometheus: a query is taken apart as for live releases, so that counters are
//! asked for rather than a smoothed rate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use taxiway_adapters::metrics::prometheus::{Range, RangeSeries, range_blocking};
use taxiway_adapters::metrics::promql;
use taxiway_model::counts::Counts;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Query, Shape, matchers};

use super::series::{Has, Point, Series};
use crate::error::{CliError, Code};

/// Time limit of one question.
const ANSWER: Duration = Duration::from_secs(30);

/// Points of a series that a Prometheus gives at most.
const POINTS_MAX: f64 = 11_000.0;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) url: &'a str,
    pub(crate) query: &'a str,
    pub(crate) metric: &'a MetricName,
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) step_s: f64,
}

/// Both sides' figures, canary first, with the query as it was asked.
pub(crate) fn read(
    asked: &Asked<'_>,
    labels: [&BTreeMap<String, String>; 2],
) -> Result<([Series; 2], Query), CliError> {
    if asked.to_s <= asked.from_s {
        return Err(CliError::new(Code::BadArgument, "--to does not lie after --from"));
    }
    if (asked.to_s - asked.from_s) / asked.step_s > POINTS_MAX {
        let why = format!("a Prometheus gives at most {POINTS_MAX} points; this span has more");
        return Err(CliError::new(Code::BadArgument, why).hint("take a longer --step or a shorter span"));
    }
    let keys: BTreeSet<String> = labels.iter().flat_map(|labels| labels.keys().cloned()).collect();
    let queries = [(asked.metric.clone(), asked.query.to_owned())];
    let apart = promql::take_apart(&queries, &keys).map_err(|troubles| {
        let trouble = troubles.into_iter().next();
        let (why, hint) = trouble.map_or_else(Default::default, |trouble| (trouble.message, trouble.hint));
        CliError::new(Code::BadArgument, format!("--query: {why}")).hint(hint)
    })?;
    let query = apart.into_iter().next().expect("one query was given, and it was read");
    let canary = side(asked, &query.shape, labels[0], "canary")?;
    let baseline = side(asked, &query.shape, labels[1], "baseline")?;
    Ok(([canary, baseline], query))
}

fn side(
    asked: &Asked<'_>,
    shape: &Shape,
    labels: &BTreeMap<String, String>,
    name: &str,
) -> Result<Series, CliError> {
    let mut answers = Vec::new();
    for selector in shape.selectors(&matchers(labels)) {
        let Asked { from_s, to_s, step_s, .. } = *asked;
        let range = Range { query: &selector, from_s, to_s, step_s };
        let answer = range_blocking(asked.url, None, range, ANSWER).map_err(|why| {
            CliError::new(Code::Unreachable, format!("{}: {why}", asked.url))
                .hint("is it a Prometheus, and up?")
        })?;
        answers.push(answer);
    }
    if answers.last().is_none_or(Vec::is_empty) {
        let why = format!("{} knows nothing of the {name}: no series for {labels:?}", asked.url);
        let hint =
            format!("compare --{name} with the labels of the series, and --from and --to with the time");
        return Err(CliError::new(Code::BadSeries, why).hint(hint));
    }
    let points = match shape {
        Shape::Counts { .. } => counts(&answers),
        Shape::Buckets { unit_us, .. } => buckets(&answers[0], *unit_us as f64),
        Shape::Scalar { .. } => values(&answers[0]).map_err(|why| CliError::new(Code::BadSeries, why))?,
        Shape::Moments { .. } | Shape::Values { .. } | Shape::Types { .. } => {
            return Err(CliError::new(Code::BadSeries, "a query is a share, a quantile or a value"));
        }
    };
    let has = Has {
        errors: matches!(shape, Shape::Counts { .. }),
        buckets: matches!(shape, Shape::Buckets { .. }),
        values: matches!(shape, Shape::Scalar { .. }),
        latency: false,
    };
    Ok(Series { points, has, notes: Vec::new() })
}

fn micros(at_s: f64) -> i64 {
    (at_s * 1e6).round() as i64
}

/// What each counter gained between two points; one that went back began anew.
fn gains(series: &RangeSeries) -> impl Iterator<Item = (i64, u64)> + '_ {
    let finite = || series.points.iter().filter(|(_, value)| value.is_finite());
    finite().zip(finite().skip(1)).map(|((_, before), (at_s, now))| {
        let more = if now >= before { now - before } else { *now };
        (micros(*at_s), more.max(0.0).round() as u64)
    })
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
        Point { at_us, counts, buckets, value: None }
    };
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
