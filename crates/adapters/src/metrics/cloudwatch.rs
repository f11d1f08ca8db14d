//! Amazon CloudWatch's GetMetricData, over its JSON protocol.

use http::{Request, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use taxiway_model::metrics::{Secret, Selector, Side};

use super::answer::{Answer, Points, Series};
use super::ask::Question;
use super::exchange::{Failure, Secrets, cut, exchange, now_s};
use super::sigv4::{Signed, Signer};

const TARGET: &str = "GraniteServiceVersion20100801.GetMetricData";

const CONTENT: &str = "application/x-amz-json-1.0";

pub(super) struct Access<'a> {
    pub(super) url: &'a str,
    pub(super) region: &'a str,
    pub(super) access_key: &'a Secret,
    pub(super) secret_key: &'a Secret,
    pub(super) session_token: Option<&'a Secret>,
}

pub(super) async fn ask(access: &Access<'_>, question: &Question) -> Result<Answer, Failure> {
    let period_s = question.source.bucket_ms / 1_000;
    let (mut queries, mut places) = (Vec::new(), Vec::new());
    for (side, parts) in question.texts() {
        for (part, text) in parts.iter().enumerate() {
            let id = format!("q{}", places.len());
            queries.push(query(&id, text, period_s).map_err(Failure::new)?);
            places.push((id, side, part));
        }
    }
    // Whole periods: others would be cut at their edges.
    let period = period_s as f64;
    let (from_s, to_s) =
        ((question.from_s / period).floor() * period, (question.to_s / period).ceil() * period);
    let body = json!({"StartTime": from_s, "EndTime": to_s, "ScanBy": "TimestampAscending",
        "MetricDataQueries": queries})
    .to_string();
    let mut secrets = Secrets::default();
    let request = signed(access, &body, &mut secrets)?;
    let reply = exchange(request, body, question.limit, &secrets, said).await?;
    let series = read(&reply.body, &places)?;
    Ok(Answer::Buckets(Points { now_s: reply.at_s, bucket_s: period, series }))
}

fn query(id: &str, text: &str, period_s: u64) -> Result<Value, String> {
    let text = text.trim();
    if ["SELECT ", "SEARCH("].iter().any(|begin| text.starts_with(begin)) {
        return Ok(json!({"Id": id, "Expression": text, "Period": period_s, "ReturnData": true}));
    }
    let parts = text.rsplit_once(' ').and_then(|(metric, stat)| Some((metric.split_once(':')?, stat)));
    let ((namespace, metric), stat) = parts.ok_or("this is not `namespace:metric{…} statistic`")?;
    let selector = Selector::read(metric)?;
    let dimensions: Vec<Value> =
        selector.attributes.iter().map(|(name, _, value)| json!({"Name": name, "Value": value})).collect();
    Ok(json!({"Id": id, "ReturnData": true, "MetricStat": {"Period": period_s, "Stat": stat,
        "Metric": {"Namespace": namespace, "MetricName": selector.name, "Dimensions": dimensions}}}))
}

fn signed(access: &Access<'_>, body: &str, secrets: &mut Secrets) -> Result<http::request::Builder, Failure> {
    let (access_key, secret_key) = (secrets.read(access.access_key)?, secrets.read(access.secret_key)?);
    let token = access.session_token.map(|token| secrets.read(token)).transpose()?;
    let uri: Uri = format!("{}/", access.url)
        .parse()
        .map_err(|error| Failure::new(format!("{} is not a URL: {error}", access.url)))?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let at = jiff::Timestamp::from_second(now_s() as i64).unwrap_or_default();
    let at = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut headers = vec![("content-type", CONTENT), ("host", &host), ("x-amz-date", &at)];
    headers.extend(token.as_deref().map(|token| ("x-amz-security-token", token)));
    headers.push(("x-amz-target", TARGET));
    let signer = Signer {
        access_key: &access_key,
        secret_key: &secret_key,
        region: access.region,
        service: "monitoring",
    };
    let what =
        Signed { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes(), at: &at };
    let authorization = signer.authorization(&what);
    let request =
        headers.iter().fold(Request::post(uri), |request, (name, value)| request.header(*name, *value));
    Ok(request.header(header::AUTHORIZATION, authorization))
}

/// `{"__type": "…#InvalidClientTokenId", "message": …}`.
fn said(value: &Value) -> Option<String> {
    let kind = value.get("__type")?.as_str()?.rsplit('#').next()?.to_owned();
    let text = ["message", "Message"].into_iter().find_map(|key| value.get(key)?.as_str());
    Some(text.map_or_else(|| kind.clone(), |text| format!("{kind}: {text}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    metric_data_results: Vec<One>,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    id: String,
    status_code: String,
    #[serde(default)]
    timestamps: Vec<f64>,
    #[serde(default)]
    values: Vec<f64>,
}

fn read(body: &[u8], places: &[(String, Side, usize)]) -> Result<Vec<Series>, Failure> {
    let read: Read = serde_json::from_slice(body)
        .map_err(|error| Failure::new(format!("the answer is not what CloudWatch says: {error}")))?;
    if read.next_token.is_some() {
        return Err(Failure::new(
            "the answer is not complete: there are more points than fit; widen `bucket`",
        ));
    }
    let mut all = Vec::new();
    for one in read.metric_data_results {
        let place = places.iter().find(|(id, ..)| *id == one.id);
        let (_, side, part) = place.ok_or_else(|| Failure::new("a series that was not asked for"))?;
        if one.status_code != "Complete" {
            return Err(Failure::new(format!("the answer is not complete: {}", cut(&one.status_code))));
        }
        if one.timestamps.len() != one.values.len() {
            return Err(Failure::new("the answer has other moments than values"));
        }
        let points = one.timestamps.into_iter().zip(one.values).collect();
        all.push(Series { side: *side, part: *part, points });
    }
    Ok(all)
}
