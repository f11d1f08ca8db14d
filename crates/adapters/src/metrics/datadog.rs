//! Datadog's metric queries: `/api/v2/query/timeseries`, and the older `/api/v1/query`.

use http::{Request, header};
use serde::Deserialize;
use serde_json::{Value, json};
use taxiway_model::metrics::{Secret, Side};

use super::answer::{Answer, Points, Series};
use super::ask::Question;
use super::exchange::{Failure, Secrets, cut, encoded, exchange};

pub(super) struct Keys<'a> {
    pub(super) api: &'a Secret,
    pub(super) application: &'a Secret,
}

/// All parts of both sides in one question, so that they are of the same buckets.
pub(super) async fn ask_v2(url: &str, keys: &Keys<'_>, question: &Question) -> Result<Answer, Failure> {
    let texts = question.texts();
    let asked: Vec<(Side, usize, &String)> = texts
        .iter()
        .flat_map(|(side, parts)| parts.iter().enumerate().map(|(part, text)| (*side, part, text)))
        .collect();
    let queries: Vec<Value> = asked
        .iter()
        .enumerate()
        .map(|(number, (.., text))| json!({"data_source": "metrics", "name": format!("q{number}"), "query": text}))
        .collect();
    let formulas: Vec<Value> =
        (0..asked.len()).map(|number| json!({"formula": format!("q{number}")})).collect();
    let body = json!({"data": {"type": "timeseries_request", "attributes": {
        "from": (question.from_s * 1e3) as i64, "to": (question.to_s * 1e3) as i64,
        "interval": question.source.bucket_ms, "queries": queries, "formulas": formulas}}});
    let mut secrets = Secrets::default();
    let request = Request::post(format!("{url}/api/v2/query/timeseries"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header("dd-api-key", secrets.read(keys.api)?)
        .header("dd-application-key", secrets.read(keys.application)?);
    let reply = exchange(request, body.to_string(), question.limit, &secrets, said).await?;
    let places: Vec<(Side, usize)> = asked.iter().map(|(side, part, _)| (*side, *part)).collect();
    let series = read_v2(&reply.body, &places)?;
    let bucket_s = question.source.bucket_ms as f64 / 1e3;
    Ok(Answer::Buckets(Points { now_s: reply.at_s, bucket_s: wider(bucket_s, &series), series }))
}

pub(super) async fn ask_v1(url: &str, keys: &Keys<'_>, question: &Question) -> Result<Answer, Failure> {
    let mut points = Points::default();
    for (side, parts) in question.texts() {
        for (part, text) in parts.iter().enumerate() {
            let mut secrets = Secrets::default();
            let (from, to) = (question.from_s as i64, question.to_s as i64);
            let request =
                Request::get(format!("{url}/api/v1/query?from={from}&to={to}&query={}", encoded(text)))
                    .header(header::ACCEPT, "application/json")
                    .header("dd-api-key", secrets.read(keys.api)?)
                    .header("dd-application-key", secrets.read(keys.application)?);
            let reply = exchange(request, "", question.limit, &secrets, said).await?;
            points.now_s = reply.at_s;
            read_v1(&reply.body, side, part, &mut points)?;
        }
    }
    if points.bucket_s == 0.0 {
        points.bucket_s = question.source.bucket_ms as f64 / 1e3;
    }
    Ok(Answer::Buckets(points))
}

/// Where buckets of the wanted width would be too many, it makes wider ones without a word.
fn wider(bucket_s: f64, series: &[Series]) -> f64 {
    let gaps = series.iter().flat_map(|one| one.points.windows(2).map(|pair| pair[1].0 - pair[0].0));
    gaps.filter(|gap| *gap > 0.0).reduce(f64::min).map_or(bucket_s, |gap| gap.max(bucket_s))
}

/// `{"errors": ["Forbidden"]}` or `{"errors": [{"detail": …}]}`, or `{"error": …}`.
fn said(value: &Value) -> Option<String> {
    if let Some(text) = value.get("error").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    let texts = value.get("errors")?.as_array()?.iter();
    let texts = texts.filter_map(|one| one.as_str().or_else(|| one.get("detail")?.as_str()));
    Some(texts.collect::<Vec<_>>().join("; "))
}

fn not_theirs(error: &serde_json::Error) -> Failure {
    Failure::new(format!("the answer is not what Datadog says: {error}"))
}

#[derive(Deserialize)]
struct V2 {
    data: Option<Data>,
    #[serde(default)]
    errors: Option<Value>,
}

#[derive(Deserialize)]
struct Data {
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(default)]
    series: Vec<Index>,
    #[serde(default)]
    times: Vec<i64>,
    #[serde(default)]
    values: Vec<Vec<Option<f64>>>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    query_index: usize,
}

fn read_v2(body: &[u8], places: &[(Side, usize)]) -> Result<Vec<Series>, Failure> {
    let read: V2 = serde_json::from_slice(body).map_err(|error| not_theirs(&error))?;
    if let Some(errors) = read.errors.filter(|errors| !errors.is_null()) {
        return Err(Failure::new(format!("it answers an error: {}", cut(&errors.to_string()))));
    }
    let Attributes { series, times, values } =
        read.data.ok_or_else(|| Failure::new("the answer has no data"))?.attributes;
    if series.len() != values.len() {
        return Err(Failure::new("the answer has other series than values"));
    }
    let mut all = Vec::new();
    for (index, values) in series.into_iter().zip(values) {
        let place = places.get(index.query_index);
        let (side, part) = *place.ok_or_else(|| Failure::new("a series that was not asked for"))?;
        let points =
            times.iter().zip(values).filter_map(|(at_ms, value)| Some((*at_ms as f64 / 1e3, value?)));
        all.push(Series { side, part, points: points.collect() });
    }
    Ok(all)
}

#[derive(Deserialize)]
struct V1 {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    series: Vec<V1Series>,
}

#[derive(Deserialize)]
struct V1Series {
    /// Seconds in a bucket.
    interval: f64,
    /// Milliseconds since the epoch, and values.
    pointlist: Vec<(f64, Option<f64>)>,
}

fn read_v1(body: &[u8], side: Side, part: usize, into: &mut Points) -> Result<(), Failure> {
    let read: V1 = serde_json::from_slice(body).map_err(|error| not_theirs(&error))?;
    let error = read.error.filter(|error| !error.is_empty());
    if read.status != "ok" || error.is_some() {
        let said = error.unwrap_or(read.status);
        return Err(Failure::new(format!("it answers an error: {}", cut(&said))));
    }
    for one in read.series {
        if into.bucket_s != 0.0 && into.bucket_s != one.interval {
            let why = "its buckets are of different widths; add .rollup(sum, 60) to every query";
            return Err(Failure::new(why));
        }
        into.bucket_s = one.interval;
        let points = one.pointlist.iter().filter_map(|(at_ms, value)| Some((at_ms / 1e3, (*value)?)));
        into.series.push(Series { side, part, points: points.collect() });
    }
    Ok(())
}
