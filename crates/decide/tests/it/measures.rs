//! Metrics beside failures and latencies, judged from windows of evidence.

use std::collections::BTreeMap;

use taxiway_decide::judge::{Question, State, judge};
use taxiway_model::counts::Counts;
use taxiway_model::evidence::{Classes, Gauge, Gauges, Window};
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Sample, Tally};
use taxiway_model::policy::{
    AnalysisPolicy, Counter, Direction, Lasting, Measure, MetricPolicy, Missing, Prices, Profile, Unit,
};
use taxiway_model::verdict::{FindingState, MetricFinding, Verdict};
use taxiway_model::weight::WeightBp;

fn metric(measure: Measure) -> MetricPolicy {
    MetricPolicy::plain(MetricName::new("m").unwrap(), measure)
}

fn policy(metric: MetricPolicy) -> AnalysisPolicy {
    AnalysisPolicy { metrics: vec![metric], ..AnalysisPolicy::of(Profile::Standard) }
}

/// What the only metric says after so many windows of a second at a tenth of the traffic.
fn found(policy: &AnalysisPolicy, windows: impl IntoIterator<Item = Window>) -> MetricFinding {
    let mut state = State::new(policy, None);
    for (number, window) in (1..).zip(windows) {
        let span_ms = if window.span_ms == 0 { 1_000 } else { window.span_ms };
        state.fold(policy, &Window { number, span_ms, ..window }, WeightBp::percent(10));
    }
    let judgement = judge(policy, &state, Question { step: 0, exclude_bp: Some(20_000) });
    let [finding] = judgement.findings.try_into().expect("there is one metric");
    finding
}

fn classes(requests: u64, failed: u64) -> Classes {
    let status = [0, requests - failed, 0, 0, failed];
    Classes::from([("other".to_owned(), Counts { requests, status, ..Counts::default() })])
}

fn requests(canary: (u64, u64), baseline: (u64, u64)) -> Window {
    let baseline = if baseline.0 == 0 { Classes::new() } else { classes(baseline.0, baseline.1) };
    Window { canary: classes(canary.0, canary.1), baseline, ..Window::default() }
}

fn counts(canary: (u64, u64), baseline: (u64, u64)) -> Window {
    let tally = |(total, bad)| Tally { total, bad };
    let sample = Sample::Counts { canary: tally(canary), baseline: tally(baseline) };
    Window { metrics: BTreeMap::from([(MetricName::new("m").unwrap(), sample)]), ..Window::default() }
}

fn compared(measure: Measure, tolerance_bp: u32, red_bp: u32) -> MetricPolicy {
    MetricPolicy { tolerance_bp, red_bp, ..metric(measure) }
}

fn business() -> MetricPolicy {
    let direction = Direction::LowerIsWorse;
    MetricPolicy { direction, ..compared(Measure::QueryCounts, 10_000, 9_500) }
}

#[test]
fn a_drop_of_business_holds_or_goes_back_and_a_rise_does_neither() {
    let policy = policy(business());
    // Of 100,000 visits 3 % buy at the baseline.
    let little = found(&policy, vec![counts((10_000, 290), (90_000, 2_700)); 400]);
    assert_eq!(little.verdict, Verdict::Hold, "3.3 % fewer: {}", little.sentence);
    assert!(little.sentence.contains("lower"), "{}", little.sentence);
    let much = found(&policy, vec![counts((10_000, 270), (90_000, 2_700)); 100]);
    assert_eq!(much.verdict, Verdict::Rollback, "10 % fewer: {}", much.sentence);
    let more = found(&policy, vec![counts((10_000, 330), (90_000, 2_700)); 100]);
    assert_eq!(more.verdict, Verdict::Proceed, "{}", more.sentence);
    let same = found(&policy, vec![counts((10_000, 300), (90_000, 2_700)); 400]);
    assert_eq!((same.verdict, same.shown), (Verdict::Proceed, false), "{}", same.sentence);
    let few = found(&policy, vec![counts((10, 0), (90, 3)); 2]);
    assert_eq!(few.verdict, Verdict::InsufficientData, "{}", few.sentence);
}

#[test]
fn either_way_finds_both_ways() {
    let direction = Direction::Either;
    let policy = policy(MetricPolicy { direction, ..compared(Measure::QueryCounts, 11_000, 20_000) });
    for (events, verdict) in [(300, Verdict::Proceed), (900, Verdict::Rollback), (100, Verdict::Rollback)] {
        let said = found(&policy, vec![counts((10_000, events), (90_000, 2_700)); 30]);
        assert_eq!(said.verdict, verdict, "{events}: {}", said.sentence);
    }
}

#[test]
fn bands_from_below_are_tests_and_not_estimates() {
    let policy = policy(MetricPolicy {
        direction: Direction::LowerIsWorse,
        hold_below: Some(950_000),
        rollback_below: Some(900_000),
        ..metric(Measure::QueryCounts)
    });
    let verdict = |good: u64, windows: usize| found(&policy, vec![counts((100, good), (900, 890)); windows]);
    assert_eq!(verdict(97, 30).verdict, Verdict::Proceed);
    assert_eq!(verdict(92, 30).verdict, Verdict::Hold, "{}", verdict(92, 30).sentence);
    assert_eq!(verdict(80, 30).verdict, Verdict::Rollback, "{}", verdict(80, 30).sentence);
    assert_ne!(verdict(85, 1).verdict, Verdict::Rollback, "one window of a hundred is chance");
}

#[test]
fn client_errors_hold_on_the_first_and_go_back_beyond_a_thousandth() {
    let bands =
        MetricPolicy { hold_above: Some(0), rollback_above: Some(1_000), ..metric(Measure::QueryCounts) };
    let policy = policy(bands);
    let none = found(&policy, vec![counts((5_000, 0), (50_000, 0)); 20]);
    assert_eq!(none.verdict, Verdict::Proceed, "{}", none.sentence);
    let first = found(&policy, vec![counts((5_000, 1), (50_000, 0)); 10]);
    assert_eq!(first.verdict, Verdict::Hold, "{}", first.sentence);
    let many = found(&policy, vec![counts((5_000, 30), (50_000, 0)); 10]);
    assert_eq!(many.verdict, Verdict::Rollback, "{}", many.sentence);
}

#[test]
fn what_is_critical_goes_back_at_once() {
    let windows = || vec![counts((10_000, 290), (90_000, 2_700)); 400];
    let usual = found(&policy(business()), windows());
    assert_eq!((usual.verdict, usual.shown), (Verdict::Hold, true));
    let critical = found(&policy(MetricPolicy { critical: true, ..business() }), windows());
    assert_eq!(critical.verdict, Verdict::Rollback);
    assert!(critical.sentence.starts_with("critical: "), "{}", critical.sentence);
}

#[test]
fn missing_evidence_is_neither_bad_nor_healthy() {
    let well = || vec![counts((10_000, 300), (90_000, 2_700)); 100];
    let silent = || (0..5).map(|_| Window { span_ms: 15_000, ..Window::default() });
    let empty = || (0..5).map(|_| Window { span_ms: 15_000, ..counts((0, 0), (0, 0)) });
    let of = |missing: Missing, after: Vec<Window>| {
        let metric = MetricPolicy { on_no_data: missing, on_error: missing, ..business() };
        found(&policy(metric), well().into_iter().chain(after))
    };
    for (after, state) in
        [(silent().collect::<Vec<_>>(), FindingState::SourceError), (empty().collect(), FindingState::NoData)]
    {
        let holds = of(Missing::Rollback, after.clone());
        assert_eq!((holds.verdict, holds.state), (Verdict::InsufficientData, state), "{}", holds.sentence);
        assert!(holds.sentence.contains("for 1m15s"), "{}", holds.sentence);
        let ignored = of(Missing::Ignore, after);
        assert_eq!((ignored.verdict, ignored.state), (Verdict::Proceed, state), "{}", ignored.sentence);
    }
    let back = found(&policy(business()), well().into_iter().chain(silent()).chain(well()));
    assert_eq!((back.verdict, back.state), (Verdict::Proceed, FindingState::Judged), "{}", back.sentence);
}

fn burn(by: Counter) -> MetricPolicy {
    let measure = Measure::Burn { budget_ppm: 1_000, window_ms: 30 * 86_400_000, by };
    MetricPolicy { rollback_above: Some(3_000), slack_ppm: 1_000, ..compared(measure, 11_000, 20_000) }
}

#[test]
fn a_burn_above_three_goes_back_and_one_failure_does_not() {
    let policy = policy(burn(Counter::Router));
    let burning = found(&policy, vec![requests((100, 1), (900, 1)); 60]);
    assert_eq!(burning.verdict, Verdict::Rollback, "ten-fold: {}", burning.sentence);
    let one = found(&policy, [requests((20, 1), (900, 0)), requests((20, 0), (900, 0))]);
    assert_ne!(one.verdict, Verdict::Rollback, "fifty-fold for a second is chance: {}", one.sentence);
    let over = vec![requests((100, 1), (900, 1)); 8].into_iter();
    let over = found(&policy, over.chain(vec![requests((1_000, 0), (9_000, 0)); 600]));
    assert_ne!(over.verdict, Verdict::Rollback, "what is over is over: {}", over.sentence);
    let well = found(&policy, vec![requests((1_000, 1), (9_000, 9)); 120]);
    assert_eq!(well.verdict, Verdict::Proceed, "{}", well.sentence);
    assert!(well.sentence.contains("burns 1.0x the budget"), "{}", well.sentence);
}

#[test]
fn a_burn_is_held_by_rules_over_two_windows_where_there_is_no_band() {
    // No band and no comparison: the rules of 14.4 and 6 page, the rule of 1 is a ticket.
    let measure = burn(Counter::Router).measure;
    let policy = policy(metric(measure));
    let pages = found(&policy, vec![requests((1_000, 20), (0, 0)); 60]);
    assert_eq!(pages.verdict, Verdict::Rollback, "{}", pages.sentence);
    assert!(pages.sentence.contains("both above 14.4x"), "{}", pages.sentence);
    let ticket = found(&policy, vec![requests((1_000, 3), (0, 0)); 300]);
    assert_eq!(ticket.verdict, Verdict::Hold, "{}", ticket.sentence);
    assert!(ticket.sentence.contains("both above 1x"), "{}", ticket.sentence);
}

#[test]
fn a_baseline_that_burns_too_is_never_green_and_never_blamed_on_the_canary() {
    let policy = policy(burn(Counter::Router));
    let both = found(&policy, vec![requests((100, 3), (900, 27)); 120]);
    assert_eq!((both.verdict, both.state), (Verdict::Hold, FindingState::BaselineFails), "{}", both.sentence);
    assert!(both.sentence.contains("baseline also failing"), "{}", both.sentence);
    let baseline = found(&policy, vec![requests((100, 0), (900, 27)); 120]);
    assert_eq!((baseline.verdict, baseline.state), (Verdict::Hold, FindingState::BaselineFails));
    let worse = found(&policy, vec![requests((100, 30), (900, 27)); 120]);
    assert_eq!(worse.verdict, Verdict::Rollback, "ten times worse still shows: {}", worse.sentence);
}

#[test]
fn objectives_of_a_source_count_good_ones_bad_ones_or_points_in_time() {
    let good = found(&policy(burn(Counter::Good)), vec![counts((100, 99), (900, 899)); 60]);
    assert_eq!(good.verdict, Verdict::Rollback, "{}", good.sentence);
    let bad = found(&policy(burn(Counter::Bad)), vec![counts((100, 0), (900, 0)); 60]);
    assert_eq!(bad.verdict, Verdict::Proceed, "{}", bad.sentence);
    let value = |micro: i64| {
        let sample = Sample::Scalar { canary: Some(micro), baseline: Some(100_000) };
        let metrics = BTreeMap::from([(MetricName::new("m").unwrap(), sample)]);
        Window { span_ms: 15_000, metrics, ..Window::default() }
    };
    let slow = found(&policy(burn(Counter::Above(500_000))), vec![value(600_000); 20]);
    assert_eq!((slow.verdict, slow.canary.bad), (Verdict::Rollback, 20), "{}", slow.sentence);
    let fast = found(&policy(burn(Counter::Above(500_000))), vec![value(400_000); 20]);
    assert_ne!(fast.verdict, Verdict::Rollback, "{}", fast.sentence);
}

#[test]
fn lost_requests_show_as_a_share_that_is_too_small() {
    let policy = policy(compared(Measure::Throughput, 11_000, 20_000));
    let even = found(&policy, vec![requests((100, 0), (900, 0)); 120]);
    assert_eq!((even.verdict, even.shown), (Verdict::Proceed, false), "{}", even.sentence);
    let lost = found(&policy, vec![requests((70, 0), (900, 0)); 120]);
    assert_eq!(lost.verdict, Verdict::Hold, "{}", lost.sentence);
    let most = found(&policy, vec![requests((30, 0), (900, 0)); 120]);
    assert_eq!(most.verdict, Verdict::Rollback, "{}", most.sentence);
    let begins = found(&policy, vec![requests((0, 0), (900, 0)); 9]);
    assert_eq!(begins.verdict, Verdict::Proceed, "a canary that has just begun: {}", begins.sentence);
}

fn gauges(canary: &[(u64, u32, u32)], baseline: &[(u64, u32, u32)], requests_of: (u64, u64)) -> Window {
    let of = |all: &[(u64, u32, u32)]| -> Vec<Gauge> {
        let gauge = |(instance, (mib, cpu_milli, restarts)): (u32, &(u64, u32, u32))| Gauge {
            instance,
            memory_bytes: mib << 20,
            cpu_milli: *cpu_milli,
            restarts: *restarts,
        };
        (0..).zip(all).map(gauge).collect()
    };
    let gauges = Gauges { canary: of(canary), baseline: of(baseline) };
    Window { gauges, ..requests((requests_of.0, 0), (requests_of.1, 0)) }
}

#[test]
fn memory_is_held_to_its_bands_and_compared_by_instances() {
    let bands = MetricPolicy {
        hold_above: Some(400 << 20),
        rollback_above: Some(460 << 20),
        ..metric(Measure::Memory)
    };
    let policy_of = |metric: &MetricPolicy| policy(metric.clone());
    let window = |canary: u64, baseline: u64| gauges(&[(canary, 0, 0)], &[(baseline, 0, 0)], (10, 90));
    let verdict =
        |canary, baseline, windows| found(&policy_of(&bands), vec![window(canary, baseline); windows]);
    assert_eq!(verdict(300, 300, 5).verdict, Verdict::Proceed);
    assert_eq!(verdict(420, 300, 5).verdict, Verdict::Hold);
    assert_eq!(verdict(470, 300, 5).verdict, Verdict::Rollback);
    assert_eq!(verdict(470, 300, 1).verdict, Verdict::Proceed, "one reading may be a spike");
    let both = verdict(470, 470, 5);
    assert_eq!((both.verdict, both.state), (Verdict::Hold, FindingState::BaselineFails), "{}", both.sentence);

    let relative = policy(compared(Measure::Memory, 12_000, 20_000));
    let few = found(&relative, vec![gauges(&[(900, 0, 0)], &[(300, 0, 0); 4], (10, 90)); 600]);
    assert_eq!((few.verdict, few.state), (Verdict::InsufficientData, FindingState::CannotKnow));
    assert!(few.sentence.contains("no method can tell from so few"), "{}", few.sentence);
    let baseline: Vec<_> = (0..20).map(|n| (290 + n, 0, 0)).collect();
    let grown = found(&relative, vec![gauges(&[(450, 0, 0); 4], &baseline, (10, 90)); 600]);
    assert_eq!((grown.verdict, grown.shown), (Verdict::Hold, true), "{}", grown.sentence);
    let doubled = found(&relative, vec![gauges(&[(750, 0, 0); 4], &baseline, (10, 90)); 600]);
    assert_eq!(doubled.verdict, Verdict::Rollback, "{}", doubled.sentence);
    let same = found(&relative, vec![gauges(&[(310, 0, 0); 4], &baseline, (10, 90)); 6_000]);
    assert_eq!((same.verdict, same.shown), (Verdict::Proceed, false), "{}", same.sentence);
}

#[test]
fn restarts_are_a_share_of_instances() {
    let policy = policy(MetricPolicy { hold_above: Some(10_000), ..metric(Measure::Restarts) });
    let none = found(&policy, vec![gauges(&[(1, 0, 0); 2], &[(1, 0, 7); 2], (10, 90)); 3]);
    assert_eq!(none.verdict, Verdict::Proceed, "what the baseline did before is past: {}", none.sentence);
    let one = found(&policy, vec![gauges(&[(1, 0, 0), (1, 0, 1)], &[(1, 0, 7); 2], (10, 90)); 3]);
    assert_eq!((one.verdict, one.canary.bad), (Verdict::Hold, 1), "{}", one.sentence);
}

/// Windows whose use of CPU varies a little around so many thousandths of a core per instance.
fn busy(canary: u32, baseline: u32, count: u32) -> impl Iterator<Item = Window> {
    (0..count).map(move |n| {
        let noise = [0, 7, 3, 9, 1, 5][n as usize % 6];
        gauges(&[(100, canary + noise, 0)], &[(100, baseline + 9 - noise, 0); 2], (100, 200))
    })
}

#[test]
fn cpu_per_request_is_compared_at_equal_load() {
    let policy = policy(compared(Measure::Cpu, 12_000, 20_000));
    let dearer = found(&policy, busy(300, 200, 400));
    assert_eq!((dearer.verdict, dearer.shown), (Verdict::Hold, true), "{}", dearer.sentence);
    let doubled = found(&policy, busy(500, 200, 400));
    assert_eq!(doubled.verdict, Verdict::Rollback, "{}", doubled.sentence);
    let same = found(&policy, busy(205, 200, 400));
    assert_eq!(same.verdict, Verdict::Proceed, "{}", same.sentence);
    let early = found(&policy, busy(300, 200, 10));
    assert_eq!(early.verdict, Verdict::InsufficientData, "{}", early.sentence);
    let idle = (0..400).map(|_| gauges(&[(100, 50, 0)], &[(100, 200, 0); 2], (10, 990)));
    let idle = found(&policy, idle);
    assert_eq!((idle.verdict, idle.state), (Verdict::InsufficientData, FindingState::CannotKnow));
    assert!(idle.sentence.contains("what idling costs"), "{}", idle.sentence);
}

#[test]
fn cost_is_reckoned_by_declared_prices_and_scaling_is_left_out() {
    let prices = Prices { cpu_hour_micro: 40_000, memory_gib_hour_micro: 5_000, currency: "EUR".into() };
    let policy = AnalysisPolicy { prices: Some(prices), ..policy(compared(Measure::Cost, 12_000, 20_000)) };
    let dearer = found(&policy, busy(400, 200, 400));
    assert_eq!((dearer.verdict, dearer.shown), (Verdict::Hold, true), "{}", dearer.sentence);
    assert!(dearer.sentence.contains("EUR per 1,000 requests"), "{}", dearer.sentence);
    // 0.2045 cores for 3,600 s at 0.04 a core-hour over 100 requests a second, and 100 MiB of memory.
    let baseline = dearer.baseline.as_ref().and_then(|side| side.value).unwrap();
    let (cpu, memory) = (0.2045 * 40_000.0 / 3_600.0 / 100.0, 5_000.0 * 100.0 / 1_024.0 / 3_600.0 / 100.0);
    let expected = (cpu + memory) * 1_000.0;
    assert!((baseline as f64 - expected).abs() < 1.0, "{baseline} micro-EUR, {expected} by hand");
    let grows = busy(205, 200, 200)
        .chain((0..200).map(|_| gauges(&[(100, 600, 0); 2], &[(100, 200, 0); 2], (100, 200))));
    let confounded = found(&policy, grows);
    assert!(
        confounded.sentence.contains("instances or weight changed 1 times, 30s"),
        "{}",
        confounded.sentence
    );
}

#[test]
fn a_state_of_a_built_in_metric_may_have_to_last() {
    let lasting = Lasting { failures: 1, bad_for_ms: 60_000, good_for_ms: 120_000 };
    let policy = policy(MetricPolicy { lasting: Some(lasting), ..burn(Counter::Router) });
    let soon = found(&policy, vec![requests((100, 20), (900, 1)); 30]);
    assert_eq!(soon.verdict, Verdict::Hold, "{}", soon.sentence);
    let late = found(&policy, vec![requests((100, 20), (900, 1)); 90]);
    assert_eq!(late.verdict, Verdict::Rollback, "{}", late.sentence);
    let well = found(&policy, vec![requests((1_000, 0), (9_000, 0)); 60]);
    assert_eq!(well.verdict, Verdict::InsufficientData, "{}", well.sentence);
    assert_eq!(found(&policy, vec![requests((1_000, 0), (9_000, 0)); 121]).verdict, Verdict::Proceed);
}

#[test]
fn no_use_of_anything_confuses_the_judge() {
    let huge = u64::MAX >> 20;
    let windows = [
        gauges(&[], &[(0, 0, 0)], (0, 0)),
        gauges(&[(huge, u32::MAX, u32::MAX)], &[], (1, 0)),
        gauges(&[(0, 0, 0)], &[(huge, u32::MAX, 0)], (0, 1)),
        gauges(&[(huge, u32::MAX, 1)], &[(huge, u32::MAX, 0)], (1 << 40, 1 << 40)),
    ];
    let prices =
        Prices { cpu_hour_micro: u64::MAX, memory_gib_hour_micro: u64::MAX, currency: String::new() };
    for measure in [Measure::Memory, Measure::Cpu, Measure::Restarts, Measure::Cost, Measure::Throughput] {
        let policy =
            AnalysisPolicy { prices: Some(prices.clone()), ..policy(compared(measure, 12_000, 20_000)) };
        found(&policy, windows.iter().cycle().take(200).cloned());
    }
    for (canary, baseline) in [((0, 0), (0, 0)), ((1 << 40, 1 << 40), (1, 0)), ((1, 1), (1 << 40, 0))] {
        for metric in [business(), burn(Counter::Good), burn(Counter::Bad)] {
            found(&policy(metric), vec![counts(canary, baseline); 50]);
        }
    }
}

#[test]
fn values_have_a_direction_bands_on_both_sides_and_a_unit() {
    let value = |canary: i64| {
        let sample = Sample::Scalar { canary: Some(canary), baseline: Some(10_000_000) };
        let metrics = BTreeMap::from([(MetricName::new("m").unwrap(), sample)]);
        Window { span_ms: 15_000, metrics, ..Window::default() }
    };
    let values = Measure::QueryValues { every_ms: 15_000 };
    let lower = policy(MetricPolicy {
        direction: Direction::LowerIsWorse,
        rollback_below: Some(5_000_000),
        hold_below: Some(8_000_000),
        unit: Unit::S,
        ..compared(values, 9_500, 5_000)
    });
    let said = |micro, windows| found(&lower, vec![value(micro); windows]);
    assert_eq!(said(12_000_000, 30).verdict, Verdict::Proceed, "{}", said(12_000_000, 30).sentence);
    assert_eq!(said(9_000_000, 30).verdict, Verdict::Rollback, "{}", said(9_000_000, 30).sentence);
    assert_eq!(said(7_000_000, 3).verdict, Verdict::Hold, "{}", said(7_000_000, 3).sentence);
    let low = said(4_000_000, 3);
    assert_eq!(low.verdict, Verdict::Rollback);
    assert!(
        low.sentence.contains("canary 4 s against baseline 10 s, below the limit of 5 s"),
        "{}",
        low.sentence
    );
    let either = policy(MetricPolicy { direction: Direction::Either, ..compared(values, 12_000, 20_000) });
    for (micro, verdict) in
        [(10_000_000, Verdict::Proceed), (13_000_000, Verdict::Rollback), (8_000_000, Verdict::Rollback)]
    {
        assert_eq!(found(&either, vec![value(micro); 30]).verdict, verdict);
    }
}

#[test]
fn the_harm_budget_counts_over_all_steps() {
    let mut policy = policy(MetricPolicy { required: false, ..metric(Measure::ErrorRate) });
    policy.harm_budget_requests = Some(50);
    let mut state = State::new(&policy, None);
    let mut verdict_after = |windows: u32, step: u16, window: &Window, percent: u16| {
        for _ in 0..windows {
            let number = state.windows() + 1;
            let window = Window { number, step, span_ms: 1_000, ..window.clone() };
            state.fold(&policy, &window, WeightBp::percent(percent));
        }
        judge(&policy, &state, Question { step, exclude_bp: None })
    };
    let first = verdict_after(30, 0, &requests((100, 1), (900, 0)), 10);
    assert_eq!(first.verdict, Verdict::Proceed, "thirty so far: {}", first.sentence);
    let within = verdict_after(10, 1, &requests((500, 2), (500, 0)), 50);
    assert_eq!(within.verdict, Verdict::Proceed, "fifty so far: {}", within.sentence);
    let beyond = verdict_after(1, 1, &requests((500, 2), (500, 0)), 50);
    assert_eq!(beyond.verdict, Verdict::Rollback);
    assert_eq!(beyond.sentence, "the canary has cost 52 failed requests, the budget is 50");
}

/// A small generator with a fixed seed: uniform numbers, and normal ones by a sum of twelve.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Of `total` with this chance each, by the normal approximation; good enough from ten on.
    fn binomial(&mut self, total: u64, chance: f64) -> u64 {
        let (mean, variance) = (total as f64 * chance, total as f64 * chance * (1.0 - chance));
        (mean + variance.sqrt() * self.normal()).round().clamp(0.0, total as f64) as u64
    }
}

/// How many of 200 releases that differ in nothing are called worse in 300 windows of a second each.
fn alarms(policy: &AnalysisPolicy, mut window: impl FnMut(&mut Dice) -> Window) -> usize {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut alarmed = |dice: &mut Dice| {
        let mut state = State::new(policy, None);
        (1..=300).any(|number| {
            let seen = Window { number, span_ms: 1_000, ..window(dice) };
            state.take(policy, &seen, WeightBp::percent(10));
            let judgement = judge(policy, &state, Question { step: 0, exclude_bp: None });
            judgement.verdict >= Verdict::Hold
        })
    };
    (0..200).filter(|_| alarmed(&mut dice)).count()
}

/// At a rate of 1 % over all looks, 200 releases have two alarms on average and more than seven once
/// in a thousand times.
const ALARMS_MAX: usize = 7;

#[test]
fn healthy_canaries_are_not_called_worse_at_any_look() {
    let shares = |dice: &mut Dice| {
        let of = |dice: &mut Dice, total| (total, dice.binomial(total, 0.03));
        counts(of(dice, 1_000), of(dice, 9_000))
    };
    assert!(alarms(&policy(business()), shares) <= ALARMS_MAX, "nothing is tolerated, and nothing is worse");
    let failures = |dice: &mut Dice| {
        let of = |dice: &mut Dice, total| (total, dice.binomial(total, 0.001));
        requests(of(dice, 15_000), of(dice, 135_000))
    };
    let burns = policy(burn(Counter::Router));
    assert!(alarms(&burns, failures) <= ALARMS_MAX, "exactly what the objective allows");
    let split = |dice: &mut Dice| {
        let canary = dice.binomial(1_000, 0.1);
        requests((canary, 0), (1_000 - canary, 0))
    };
    assert!(alarms(&policy(compared(Measure::Throughput, 11_000, 20_000)), split) <= ALARMS_MAX);
    let cpu = |dice: &mut Dice| {
        let mut of = || (100, (200.0 * (1.0 + 0.2 * dice.normal())).max(1.0) as u32, 0);
        gauges(&[of()], &[of(), of()], (100, 200))
    };
    let nothing_tolerated = compared(Measure::Cpu, 10_000, 20_000);
    assert!(alarms(&policy(nothing_tolerated), cpu) <= ALARMS_MAX);
}
