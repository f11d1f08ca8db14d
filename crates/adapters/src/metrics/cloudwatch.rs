//! Amazon CloudWatch's GetMetricData, over its JSON protocol (`awsJson1_0`; beside it there are CBOR and,
//! for old clients, XML), as botocore has it in `botocore/data/cloudwatch/2010-08-01/service-2.json`.

use std::collections::BTreeMap;

use http::{Request, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use taxiway_model::metrics::{Secret, Selector, Side};

use super::answer::{Answer, Points, Series};
use super::ask::Question;
use super::exchange::{Failure, Said, Secrets, cut, exchange, now_s};
use super::sigv4::{Signed, Signer};

const TARGET: &str = "GraniteServiceVersion20100801.GetMetricData";

const CONTENT: &str = "application/x-amz-json-1.0";

/// Pages of one answer: a page holds 100,800 points, more than are asked for of any metric.
const PAGES_MAX: usize = 20;

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
    let mut asked = json!({"StartTime": from_s, "EndTime": to_s, "ScanBy": "TimestampAscending",
        "MetricDataQueries": queries});
    // The time limit is that of the whole answer, however many pages it has.
    let deadline = tokio::time::Instant::now() + question.limit;
    let mut pages = Pages::default();
    for _ in 0..PAGES_MAX {
        let body = asked.to_string();
        let mut secrets = Secrets::default();
        let request = signed(access, &body, &mut secrets)?;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            let why = format!("no whole answer within {} ms", question.limit.as_millis());
            return Err(Failure::new(why));
        }
        let reply = exchange(request, body, left, &secrets, said).await?;
        let Some(token) = pages.take(&reply.body)? else {
            let series = pages.series(&places, &secrets)?;
            return Ok(Answer::Buckets(Points { now_s: reply.at_s, bucket_s: period, series }));
        };
        asked["NextToken"] = Value::String(token);
    }
    Err(Failure::new(format!("the answer has more than {PAGES_MAX} pages; widen `bucket`")))
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
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    let what = Signed { method: "POST", path, query, headers: &headers, body: body.as_bytes(), at: &at };
    let authorization = signer.authorization(&what);
    let request =
        headers.iter().fold(Request::post(uri), |request, (name, value)| request.header(*name, *value));
    Ok(request.header(header::AUTHORIZATION, authorization))
}

/// What is said of who asks. These come with the status 400 as well as with 403.
const OF_CREDENTIALS: [&str; 8] = [
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignature",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
];

/// `{"__type": "…#InvalidClientTokenId", "message": …}`.
fn said(value: &Value) -> Option<Said> {
    let kind = value.get("__type")?.as_str()?.rsplit('#').next()?.to_owned();
    let text = ["message", "Message"].into_iter().find_map(|key| value.get(key)?.as_str());
    let of_credentials = OF_CREDENTIALS.contains(&kind.trim_end_matches("Exception"));
    let text = text.map_or_else(|| kind.clone(), |text| format!("{kind}: {text}"));
    Some(Said { text, of_credentials })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    metric_data_results: Vec<One>,
    #[serde(default)]
    next_token: Option<String>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    id: String,
    #[serde(default)]
    status_code: Option<String>,
    #[serde(default)]
    timestamps: Option<Vec<f64>>,
    #[serde(default)]
    values: Option<Vec<f64>>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

/// `{"Code": "ArithmeticError", "Value": …}`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    value: Option<String>,
}

impl Message {
    fn text(&self) -> String {
        let parts = [&self.code, &self.value].into_iter().flatten().map(String::as_str);
        parts.collect::<Vec<_>>().join(": ")
    }
}

/// What the pages of an answer have said so far, by the id of the query. A query of one page may go on in the next.
#[derive(Default)]
struct Pages {
    found: BTreeMap<String, Found>,
}

#[derive(Default)]
struct Found {
    points: Vec<(f64, f64)>,
    /// As the newest page has it.
    status: String,
    messages: Vec<String>,
}

impl Pages {
    /// Takes a page; returns the token of the next one.
    fn take(&mut self, body: &[u8]) -> Result<Option<String>, Failure> {
        let page: Page = serde_json::from_slice(body)
            .map_err(|error| Failure::new(format!("the answer is not what CloudWatch says: {error}")))?;
        // As much as possible is answered beside such a message, and not all.
        if let Some(message) = page.messages.iter().flatten().next() {
            return Err(Failure::new(format!("the answer is not complete: {}", cut(&message.text()))));
        }
        for one in page.metric_data_results {
            let (timestamps, values) = (one.timestamps.unwrap_or_default(), one.values.unwrap_or_default());
            if timestamps.len() != values.len() {
                return Err(Failure::new("the answer has other moments than values"));
            }
            let found = self.found.entry(one.id).or_default();
            found.points.extend(timestamps.into_iter().zip(values));
            found.status = one.status_code.unwrap_or_else(|| "Complete".to_owned());
            found.messages.extend(one.messages.iter().flatten().map(Message::text));
        }
        Ok(page.next_token.filter(|token| !token.is_empty()))
    }

    /// The series of all pages. `PartialData` on the last of them never becomes whole: a sum over a
    /// part of the time would be taken for few requests.
    fn series(self, places: &[(String, Side, usize)], secrets: &Secrets) -> Result<Vec<Series>, Failure> {
        let mut all = Vec::new();
        for (id, Found { points, status, messages }) in self.found {
            let place = places.iter().find(|(known, ..)| *known == id);
            let (_, side, part) = place.ok_or_else(|| Failure::new("a series that was not asked for"))?;
            let why = || {
                let said: Vec<&str> =
                    std::iter::once(status.as_str()).chain(messages.iter().map(String::as_str)).collect();
                cut(&said.join(", "))
            };
            match status.as_str() {
                "Complete" => all.push(Series { side: *side, part: *part, points }),
                "Forbidden" => return Err(Failure::new(secrets.refused(&format!("it answers {}", why())))),
                _ => return Err(Failure::new(format!("the answer is not complete: {}", why()))),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Vec<(String, Side, usize)> {
        vec![("q0".to_owned(), Side::Canary, 0), ("q1".to_owned(), Side::Canary, 1)]
    }

    fn read(pages: &[Value]) -> Result<Vec<Series>, Failure> {
        let mut all = Pages::default();
        for page in pages {
            all.take(page.to_string().as_bytes())?;
        }
        all.series(&places(), &Secrets::default())
    }

    #[test]
    fn a_query_goes_on_over_pages_and_ends_complete() {
        let page = |id: &str, at: &[u64], status: &str, next: Option<&str>| {
            json!({"MetricDataResults": [{"Id": id, "Label": "x", "Timestamps": at, "Values": at,
                "StatusCode": status}], "NextToken": next, "Messages": null})
        };
        let pages = [
            page("q1", &[60, 120], "PartialData", Some("a")),
            page("q1", &[180], "Complete", Some("b")),
            page("q0", &[], "Complete", None),
        ];
        assert_eq!(Pages::default().take(pages[0].to_string().as_bytes()).unwrap().as_deref(), Some("a"));
        let series = read(&pages).unwrap();
        assert_eq!(series[1].points, [(60.0, 60.0), (120.0, 120.0), (180.0, 180.0)]);
        let why = read(&[page("q1", &[60], "PartialData", None)]).unwrap_err().why;
        assert_eq!(why, "the answer is not complete: PartialData");
        assert!(read(&[page("q9", &[], "Complete", None)]).unwrap_err().why.contains("not asked for"));
    }

    #[test]
    fn messages_are_told_and_a_message_about_all_is_an_answer_that_lacks_something() {
        let one = |status: &str| {
            json!({"MetricDataResults": [{"Id": "q0", "StatusCode": status, "Timestamps": [], "Values": [],
                "Messages": [{"Code": "Forbidden", "Value": "no cross-region data"}]}]})
        };
        let why = read(&[one("InternalError")]).unwrap_err().why;
        assert_eq!(why, "the answer is not complete: InternalError, Forbidden: no cross-region data");
        assert!(read(&[one("Forbidden")]).unwrap_err().why.starts_with("the credentials are refused"));
        let all = json!({"MetricDataResults": [], "Messages": [{"Value": "too many metrics"}]});
        assert_eq!(read(&[all]).unwrap_err().why, "the answer is not complete: too many metrics");
    }

    #[test]
    fn a_refusal_of_who_asks_is_known_whatever_its_status() {
        let of = |kind: &str| said(&json!({"__type": kind, "message": "no"})).unwrap();
        for kind in ["com.amazon.coral.service#UnrecognizedClientException", "ExpiredToken", "x#AccessDenied"]
        {
            assert!(of(kind).of_credentials, "{kind}");
        }
        let throttled = of("com.amazon.coral.availability#ThrottlingException");
        assert!(!throttled.of_credentials && throttled.text == "ThrottlingException: no");
    }
}
