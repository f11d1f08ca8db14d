//! Graphite's render API.

use std::fmt::Write as _;

use http::{Request, header};
use serde::Deserialize;
use taxiway_model::metrics::{Credentials, Side};

use super::answer::{Answer, Points, Series, part};
use super::ask::Question;
use super::exchange::{Failure, SERIES_MAX, Secrets, encoded, exchange};

pub(super) async fn ask(
    url: &str,
    credentials: Option<&Credentials>,
    question: &Question,
) -> Result<Answer, Failure> {
    let mut form =
        format!("format=json&from={}&until={}", question.from_s.floor() as i64, question.to_s.ceil() as i64);
    let mut places = Vec::new();
    for (side, parts) in question.texts() {
        for (number, text) in parts.iter().enumerate() {
            // By its alias a series says which part it is of.
            let alias = format!("alias({text},\"{}\")", part(side, number));
            let _ = write!(form, "&target={}", encoded(&alias));
            places.push((part(side, number), side, number));
        }
    }
    let mut secrets = Secrets::default();
    let mut request = Request::post(format!("{url}/render"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json");
    if let Some(credentials) = credentials {
        let (name, value) = secrets.header(credentials)?;
        request = request.header(name, value);
    }
    let reply = exchange(request, form, question.limit, &secrets, |_| None::<String>).await?;
    let series = read(&reply.body, &places)?;
    let gaps = series.iter().flat_map(|one| one.all.windows(2).map(|pair| pair[1] - pair[0]));
    let bucket_s = gaps.filter(|gap| *gap > 0.0).reduce(f64::max);
    let bucket_s = bucket_s.unwrap_or(question.source.bucket_ms as f64 / 1e3);
    let series = series.into_iter().map(|one| one.series).collect();
    Ok(Answer::Buckets(Points { now_s: reply.at_s, bucket_s, series }))
}

#[derive(Deserialize)]
struct One {
    target: String,
    datapoints: Vec<(Option<f64>, f64)>,
}

struct Timed {
    series: Series,
    /// Every moment, also those without a value: their distance is the width of a bucket.
    all: Vec<f64>,
}

/// Graphite writes infinity as `1e9999`, a number that JSON has and no floating point can hold. One
/// such point would make the whole answer unreadable; it is a gap, as null is.
fn without_infinities(body: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match std::str::from_utf8(body) {
        Ok(text) if text.contains("1e9999") => {
            text.replace("-1e9999", "null").replace("1e9999", "null").into_bytes().into()
        }
        _ => body.into(),
    }
}

fn read(body: &[u8], places: &[(String, Side, usize)]) -> Result<Vec<Timed>, Failure> {
    let read: Vec<One> = serde_json::from_slice(&without_infinities(body))
        .map_err(|error| Failure::new(format!("the answer is not what Graphite says: {error}")))?;
    if read.len() > SERIES_MAX {
        return Err(Failure::new(format!(
            "{} series are more than {SERIES_MAX}; narrow the query",
            read.len()
        )));
    }
    let one = |one: One| {
        let place = places.iter().find(|(name, ..)| *name == one.target);
        let (_, side, part) = place.ok_or_else(|| Failure::new("a series that was not asked for"))?;
        let all = one.datapoints.iter().map(|(_, at_s)| *at_s).collect();
        let points = one.datapoints.iter().filter_map(|(value, at_s)| Some((*at_s, (*value)?))).collect();
        Ok(Timed { series: Series { side: *side, part: *part, points }, all })
    };
    read.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_infinities_are_gaps() {
        let body = br#"[{"target": "canary.0", "tags": {"name": "a"}, "datapoints": [[1.5, 60], [null, 120],
            [1e9999, 180], [-1e9999, 240], [2, 300]]}]"#;
        let read = read(body, &[("canary.0".to_owned(), Side::Canary, 0)]).expect("an answer");
        assert_eq!(read[0].series.points, [(60.0, 1.5), (300.0, 2.0)]);
        assert_eq!(read[0].all.len(), 5);
    }
}
