//! Takes PromQL apart: a ratio of rates into its counters, a quantile into its buckets (R4.1).
//!
//! `sum(rate(a[2m])) / sum(rate(b[2m]))` is smoothed over two minutes and says nothing of how many
//! requests it rests on. The counters `a` and `b` do, so they are asked for instead, and what they
//! count between two readings goes to the judge. What is not of such a form stays as it is, and the
//! judge is told so. Every selector gets a mark where the labels of canary or baseline go.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::token::{T_ADD, T_DIV, T_MUL, T_SUB, T_SUM};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Call, Expr, ParenExpr, VectorSelector};
use taxiway_model::ids::MetricName;
pub use taxiway_model::metrics::Trouble;
use taxiway_model::metrics::{Query, Shape};

/// References lead on at most so far; further is a circle.
const REFERENCES_MAX: usize = 16;

/// A query is a line, not a program; the parser is recursive.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// How deep brackets may be nested, for the same reason.
const NESTING_MAX: usize = 64;

/// Between two values of an expression that names no range.
const EVERY_MS: u64 = 60_000;

type Parsed = BTreeMap<MetricName, Expr>;

/// Takes each metric's query apart. A bare name that is another metric's stands for that metric's
/// query. `labels` are those by which canary and baseline are told apart.
///
/// # Errors
/// Everything that is wrong, in the order of the queries.
pub fn take_apart(
    queries: &[(MetricName, String)],
    labels: &BTreeSet<String>,
) -> Result<Vec<Query>, Vec<Trouble>> {
    let mut troubles = Vec::new();
    let mut parsed = Parsed::new();
    for (metric, text) in queries {
        match parse(text) {
            Ok(expr) => drop(parsed.insert(metric.clone(), expr)),
            Err((message, hint)) => troubles.push(Trouble { metric: metric.clone(), message, hint }),
        }
    }
    let mut apart = Vec::new();
    for (metric, text) in queries {
        let Some(expr) = parsed.get(metric) else { continue };
        let whole = resolved(expr, &parsed, &mut vec![metric.clone()]).and_then(|mut expr| {
            if expr.value_type() != ValueType::Vector {
                return fault(
                    "the query gives no series",
                    "leave out `scalar()`, brackets of a range and bare numbers",
                );
            }
            mark(&mut expr, labels)?;
            Ok(expr)
        });
        match whole {
            Ok(expr) => apart.push(Query { metric: metric.clone(), text: text.clone(), shape: shape(&expr) }),
            Err((message, hint)) => troubles.push(Trouble { metric: metric.clone(), message, hint }),
        }
    }
    if troubles.is_empty() { Ok(apart) } else { Err(troubles) }
}

type Faulty<T> = Result<T, (String, String)>;

fn fault<T>(message: impl Into<String>, hint: impl Into<String>) -> Faulty<T> {
    Err((message.into(), hint.into()))
}

fn parse(text: &str) -> Faulty<Expr> {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if text.len() > QUERY_BYTES_MAX || deepest > NESTING_MAX {
        return fault(
            "the query is too long or too deeply nested",
            "use a recording rule for the inner part",
        );
    }
    parser::parse(text).or_else(|said| {
        let said = said.lines().next().unwrap_or_default().to_owned();
        fault(format!("this is not PromQL: {said}"), "try the query in the source's own page first")
    })
}

/// The expression with the queries of other metrics in the place of their names.
fn resolved(expr: &Expr, parsed: &Parsed, path: &mut Vec<MetricName>) -> Faulty<Expr> {
    let mut copy = expr.clone();
    let own = path.last().cloned();
    let refers = |name: Option<&String>| -> Option<MetricName> {
        let name = MetricName::new(name?.clone()).ok()?;
        (parsed.contains_key(&name) && Some(&name) != own.as_ref()).then_some(name)
    };
    if let Expr::VectorSelector(selector) = &copy
        && let Some(name) = refers(selector.name.as_ref())
    {
        if !selector.matchers.is_empty_matchers() || selector.offset.is_some() || selector.at.is_some() {
            let message = format!("`{selector}` narrows `{name}`, which is another metric's query");
            return fault(message, "name it alone, or write its query out");
        }
        if path.contains(&name) || path.len() > REFERENCES_MAX {
            let names: Vec<&str> = path.iter().chain([&name]).map(MetricName::as_str).collect();
            return fault(
                format!("metrics refer to each other: {}", names.join(" → ")),
                "write one of them out",
            );
        }
        path.push(name.clone());
        let inner = resolved(&parsed[&name], parsed, path)?;
        path.pop();
        return Ok(Expr::Paren(ParenExpr { expr: Box::new(inner) }));
    }
    if let Expr::MatrixSelector(selector) = &copy
        && let Some(name) = refers(selector.vs.name.as_ref())
    {
        let message = format!("`{selector}` needs a series, and `{name}` is another metric's query");
        return fault(message, format!("write {name}[range:step], a subquery"));
    }
    for child in children(&mut copy) {
        let new = resolved(child, parsed, path)?;
        *child = new;
    }
    Ok(copy)
}

fn children(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Aggregate(inner) => {
            let mut all: Vec<&mut Expr> = inner.param.iter_mut().map(AsMut::as_mut).collect();
            all.push(&mut inner.expr);
            all
        }
        Expr::Unary(inner) => vec![&mut inner.expr],
        Expr::Binary(inner) => vec![&mut inner.lhs, &mut inner.rhs],
        Expr::Paren(inner) => vec![&mut inner.expr],
        Expr::Subquery(inner) => vec![&mut inner.expr],
        Expr::Call(inner) => inner.args.args.iter_mut().map(AsMut::as_mut).collect(),
        _ => Vec::new(),
    }
}

/// Puts the mark of the side into every selector.
fn mark(expr: &mut Expr, labels: &BTreeSet<String>) -> Faulty<()> {
    let selector = match expr {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&mut matrix.vs),
        _ => None,
    };
    if let Some(selector) = selector {
        let mut given =
            selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten());
        if let Some(own) = given.find(|own| labels.contains(&own.name)) {
            let message =
                format!("`{selector}` chooses `{}` itself, by which the sides are told apart", own.name);
            return fault(message, "leave it out: the labels of canary and baseline are added");
        }
        let side = Matcher::new(MatchOp::Equal, "__side__", "");
        if selector.matchers.or_matchers.is_empty() {
            selector.matchers.matchers.push(side);
        } else {
            selector.matchers.or_matchers.iter_mut().for_each(|matchers| matchers.push(side.clone()));
        }
    }
    children(expr).into_iter().try_for_each(|child| mark(child, labels))
}

fn shape(expr: &Expr) -> Shape {
    let (inner, mut scale) = scaled(expr);
    if let Expr::Binary(ratio) = inner
        && ratio.op.id() == T_DIV
    {
        // `100 * a / b` is `(100 * a) / b`.
        scale *= scaled(&ratio.lhs).1 / scaled(&ratio.rhs).1;
    }
    let micro = (scale * 1e6).round();
    let why = match inner {
        _ if !(1.0..=1e15).contains(&micro) => "its factor is out of bounds".to_owned(),
        Expr::Binary(ratio) if ratio.op.id() == T_DIV && ratio.modifier.is_none() => match counts(ratio) {
            Ok((bad, total)) => return Shape::Counts { bad, total, scale_micro: micro as u64 },
            Err(why) => why,
        },
        Expr::Call(call) if call.func.name == "histogram_quantile" => match buckets(call) {
            Ok((buckets, quantile_bp)) => {
                let unit_us = unit_us(&buckets);
                return Shape::Buckets { buckets, quantile_bp, unit_us, scale_micro: micro as u64 };
            }
            Err(why) => why,
        },
        _ => "it is neither a ratio of rates nor a quantile of a histogram".to_owned(),
    };
    Shape::Scalar { expression: expr.to_string(), every_ms: longest_range_ms(expr).unwrap_or(EVERY_MS), why }
}

/// The expression without brackets and constant factors, and their product.
fn scaled(expr: &Expr) -> (&Expr, f64) {
    match expr {
        Expr::Paren(inner) => scaled(&inner.expr),
        Expr::Binary(BinaryExpr { op, lhs, rhs, modifier: None }) => {
            match (op.id(), constant(lhs), constant(rhs)) {
                (T_DIV, None, Some(factor)) => times(lhs, 1.0 / factor),
                (T_MUL, None, Some(factor)) => times(lhs, factor),
                (T_MUL, Some(factor), None) => times(rhs, factor),
                _ => (expr, 1.0),
            }
        }
        _ => (expr, 1.0),
    }
}

fn times(expr: &Expr, factor: f64) -> (&Expr, f64) {
    let (inner, scale) = scaled(expr);
    (inner, scale * factor)
}

fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Paren(inner) => constant(&inner.expr),
        Expr::Binary(BinaryExpr { op, lhs, rhs, modifier: None }) => {
            let (a, b) = (constant(lhs)?, constant(rhs)?);
            match op.id() {
                T_ADD => Some(a + b),
                T_SUB => Some(a - b),
                T_MUL => Some(a * b),
                T_DIV => Some(a / b),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The two selectors of `sum(rate(bad)) / sum(rate(total))`.
fn counts(ratio: &BinaryExpr) -> Result<(String, String), String> {
    let no_sum = "a side of its ratio is not the sum of one rate";
    let (bad, bad_ms) = summed_rate(scaled(&ratio.lhs).0, false).ok_or(no_sum)?;
    let (total, total_ms) = summed_rate(scaled(&ratio.rhs).0, false).ok_or(no_sum)?;
    if bad_ms != total_ms {
        return Err("the two sides of its ratio look at different spans of time".to_owned());
    }
    if !is_part(bad, total) {
        return Err(format!("`{}` is not known to be a part of `{}`", name(bad), name(total)));
    }
    Ok((bad.to_string(), total.to_string()))
}

fn name(selector: &VectorSelector) -> &str {
    selector.name.as_deref().unwrap_or("?")
}

/// Whether what one selector counts is surely among what the other counts: the same series
/// narrowed, or two counts of things (`errors_total` of `requests_total`), but no sums of seconds.
fn is_part(bad: &VectorSelector, total: &VectorSelector) -> bool {
    if bad.name == total.name {
        let holds = |matchers: &Matchers, one: &Matcher| matchers.matchers.contains(one);
        return total.matchers.matchers.iter().all(|one| holds(&bad.matchers, one));
    }
    let counts_things = |name: &str| {
        let sums = ["_seconds_total", "_milliseconds_total", "_bytes_total", "_sum"];
        (name.ends_with("_total") || name.ends_with("_count")) && !sums.iter().any(|end| name.ends_with(end))
    };
    counts_things(name(bad)) && counts_things(name(total))
}

/// The selector and range of `sum(rate(x[range]))`; with `by_le`, of `sum by (le) (…)`.
fn summed_rate(expr: &Expr, by_le: bool) -> Option<(&VectorSelector, u128)> {
    match expr {
        Expr::Paren(inner) => summed_rate(&inner.expr, by_le),
        Expr::Aggregate(AggregateExpr { op, expr, param: None, modifier }) if op.id() == T_SUM => {
            let fits = match modifier {
                None => !by_le,
                Some(by) => by_le && by.is_include() && by.labels().labels.as_slice() == ["le"],
            };
            if fits { rate(expr) } else { None }
        }
        _ => None,
    }
}

fn rate(expr: &Expr) -> Option<(&VectorSelector, u128)> {
    match expr {
        Expr::Paren(inner) => rate(&inner.expr),
        Expr::Call(call) if matches!(call.func.name, "rate" | "increase" | "irate") => {
            let [arg] = call.args.args.as_slice() else { return None };
            match &**arg {
                Expr::MatrixSelector(matrix) if matrix.vs.offset.is_none() && matrix.vs.at.is_none() => {
                    Some((&matrix.vs, matrix.range.as_millis()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The bucket selector and quantile of `histogram_quantile(q, sum by (le) (rate(x_bucket[range])))`.
fn buckets(call: &Call) -> Result<(String, u16), String> {
    let [quantile, inner] = call.args.args.as_slice() else { return Err("it lacks an argument".to_owned()) };
    let quantile = constant(quantile).ok_or("its quantile is not a constant")?;
    let bp = (quantile * 1e4).round();
    if !(1.0..=9_999.0).contains(&bp) {
        return Err("its quantile does not lie between 0 and 1".to_owned());
    }
    let (selector, _) = summed_rate(inner, true).ok_or("its buckets are not summed by `le` alone")?;
    if !name(selector).ends_with("_bucket") {
        return Err(format!("`{}` does not look like buckets", name(selector)));
    }
    Ok((selector.to_string(), bp as u16))
}

/// Microseconds in the unit of a histogram, by its name; seconds are Prometheus's base unit.
fn unit_us(buckets: &str) -> u64 {
    let name = buckets.split('{').next().unwrap_or_default().trim_end_matches("_bucket");
    let ends = |units: &[&str]| units.iter().any(|unit| name.ends_with(unit));
    if ends(&["_milliseconds", "_ms", "_millis"]) {
        1_000
    } else if ends(&["_microseconds", "_us", "_micros"]) {
        1
    } else {
        1_000_000
    }
}

fn longest_range_ms(expr: &Expr) -> Option<u64> {
    let own = match expr {
        Expr::MatrixSelector(matrix) => Some(matrix.range.as_millis() as u64),
        Expr::Subquery(subquery) => Some(subquery.range.as_millis() as u64),
        _ => None,
    };
    let mut copy = expr.clone();
    children(&mut copy).into_iter().filter_map(|child| longest_range_ms(child)).chain(own).max()
}
