//! What a metric of a `CanaryConfig` asks of its source, in the words of `taxiway.yaml` (R4.1, R4.2).

use super::super::fields::Fields;
use super::super::problem::Code;
use super::super::source::{self, Asked};
use crate::metrics::{Shape, Trouble};

/// What a metric asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// PromQL, or a query in the source's own language, which gives a value.
    Query(String),
    /// A share, of two counts.
    Counts {
        /// What counts the bad ones, or the good ones.
        part: String,
        /// Whether it counts the good ones: fewer of them are worse.
        is_good: bool,
        /// What counts all.
        total: String,
    },
    /// Errors counted by type.
    Types {
        /// What counts the errors.
        bad: String,
        /// What counts all.
        total: String,
        /// The label that names the type.
        by: String,
    },
    /// A mean, of sums.
    Moments {
        /// What counts the values.
        count: String,
        /// Their sum.
        sum: String,
        /// The sum of their squares.
        squares: Option<String>,
    },
    /// A mean, of single values.
    Values(String),
}

/// The keys by which something is asked, in the order of the table.
const KEYS: [&str; 9] =
    ["query", "bad", "good", "total", "value", "count", "sum", "sum_of_squares", "values"];

/// The key at which problems with what is asked stand.
pub(super) fn key(fields: &Fields<'_, '_>) -> &'static str {
    KEYS.into_iter().find(|key| fields.given(key).is_some()).unwrap_or("query")
}

/// What is asked; none, with the problem noted, where that cannot be understood.
pub(super) fn read(fields: &Fields<'_, '_>) -> Option<Asks> {
    if KEYS.into_iter().all(|key| fields.given(key).is_none()) {
        let hint = "add `query`, or `bad` and `total`, or `count` and `sum`, or `values`";
        fields.context.problem(Code::MissingKey, fields.at, &fields.path, "nothing is asked here", hint);
        return None;
    }
    let asked = source::asked(fields)?;
    Some(match asked {
        Asked::Query => Asks::Query(fields.text("query")?),
        Asked::Value => Asks::Query(fields.text("value")?),
        Asked::Values => Asks::Values(fields.text("values")?),
        Asked::Counts => Asks::Counts {
            part: fields.text(source::part(fields))?,
            is_good: fields.given("good").is_some(),
            total: fields.text("total")?,
        },
        Asked::Types => {
            Asks::Types { bad: fields.text("bad")?, total: fields.text("total")?, by: fields.text("by")? }
        }
        Asked::Moments => Asks::Moments {
            count: fields.text("count")?,
            sum: fields.text("sum")?,
            squares: fields.text("sum_of_squares"),
        },
    })
}

impl Asks {
    /// As people read it.
    pub fn words(&self) -> String {
        match self {
            Self::Query(text) | Self::Values(text) => text.clone(),
            Self::Counts { part, total, .. } => format!("{part} of {total}"),
            Self::Types { bad, total, by } => format!("{bad} of {total}, by {by}"),
            Self::Moments { count, sum, .. } => format!("{sum} over {count}"),
        }
    }

    /// What a source is asked whose language is not taken apart.
    pub(super) fn plain(&self, every_ms: u64) -> Shape {
        match self.clone() {
            Self::Query(expression) => {
                let why = "its query is put to the source as it is".to_owned();
                Shape::Scalar { expression, every_ms, why }
            }
            Self::Counts { part, total, .. } => Shape::Counts { bad: part, total, scale_micro: 1_000_000 },
            Self::Types { bad, total, by } => Shape::Types { bad, total, by },
            Self::Moments { count, sum, squares } => Shape::Moments { count, sum, squares },
            Self::Values(values) => Shape::Values { values },
        }
    }

    /// The same of counters in PromQL, each put in the form in which it is asked for; none of a query.
    pub(super) fn counters(
        &self,
        selector: impl Fn(&str) -> Result<String, Vec<Trouble>>,
    ) -> Result<Option<Shape>, Vec<Trouble>> {
        Ok(Some(match self {
            Self::Query(_) => return Ok(None),
            Self::Counts { part, total, .. } => {
                Shape::Counts { bad: selector(part)?, total: selector(total)?, scale_micro: 1_000_000 }
            }
            Self::Types { bad, total, by } => {
                Shape::Types { bad: selector(bad)?, total: selector(total)?, by: by.clone() }
            }
            Self::Moments { count, sum, squares } => Shape::Moments {
                count: selector(count)?,
                sum: selector(sum)?,
                squares: squares.as_deref().map(&selector).transpose()?,
            },
            Self::Values(values) => {
                let [count, sum] = source::beside_values(values).map(|text| selector(&text));
                Shape::Moments { count: count?, sum: sum?, squares: None }
            }
        }))
    }
}
