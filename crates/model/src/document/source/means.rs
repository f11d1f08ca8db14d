//! Metrics that are means (count, sum, sum of squares), and errors that are counted by their type.

use super::{Asked, beside_values, counter, part, plain_text};
use crate::document::fields::Fields;
use crate::document::problem::Code;
use crate::ids::MetricName;
use crate::metrics::{Api, Query, Shape, Source, TakeApart};

/// The keys of a mean.
pub(super) const KEYS: [&str; 4] = ["count", "sum", "sum_of_squares", "values"];

/// What is asked where a key of a mean stands; none, with the problem noted, where it is not whole.
/// `more`: something else is asked too.
pub(super) fn asked(fields: &Fields<'_, '_>, more: bool) -> Option<Asked> {
    let given = |key| fields.given(key).is_some();
    let first = KEYS.into_iter().find(|key| given(key)).unwrap_or("count");
    let values = given("values");
    if more || given("by") || (values && first != "values") {
        let key = if values { "values" } else { first };
        let message = "a metric asks one thing: `count` and `sum`, or `values`, or a share, or a value";
        fields.problem(Code::Conflict, key, message, "remove the others");
        return None;
    }
    if values {
        return Some(Asked::Values);
    }
    for (key, other) in [("count", "sum"), ("sum", "count")] {
        if !given(key) {
            let message = format!("`{key}` is missing: a mean needs both");
            let other = if given(other) { other } else { "sum_of_squares" };
            fields.problem(Code::MissingKey, other, &message, "write both, or `values`");
            return None;
        }
    }
    Some(Asked::Moments)
}

/// Counts, by type where that is said.
pub(super) fn counts(fields: &Fields<'_, '_>) -> Option<Asked> {
    if fields.given("by").is_none() {
        return Some(Asked::Counts);
    }
    if fields.given("good").is_some() {
        let hint = "write `bad` in place of `good`";
        fields.problem(Code::Conflict, "by", "errors have types, and these are the good ones", hint);
        return None;
    }
    if fields.given("objective").is_some() {
        fields.problem(Code::Conflict, "by", "an objective is for a share", "remove one of them");
        return None;
    }
    Some(Asked::Types)
}

/// The query of a mean or of types.
pub(super) fn query(
    fields: &Fields<'_, '_>,
    metric: MetricName,
    source: &Source,
    asked: Asked,
    promql: Option<&TakeApart<'_>>,
) -> Option<Query> {
    let key = match asked {
        Asked::Moments => "sum",
        Asked::Values => "values",
        _ if matches!(source.api, Api::Logs { .. }) => "bad",
        _ => "by",
    };
    let text = |key: &str| fields.given(key).and_then(|_| fields.text(key)).unwrap_or_default();
    if let Err((message, hint)) = gives(&source.api, asked, &text(key), &text("by")) {
        let code = if message.contains("no group") { Code::BadValue } else { Code::Conflict };
        fields.problem(code, key, &message, &hint);
        return None;
    }
    let is_promql = matches!(source.api, Api::Prometheus { .. });
    let of = |key: &str| -> Option<(String, String)> {
        if is_promql {
            return counter(fields, key, fields.text(key)?, (&metric, source), promql);
        }
        plain_text(fields, key, source, asked).map(|text| (text.clone(), text))
    };
    let (text, shape) = match asked {
        Asked::Values if is_promql => {
            // A summary or a histogram counts its values and adds them up beside its series.
            let text = fields.text("values")?;
            let [count, sum] = beside_values(&text).map(|full| {
                counter(fields, "values", full, (&metric, source), promql).map(|(_, selector)| selector)
            });
            let (count, sum) = (count?, sum?);
            (text, Shape::Moments { count, sum, squares: None })
        }
        Asked::Values => {
            let (text, values) = of("values")?;
            (text, Shape::Values { values })
        }
        Asked::Types => {
            let ((bad_text, bad), (total_text, total)) = (of(part(fields))?, of("total")?);
            let by = fields.text("by")?;
            (format!("{bad_text} of {total_text}, by {by}"), Shape::Types { bad, total, by })
        }
        _ => {
            let ((count_text, count), (sum_text, sum)) = (of("count")?, of("sum")?);
            let squares = match fields.given("sum_of_squares") {
                Some(_) => Some(of("sum_of_squares")?.1),
                None => None,
            };
            (format!("{sum_text} over {count_text}"), Shape::Moments { count, sum, squares })
        }
    };
    Some(Query { metric, text, shape })
}

/// Whether a source can give what is asked, and in the form it needs: `text` is its query, `by` what names a type.
pub(super) fn gives(api: &Api, asked: Asked, text: &str, by: &str) -> Result<(), (String, String)> {
    let word = api.word();
    let refused = |message: String, hint: &str| Err((message, hint.to_owned()));
    match (asked, api) {
        (Asked::Moments, Api::Logs { .. }) => refused(
            "lines are counted, and have no sums".to_owned(),
            "write values: took (?<value>[0-9.]+) ms",
        ),
        (Asked::Values, Api::Logs { .. }) => has_group(text, "value"),
        (Asked::Types, Api::Logs { .. }) => has_group(text, by),
        (Asked::Values, Api::Prometheus { .. } | Api::Otlp { .. } | Api::Csv { .. })
        | (
            Asked::Types,
            Api::Prometheus { .. } | Api::Otlp { .. } | Api::Json { .. } | Api::Command { .. },
        ) => Ok(()),
        (Asked::Values, _) => {
            refused(format!("{word} gives no single values"), "write `count`, `sum` and `sum_of_squares`")
        }
        (Asked::Types, _) => refused(
            format!("{word} gives no types"),
            "count sessions with new types there, with kind: client_errors",
        ),
        _ => Ok(()),
    }
}

/// Whether a pattern has the group that gives the number or the name.
fn has_group(text: &str, group: &str) -> Result<(), (String, String)> {
    if ["<", "P<"].iter().any(|begin| text.contains(&format!("(?{begin}{group}>"))) {
        return Ok(());
    }
    let hint = format!("write one like (?<{group}>…) where it stands in the line");
    Err((format!("the pattern has no group `{group}`"), hint))
}
