//! What was pushed, series by series: counts since we listen, whatever the temporality, and newest values.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::wire::{Attributes, Data, Metric, Point, Pushed};

/// The most series that are kept; what a service with a thousand instances has.
const SERIES_MAX: usize = 50_000;

/// Buckets of one histogram.
const BUCKETS_MAX: usize = 1_000;

/// So many moments of a series are remembered, so that points that are pushed twice count once.
const REMEMBERED: usize = 64;

/// A series that nothing was pushed of for so long is that of an instance that is gone: an hour.
const FORGOTTEN_NS: u64 = 3_600_000_000_000;

/// What of a push was not taken, of the metrics that are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Points that were not.
    pub(super) rejected: u64,
    /// Why, for the sender.
    pub(super) why: String,
}

impl Taken {
    fn reject(&mut self, points: u64, why: &str) {
        self.add(Self { rejected: points, why: why.to_owned() });
    }

    pub(super) fn add(&mut self, more: Self) {
        self.rejected += more.rejected;
        if self.why.is_empty() {
            self.why = more.why;
        }
    }
}

/// One series.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) resource: Attributes,
    pub(super) attributes: Attributes,
    /// Counted since we listen; for values the newest.
    pub(super) value: f64,
    pub(super) counts: bool,
    /// How many lie in the bucket up to each edge and not below, in microseconds.
    pub(super) buckets: BTreeMap<u64, u64>,
    /// Of a histogram that has sums: how many values were counted, and their sum, in its unit.
    pub(super) sums: Option<[f64; 2]>,
    pub(super) at_ns: u64,
    start_ns: u64,
    last: Option<Data>,
    last_sums: Option<[f64; 2]>,
    seen: VecDeque<u64>,
}

/// All series of the metrics that are asked for.
#[derive(Debug, Default)]
pub(super) struct Store {
    wanted: BTreeSet<String>,
    series: BTreeMap<String, BTreeMap<String, Series>>,
    /// When listening began, by our clock.
    began_ns: u64,
    /// Series that found no room.
    pub(super) refused: u64,
}

impl Store {
    pub(super) fn since(began_ns: u64) -> Self {
        Self { began_ns, ..Self::default() }
    }

    pub(super) fn want(&mut self, metric: &str) {
        self.wanted.insert(metric.to_owned());
    }

    pub(super) fn of(&self, metric: &str) -> impl Iterator<Item = &Series> {
        self.series.get(metric).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn take(&mut self, pushed: Pushed) -> Taken {
        let resource = text(&pushed.resource);
        let mut taken = Taken::default();
        for metric in pushed.metrics {
            if !self.wanted.contains(&metric.name) {
                continue;
            }
            if metric.summaries > 0 {
                taken.reject(
                    metric.summaries,
                    &format!("{} is a summary, of which no two can be added: push a histogram", metric.name),
                );
            }
            for point in &metric.points {
                let key = format!("{resource}|{}", text(&point.attributes));
                if point.is_void() {
                    continue;
                }
                let known = self.series.get(&metric.name).is_some_and(|series| series.contains_key(&key));
                if !known && !self.has_room(point.at_ns) {
                    self.refused += 1;
                    taken.reject(
                        1,
                        &format!("more than {SERIES_MAX} series are pushed: push fewer attributes"),
                    );
                    continue;
                }
                let of_metric = self.series.entry(metric.name.clone()).or_default();
                let series = of_metric.entry(key).or_insert_with(|| Series {
                    resource: pushed.resource.clone(),
                    attributes: point.attributes.clone(),
                    ..Series::default()
                });
                series.take(&metric, point, self.began_ns);
            }
        }
        taken
    }

    /// Whether one more series fits. Those of instances that are gone for long make room; what comes
    /// again after that is counted from its next point on.
    fn has_room(&mut self, now_ns: u64) -> bool {
        let all = |series: &BTreeMap<String, BTreeMap<String, Series>>| -> usize {
            series.values().map(BTreeMap::len).sum()
        };
        if all(&self.series) < SERIES_MAX {
            return true;
        }
        let before = now_ns.saturating_sub(FORGOTTEN_NS);
        for of_metric in self.series.values_mut() {
            of_metric.retain(|_, series| series.at_ns >= before);
        }
        let fits = all(&self.series) < SERIES_MAX;
        if fits {
            self.began_ns = self.began_ns.max(before);
        }
        fits
    }
}

fn text(attributes: &Attributes) -> String {
    let mut sorted: Vec<String> = attributes.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
    sorted.sort();
    sorted.join(",")
}

impl Series {
    fn take(&mut self, metric: &Metric, point: &Point, began_ns: u64) {
        self.counts = metric.counts;
        if !metric.counts {
            if let (Data::Number(value), true) = (&point.data, point.at_ns >= self.at_ns) {
                self.value = *value;
                self.at_ns = point.at_ns;
            }
            return;
        }
        if self.seen.contains(&point.at_ns) {
            return;
        }
        self.seen.push_back(point.at_ns);
        if self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
        let unit_us = unit_us(&metric.unit);
        if metric.delta {
            self.add(&point.data, None, unit_us);
            self.add_sums(point.sums, None, true);
        } else {
            if point.at_ns < self.at_ns {
                // A cumulative point that comes late says nothing that a newer one did not.
                return;
            }
            // What a process counted before we listened is not ours, unless it began after us.
            let known = self
                .last
                .take()
                .filter(|last| point.start_ns <= self.start_ns && !is_less(&point.data, last));
            let ours = self.at_ns != 0 || point.start_ns >= began_ns;
            if ours {
                self.add(&point.data, known.as_ref(), unit_us);
            }
            let before = self.last_sums.filter(|_| known.is_some());
            self.add_sums(point.sums, before, ours);
            self.last_sums = point.sums;
            self.start_ns = point.start_ns.max(self.start_ns);
            self.last = Some(point.data.clone());
        }
        self.at_ns = self.at_ns.max(point.at_ns);
    }

    /// The same for how many values there are and their sum. `ours`: it counts.
    fn add_sums(&mut self, sums: Option<[f64; 2]>, before: Option<[f64; 2]>, ours: bool) {
        let Some(now) = sums else { return };
        let known = self.sums.get_or_insert_default();
        let [count, sum] = before.unwrap_or_default();
        if ours && now[0] >= count && (now[1] - sum).is_finite() {
            known[0] += now[0] - count;
            known[1] += now[1] - sum;
        }
    }

    /// Adds what a point has more than the one before.
    fn add(&mut self, data: &Data, before: Option<&Data>, unit_us: f64) {
        match (data, before) {
            (Data::Number(value), before) => {
                let old = if let Some(Data::Number(old)) = before { *old } else { 0.0 };
                if (value - old).is_finite() {
                    self.value += (value - old).max(0.0);
                }
            }
            (Data::Explicit(bounds, counts), before) => {
                let old = match before {
                    Some(Data::Explicit(old_bounds, old)) if old_bounds == bounds => old.as_slice(),
                    _ => &[],
                };
                for (place, count) in counts.iter().enumerate().take(BUCKETS_MAX) {
                    let edge = bounds.get(place).map_or(u64::MAX, |bound| edge_us(*bound, unit_us));
                    let more = count.saturating_sub(old.get(place).copied().unwrap_or(0));
                    *self.buckets.entry(edge).or_default() += more;
                }
            }
            (Data::Exponential(scale, zero, offset, counts), before) => {
                let (old_zero, old) = match before {
                    Some(Data::Exponential(old_scale, old_zero, old_offset, old)) => {
                        (*old_zero, coarser(*old_scale - *scale, *old_offset, old))
                    }
                    _ => (0, BTreeMap::new()),
                };
                *self.buckets.entry(1).or_default() += zero.saturating_sub(old_zero);
                for (place, count) in counts.iter().enumerate().take(BUCKETS_MAX) {
                    let index = offset.saturating_add(place as i32);
                    let more = count.saturating_sub(old.get(&index).copied().unwrap_or(0));
                    if more > 0 {
                        // The bucket before says where this one begins.
                        self.buckets.entry(edge_us(bound(index, *scale), unit_us)).or_default();
                        let edge = edge_us(bound(index.saturating_add(1), *scale), unit_us);
                        *self.buckets.entry(edge).or_default() += more;
                    }
                }
            }
        }
    }
}

/// The lower bound of a bucket: `2^(index / 2^scale)`.
fn bound(index: i32, scale: i32) -> f64 {
    (f64::from(index) * (-f64::from(scale)).exp2()).exp2()
}

/// Counts by index at a scale that is lower by `by`: `2^by` neighbours become one.
fn coarser(by: i32, offset: i32, counts: &[u64]) -> BTreeMap<i32, u64> {
    let mut coarse = BTreeMap::new();
    if !(0..=30).contains(&by) {
        return coarse;
    }
    for (place, count) in counts.iter().enumerate() {
        *coarse.entry(offset.saturating_add(place as i32) >> by).or_default() += count;
    }
    coarse
}

fn edge_us(bound: f64, unit_us: f64) -> u64 {
    let edge = (bound * unit_us).round();
    if edge.is_finite() { (edge.max(1.0)) as u64 } else { u64::MAX }
}

/// Microseconds in a unit (UCUM); seconds where it says something else, as the conventions have it.
fn unit_us(unit: &str) -> f64 {
    match unit {
        "ms" => 1e3,
        "us" => 1.0,
        "ns" => 1e-3,
        _ => 1e6,
    }
}

/// Whether counters have begun again.
fn is_less(now: &Data, before: &Data) -> bool {
    let sum = |data: &Data| match data {
        Data::Number(value) => *value,
        Data::Explicit(_, counts) => counts.iter().sum::<u64>() as f64,
        Data::Exponential(_, zero, _, counts) => (zero + counts.iter().sum::<u64>()) as f64,
    };
    sum(now) < sum(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        let mut store = Store::since(100);
        store.want("m");
        store
    }

    fn push(store: &mut Store, delta: bool, start_ns: u64, at_ns: u64, data: Data) {
        let point = Point { attributes: Attributes::new(), start_ns, at_ns, data, sums: None, void: false };
        let metric = Metric {
            name: "m".into(),
            unit: "ms".into(),
            counts: true,
            delta,
            points: vec![point],
            summaries: 0,
        };
        assert_eq!(
            store.take(Pushed { resource: Attributes::new(), metrics: vec![metric] }),
            Taken::default()
        );
    }

    fn value(store: &Store) -> f64 {
        store.of("m").next().map_or(0.0, |series| series.value)
    }

    #[test]
    fn cumulative_sums_count_from_when_we_listen_and_across_resets() {
        let mut store = store();
        push(&mut store, false, 1, 110, Data::Number(1_000.0));
        assert_eq!(value(&store), 0.0, "what was before us is not ours");
        push(&mut store, false, 1, 120, Data::Number(1_010.0));
        push(&mut store, false, 1, 120, Data::Number(1_010.0));
        push(&mut store, false, 1, 115, Data::Number(1_005.0));
        assert_eq!(value(&store), 10.0, "late and double points add nothing");
        push(&mut store, false, 125, 130, Data::Number(4.0));
        assert_eq!(value(&store), 14.0, "the process began again");
        push(&mut store, false, 125, 140, Data::Number(f64::NAN));
        assert_eq!(value(&store), 14.0);
    }

    #[test]
    fn delta_sums_add_once_each_also_late_ones() {
        let mut store = store();
        for at in [110, 130, 120, 130] {
            push(&mut store, true, at - 10, at, Data::Number(5.0));
        }
        assert_eq!(value(&store), 15.0);
    }

    #[test]
    fn histograms_add_up_by_edge_also_when_their_scale_falls() {
        let mut store = store();
        let explicit = |counts: [u64; 3]| Data::Explicit(vec![10.0, 100.0], counts.to_vec());
        push(&mut store, false, 101, 110, explicit([1, 2, 0]));
        push(&mut store, false, 101, 120, explicit([3, 2, 1]));
        let buckets = &store.of("m").next().unwrap().buckets;
        assert_eq!(buckets, &BTreeMap::from([(10_000, 3), (100_000, 2), (u64::MAX, 1)]));

        let mut store = self::store();
        // Scale 1: index 0 is (1, 1.41], index 1 is (1.41, 2]; at scale 0 both are index 0.
        push(&mut store, false, 101, 110, Data::Exponential(1, 0, 0, vec![2, 3]));
        push(&mut store, false, 101, 120, Data::Exponential(0, 1, 0, vec![6, 4]));
        let buckets = &store.of("m").next().unwrap().buckets;
        let wanted = [(1, 1), (1_000, 0), (1_414, 2), (2_000, 3 + 1), (4_000, 4)];
        assert_eq!(buckets, &BTreeMap::from(wanted));
    }

    #[test]
    fn a_point_without_a_value_is_none_and_no_new_beginning() {
        let mut store = store();
        let counts = |counts: [u64; 2]| Data::Explicit(vec![10.0], counts.to_vec());
        push(&mut store, false, 101, 110, counts([1, 0]));
        let void = Point { at_ns: 115, start_ns: 101, void: true, data: counts([0, 0]), ..Point::default() };
        let metric = Metric { name: "m".into(), counts: true, points: vec![void], ..Metric::default() };
        assert_eq!(
            store.take(Pushed { resource: Attributes::new(), metrics: vec![metric] }),
            Taken::default()
        );
        push(&mut store, false, 101, 120, counts([5, 1]));
        let buckets = &store.of("m").next().unwrap().buckets;
        assert_eq!(buckets, &BTreeMap::from([(10_000, 5), (u64::MAX, 1)]));
        // As a number, it is not the one before the next.
        let mut store = self::store();
        push(&mut store, false, 101, 110, Data::Number(4.0));
        push(&mut store, false, 101, 120, Data::Number(f64::NAN));
        push(&mut store, false, 101, 130, Data::Number(9.0));
        assert_eq!(value(&store), 9.0);
    }

    #[test]
    fn series_that_find_no_room_and_summaries_are_rejected_and_the_gone_make_room() {
        let mut store = store();
        let point = |number: u64, at_ns: u64| Point {
            attributes: vec![("pod".to_owned(), number.to_string())],
            at_ns,
            data: Data::Number(1.0),
            ..Point::default()
        };
        let mut all = |points: Vec<Point>, summaries: u64| {
            let metric = Metric { name: "m".into(), counts: true, points, summaries, ..Metric::default() };
            store.take(Pushed { resource: Attributes::new(), metrics: vec![metric] })
        };
        let fill = (0..SERIES_MAX as u64).map(|number| point(number, 200)).collect();
        assert_eq!(all(fill, 0), Taken::default());
        let one_more = all(vec![point(1, 210), point(SERIES_MAX as u64, 210)], 0);
        assert_eq!(one_more.rejected, 1, "one is known already");
        assert!(one_more.why.contains("more than 50000 series"), "{one_more:?}");
        let later = 200 + FORGOTTEN_NS + 5;
        assert_eq!(all(vec![point(SERIES_MAX as u64, later)], 0), Taken::default());
        assert!(store.of("m").count() < 10, "those that were silent for an hour are forgotten");
        let mut all = |summaries: u64| {
            let metric = Metric { name: "m".into(), summaries, ..Metric::default() };
            store.take(Pushed { resource: Attributes::new(), metrics: vec![metric] })
        };
        let told = all(2);
        assert!(told.rejected == 2 && told.why.contains("push a histogram"), "{told:?}");
    }

    #[test]
    fn what_is_not_asked_for_takes_no_room() {
        let mut store = store();
        let metric = Metric { name: "other".into(), points: vec![Point::default()], ..Metric::default() };
        store.take(Pushed { resource: Attributes::new(), metrics: vec![metric] });
        assert!(store.series.is_empty());
    }
}
