//! Prometheus, and whatever speaks its HTTP API (R4.6).
//!
//! Each order is asked again and again by a task of its own, with a time limit a question; the
//! engine only ever takes the newest answer. One failed question is bad luck; from the second in a
//! row on, the reading says what the trouble is, and questions come more seldom until one is
//! answered. What a source asks by `Retry-After` is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::{MetricName, StreamId};
use taxiway_model::metrics::{Order, Query, Reading, matchers};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

use super::answer::{self, Failure, Vector};
use super::count::{self, Count, Outcome};

/// Failed rounds in a row from which on there is trouble.
const TROUBLE_AFTER: u32 = 2;

/// The longest pause after failures, unless the source asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest pause a source may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

type Wanted = BTreeMap<StreamId, Watch>;

struct Watch {
    order: Order,
    reading: Option<Reading>,
    task: JoinHandle<()>,
}

/// Asks sources beside the engine. Dropping it ends all questions.
pub struct Prometheus {
    wanted: Arc<Mutex<Wanted>>,
    runtime: Option<Runtime>,
}

impl Prometheus {
    /// Starts the thread that asks.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("metrics")
            .enable_all()
            .build()?;
        Ok(Self { wanted: Arc::default(), runtime: Some(runtime) })
    }
}

impl Metrics for Prometheus {
    fn want(&self, stream: &StreamId, order: &Order) {
        let mut wanted = lock(&self.wanted);
        if wanted.get(stream).is_some_and(|watch| &watch.order == order) {
            return;
        }
        let Some(runtime) = &self.runtime else { return };
        let rounds = rounds(Arc::clone(&self.wanted), stream.clone(), order.clone());
        let watch = Watch { order: order.clone(), reading: None, task: runtime.spawn(rounds) };
        if let Some(old) = wanted.insert(stream.clone(), watch) {
            old.task.abort();
        }
    }

    fn forget(&self, stream: &StreamId) {
        if let Some(watch) = lock(&self.wanted).remove(stream) {
            watch.task.abort();
        }
    }

    fn latest(&self, stream: &StreamId) -> Option<Reading> {
        lock(&self.wanted).get(stream)?.reading.clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock(wanted: &Mutex<Wanted>) -> MutexGuard<'_, Wanted> {
    wanted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks round after round until the order is replaced.
async fn rounds(wanted: Arc<Mutex<Wanted>>, stream: StreamId, order: Order) {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut reading = Reading {
        count_from: since_epoch.as_nanos() as u64,
        as_of_us: 0,
        samples: BTreeMap::new(),
        nothing: BTreeMap::new(),
        trouble: None,
    };
    let mut counts: BTreeMap<MetricName, Count> =
        order.source.queries.iter().map(|query| (query.metric.clone(), Count::new())).collect();
    let interval = Duration::from_millis(order.source.interval_ms.max(100));
    let mut failed = 0_u32;
    loop {
        let began = tokio::time::Instant::now();
        let answers = round(&order).await;
        let mut failures = Vec::new();
        reading.nothing.clear();
        for (query, answer) in answers {
            if let Err(failure) = take(&query, &order, answer, &mut counts, &mut reading) {
                failures.push((query.metric, failure));
            }
        }
        failed = if failures.is_empty() { 0 } else { failed + 1 };
        reading.trouble = failures.first().filter(|_| failed >= TROUBLE_AFTER).map(|(metric, failure)| {
            tracing::warn!(%stream, %metric, why = failure.why, "a metric has no answer");
            format!("{metric}: {}", failure.why)
        });
        if (failed == 0 || failed >= TROUBLE_AFTER)
            && let Some(watch) = lock(&wanted).get_mut(&stream).filter(|watch| watch.order == order)
        {
            watch.reading = Some(reading.clone());
        }
        let asked = failures.iter().filter_map(|(_, failure)| failure.retry_after).max();
        let slower =
            interval.saturating_mul(1 << failed.saturating_sub(1).min(6)).min(PAUSE_MAX.max(interval));
        let pause = asked.map_or(slower, |asked| slower.max(asked.min(RETRY_AFTER_MAX)));
        tokio::time::sleep_until(began + pause).await;
    }
}

/// All queries at once, each within its time limit.
async fn round(order: &Order) -> Vec<(Query, Result<Vector, Failure>)> {
    let limit = Duration::from_millis(order.source.timeout_ms.max(1));
    let canary = matchers(&order.source.canary, &order.canary);
    let baseline = order.baseline.as_ref().map(|version| matchers(&order.source.baseline, version));
    let mut asking = JoinSet::new();
    for query in order.source.queries.clone() {
        let question = count::question(&query.shape, &canary, baseline.as_deref());
        let url = order.source.url.clone();
        asking.spawn(async move {
            let answer = answer::ask(&url, &question, limit).await;
            (query, answer)
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by(|(one, _), (other, _)| one.metric.cmp(&other.metric));
    answers
}

/// Takes one metric's answer into the reading. A metric without an answer keeps its counts: they
/// grow again when there is one.
fn take(
    query: &Query,
    order: &Order,
    answer: Result<Vector, Failure>,
    counts: &mut BTreeMap<MetricName, Count>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let vector = answer?;
    let count = counts.entry(query.metric.clone()).or_insert_with(Count::new);
    match count.take(&query.shape, order.baseline.is_some(), vector) {
        Outcome::Sample(sample, as_of_s) => {
            reading.samples.insert(query.metric.clone(), sample);
            reading.as_of_us = reading.as_of_us.max((as_of_s.unwrap_or_default() * 1e6) as i64);
            Ok(())
        }
        Outcome::Nothing(why) => {
            reading.samples.remove(&query.metric);
            reading.nothing.insert(query.metric.clone(), why);
            Ok(())
        }
        Outcome::Unusable(why) => Err(Failure::new(why)),
    }
}
