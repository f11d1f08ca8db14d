//! New Relic's NRQL, by NerdGraph.

use std::fmt::Write as _;

use http::{Request, header};
use serde_json::{Value, json};
use taxiway_model::metrics::{Secret, Side};

use super::answer::{Answer, Points, Series};
use super::ask::Question;
use super::exchange::{Failure, Said, Secrets, cut, exchange};

/// What a query with `TIMESERIES` may have; more are refused.
const BUCKETS_MAX: u64 = 366;

pub(super) async fn ask(
    url: &str,
    account: u64,
    api_key: &Secret,
    question: &Question,
) -> Result<Answer, Failure> {
    let bucket_s = (question.source.bucket_ms / 1_000).max(1);
    let places = places(question);
    let query = graphql(account, question, bucket_s, &places);
    let mut secrets = Secrets::default();
    let request = Request::post(format!("{url}/graphql"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("api-key", secrets.read(api_key)?);
    let body = json!({ "query": query }).to_string();
    let reply = exchange(request, body, question.limit, &secrets, said).await?;
    let series = read(&reply.body, &places, &secrets)
        .map_err(|failure| Failure { why: secrets.without(&failure.why), ..failure })?;
    Ok(Answer::Buckets(Points { now_s: reply.at_s, bucket_s: bucket_s as f64, series }))
}

/// A name for each part of each side, with its NRQL.
fn places(question: &Question) -> Vec<(String, Side, usize, String)> {
    let named = |(side, parts): (Side, Vec<String>)| {
        let one = move |(part, text)| (format!("{}{part}", side.word()), side, part, text);
        parts.into_iter().enumerate().map(one)
    };
    question.texts().into_iter().flat_map(named).collect()
}

/// All parts of both sides in one question, in whole buckets.
fn graphql(
    account: u64,
    question: &Question,
    bucket_s: u64,
    places: &[(String, Side, usize, String)],
) -> String {
    let whole = |at_s: f64| (at_s / bucket_s as f64).floor() as u64 * bucket_s * 1_000;
    let to_ms = whole(question.to_s);
    let from_ms = whole(question.from_s).max(to_ms.saturating_sub(BUCKETS_MAX * bucket_s * 1_000));
    let timeout_s = question.limit.as_secs().clamp(5, 120);
    let mut inner = String::new();
    for (name, .., text) in places {
        let nrql = format!("{text} SINCE {from_ms} UNTIL {to_ms} TIMESERIES {bucket_s} seconds");
        // A string of JSON is one of GraphQL.
        let _ = write!(inner, " {name}: nrql(query: {}, timeout: {timeout_s}) {{ results }}", json!(nrql));
    }
    format!("{{ actor {{ account(id: {account}) {{{inner} }} }} }}")
}

/// Classes of errors about who asks.
const OF_CREDENTIALS: [&str; 4] = ["ACCESS_DENIED", "FORBIDDEN", "UNAUTHENTICATED", "UNAUTHORIZED"];

/// `{"errors": [{"message": …, "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}]}`.
fn said(value: &Value) -> Option<Said> {
    let first = value.get("errors")?.as_array()?.first()?;
    let message = first.get("message")?.as_str()?;
    let class = first.pointer("/extensions/errorClass").and_then(Value::as_str);
    let of_credentials = class.is_some_and(|class| OF_CREDENTIALS.contains(&class));
    let text = class.map_or_else(|| message.to_owned(), |class| format!("{class}: {message}"));
    Some(Said { text, of_credentials })
}

fn read(
    body: &[u8],
    places: &[(String, Side, usize, String)],
    secrets: &Secrets,
) -> Result<Vec<Series>, Failure> {
    let root: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::new(format!("the answer is not what New Relic says: {error}")))?;
    // Errors come with the status 200, some of them beside half an answer.
    if let Some(said) = said(&root) {
        let why = format!("it answers an error: {}", cut(&said.text));
        return Err(Failure::new(if said.of_credentials { secrets.refused(&why) } else { why }));
    }
    let account = root.pointer("/data/actor/account");
    let account = account.ok_or_else(|| Failure::new("the answer has no account"))?;
    let mut all = Vec::new();
    for (name, side, part, _) in places {
        let results = account.get(name).and_then(|one| one.get("results")?.as_array());
        let results = results.ok_or_else(|| Failure::new(format!("the answer has no results of {name}")))?;
        let points = results.iter().map(point).collect::<Result<Vec<_>, _>>()?;
        all.push(Series { side: *side, part: *part, points: points.into_iter().flatten().collect() });
    }
    Ok(all)
}

/// The beginning of a bucket and the one number in it; none where that is null.
fn point(one: &Value) -> Result<Option<(f64, f64)>, Failure> {
    let at_s = one.get("beginTimeSeconds").and_then(Value::as_f64);
    let at_s = at_s.ok_or_else(|| Failure::new("a result has no beginTimeSeconds"))?;
    let members = one.as_object().into_iter().flatten();
    let is_time = |name: &str| ["beginTimeSeconds", "endTimeSeconds", "inspectedCount"].contains(&name);
    let mut values = members.filter(|(name, _)| !is_time(name)).map(|(_, value)| value);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Failure::new("a result has not one value: SELECT one thing, without FACET"));
    };
    // A percentile is `{"95": 0.3}`.
    let value = match value {
        Value::Object(inner) if inner.len() == 1 => inner.values().next().unwrap_or(&Value::Null),
        value => value,
    };
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64().map(|number| (at_s, number))),
        other => Err(Failure::new(format!("a result is not a number: {}", cut(&other.to_string())))),
    }
}
