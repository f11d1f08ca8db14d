//! Sources of metrics by query, and the queries that metrics of the description put to them (R4.6).

mod api;
mod means;

pub(super) use api::secret;

use super::fields::Fields;
use super::problem::Code;
use crate::ids::MetricName;
use crate::metrics::{Api, Influx, Path, Query, Selector, Shape, Source, TakeApart, Trouble};
use std::collections::{BTreeMap, BTreeSet};

/// The sources an analysis names, without queries.
pub(super) fn named(fields: &Fields<'_, '_>) -> Vec<Source> {
    fields.named("sources").iter().filter_map(|(name, inner)| one(inner, name)).collect()
}

/// The source of the queries of a `CanaryConfig`: one that stands beside it, or the name of one.
pub(super) fn beside(fields: &Fields<'_, '_>, known: &[Source]) -> Option<Source> {
    fields.given("source")?;
    if !fields.short("source") {
        let inner = fields.section("source")?;
        return one(&inner, "source");
    }
    let name = fields.short_text("source")?;
    find(fields, "source", &name, known).cloned()
}

fn find<'s>(fields: &Fields<'_, '_>, key: &str, name: &str, known: &'s [Source]) -> Option<&'s Source> {
    let found = known.iter().find(|source| source.name == name);
    if found.is_none() && !fields.context.has_problems() {
        let names: Vec<&str> = known.iter().map(|source| source.name.as_str()).collect();
        let hint = match super::value::nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "add it to `analysis.sources`".to_owned(),
            None => format!("the sources: {}", names.join(", ")),
        };
        fields.problem(Code::BadValue, key, &format!("there is no source `{name}`"), &hint);
    }
    found
}

/// A source, without queries.
fn one(fields: &Fields<'_, '_>, name: &str) -> Option<Source> {
    let [canary, baseline] = ["canary", "baseline"].map(|side| labels(fields, side));
    let same = canary == baseline && !canary.values().any(|value| value.contains("{version}"));
    if same || (canary.keys().ne(baseline.keys()) && fields.given("prometheus").is_none()) {
        let (message, hint) = if same {
            let hint = "write version: \"{version}\", or other values on one side";
            ("both sides would be the same series", hint)
        } else {
            ("the sides have other labels", "give both sides the same labels, with other values")
        };
        fields.problem(Code::Conflict, "canary", message, hint);
    }
    let (api, pace) = api::read(fields)?;
    Some(Source {
        name: name.to_owned(),
        api,
        interval_ms: pace.interval_ms,
        timeout_ms: pace.timeout_ms,
        bucket_ms: pace.bucket_ms,
        delay_ms: pace.delay_ms,
        canary,
        baseline,
        queries: Vec::new(),
    })
}

fn labels(fields: &Fields<'_, '_>, side: &str) -> BTreeMap<String, String> {
    let given = fields.map(side);
    if given.is_empty() {
        // The attribute of OpenTelemetry's conventions.
        let label = if fields.given("otlp").is_some() { "service.version" } else { "version" };
        return BTreeMap::from([(label.to_owned(), "{version}".to_owned())]);
    }
    for (label, _) in &given {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
        if !label.chars().all(fits) || label.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("`{label}` is not the name of a label");
            fields.problem(Code::BadValue, side, &message, "letters, digits and `_`, no digit first");
        }
    }
    given.into_iter().collect()
}

/// Puts the queries of the analysis's own metrics to the sources they name.
pub(super) fn put(fields: &Fields<'_, '_>, sources: &mut [Source], promql: Option<&TakeApart<'_>>) {
    let mut apart: BTreeMap<usize, Vec<(MetricName, String)>> = BTreeMap::new();
    let metrics = fields.named("metrics");
    for (name, inner) in &metrics {
        let Ok(metric) = MetricName::new(name.as_str()) else { continue };
        let Some(asked) = asked(inner) else { continue };
        let Some(place) = of(fields, inner, sources) else { continue };
        let source = &mut sources[place];
        match (asked, &source.api) {
            (Asked::Query | Asked::Value, Api::Prometheus { .. }) => {
                let key = if asked == Asked::Query { "query" } else { "value" };
                let Some(text) = inner.text(key) else { continue };
                apart.entry(place).or_default().push((metric, text));
            }
            (Asked::Query, Api::Otlp { .. }) => source.queries.extend(quantile(inner, metric)),
            (Asked::Query, api) => {
                let message = format!("{} understands no PromQL", api.word());
                inner.problem(Code::Conflict, "query", &message, "write `bad` and `total`, or `value`");
            }
            (Asked::Counts, Api::Prometheus { .. }) => {
                source.queries.extend(counters(inner, metric, source, promql));
            }
            (Asked::Moments | Asked::Values | Asked::Types, _) => {
                source.queries.extend(means::query(inner, metric, source, asked, promql));
            }
            (asked, _) => source.queries.extend(plain(inner, metric, source, asked)),
        }
    }
    for (place, queries) in apart {
        let source = &mut sources[place];
        let labels = source.canary.keys().chain(source.baseline.keys()).cloned().collect();
        let Some(promql) = promql else {
            let hint = "read the description by its path";
            fields.problem(Code::Conflict, "metrics", "its PromQL was not taken apart", hint);
            continue;
        };
        match promql(&queries, &labels) {
            Ok(more) => source.queries.extend(more),
            Err(troubles) => {
                for trouble in troubles {
                    let metric = metrics.iter().find(|(name, _)| name == trouble.metric.as_str());
                    let Some((_, inner)) = metric else { continue };
                    let key = if inner.given("query").is_some() { "query" } else { "value" };
                    inner.problem(Code::BadValue, key, &trouble.message, &trouble.hint);
                }
            }
        }
    }
}

/// The keys of a share.
const COUNTS: [&str; 3] = ["bad", "good", "total"];

/// The key of what is counted of a share.
pub(super) fn part(fields: &Fields<'_, '_>) -> &'static str {
    if fields.given("good").is_some() { "good" } else { "bad" }
}

/// What a metric asks of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Query,
    Counts,
    Value,
    Moments,
    Values,
    Types,
}

/// None, with the problem noted, where it asks nothing that can be understood.
pub(super) fn asked(fields: &Fields<'_, '_>) -> Option<Asked> {
    let given = |key| fields.given(key).is_some();
    let (counts, query, value) = (COUNTS.into_iter().any(given), given("query"), given("value"));
    if means::KEYS.into_iter().any(given) {
        return means::asked(fields, counts || query || value);
    }
    match (counts, query, value) {
        (false, false, false) => {
            if given("source") {
                let hint = "add `bad` and `total`, or `count` and `sum`, or `value`, or `query`";
                fields.problem(Code::MissingKey, "source", "nothing is asked of this source", hint);
            }
            None
        }
        (true, false, false) => {
            if given("bad") && given("good") {
                let hint = "remove one of them";
                fields.problem(Code::Conflict, "good", "a share is of the bad or of the good ones", hint);
                return None;
            }
            for (key, other) in [(part(fields), "total"), ("total", part(fields))] {
                if !given(key) {
                    let message = format!("`{key}` is missing: a share needs both");
                    fields.problem(Code::MissingKey, other, &message, "write both, or `value`");
                    return None;
                }
            }
            means::counts(fields)
        }
        (false, true, false) => Some(Asked::Query),
        (false, false, true) => Some(Asked::Value),
        _ => {
            let key = if value { "value" } else { "query" };
            let message =
                "a metric asks one thing: `bad` and `total`, or `count` and `sum`, or `value`, or `query`";
            fields.problem(Code::Conflict, key, message, "remove the others");
            None
        }
    }
}

/// The place of the source a metric names, or of the only one there is.
fn of(analysis: &Fields<'_, '_>, metric: &Fields<'_, '_>, sources: &[Source]) -> Option<usize> {
    if metric.given("source").is_none() {
        // One that could not be read has had its problem noted.
        let all = analysis.named("sources").len();
        if all == 1 && sources.len() == 1 {
            return Some(0);
        }
        if all != 1 {
            let (context, at) = (metric.context, metric.at);
            let hint = if all == 0 { "add `analysis.sources`" } else { "add `source: NAME`" };
            context.problem(Code::MissingKey, at, &metric.path, "which source is asked is not said", hint);
        }
        return None;
    }
    let name = metric.text("source")?;
    let found = find(metric, "source", &name, sources)?;
    sources.iter().position(|known| known.name == found.name)
}

/// The counters of a Prometheus as they are named, each without a rate around it.
fn counters(
    fields: &Fields<'_, '_>,
    metric: MetricName,
    source: &Source,
    promql: Option<&TakeApart<'_>>,
) -> Option<Query> {
    let of = |key: &str| counter(fields, key, fields.text(key)?, (&metric, source), promql);
    let ((bad_text, bad), (total_text, total)) = (of(part(fields))?, of("total")?);
    let shape = Shape::Counts { bad, total, scale_micro: 1_000_000 };
    Some(Query { metric, text: format!("{bad_text} of {total_text}"), shape })
}

/// One counter: its text, and the selector with the place for a side's labels.
fn counter(
    fields: &Fields<'_, '_>,
    key: &str,
    text: String,
    (metric, source): (&MetricName, &Source),
    promql: Option<&TakeApart<'_>>,
) -> Option<(String, String)> {
    let labels = source.canary.keys().chain(source.baseline.keys()).cloned().collect();
    let Some(promql) = promql else {
        let hint = "read the description by its path";
        fields.problem(Code::Conflict, key, "its PromQL was not taken apart", hint);
        return None;
    };
    match selector((metric, &text), &labels, promql) {
        Ok(found) => Some((text, found)),
        Err(troubles) => {
            for trouble in troubles {
                fields.problem(Code::BadValue, key, &trouble.message, &trouble.hint);
            }
            None
        }
    }
}

/// The selector of one counter, with the place for a side's labels.
pub(super) fn selector(
    (metric, text): (&MetricName, &str),
    labels: &BTreeSet<String>,
    promql: &TakeApart<'_>,
) -> Result<String, Vec<Trouble>> {
    let apart = promql(&[(metric.clone(), text.to_owned())], labels)?;
    match apart.into_iter().next().map(|query| query.shape) {
        Some(Shape::Scalar { expression, .. }) if !expression.contains('(') => Ok(expression),
        _ => Err(vec![Trouble {
            metric: metric.clone(),
            message: "the selector of a counter is needed here".to_owned(),
            hint: "write one like http_requests_total{status=~\"5..\"}, or use `query`".to_owned(),
        }]),
    }
}

/// What counts the values of a summary or a histogram of Prometheus, and what adds them up.
pub(super) fn beside_values(text: &str) -> [String; 2] {
    let (name, labels) = text.split_at(text.find('{').unwrap_or(text.len()));
    ["_count", "_sum"].map(|end| format!("{}{end}{labels}", name.trim()))
}

/// `histogram_quantile(0.95, name{…})` of what is pushed over OTLP.
fn quantile(fields: &Fields<'_, '_>, metric: MetricName) -> Option<Query> {
    let text = fields.text("query")?;
    let hint = "write histogram_quantile(0.95, http.server.request.duration)";
    let inside = text.trim().strip_prefix("histogram_quantile(").and_then(|rest| rest.strip_suffix(')'));
    let Some((quantile, selector)) = inside.and_then(|inside| inside.split_once(',')) else {
        fields.problem(Code::BadValue, "query", "of OTLP a quantile of a histogram can be asked", hint);
        return None;
    };
    let bp = super::value::decimal_micro(quantile.trim()).map_or(0, |micro| micro / 100);
    if !(1..=9_999).contains(&bp) {
        fields.problem(Code::OutOfRange, "query", "the quantile does not lie between 0 and 1", hint);
        return None;
    }
    if let Err(why) = Selector::read(selector) {
        fields.problem(Code::BadValue, "query", &format!("this is no metric: {why}"), hint);
        return None;
    }
    let buckets = selector.trim().to_owned();
    // The unit is pushed with the histogram, and its edges come in microseconds.
    let shape = Shape::Buckets { buckets, quantile_bp: bp as u16, unit_us: 1, scale_micro: 1_000_000 };
    Some(Query { metric, text, shape })
}

/// A query in a language that is not taken apart.
fn plain(fields: &Fields<'_, '_>, metric: MetricName, source: &Source, asked: Asked) -> Option<Query> {
    let text = |key: &str| plain_text(fields, key, source, asked);
    if asked == Asked::Counts {
        let (bad, total) = (text(part(fields)), text("total"));
        let (bad, total) = (bad?, total?);
        let words = format!("{bad} of {total}");
        return Some(Query {
            metric,
            text: words,
            shape: Shape::Counts { bad, total, scale_micro: 1_000_000 },
        });
    }
    let expression = text("value")?;
    Some(Query { metric, text: expression.clone(), shape: value_shape(source, expression) })
}

/// One text of a query as it is put, with what is wrong with it noted.
fn plain_text(fields: &Fields<'_, '_>, key: &str, source: &Source, asked: Asked) -> Option<String> {
    let text = fields.text(key)?;
    if !source.api.tells_apart(source) && !source.tells_apart(&text) {
        let hint = "put `{version}` where the version stands";
        fields.problem(Code::Conflict, key, "both sides would be asked the same", hint);
    }
    if let Err((message, hint)) = form(&source.api, asked, &text) {
        fields.problem(Code::BadValue, key, &message, hint);
        return None;
    }
    Some(text)
}

/// What is wrong with a query that a `CanaryConfig` puts to a source as it is.
pub(super) fn fault(source: &Source, shape: &Shape) -> Option<(String, String)> {
    let asked = match shape {
        Shape::Counts { .. } => Asked::Counts,
        Shape::Types { .. } => Asked::Types,
        Shape::Moments { .. } => Asked::Moments,
        Shape::Values { .. } => Asked::Values,
        Shape::Buckets { .. } | Shape::Scalar { .. } => Asked::Value,
    };
    let texts = shape.selectors("");
    let by = if let Shape::Types { by, .. } = shape { by.as_str() } else { "" };
    let first = texts.first().map_or("", String::as_str);
    if let Err((message, hint)) = means::gives(&source.api, asked, first, by) {
        return Some((message, hint));
    }
    texts.iter().find_map(|text| {
        if !source.api.tells_apart(source) && !source.tells_apart(text) {
            let message = "both sides would be asked the same".to_owned();
            return Some((message, "put `{version}` where the version stands".to_owned()));
        }
        form(&source.api, asked, text).err().map(|(message, hint)| (message, hint.to_owned()))
    })
}

/// Whether a query has the form its source understands, as far as that can be known.
fn form(api: &Api, asked: Asked, text: &str) -> Result<(), (String, &'static str)> {
    let told = |what: &str, why: String, hint| Err((format!("this is no {what}: {why}"), hint));
    match api {
        Api::Json { .. } | Api::Command { .. } => match Path::read(text) {
            Ok(_) => Ok(()),
            Err(why) => told("path in JSON", why, "write one like $.requests or /requests"),
        },
        Api::Otlp { .. } => match Selector::read(text) {
            Ok(_) => Ok(()),
            Err(why) => told("metric", why, "write one like http.server.requests{status=\"500\"}"),
        },
        Api::Cloudwatch { .. } => match cloudwatch(text) {
            Ok(()) => Ok(()),
            Err(why) => told("metric", why, "write one like Shop:Errors{Version=\"{version}\"} Sum"),
        },
        Api::Influxdb { of, .. } => influx(of, text),
        Api::Newrelic { .. } => {
            let words: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
            let own = ["SINCE", "UNTIL", "TIMESERIES", "FACET"];
            match own.iter().find(|own| words.iter().any(|word| word == *own)) {
                None => Ok(()),
                Some(word) => Err((format!("`{word}` is added by us or cannot be used"), "leave it out")),
            }
        }
        Api::Logs { .. } if asked == Asked::Value => Err((
            "lines are counted, and give no value".to_owned(),
            "write `bad` and `total`, or `values` with a group: took (?<value>[0-9.]+) ms",
        )),
        Api::Prometheus { .. }
        | Api::Csv { .. }
        | Api::Datadog { .. }
        | Api::Graphite { .. }
        | Api::Logs { .. } => Ok(()),
    }
}

/// `namespace:metric{dimension="value"} statistic`, or an expression.
fn cloudwatch(text: &str) -> Result<(), String> {
    if ["SELECT ", "SEARCH("].iter().any(|begin| text.trim_start().starts_with(begin)) {
        return Ok(());
    }
    let (metric, statistic) = text.trim().rsplit_once(' ').ok_or("the statistic is missing at its end")?;
    if !statistic.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(format!("`{statistic}` is not a statistic"));
    }
    let (_, metric) = metric.split_once(':').ok_or("the namespace is missing before a `:`")?;
    let selector = Selector::read(metric)?;
    match selector.attributes.iter().find(|(_, is, value)| !is || value.ends_with('*')) {
        Some((name, ..)) => Err(format!("the dimension `{name}` has to be one value")),
        None => Ok(()),
    }
}

fn influx(of: &Influx, text: &str) -> Result<(), (String, &'static str)> {
    if let Some(missing) = ["{from}", "{to}", "{bucket}"].iter().find(|place| !text.contains(**place)) {
        let hint = match of {
            Influx::Flux { .. } => {
                "range(start: {from}, stop: {to}), aggregateWindow(every: {bucket}, fn: sum, timeSrc: \"_start\")"
            }
            Influx::Influxql { .. } => "WHERE time >= {from} AND time < {to} GROUP BY time({bucket})",
        };
        return Err((format!("`{missing}` is missing"), hint));
    }
    if matches!(of, Influx::Flux { .. }) && text.contains("aggregateWindow") && !text.contains("_start") {
        let why = "its buckets are named by their end, and their beginning is needed";
        return Err((why.to_owned(), "add timeSrc: \"_start\" to aggregateWindow"));
    }
    Ok(())
}

/// A query whose answer is a value.
pub(super) fn value_shape(source: &Source, expression: String) -> Shape {
    let why = format!("it is a value of {}", source.api.word());
    Shape::Scalar { expression, every_ms: source.interval_ms.max(source.bucket_ms), why }
}

/// Whether a metric asks a source anything.
pub(super) fn asks(fields: &Fields<'_, '_>) -> bool {
    let keys = ["source", "query", "bad", "good", "total", "value"].into_iter();
    keys.chain(means::KEYS).any(|key| fields.given(key).is_some())
}

/// Notes the sources that nothing is asked of.
pub(super) fn unused(fields: &Fields<'_, '_>, sources: &[Source]) {
    for (name, inner) in fields.named("sources") {
        let asked = sources.iter().find(|source| source.name == name);
        // Where a metric's query could not be read, that is the problem.
        if asked.is_some_and(|source| source.queries.is_empty()) && !fields.context.has_problems() {
            let hint = "name it as `source` of a metric, or remove it";
            let message = "nothing is asked of this source";
            inner.context.problem(Code::Conflict, inner.at, &inner.path, message, hint);
        }
    }
}
