//! What a Prometheus is asked, and what is told of it while it fails: nothing is taken for health, and
//! all is well again after.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use taxiway_adapters::metrics::Sources;
use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Sample, Tally};

use super::world::{answer, order, serve, stream, until, vector};

const RATIO: &str = "sum(rate(a_total{code=\"500\"}[1m])) / sum(rate(a_total[1m]))";

fn well(number: u64, connection: &mut TcpStream) {
    let count = (number * 10).to_string();
    let series = [("canary.1", &*count), ("baseline.1", &*count), ("canary.newest", "1700000000")];
    answer(connection, "200 OK", "", &vector(&series));
}

/// What is said of a source that fails in this way; afterwards it is well, and that is seen too.
fn trouble(fault: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let broken = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&broken);
    let (url, _) =
        serve(
            move |number, _, connection| {
                if switch.load(Ordering::SeqCst) { fault(connection) } else { well(number, connection) }
            },
        );
    let (source, stream) = (Sources::start().unwrap(), stream("shop/production"));
    source.want(&stream, &order(&url, &[("errors", RATIO)]));
    until("a first answer", || source.latest(&stream).filter(|reading| reading.trouble.is_empty()));
    broken.store(true, Ordering::SeqCst);
    let said = until("trouble", || source.latest(&stream)?.trouble.into_values().next());
    broken.store(false, Ordering::SeqCst);
    until("a good answer again", || source.latest(&stream).filter(|reading| reading.trouble.is_empty()));
    said
}

/// What fails every source is in `hosted`; this is what only counters can do.
#[test]
fn counters_that_are_none_or_are_gone_are_no_answers() {
    let said = trouble(|c| answer(c, "200 OK", "", &vector(&[("canary.1", "NaN"), ("baseline.1", "5")])));
    assert!(said.contains("a counter is NaN"), "{said}");
    let said = trouble(|c| answer(c, "200 OK", "", &vector(&[])));
    assert!(said.contains("the series of the canary are gone"), "{said}");
}

#[test]
fn nothing_listening_is_trouble_and_an_empty_answer_is_not_zero() {
    let (source, stream) = (Sources::start().unwrap(), stream("shop/production"));
    source.want(&stream, &order("http://127.0.0.1:1", &[("errors", RATIO)]));
    let said = until("trouble", || source.latest(&stream)?.trouble.into_values().next());
    assert!(said.contains("nothing listens on 127.0.0.1:1"), "{said}");

    let (url, _) = serve(|_, _, connection| answer(connection, "200 OK", "", &vector(&[])));
    source.want(&stream, &order(&url, &[("errors", RATIO)]));
    let reading = until("an answer", || source.latest(&stream));
    let errors = MetricName::new("errors").unwrap();
    assert_eq!(reading.samples.get(&errors), None);
    assert_eq!(reading.nothing[&errors], "no series of the canary yet");
}

/// One failed round is bad luck and is not told; but the next round of a source that asks for a pause
/// is far away, and until then there is no evidence.
#[test]
fn a_source_that_asks_to_be_left_alone_is_and_is_told_at_once() {
    let (url, asked) = serve(|_, _, c| answer(c, "429 Too Many Requests", "retry-after: 60\r\n", ""));
    let (source, stream) = (Sources::start().unwrap(), stream("shop/production"));
    source.want(&stream, &order(&url, &[("errors", RATIO)]));
    let reading = until("trouble", || source.latest(&stream).filter(|reading| !reading.trouble.is_empty()));
    let errors = MetricName::new("errors").unwrap();
    assert!(reading.trouble[&errors].contains("429 Too Many Requests"), "{reading:?}");
    let retry = reading.retries[&errors];
    let pause_ms = retry.next.since_ms(retry.since);
    assert!((59_000..=62_000).contains(&pause_ms), "at 100 ms it would be asked at once: {pause_ms} ms");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// Since when is the first question that was not answered, however often it is asked in vain.
#[test]
fn since_when_a_source_fails_and_when_it_is_asked_again_is_told() {
    let (source, stream) = (Sources::start().unwrap(), stream("shop/production"));
    source.want(&stream, &order("http://127.0.0.1:1", &[("errors", RATIO)]));
    let errors = MetricName::new("errors").unwrap();
    let retry = || source.latest(&stream)?.retries.get(&errors).copied();
    let first = until("trouble", retry);
    let later = until("another round", || retry().filter(|retry| retry.next > first.next));
    assert_eq!(first.since, later.since);
    let pauses = [first, later].map(|retry| retry.next.since_ms(retry.since));
    assert!(pauses[0] >= 200 && pauses[1] >= 400, "questions come more seldom: {pauses:?}");
}

#[test]
fn the_question_asks_both_sides_at_one_moment() {
    let (sender, questions) = std::sync::mpsc::channel();
    let (url, _) = serve(move |number, request, connection| {
        sender.send(request.to_owned()).unwrap_or_default();
        well(number, connection);
    });
    let (source, stream) = (Sources::start().unwrap(), stream("shop/production"));
    source.want(&stream, &order(&url, &[("errors", RATIO)]));
    let request = questions.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(request.starts_with("POST /api/v1/query HTTP/1.1\r\n"), "{request}");
    for part in ["version%3D%22v1%22", "version%3D%22v2%22", "canary.0", "baseline.1", "&timeout=300ms"] {
        assert!(request.contains(part), "{part} in {request}");
    }
    let errors = MetricName::new("errors").unwrap();
    let counted = until("counts", || {
        let reading = source.latest(&stream)?;
        let sample = reading.samples.get(&errors)?.clone();
        (sample.totals().0 >= 20).then_some(sample)
    });
    let Sample::Counts { canary, baseline } = counted else { panic!("{counted:?}") };
    assert_eq!((canary, canary.bad), (baseline, 0));
    assert_ne!(canary, Tally::default());
    source.forget(&stream);
    assert_eq!(source.latest(&stream), None);
}
