//! Sources that hang, refuse, lie or flood: trouble is said, nothing is taken for health, and all is well again after.

use std::io::Write;
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

#[test]
fn a_source_that_hangs_is_not_waited_for() {
    let said = trouble(|_| std::thread::sleep(Duration::from_secs(3)));
    assert!(said.starts_with("no answer within 300 ms"), "{said}");
}

#[test]
fn errors_are_told_with_what_the_source_says() {
    let said = trouble(|c| {
        answer(c, "500 Internal Server Error", "", r#"{"status":"error","error":"disk on fire"}"#);
    });
    assert!(said.contains("500 Internal Server Error: disk on fire"), "{said}");
    let said = trouble(|c| answer(c, "429 Too Many Requests", "retry-after: 1\r\n", "slow down"));
    assert!(said.contains("429 Too Many Requests"), "{said}");
}

#[test]
fn garbage_and_half_a_body_are_no_answers() {
    let said = trouble(|c| answer(c, "200 OK", "", "\u{0}\u{1}<html>"));
    assert!(said.contains("not what Prometheus says"), "{said}");
    let said = trouble(|connection| {
        let whole = vector(&[("canary.1", "5"), ("baseline.1", "5")]);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len());
        drop(connection.write_all((head + &whole[..whole.len() / 2]).as_bytes()));
    });
    assert!(said.contains("broke off"), "{said}");
    let said = trouble(|c| answer(c, "200 OK", "", &vector(&[("canary.1", "NaN"), ("baseline.1", "5")])));
    assert!(said.contains("a counter is NaN"), "{said}");
    let said = trouble(|c| answer(c, "200 OK", "", &vector(&[])));
    assert!(said.contains("the series of the canary are gone"), "{said}");
}

#[test]
fn a_flood_is_cut_off() {
    let said = trouble(|connection| {
        drop(connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"));
        drop(connection.write_all(br#"{"status":"success","data":{"resultType":"vector","result":["#));
        let series =
            r#"{"metric":{"taxiway":"canary.1","pod":"0123456789"},"value":[1,"1"]},"#.repeat(10_000);
        // A million series: 70 MB.
        for _ in 0..100 {
            if connection.write_all(series.as_bytes()).is_err() {
                return;
            }
        }
    });
    // The flood takes a debug build longer than the limit, or is longer than an answer may be.
    assert!(said.contains("more than 16 MiB") || said.contains("no answer within"), "{said}");
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

#[test]
fn a_source_that_asks_to_be_left_alone_is() {
    let (url, asked) = serve(|_, _, c| answer(c, "429 Too Many Requests", "retry-after: 60\r\n", ""));
    let (source, stream) = (Sources::start().unwrap(), stream("shop/production"));
    source.want(&stream, &order(&url, &[("errors", RATIO)]));
    until("a first question", || (asked.load(Ordering::SeqCst) > 0).then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "at 100 ms it would have been asked five times");
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
