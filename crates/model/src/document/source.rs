//! Sources of metrics by query, and the queries that metrics of the description put to them (R4.6).

use super::fields::Fields;
use super::problem::Code;
use crate::ids::MetricName;
use crate::metrics::{Api, Credentials, Path, Query, Secret, Shape, Source, TakeApart};
use std::collections::BTreeMap;

/// Between two questions, and what one may take, in milliseconds: 100 ms to 5 min.
const PACE_MS: std::ops::RangeInclusive<u64> = 100..=300_000;

/// Names in a URL's query that say that a secret stands behind them.
const SECRET_WORDS: [&str; 8] =
    ["token", "key", "apikey", "api_key", "api-key", "secret", "password", "access_token"];

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
    let (api, (interval_ms, timeout_ms)) = match fields.exactly_one()? {
        "prometheus" => {
            let inner = fields.section("prometheus")?;
            let (url, credentials, pace) = (url(&inner), credentials(&inner), pace(&inner));
            (Api::Prometheus { url: url?, credentials }, pace?)
        }
        "json" => {
            let inner = fields.section("json")?;
            let (url, credentials, pace) = (url(&inner), credentials(&inner), pace(&inner));
            (Api::Json { url: url?, credentials }, pace?)
        }
        "command" => {
            let inner = fields.section("command")?;
            let (command, pace) = (inner.command("run"), pace(&inner));
            (Api::Command { command: command? }, pace?)
        }
        "csv" => {
            let inner = fields.section("csv")?;
            let (path, pace) = (inner.path("path"), pace(&inner));
            (Api::Csv { path: path? }, pace?)
        }
        other => unreachable!("`{other}` is a source of the table"),
    };
    Some(Source {
        name: name.to_owned(),
        api,
        interval_ms,
        timeout_ms,
        bucket_ms: 0,
        delay_ms: 0,
        canary,
        baseline,
        queries: Vec::new(),
    })
}

/// An address over HTTP without a secret in it.
fn url(fields: &Fields<'_, '_>) -> Option<String> {
    let url = fields.text("url")?.trim_end_matches('/').to_owned();
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest else {
        let hint = format!("write http://{url}");
        fields.problem(Code::BadValue, "url", &format!("`{url}` is not an http(s) URL"), &hint);
        return Some(url);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let arguments = rest.split_once('?').map(|(_, arguments)| arguments).unwrap_or_default();
    let named = arguments.split('&').filter_map(|argument| Some(argument.split_once('=')?.0.to_lowercase()));
    if authority.contains('@') || named.into_iter().any(|name| SECRET_WORDS.contains(&name.as_str())) {
        let message = "a secret must not stand in this file, and an address is shown to everybody";
        let hint = "name it: credentials: {bearer: {env: NAME}}, or basic, or header";
        fields.unquoted_problem("url", message, hint);
        return None;
    }
    Some(url)
}

fn pace(fields: &Fields<'_, '_>) -> Option<(u64, u64)> {
    let [interval, timeout] = ["interval", "timeout"].map(|key| {
        let ms = fields.span(key);
        if ms.is_some_and(|ms| !PACE_MS.contains(&ms)) {
            fields.problem(Code::OutOfRange, key, "it lies between 100ms and 5m", "5s is usual");
        }
        ms
    });
    Some((interval?, timeout?))
}

fn credentials(fields: &Fields<'_, '_>) -> Option<Credentials> {
    let fields = fields.section("credentials")?;
    match fields.exactly_one()? {
        "bearer" => secret(&fields, "bearer").map(Credentials::Bearer),
        "basic" => {
            let inner = fields.section("basic")?;
            let (user, password) = (inner.text("user"), secret(&inner, "password"));
            Some(Credentials::Basic { user: user?, password: password? })
        }
        _ => {
            let inner = fields.section("header")?;
            let (name, value) = (inner.text("name"), secret(&inner, "value"));
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if name.as_ref().is_some_and(|name| !name.chars().all(fits)) {
                inner.problem(
                    Code::BadValue,
                    "name",
                    "this is not the name of a header",
                    "write one like X-Api-Key",
                );
            }
            Some(Credentials::Header { name: name?, value: value? })
        }
    }
}

/// Where a secret is kept; one that is written down is refused, and not repeated.
pub(super) fn secret(fields: &Fields<'_, '_>, key: &str) -> Option<Secret> {
    if fields.short(key) {
        fields.unquoted_problem(key, "a secret must not stand in this file", SECRET_HINT);
        return None;
    }
    let inner = fields.section(key)?;
    match inner.exactly_one()? {
        "env" => {
            let name = inner.text("env")?;
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
                inner.unquoted_problem("env", "this is not the name of a variable", SECRET_HINT);
                return None;
            }
            Some(Secret::Env(name))
        }
        _ => inner.path("file").map(Secret::File),
    }
}

const SECRET_HINT: &str = "name where it is kept: {env: NAME} or {file: path}";

fn labels(fields: &Fields<'_, '_>, side: &str) -> BTreeMap<String, String> {
    let given = fields.map(side);
    if given.is_empty() {
        return BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
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
            (Asked::Query, api) => {
                let message = format!("{} understands no PromQL", api.word());
                inner.problem(Code::Conflict, "query", &message, "write `bad` and `total`, or `value`");
            }
            (Asked::Counts, Api::Prometheus { .. }) => {
                if let Some(query) = counters(inner, metric, source, promql) {
                    source.queries.push(query);
                }
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

/// What a metric asks of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Query,
    Counts,
    Value,
}

/// None, with the problem noted, where it asks nothing that can be understood.
fn asked(fields: &Fields<'_, '_>) -> Option<Asked> {
    let given = |key| fields.given(key).is_some();
    let (counts, query, value) = (given("bad") || given("total"), given("query"), given("value"));
    match (counts, query, value) {
        (false, false, false) => {
            if given("source") {
                let hint = "add `bad` and `total`, or `value`, or `query`";
                fields.problem(Code::MissingKey, "source", "nothing is asked of this source", hint);
            }
            None
        }
        (true, false, false) => {
            for (key, other) in [("bad", "total"), ("total", "bad")] {
                if !given(key) {
                    let message = format!("`{key}` is missing: a share needs both");
                    fields.problem(Code::MissingKey, other, &message, "write both, or `value`");
                    return None;
                }
            }
            Some(Asked::Counts)
        }
        (false, true, false) => Some(Asked::Query),
        (false, false, true) => Some(Asked::Value),
        _ => {
            let key = if value { "value" } else { "query" };
            let message = "a metric asks one thing: `bad` and `total`, or `value`, or `query`";
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
    let labels = source.canary.keys().chain(source.baseline.keys()).cloned().collect();
    let [bad, total] = ["bad", "total"].map(|key| {
        let text = fields.text(key)?;
        let queries = [(metric.clone(), text.clone())];
        let promql = promql.or_else(|| {
            let hint = "read the description by its path";
            fields.problem(Code::Conflict, key, "its PromQL was not taken apart", hint);
            None
        })?;
        match promql(&queries, &labels).map(|mut all| all.pop().map(|query| query.shape)) {
            Ok(Some(Shape::Scalar { expression, .. })) if !expression.contains('(') => {
                Some((text, expression))
            }
            Ok(_) => {
                let hint = "write one like http_requests_total{status=~\"5..\"}, or use `query`";
                fields.problem(Code::BadValue, key, "the selector of a counter is needed here", hint);
                None
            }
            Err(troubles) => {
                for trouble in troubles {
                    fields.problem(Code::BadValue, key, &trouble.message, &trouble.hint);
                }
                None
            }
        }
    });
    let ((bad_text, bad), (total_text, total)) = (bad?, total?);
    let shape = Shape::Counts { bad, total, scale_micro: 1_000_000 };
    Some(Query { metric, text: format!("{bad_text} of {total_text}"), shape })
}

/// A query in a language that is not taken apart.
fn plain(fields: &Fields<'_, '_>, metric: MetricName, source: &Source, asked: Asked) -> Option<Query> {
    let text = |key: &str| {
        let text = fields.text(key)?;
        if !source.api.tells_apart(source) && !source.tells_apart(&text) {
            let hint = "put `{version}` where the version stands";
            fields.problem(Code::Conflict, key, "both sides would be asked the same", hint);
        }
        if let Err((message, hint)) = form(&source.api, &text) {
            fields.problem(Code::BadValue, key, &message, hint);
            return None;
        }
        Some(text)
    };
    if asked == Asked::Counts {
        let (bad, total) = (text("bad"), text("total"));
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

/// Whether a query has the form its source understands, as far as that can be known.
fn form(api: &Api, text: &str) -> Result<(), (String, &'static str)> {
    match api {
        Api::Json { .. } | Api::Command { .. } => Path::read(text).map(drop).map_err(|why| {
            (format!("this is no path in JSON: {why}"), "write one like $.requests or /requests")
        }),
        Api::Prometheus { .. } | Api::Csv { .. } => Ok(()),
    }
}

/// A query whose answer is a value.
pub(super) fn value_shape(source: &Source, expression: String) -> Shape {
    let why = format!("it is a value of {}", source.api.word());
    Shape::Scalar { expression, every_ms: source.interval_ms.max(source.bucket_ms), why }
}

/// Whether a metric asks a source anything.
pub(super) fn asks(fields: &Fields<'_, '_>) -> bool {
    ["source", "query", "bad", "total", "value"].iter().any(|key| fields.given(key).is_some())
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
