//! The one frame around every source (R4.6): who is asked, when, for how long, and what of the answers counts.
//!
//! Each source of an order is asked again and again by a task of its own, with a time limit a
//! question; the engine only ever takes the newest answers. One failed round is bad luck; from the
//! second in a row on, the reading says which metrics have trouble and why, and questions come more
//! seldom until one is answered. What a source asks by `Retry-After` is kept. An adapter only
//! builds the question and reads the answer: counters are counted in [`super::count`], sums by time
//! in [`super::buckets`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::{MetricName, StreamId};
use taxiway_model::metrics::{Api, Order, Outputs, Query, Reading, Retry, Sample, Side, Source};
use taxiway_model::time::Timestamp;
use tokio::runtime::Runtime;
use tokio::task::{AbortHandle, JoinSet};

use super::answer::{Answer, Outcome};
use super::buckets::Buckets;
use super::count::Count;
use super::exchange::{Failure, now_s};
use super::logs::{self, Tails};
use super::otlp::{self, Listener, Listeners};
use super::{cloudwatch, command, csv, datadog, graphite, influxdb, json, newrelic, prometheus};

/// Failed rounds in a row from which on there is trouble.
const TROUBLE_AFTER: u32 = 2;

/// The longest pause after failures, unless the source asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest pause a source may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// How far back sums by time are asked for again, so that late ones are found.
const LATE_S: f64 = 600.0;

type Wanted = BTreeMap<StreamId, Watch>;

struct Watch {
    order: Order,
    count_from: u64,
    /// The newest of each source that has answered, or failed often enough.
    readings: BTreeMap<String, Reading>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Asks sources beside the engine. Dropping it ends all questions.
pub struct Sources {
    wanted: Arc<Mutex<Wanted>>,
    listeners: Arc<Listeners>,
    /// Listened to also while nothing is in flight, by address.
    attended: Mutex<BTreeMap<String, Arc<Listener>>>,
    runtime: Option<Runtime>,
}

impl Sources {
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
        Ok(Self {
            wanted: Arc::default(),
            listeners: Arc::default(),
            attended: Mutex::default(),
            runtime: Some(runtime),
        })
    }
}

impl Sources {
    /// Listens from now on to what these sources are pushed, also while nothing is in flight, and to
    /// nothing that was named before and is not among them; releases go on to listen to theirs.
    /// Returns an address with the reason for each that cannot be listened to.
    pub fn attend(&self, sources: &[Source]) -> Vec<(String, String)> {
        let Some(runtime) = &self.runtime else { return Vec::new() };
        let _within = runtime.enter();
        let (mut kept, mut failed) = (BTreeMap::new(), Vec::new());
        for source in sources {
            let Api::Otlp { listen, token } = &source.api else { continue };
            match otlp::listener(&self.listeners, listen, token.as_ref()) {
                Ok(listener) => {
                    listener.want(source);
                    kept.insert(listen.clone(), listener);
                }
                Err(failure) => failed.push((listen.clone(), failure.why)),
            }
        }
        *self.attended.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        failed
    }
}

impl Metrics for Sources {
    fn want(&self, stream: &StreamId, order: &Order) {
        let mut wanted = lock(&self.wanted);
        if let Some(watch) = wanted.get_mut(stream)
            && watch.order.asks_as(order)
        {
            watch.order.outputs.clone_from(&order.outputs);
            return;
        }
        let Some(runtime) = &self.runtime else { return };
        let count_from = (now_s() * 1e9) as u64;
        let ask = |source: &Source| {
            let rounds = Rounds::new(self, stream.clone(), order, source, count_from);
            runtime.spawn(rounds.run()).abort_handle()
        };
        let tasks = order.sources.iter().filter(|source| !source.queries.is_empty()).map(ask).collect();
        wanted.insert(
            stream.clone(),
            Watch { order: order.clone(), count_from, readings: BTreeMap::new(), tasks },
        );
    }

    fn forget(&self, stream: &StreamId) {
        lock(&self.wanted).remove(stream);
    }

    fn latest(&self, stream: &StreamId) -> Option<Reading> {
        let wanted = lock(&self.wanted);
        let readings = &wanted.get(stream)?.readings;
        readings.values().cloned().reduce(|mut all, more| {
            all.as_of_us = all.as_of_us.min(more.as_of_us);
            all.samples.extend(more.samples);
            all.measured.extend(more.measured);
            all.nothing.extend(more.nothing);
            all.trouble.extend(more.trouble);
            all.retries.extend(more.retries);
            all
        })
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock(wanted: &Mutex<Wanted>) -> MutexGuard<'_, Wanted> {
    wanted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One question about one metric, as an adapter gets it.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) source: Arc<Source>,
    pub(super) query: Query,
    /// The sides asked for, with their versions.
    pub(super) sides: Vec<(Side, String)>,
    /// The span of time for which sums are wanted, in seconds since the epoch on the source's clock.
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    pub(super) limit: Duration,
}

impl Question {
    /// What is asked about each side, part by part.
    pub(super) fn texts(&self) -> Vec<(Side, Vec<String>)> {
        let of = |(side, version): &(Side, String)| {
            (*side, self.source.questions(&self.query.shape, *side, version))
        };
        self.sides.iter().map(of).collect()
    }
}

/// What some sources need beside the question.
#[derive(Default)]
pub(super) struct Aside {
    outputs: Outputs,
    tails: Arc<Mutex<Tails>>,
    listener: Option<Arc<Listener>>,
}

/// Puts a question to its source.
pub(super) async fn put(question: &Question, aside: Aside) -> Result<Answer, Failure> {
    match &question.source.api {
        Api::Prometheus { url, credentials } => prometheus::ask(url, credentials.as_ref(), question).await,
        Api::Json { url, credentials } => json::ask(url, credentials.as_ref(), question).await,
        Api::Command { command } => command::ask(command, question).await,
        Api::Csv { path } => csv::ask(path, question).await,
        Api::Datadog { url, version, api_key, application_key } => {
            let keys = datadog::Keys { api: api_key, application: application_key };
            match version {
                1 => datadog::ask_v1(url, &keys, question).await,
                _ => datadog::ask_v2(url, &keys, question).await,
            }
        }
        Api::Cloudwatch { region, access_key, secret_key, session_token, .. } => {
            let url = &question.source.api.place();
            let session_token = session_token.as_ref();
            let access = cloudwatch::Access { url, region, access_key, secret_key, session_token };
            cloudwatch::ask(&access, question).await
        }
        Api::Newrelic { url, account, api_key } => newrelic::ask(url, *account, api_key, question).await,
        Api::Influxdb { url, of, credentials } => {
            influxdb::ask(url, of, credentials.as_ref(), question).await
        }
        Api::Graphite { url, credentials } => graphite::ask(url, credentials.as_ref(), question).await,
        Api::Logs { path } => logs::ask(path.as_deref(), aside.outputs, &aside.tails, question).await,
        Api::Otlp { listen, .. } => match &aside.listener {
            Some(listener) => otlp::ask(listener, question),
            None => Err(Failure::new(format!("nothing is listened to at {listen} yet"))),
        },
    }
}

/// What counts of the answers about one metric.
#[derive(Debug, Default)]
struct Counting {
    counters: Option<Count>,
    buckets: Option<Buckets>,
    /// Where counting of histograms began.
    base: Option<Sample>,
    tails: Arc<Mutex<Tails>>,
}

impl Counting {
    /// Histograms count from the first answer on; a side that comes up later is all new.
    fn histograms(
        &mut self,
        two_sides: bool,
        found: [bool; 2],
        buckets: [BTreeMap<u64, u64>; 2],
        at_s: f64,
    ) -> Outcome {
        let [canary, baseline] = buckets.map(|side| side.into_iter().collect());
        let now = Sample::Buckets { canary, baseline };
        let base = self.base.get_or_insert_with(|| now.clone());
        for (found, name) in found.into_iter().zip(["canary", "baseline"]).take(1 + usize::from(two_sides)) {
            if !found {
                return Outcome::Nothing(format!("no series of the {name} yet"));
            }
        }
        Outcome::Sample(now.since(Some(base)), Some(at_s))
    }
}

/// The rounds of one source.
struct Rounds {
    wanted: Arc<Mutex<Wanted>>,
    listeners: Arc<Listeners>,
    /// Held while it asks, so that it goes on listening.
    listener: Option<Arc<Listener>>,
    stream: StreamId,
    source: Arc<Source>,
    sides: Vec<(Side, String)>,
    began_s: f64,
    /// The source's clock less ours, as last heard.
    ahead_s: f64,
    counting: BTreeMap<MetricName, Counting>,
    reading: Reading,
    /// Failed rounds in a row.
    failed: u32,
    /// Since when metrics have no answer.
    since: BTreeMap<MetricName, Timestamp>,
}

impl Rounds {
    fn new(sources: &Sources, stream: StreamId, order: &Order, source: &Source, count_from: u64) -> Self {
        let version = |side| Some((side, order.version(side)?.to_owned()));
        Self {
            wanted: Arc::clone(&sources.wanted),
            listeners: Arc::clone(&sources.listeners),
            listener: None,
            stream,
            source: Arc::new(source.clone()),
            sides: Side::BOTH.into_iter().filter_map(version).collect(),
            began_s: now_s(),
            ahead_s: 0.0,
            counting: BTreeMap::new(),
            reading: Reading {
                count_from,
                as_of_us: 0,
                samples: BTreeMap::new(),
                measured: BTreeMap::new(),
                nothing: BTreeMap::new(),
                trouble: BTreeMap::new(),
                retries: BTreeMap::new(),
            },
            failed: 0,
            since: BTreeMap::new(),
        }
    }

    /// Asks round after round until the order is replaced.
    async fn run(mut self) {
        let interval = Duration::from_millis(self.source.interval_ms.max(100));
        loop {
            let began = tokio::time::Instant::now();
            let began_s = now_s();
            let answers = self.round().await;
            let failures = self.take_round(answers);
            let asked = failures.iter().filter_map(|(_, failure)| failure.retry_after).max();
            let doublings = self.failed.saturating_sub(1).min(6);
            let slower = interval.saturating_mul(1 << doublings).min(PAUSE_MAX.max(interval));
            let pause = asked.map_or(slower, |asked| slower.max(asked.min(RETRY_AFTER_MAX)));
            // The next round of a source that asks for a pause is far: that is no single bad luck.
            let is_trouble = self.failed >= TROUBLE_AFTER || asked.is_some();
            self.tell(&failures, is_trouble, began_s, pause);
            if self.failed == 0 || is_trouble {
                self.publish();
            }
            tokio::time::sleep_until(began + pause).await;
        }
    }

    /// Says which metrics have trouble, since when, and when their source is asked again.
    fn tell(&mut self, failures: &[(MetricName, Failure)], is_trouble: bool, began_s: f64, pause: Duration) {
        let moment = |at_s: f64| Timestamp((at_s * 1e6) as i64);
        self.since.retain(|metric, _| failures.iter().any(|(failed, _)| failed == metric));
        self.reading.trouble.clear();
        self.reading.retries.clear();
        for (metric, failure) in failures {
            let since = *self.since.entry(metric.clone()).or_insert(moment(began_s));
            if is_trouble {
                tracing::warn!(stream = %self.stream, %metric, why = failure.why, "a metric has no answer");
                self.reading.trouble.insert(metric.clone(), failure.why.clone());
                let next = moment(now_s().max(began_s + pause.as_secs_f64()));
                self.reading.retries.insert(metric.clone(), Retry { since, next });
            }
        }
    }

    /// All queries at once, each within its time limit.
    async fn round(&mut self) -> Vec<(Query, Result<Answer, Failure>)> {
        let to_s = now_s() + self.ahead_s;
        let bucket_s = self.source.bucket_ms as f64 / 1e3;
        let back_s = LATE_S.max(20.0 * bucket_s);
        let from_s = (to_s - back_s).max(self.began_s + self.ahead_s - 2.0 * bucket_s);
        let outputs = lock(&self.wanted).get(&self.stream).map(|watch| watch.order.outputs.clone());
        let outputs = outputs.unwrap_or_default();
        if let (Api::Otlp { listen, token }, None) = (&self.source.api, &self.listener) {
            match otlp::listener(&self.listeners, listen, token.as_ref()) {
                Ok(listener) => self.listener = Some(listener),
                Err(failure) => {
                    let refused = |query: &Query| (query.clone(), Err(Failure::new(failure.why.clone())));
                    return self.source.queries.iter().map(refused).collect();
                }
            }
        }
        let mut asking = JoinSet::new();
        for query in self.source.queries.clone() {
            let question = Question {
                source: Arc::clone(&self.source),
                query,
                sides: self.sides.clone(),
                from_s,
                to_s,
                limit: Duration::from_millis(self.source.timeout_ms.max(1)),
            };
            let counting = self.counting.entry(question.query.metric.clone()).or_default();
            let (tails, listener) = (Arc::clone(&counting.tails), self.listener.clone());
            let aside = Aside { outputs: outputs.clone(), tails, listener };
            asking.spawn(async move {
                let answer = put(&question, aside).await;
                (question.query, answer)
            });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by(|(one, _), (other, _)| one.metric.cmp(&other.metric));
        answers
    }

    /// Takes a round's answers into the reading. A metric without an answer keeps its counts: they
    /// grow again when there is one.
    fn take_round(&mut self, answers: Vec<(Query, Result<Answer, Failure>)>) -> Vec<(MetricName, Failure)> {
        self.reading.nothing.clear();
        let mut failures = Vec::new();
        for (query, answer) in answers {
            if let Err(failure) = answer.and_then(|answer| self.take(&query, answer)) {
                failures.push((query.metric, failure));
            }
        }
        self.failed = if failures.is_empty() { 0 } else { self.failed + 1 };
        failures
    }

    fn take(&mut self, query: &Query, answer: Answer) -> Result<(), Failure> {
        let two_sides = self.sides.len() > 1;
        let counting = self.counting.entry(query.metric.clone()).or_default();
        // How far the source's clock is ahead, and up to when by-time sums are complete on it.
        let (ahead_s, edge_s) = match &answer {
            Answer::Now(vector) => (vector.at_s.map_or(0.0, |at_s| at_s - now_s()), None),
            Answer::Buckets(points) => {
                let edge_s = points.now_s - self.source.delay_ms as f64 / 1e3;
                (points.now_s - now_s(), Some(edge_s))
            }
            Answer::Histograms { .. } => (0.0, None),
        };
        let outcome = match answer {
            Answer::Now(vector) => {
                let count = counting.counters.get_or_insert_with(Count::new);
                count.take(&query.shape, two_sides, vector)
            }
            Answer::Buckets(points) => {
                self.ahead_s = points.now_s - now_s();
                let began_s = self.began_s + self.ahead_s;
                let buckets = counting.buckets.get_or_insert_with(|| Buckets::new(began_s));
                buckets.take(&query.shape, two_sides, self.source.delay_ms as f64 / 1e3, &points)
            }
            Answer::Histograms { found, buckets, at_s } => {
                counting.histograms(two_sides, found, buckets, at_s)
            }
        };
        match outcome {
            Outcome::Sample(sample, as_of_s) => {
                let measured_s = edge_s.or(as_of_s).map_or_else(now_s, |at_s| at_s - ahead_s);
                let measured = Timestamp((measured_s * 1e6) as i64);
                self.reading.measured.insert(query.metric.clone(), measured);
                self.reading.samples.insert(query.metric.clone(), sample);
                let as_of_us = (as_of_s.unwrap_or_default() * 1e6) as i64;
                self.reading.as_of_us = self.reading.as_of_us.max(as_of_us);
                Ok(())
            }
            Outcome::Nothing(why) => {
                self.reading.samples.remove(&query.metric);
                self.reading.nothing.insert(query.metric.clone(), why);
                Ok(())
            }
            Outcome::Unusable(why) => Err(Failure::new(why)),
        }
    }

    /// Shows the reading to the engine.
    fn publish(&self) {
        let mut wanted = lock(&self.wanted);
        if let Some(watch) = wanted.get_mut(&self.stream)
            && watch.count_from == self.reading.count_from
        {
            watch.readings.insert(self.source.name.clone(), self.reading.clone());
        }
    }
}
