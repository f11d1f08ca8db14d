//! Prometheus, and whatever speaks its HTTP API.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, header};
use serde::Deserialize;
use taxiway_model::metrics::{Credentials, Shape};

use super::answer::{Answer, PART, Vector, part};
use super::ask::Question;
use super::exchange::{Failure, Reply, SERIES_MAX, Secrets, cut, encoded, exchange};

#[derive(Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct One {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Asks for an instant vector of both sides at one moment.
pub(super) async fn ask(
    url: &str,
    credentials: Option<&Credentials>,
    question: &Question,
) -> Result<Answer, Failure> {
    let limit = question.limit.as_millis();
    let form = format!("query={}&timeout={limit}ms", encoded(&text(question)));
    let reply = post(url, "query", credentials, form, question.limit).await?;
    vector(&reply.body).map(Answer::Now)
}

/// The question about a metric, both sides in one, so that they are of one moment.
fn text(question: &Question) -> String {
    let mut terms = Vec::new();
    for (side, selectors) in question.texts() {
        for (number, selector) in selectors.iter().enumerate() {
            let mark = part(side, number);
            terms.push(format!("label_replace({selector}, \"{PART}\", \"{mark}\", \"\", \"\")"));
        }
        let is_value = matches!(question.query.shape, Shape::Scalar { .. });
        if let (false, Some(last)) = (is_value, selectors.last()) {
            let (newest, side) = (format!("max(timestamp({last}))"), side.word());
            terms.push(format!("label_replace({newest}, \"{PART}\", \"{side}.newest\", \"\", \"\")"));
        }
    }
    terms.join(" or ")
}

/// A series over a span of time.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeSeries {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Seconds since the epoch, and values; NaN and infinities as the source has them.
    pub points: Vec<(f64, f64)>,
}

/// What is asked of a Prometheus about a span of time.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// PromQL.
    pub query: &'a str,
    /// Its beginning, in seconds since the epoch.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
    /// Between two points.
    pub step_s: f64,
}

/// Asks for a query's values over a span of time (`query_range`).
///
/// # Errors
/// One line for people: no answer, a refusal with the source's words, an answer that is no matrix.
pub async fn range(
    url: &str,
    credentials: Option<&Credentials>,
    asked: Range<'_>,
    limit: Duration,
) -> Result<Vec<RangeSeries>, String> {
    let Range { query, from_s, to_s, step_s } = asked;
    let form = format!(
        "query={}&start={from_s:.3}&end={to_s:.3}&step={step_s}&timeout={}ms",
        encoded(query),
        limit.as_millis()
    );
    let reply = post(url.trim_end_matches('/'), "query_range", credentials, form, limit).await;
    reply.and_then(|reply| matrix(&reply.body)).map_err(|failure| failure.why)
}

/// As [`range`], for callers without a runtime.
///
/// # Errors
/// As [`range`]; also when the machine gives no thread.
pub fn range_blocking(
    url: &str,
    credentials: Option<&Credentials>,
    asked: Range<'_>,
    limit: Duration,
) -> Result<Vec<RangeSeries>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(range(url, credentials, asked, limit))
}

async fn post(
    url: &str,
    verb: &str,
    credentials: Option<&Credentials>,
    form: String,
    limit: Duration,
) -> Result<Reply, Failure> {
    let mut secrets = Secrets::default();
    let mut request = Request::post(format!("{url}/api/v1/{verb}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json");
    if let Some(credentials) = credentials {
        let (name, value) = secrets.header(credentials)?;
        request = request.header(name, value);
    }
    let said = |value: &serde_json::Value| Some(value.get("error")?.as_str()?.to_owned());
    exchange(request, form, limit, &secrets, said).await
}

fn data(body: &[u8], kind: &str) -> Result<serde_json::Value, Failure> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| not_theirs(&error))?;
    if envelope.status != "success" {
        return Err(Failure::new(format!("it answers an error: {}", cut(&envelope.error))));
    }
    if let Some(warning) = envelope.warnings.first() {
        return Err(Failure::new(format!("the answer is not complete: {}", cut(warning))));
    }
    let data = envelope.data.ok_or_else(|| Failure::new("the answer has no data"))?;
    if data.result_type != kind {
        return Err(Failure::new(format!(
            "the answer is a {}, and a {kind} is needed",
            cut(&data.result_type)
        )));
    }
    Ok(data.result)
}

fn vector(body: &[u8]) -> Result<Vector, Failure> {
    let series: Vec<One> =
        serde_json::from_value(data(body, "vector")?).map_err(|error| not_theirs(&error))?;
    few(series.len())?;
    let mut vector = Vector { at_s: series.first().map(|one| one.value.0), series: Vec::new() };
    for one in series {
        vector.series.push((one.metric, number(&one.value.1)?));
    }
    Ok(vector)
}

#[derive(Deserialize)]
struct Many {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

fn matrix(body: &[u8]) -> Result<Vec<RangeSeries>, Failure> {
    let series: Vec<Many> =
        serde_json::from_value(data(body, "matrix")?).map_err(|error| not_theirs(&error))?;
    few(series.len())?;
    let one = |many: Many| {
        let points = many.values.iter().map(|(at_s, text)| Ok((*at_s, number(text)?)));
        Ok(RangeSeries { labels: many.metric, points: points.collect::<Result<_, Failure>>()? })
    };
    series.into_iter().map(one).collect()
}

fn few(series: usize) -> Result<(), Failure> {
    if series > SERIES_MAX {
        return Err(Failure::new(format!("{series} series are more than {SERIES_MAX}; narrow the query")));
    }
    Ok(())
}

/// Prometheus writes +Inf and NaN; Rust reads both.
fn number(text: &str) -> Result<f64, Failure> {
    text.parse().map_err(|_| Failure::new(format!("`{}` is not a value", cut(text))))
}

fn not_theirs(error: &serde_json::Error) -> Failure {
    Failure::new(format!("the answer is not what Prometheus says: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> String {
        vector(body.as_bytes()).expect_err("no answer").why
    }

    #[test]
    fn a_vector_is_read_with_its_values() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"b"},"value":[1700000000.5,"12"]},{"metric":{},"value":[1700000000.5,"NaN"]}]}}"#;
        let vector = vector(body.as_bytes()).expect("a vector");
        assert_eq!(vector.at_s, Some(1_700_000_000.5));
        assert_eq!(vector.series[0].1, 12.0);
        assert!(vector.series[1].1.is_nan());
    }

    #[test]
    fn what_is_no_vector_says_so() {
        assert!(said("<html>").contains("not what Prometheus says"));
        assert!(
            said(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#).contains("matrix")
        );
        let partial = r#"{"status":"success","warnings":["a store is away"],"data":{"resultType":"vector","result":[]}}"#;
        assert!(said(partial).contains("not complete: a store is away"));
        let garbage =
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}"#;
        assert!(said(garbage).contains("`x` is not a value"));
    }

    #[test]
    fn a_matrix_is_read_with_its_labels() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"a":"b"},"values":[[1700000000,"1"],[1700000015,"+Inf"]]}]}}"#;
        let series = matrix(body.as_bytes()).expect("a matrix");
        assert_eq!(series[0].labels["a"], "b");
        assert_eq!(series[0].points, [(1_700_000_000.0, 1.0), (1_700_000_015.0, f64::INFINITY)]);
        assert!(matrix(b"{}").is_err());
    }
}
