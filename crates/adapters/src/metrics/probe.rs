//! One question of each query before a release: is the source there, does it accept who asks, and does
//! the question select anything?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Query, Side, Source};
use tokio::task::JoinSet;

use super::answer::{Answer, PART, part};
use super::ask::{Aside, Question, put};
use super::exchange::now_s;

/// How far back is looked for data.
const BACK: Duration = Duration::from_mins(10);

/// What was learnt of a metric's query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The metric.
    pub metric: MetricName,
    /// What it found, or why there is no answer: one line for people, without a secret.
    pub found: Result<Found, String>,
}

/// What a question found of the version that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Data of every part of the question.
    All,
    /// Data, and none of what counts as bad, which there need not have been.
    NothingBad,
    /// None, so that the metric would never have evidence.
    Nothing,
    /// What is not known before a release: what is pushed to us, and the output of instances.
    Later,
}

/// Asks each query of a source once, about a version that runs, as of both sides; about the last ten
/// minutes where sums by time are asked for. Takes at most about the source's time limit.
///
/// # Errors
/// When the machine gives no thread.
pub fn probe(source: &Source, version: &str) -> std::io::Result<Vec<Probed>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let probed = runtime.block_on(all(source, version));
    // What is read from a file may still be under way.
    runtime.shutdown_background();
    Ok(probed)
}

async fn all(source: &Source, version: &str) -> Vec<Probed> {
    let source = Arc::new(source.clone());
    let mut asking = JoinSet::new();
    for query in source.queries.clone() {
        let (source, version) = (Arc::clone(&source), version.to_owned());
        asking.spawn(async move {
            let metric = query.metric.clone();
            Probed { metric, found: one(source, query, version).await }
        });
    }
    let mut probed = asking.join_all().await;
    probed.sort_by(|one, other| one.metric.cmp(&other.metric));
    probed
}

async fn one(source: Arc<Source>, query: Query, version: String) -> Result<Found, String> {
    if matches!(source.api, Api::Otlp { .. } | Api::Logs { path: None }) {
        return Ok(Found::Later);
    }
    let to_s = now_s();
    let limit = Duration::from_millis(source.timeout_ms.max(1));
    let back_s = BACK.as_secs_f64().max(20.0 * source.bucket_ms as f64 / 1e3);
    let sides = Side::BOTH.map(|side| (side, version.clone())).to_vec();
    let question = Question { source, query, sides, from_s: to_s - back_s, to_s, limit };
    let answer = put(&question, Aside::default()).await.map_err(|failure| failure.why)?;
    let found = |number: usize| match &answer {
        Answer::Now(vector) => {
            let mark = part(Side::Baseline, number);
            let mine = |labels: &BTreeMap<String, String>| labels.get(PART) == Some(&mark);
            vector.series.iter().any(|(labels, value)| mine(labels) && value.is_finite())
        }
        Answer::Buckets(points) => {
            let mine = points.series.iter().filter(|one| (one.side, one.part) == (Side::Baseline, number));
            mine.flat_map(|one| &one.points).any(|(_, value)| value.is_finite())
        }
        Answer::Histograms { found, .. } => found[1],
    };
    // The last part is all, of which the first is what counts as bad.
    let last = question.query.shape.selectors("").len().saturating_sub(1);
    Ok(match (found(last), found(0)) {
        (true, true) => Found::All,
        (true, false) => Found::NothingBad,
        (false, _) => Found::Nothing,
    })
}
