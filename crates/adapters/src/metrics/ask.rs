//! The one frame around every source (R4.6): who is asked, when, for how long, and what of the answers counts.
//!
//! Each source of an order is asked again and again by a task of its own, with a time limit a
//! question; the engine only ever takes the newest answers. One failed round is bad luck; from the
//! second in a row on, the reading says which metrics have trouble and why, and questions come more
//! seldom until one is answered. What a source asks by `Retry-After` is kept: see [`super::frame`]. An
//! adapter only builds the question and reads the answer: counters are counted in [`super::count`], sums
//! by time in [`super::buckets`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::{MetricName, StreamId};
use taxiway_model::metrics::{Api, Order, Outputs, Query, Reading, Side, Source};
use tokio::runtime::Runtime;
use tokio::task::{AbortHandle, JoinSet};

use super::answer::Answer;
use super::exchange::{Failure, now_s};
use super::frame::{Answers, Frame};
use super::logs::{self, Tails};
use super::otlp::{self, Listener, Listeners};
use super::{cloudwatch, command, csv, datadog, graphite, influxdb, json, newrelic, prometheus};

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

/// The rounds of one source.
struct Rounds {
    wanted: Arc<Mutex<Wanted>>,
    listeners: Arc<Listeners>,
    /// Held while it asks, so that it goes on listening.
    listener: Option<Arc<Listener>>,
    stream: StreamId,
    source: Arc<Source>,
    sides: Vec<(Side, String)>,
    frame: Frame,
    tails: BTreeMap<MetricName, Arc<Mutex<Tails>>>,
}

impl Rounds {
    fn new(sources: &Sources, stream: StreamId, order: &Order, source: &Source, count_from: u64) -> Self {
        let version = |side| Some((side, order.version(side)?.to_owned()));
        let sides: Vec<_> = Side::BOTH.into_iter().filter_map(version).collect();
        let source = Arc::new(source.clone());
        Self {
            wanted: Arc::clone(&sources.wanted),
            listeners: Arc::clone(&sources.listeners),
            listener: None,
            stream,
            frame: Frame::new(Arc::clone(&source), order, count_from, now_s()),
            source,
            sides,
            tails: BTreeMap::new(),
        }
    }

    /// Asks round after round until the order is replaced.
    async fn run(mut self) {
        loop {
            let began = tokio::time::Instant::now();
            let began_s = now_s();
            let answers = self.round().await;
            let told = self.frame.take(answers, began_s, now_s());
            for (metric, why) in &self.frame.reading().trouble {
                tracing::warn!(stream = %self.stream, %metric, why, "a metric has no answer");
            }
            if told.is_news {
                self.publish();
            }
            tokio::time::sleep_until(began + told.pause).await;
        }
    }

    /// All queries at once, each within its time limit.
    async fn round(&mut self) -> Answers {
        let [from_s, to_s] = self.frame.span_s(now_s());
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
            let tails = Arc::clone(self.tails.entry(question.query.metric.clone()).or_default());
            let aside = Aside { outputs: outputs.clone(), tails, listener: self.listener.clone() };
            asking.spawn(async move {
                let answer = put(&question, aside).await;
                (question.query, answer)
            });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by(|(one, _), (other, _)| one.metric.cmp(&other.metric));
        answers
    }

    /// Shows the reading to the engine.
    fn publish(&self) {
        let reading = self.frame.reading();
        let mut wanted = lock(&self.wanted);
        if let Some(watch) = wanted.get_mut(&self.stream)
            && watch.count_from == reading.count_from
        {
            watch.readings.insert(self.source.name.clone(), reading.clone());
        }
    }
}
