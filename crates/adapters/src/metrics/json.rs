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
        if let (Shape::Types { by, .. }, 0) = (shape, place) {
            types(&found, by, side, text, vector)?;
            continue;
        }
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

/// Errors by type: objects that name theirs in the field `by` and have a `count`, or one object with a
/// number for each type.
fn types(found: &[&Value], by: &str, side: Side, path: &str, vector: &mut Vector) -> Result<(), Failure> {
    let mut push = |kind: &str, number: f64| {
        let labels = [(PART.to_owned(), part(side, 0)), (by.to_owned(), kind.to_owned())];
        vector.series.push((BTreeMap::from(labels), number));
    };
    let lists =
        found.iter().flat_map(|value| value.as_array().map_or(std::slice::from_ref(*value), Vec::as_slice));
    let mut listed: BTreeMap<String, f64> = BTreeMap::new();
    for value in lists {
        let object = value.as_object().ok_or_else(|| {
            Failure::new(format!("what is at {path} has no field `{by}`: {}", cut(&value.to_string())))
        })?;
        let Some(kind) = object.get(by) else {
            for (kind, value) in object {
                push(kind, read(value, path)?);
            }
            continue;
        };
        let kind = kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
        let count = object.get("count").ok_or_else(|| {
            Failure::new(format!("what is at {path} has no field `count`: {}", cut(&value.to_string())))
        })?;
        *listed.entry(kind).or_default() += read(count, path)?;
    }
    for (kind, number) in listed {
        push(&kind, number);
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
