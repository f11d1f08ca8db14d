//! Microseconds of CPU per look of the product's judge with a new window of every metric, canaries a core can judge each second, and bytes of state.
//!
//! Medians of nine stretches of 2,000 looks, in CPU time. *look*: a window of every metric is folded in and the verdict given,
//! as every second while a release bakes (a window closes after 0.9 s with two requests of the canary, else after 15 s);
//! *recorded*: with the digest of the window chained, as the engine does; *idle*: no new window; *words*: the judgement
//! with all sentences and figures, which is written only when there is something new to say. *kayenta*: its judge on as
//! many metrics in the same run, ten points of a minute a side already in memory. Bytes are what 1,000 states of ten minutes take of resident memory: a
//! whole release, and what its error rate and its latency add to a state without metrics. An endpoint class is a stratum
//! of a metric, not a metric.

use taxiway_judgebench::look::cases;

fn main() {
    println!("classes metrics   look us  canaries/s  recorded us  idle us  words us  kayenta us");
    let cases = cases();
    for case in &cases {
        let ((classes, metrics), cost) = (case.size(), case.cost());
        println!(
            "{classes:7} {metrics:7} {:9.1} {:11.0} {:12.1} {:8.2} {:9.1} {:11.1}",
            cost.look_us,
            1e6 / cost.look_us,
            cost.recorded_us,
            cost.idle_us,
            cost.words_us,
            cost.kayenta_us
        );
    }
    println!("\nclasses metrics  bytes a release  error rate  latency");
    for case in &cases {
        let ((classes, metrics), weight) = (case.size(), case.weight());
        let (release, errors, latency) = (weight.release, weight.errors, weight.latency);
        println!("{classes:7} {metrics:7} {release:16} {errors:11} {latency:8}");
    }
}
