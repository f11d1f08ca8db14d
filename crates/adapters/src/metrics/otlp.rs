//! OTLP over HTTP: a small listener for metrics that services or a collector push (`/v1/metrics`).
//!
//! It listens as long as a service that runs has such a source, and while a release wants it. The sides
//! are told apart by resource attributes, which `service.version` is made for. Sums and histograms are
//! counted in [`series`], so that delta and cumulative ones, double and late points come out alike; of
//! several gauges of a side the mean is taken.

mod series;
mod serve;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use taxiway_model::metrics::{Secret, Selector, Shape, Side, Source};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::answer::{Answer, PART, Vector, part};
use super::ask::Question;
use super::exchange::{Failure, now_s};
use series::{Series, Store};

/// A value that was pushed longer ago is not what is going on.
const STALE_S: f64 = 120.0;

/// The listeners there are, by address; each ends with the last one who wants it.
pub(super) type Listeners = Mutex<BTreeMap<String, Weak<Listener>>>;

/// A listener and what was pushed to it.
pub(super) struct Listener {
    room: Arc<Room>,
    task: AbortHandle,
}

/// What pushes are taken by, and to.
struct Room {
    store: Mutex<Store>,
    /// One of these has to be presented; where there is none, whoever reaches us may push.
    tokens: Mutex<Vec<Secret>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Keeps what is pushed of the metrics of a source from now on.
    pub(super) fn want(&self, source: &Source) {
        let texts = source.queries.iter().flat_map(|query| query.shape.selectors(""));
        let mut store = locked(&self.room.store);
        for selector in texts.filter_map(|text| Selector::read(&text).ok()) {
            store.want(&selector.name);
        }
    }
}

/// The listener at an address, begun where there is none; within a runtime. Of several tokens that
/// are asked for one is enough, and where one is asked for nobody comes in without.
pub(super) fn listener(
    listeners: &Listeners,
    address: &str,
    token: Option<&Secret>,
) -> Result<Arc<Listener>, Failure> {
    let mut listeners = locked(listeners);
    let known = listeners.get(address).and_then(Weak::upgrade);
    let listener = if let Some(known) = known {
        known
    } else {
        let cannot =
            |error: std::io::Error| Failure::new(format!("it cannot be listened to at {address}: {error}"));
        let socket = std::net::TcpListener::bind(address).map_err(cannot)?;
        socket.set_nonblocking(true).map_err(cannot)?;
        let socket = TcpListener::from_std(socket).map_err(cannot)?;
        let store = Mutex::new(Store::since((now_s() * 1e9) as u64));
        let room = Arc::new(Room { store, tokens: Mutex::default() });
        let task = tokio::spawn(serve::accept(socket, Arc::clone(&room))).abort_handle();
        let listener = Arc::new(Listener { room, task });
        listeners.insert(address.to_owned(), Arc::downgrade(&listener));
        listener
    };
    let mut tokens = locked(&listener.room.tokens);
    if let Some(token) = token.filter(|token| !tokens.contains(token)) {
        tokens.push(token.clone());
    }
    drop(tokens);
    Ok(listener)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was pushed of a metric.
pub(super) fn ask(listener: &Listener, question: &Question) -> Result<Answer, Failure> {
    let mut store = locked(&listener.room.store);
    let mut vector = Vector { at_s: Some(now_s()), series: Vec::new() };
    let mut buckets: [BTreeMap<u64, u64>; 2] = Default::default();
    let mut found = [false; 2];
    for (side, version) in &question.sides {
        let known_by = question.source.known_by(*side, version);
        for (place, text) in question.query.shape.selectors("").iter().enumerate() {
            let selector =
                Selector::read(text).map_err(|why| Failure::new(format!("this is no metric: {why}")))?;
            store.want(&selector.name);
            let series = store.of(&selector.name).filter(|series| {
                known_by.iter().all(|(key, value)| find(&series.resource, key) == Some(value))
                    && selector
                        .fits(|key| find(&series.attributes, key).or_else(|| find(&series.resource, key)))
            });
            let series: Vec<&Series> = series.collect();
            let side_at = usize::from(*side == Side::Baseline);
            match question.query.shape {
                Shape::Buckets { .. } => {
                    found[side_at] |= !series.is_empty();
                    for (edge, count) in series.iter().flat_map(|one| &one.buckets) {
                        *buckets[side_at].entry(*edge).or_default() += count;
                    }
                }
                Shape::Counts { .. } | Shape::Moments { .. } => {
                    vector.series.extend(series.iter().map(|one| {
                        let labels = [(PART.to_owned(), part(*side, place)), label(one)];
                        (BTreeMap::from(labels), one.value)
                    }));
                }
                Shape::Types { ref by, .. } => vector.series.extend(series.iter().map(|one| {
                    let kind = find(&one.attributes, by).unwrap_or_default().to_owned();
                    let labels = [(PART.to_owned(), part(*side, place)), label(one), (by.clone(), kind)];
                    (BTreeMap::from(labels), one.value)
                })),
                Shape::Values { .. } => {
                    for one in &series {
                        let sums = one.sums.ok_or_else(|| {
                            Failure::new(format!(
                                "no sums are pushed with {text}: it is no histogram that has them"
                            ))
                        })?;
                        for (number, value) in sums.into_iter().enumerate() {
                            let labels = [(PART.to_owned(), part(*side, number)), label(one)];
                            vector.series.push((BTreeMap::from(labels), value));
                        }
                    }
                }
                Shape::Scalar { .. } => {
                    if let Some(mean) = mean(&series, vector.at_s.unwrap_or_default()) {
                        vector.series.push((BTreeMap::from([(PART.to_owned(), part(*side, place))]), mean));
                    }
                }
            }
        }
    }
    if store.refused > 0 {
        store.refused = 0;
        return Err(Failure::new("more series are pushed than fit; narrow the metrics"));
    }
    if matches!(question.query.shape, Shape::Buckets { .. }) {
        return Ok(Answer::Histograms { found, buckets, at_s: now_s() });
    }
    Ok(Answer::Now(vector))
}

/// What tells a series from the others of its metric.
fn label(series: &Series) -> (String, String) {
    ("series".to_owned(), format!("{:?}{:?}", series.resource, series.attributes))
}

fn find<'s>(attributes: &'s wire::Attributes, key: &str) -> Option<&'s str> {
    attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

/// The mean of the newest values; none where all are old.
fn mean(series: &[&Series], now_s: f64) -> Option<f64> {
    let fresh = series.iter().filter(|one| now_s - one.at_ns as f64 / 1e9 < STALE_S);
    let values: Vec<f64> = fresh.map(|one| one.value).filter(|value| value.is_finite()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
