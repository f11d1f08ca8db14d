//! Any JSON over HTTP: numbers at paths, asked for once a side.

use std::collections::BTreeMap;

use http::{Request, header};
use serde_json::Value;
use taxiway_model::metrics::{Credentials, Path, Shape, Side};

use super::answer::{Answer, PART, Vector, part};
use super::ask::Question;
use super::exchange::{Failure, Secrets, cut, exchange};

pub(super) async fn ask(
    url: &str,
    credentials: Option<&Credentials>,
    question: &Question,
) -> Result<Answer, Failure> {
    let mut vector = Vector::default();
    for ((side, version), (_, paths)) in question.sides.iter().zip(question.texts()) {
        let mut secrets = Secrets::default();
        let url = question.source.filled(url, *side, version);
        let mut request = Request::get(url).header(header::ACCEPT, "application/json");
        if let Some(credentials) = credentials {
            let (name, value) = secrets.header(credentials)?;
            request = request.header(name, value);
        }
        let reply = exchange(request, "", question.limit, &secrets, said).await?;
        let document = serde_json::from_slice(&reply.body)
            .map_err(|error| Failure::new(format!("the answer is not JSON: {error}")))?;
        numbers(&document, &question.query.shape, *side, &paths, &mut vector)?;
        vector.at_s = Some(reply.at_s);
    }
    Ok(Answer::Now(vector))
}

/// What a refusal usually carries.
fn said(value: &Value) -> Option<String> {
    let text = ["error", "message", "detail", "title"].into_iter().find_map(|key| value.get(key));
    text.map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned))
}

/// Puts the numbers at the paths of a side into the answer. Several numbers of a count are parts
/// of one sum.
pub(super) fn numbers(
    document: &Value,
    shape: &Shape,
    side: Side,
    paths: &[String],
    vector: &mut Vector,
) -> Result<(), Failure> {
    for (place, text) in paths.iter().enumerate() {
        let path = Path::read(text).map_err(|why| Failure::new(format!("this is no path: {why}")))?;
        let found = path.find(document);
        if found.is_empty() && !matches!(shape, Shape::Scalar { .. }) {
            return Err(Failure::new(format!("there is nothing at {text} of the {}", side.word())));
        }
        for (number, value) in found.into_iter().enumerate() {
            let labels = [(PART.to_owned(), part(side, place)), ("number".to_owned(), number.to_string())];
            vector.series.push((BTreeMap::from(labels), read(value, text)?));
        }
    }
    Ok(())
}

/// A number, or a text that is one; `null` is no value.
fn read(value: &Value, path: &str) -> Result<f64, Failure> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null => Some(f64::NAN),
        _ => None,
    };
    number.ok_or_else(|| {
        Failure::new(format!("what is at {path} is not a number: {}", cut(&value.to_string())))
    })
}
