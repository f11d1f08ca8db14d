//! Requests that two readers might understand differently. The instance behind the proxy is a
//! strict reader of its own; it must see exactly the requests that were legitimately sent, and
//! what is ambiguous must be refused and the connection closed.

use crate::world::{Client, Instance, World, listen, table};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use taxiway_model::route::Limits;

/// What must become of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A 4xx answer, the connection closed, nothing seen by the instance.
    Refused,
    /// So many requests, and the connection goes on in step.
    Served(u64),
    /// So many requests, then the connection is closed.
    ServedThenClosed(u64),
}
use Expect::{Refused, Served, ServedThenClosed};

struct Corpus {
    world: World,
    instance: Instance,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Corpus {
    fn new() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        let instance = Instance::answering(move |request| {
            seen.lock().unwrap().push(String::from_utf8_lossy(request).into_owned());
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
        });
        let mut world = World::new();
        let mut table = table(&world.address, &[&instance.address]);
        // Cases that leave something unsent end by these.
        let limits = &mut table.listen.limits;
        *limits =
            Limits { header_ms_max: 700, body_idle_ms_max: 700, body_bytes_max: 10_000, ..limits.clone() };
        world.control.apply(&table);
        Self { world, instance, lines }
    }

    fn run(&self, name: &str, bytes: &[u8], expect: Expect) {
        let before = self.instance.seen();
        self.lines.lock().unwrap().clear();
        let mut client = self.world.client();
        // The proxy may close before all is written: that is an outcome, not a failure.
        let _ = client.stream.write_all(bytes);
        let wanted = match expect {
            Refused => 0,
            Served(count) | ServedThenClosed(count) => count,
        };
        for i in 0..wanted {
            let answer = client.answer();
            assert_eq!(answer.map(|a| a.status), Some(200), "{name}: answer {i}");
        }
        match expect {
            Refused => {
                if let Some(answer) = client.answer() {
                    assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
                }
                assert!(client.is_closed(), "{name}: refused, but the connection goes on");
            }
            ServedThenClosed(_) => {
                if let Some(answer) = client.answer() {
                    assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
                }
                assert!(client.is_closed(), "{name}: the connection goes on");
            }
            Served(_) => {
                let answer = client.get("/after", &[]);
                assert_eq!(answer.status, 200, "{name}: out of step");
            }
        }
        let after = u64::from(matches!(expect, Served(_)));
        let lines = self.lines.lock().unwrap();
        assert_eq!(self.instance.seen() - before, wanted + after, "{name}: the instance saw {lines:?}");
        for line in lines.iter() {
            assert!(
                !line.starts_with("GET /smuggled") && !line.starts_with("POST /smuggled"),
                "{name}: {line}"
            );
        }
    }

    fn all(&self, cases: &[(&str, &str, Expect)]) {
        for (name, bytes, expect) in cases {
            self.run(name, bytes.as_bytes(), *expect);
        }
    }
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

/// A POST with these header lines, then this.
fn post(headers: &str, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n{rest}")
}

/// Requests whose two kinds of length disagree, or whose coding is none.
fn two_lengths() -> Vec<(&'static str, String, Expect)> {
    let chunked_smuggle = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    vec![
        (
            "CL.TE",
            post("content-length: 6\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\nG"),
            ServedThenClosed(1),
        ),
        (
            "CL.TE with a request",
            post("content-length: 40\r\ntransfer-encoding: chunked\r\n", &format!("0\r\n\r\n{SMUGGLED}")),
            ServedThenClosed(1),
        ),
        (
            "TE.CL",
            post("transfer-encoding: chunked\r\ncontent-length: 4\r\n", &chunked_smuggle),
            ServedThenClosed(1),
        ),
        (
            "CL.TE, CL zero",
            post("content-length: 0\r\ntransfer-encoding: chunked\r\n", &chunked_smuggle),
            ServedThenClosed(1),
        ),
        (
            "TE.TE, unknown second",
            post("transfer-encoding: chunked\r\ntransfer-encoding: x\r\n", &chunked_smuggle),
            Refused,
        ),
        (
            "TE.TE, unknown first",
            post("transfer-encoding: x\r\ntransfer-encoding: chunked\r\n", &chunked_smuggle),
            Refused,
        ),
        (
            "TE.TE, twice chunked",
            post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", &chunked_smuggle),
            Refused,
        ),
        ("TE xchunked", post("transfer-encoding: xchunked\r\n", &chunked_smuggle), Refused),
        ("TE identity", post("transfer-encoding: identity\r\n", &chunked_smuggle), Refused),
        ("TE chunked, identity", post("transfer-encoding: chunked, identity\r\n", &chunked_smuggle), Refused),
        ("TE gzip, chunked", post("transfer-encoding: gzip, chunked\r\n", &chunked_smuggle), Refused),
        ("TE quoted", post("transfer-encoding: \"chunked\"\r\n", &chunked_smuggle), Refused),
        ("TE with a parameter", post("transfer-encoding: chunked;q=1\r\n", &chunked_smuggle), Refused),
        ("TE after a vertical tab", post("transfer-encoding: \x0bchunked\r\n", &chunked_smuggle), Refused),
        ("TE empty", post("transfer-encoding:\r\n", &chunked_smuggle), Refused),
        ("TE empty element", post("transfer-encoding: ,chunked\r\n", &chunked_smuggle), Refused),
        ("TE after a tab", post("transfer-encoding:\tchunked\r\n", &chunked_smuggle), Served(1)),
        ("TE in capitals", post("TRANSFER-ENCODING: CHUNKED\r\n", &chunked_smuggle), Served(1)),
        (
            "TE xchunked and CL",
            post("transfer-encoding: xchunked\r\ncontent-length: 4\r\n", &chunked_smuggle),
            Refused,
        ),
        (
            "TE named in Connection",
            post("connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n", &chunked_smuggle),
            Served(1),
        ),
        (
            "CL named in Connection",
            post("connection: content-length\r\ncontent-length: 5\r\n", "hello"),
            Served(1),
        ),
        (
            "CL twice, TE between",
            post("content-length: 5\r\ntransfer-encoding: chunked\r\ncontent-length: 6\r\n", "0\r\n\r\nG"),
            ServedThenClosed(1),
        ),
    ]
}

#[test]
fn content_length_and_transfer_encoding_disagree() {
    let corpus = Corpus::new();
    for (name, bytes, expect) in &two_lengths() {
        corpus.run(name, bytes.as_bytes(), *expect);
    }
}

#[test]
fn content_lengths_that_are_none() {
    let corpus = Corpus::new();
    for bad in [
        "+5",
        "-5",
        "0x5",
        "5 5",
        "",
        "5;",
        "5,6",
        "5, 5",
        "1e1",
        "99999999999999999999999",
        "5\x0b",
        "five",
        "٥",
    ] {
        let request = post(&format!("content-length: {bad}\r\n"), "hello");
        corpus.run(&format!("CL {bad:?}"), request.as_bytes(), Refused);
    }
    corpus.all(&[
        ("CL differs", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!", Refused),
        ("CL twice alike", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello", Served(1)),
        ("CL with zeros", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0005\r\n\r\nhello", Served(1)),
        ("CL larger than the limit", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10001\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n", Refused),
        ("CL larger than the body", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n", Refused),
        ("GET with a body", "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n", Served(1)),
    ]);
}

#[test]
fn header_lines_that_are_none() {
    let corpus = Corpus::new();
    let end = "content-length: 5\r\n\r\nhello";
    let refused = [
        ("space before the colon of TE", "transfer-encoding : chunked\r\n"),
        ("tab before the colon of TE", "transfer-encoding\t: chunked\r\n"),
        ("space before the colon of CL", "content-length : 7\r\n"),
        ("space before a name", " transfer-encoding: chunked\r\n"),
        ("obs-fold of TE", "transfer-encoding:\r\n chunked\r\n"),
        ("obs-fold of TE by tab", "transfer-encoding:\r\n\tchunked\r\n"),
        ("obs-fold of anything", "x-a: b\r\n c\r\n"),
        ("obs-fold that hides TE", "x-a: b\r\n transfer-encoding: chunked\r\n"),
        ("no colon", "transfer-encoding chunked\r\n"),
        ("empty name", ": chunked\r\n"),
        ("NUL in a value", "x-a: b\0c\r\n"),
        ("NUL in a name", "transfer-encoding\0: chunked\r\n"),
        ("bare CR in a value", "x-a: b\rtransfer-encoding: chunked\r\n"),
        ("bare CR before the colon", "transfer-encoding\r: chunked\r\n"),
        ("parenthesis in a name", "transfer(encoding: chunked\r\n"),
        ("not ASCII in a name", "tränsfer-encoding: chunked\r\n"),
        ("two hosts", "host: y\r\n"),
        ("two hosts alike", "host: x\r\n"),
    ];
    for (name, line) in refused {
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\n{line}{end}");
        corpus.run(name, request.as_bytes(), Refused);
    }
    for host in ["a b", "a,b", "a/b", "user@a", "a\\b", "a?b", "a#b", "\"a\"", "<a>", "a\tb"] {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
        corpus.run(&format!("host {host:?}"), request.as_bytes(), Refused);
    }
    corpus.all(&[
        ("no host", "GET / HTTP/1.1\r\nx: y\r\n\r\n", Refused),
        ("host named in Connection", "GET / HTTP/1.1\r\nhost: x\r\nconnection: host\r\n\r\n", Served(1)),
        ("bare LF ends lines", "GET / HTTP/1.1\nhost: x\n\n", Served(1)),
        ("bare LF hides TE from the strict", "POST / HTTP/1.1\r\nhost: x\r\nx-a: b\ntransfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\nG", ServedThenClosed(1)),
        ("underscore is another name", "POST / HTTP/1.1\r\nhost: x\r\ncontent_length: 35\r\ncontent-length: 2\r\n\r\nok", Served(1)),
    ]);
}

#[test]
fn request_lines_that_are_none() {
    let corpus = Corpus::new();
    let refused = [
        "GET /\r\n\r\n",
        "GET / HTTP/0.9\r\nhost: x\r\n\r\n",
        "GET / HTTP/1.2\r\nhost: x\r\n\r\n",
        "GET / HTTP/2.0\r\nhost: x\r\n\r\n",
        "GET / HTTP/11\r\nhost: x\r\n\r\n",
        "GET / http/1.1\r\nhost: x\r\n\r\n",
        "GET / HTTP/1.1 x\r\nhost: x\r\n\r\n",
        "GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nhost: x\r\n\r\n",
        " GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "GE(T / HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /\rx HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET * HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET x HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET http://user@y/ HTTP/1.1\r\nhost: y\r\n\r\n",
        "CONNECT y:443 HTTP/1.1\r\nhost: y:443\r\n\r\n",
        "CONNECT /smuggled HTTP/1.1\r\nhost: y\r\n\r\n",
        "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST / HTTP/1.0\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for bytes in refused {
        corpus.run(&format!("{bytes:?}"), bytes.as_bytes(), Refused);
    }
    corpus.all(&[
        ("empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", Served(1)),
        ("1.0 closes", "GET / HTTP/1.0\r\n\r\n", ServedThenClosed(1)),
        ("1.0 closes on a second", "GET / HTTP/1.0\r\n\r\nGET /smuggled HTTP/1.0\r\n\r\n", ServedThenClosed(1)),
        ("close means close", "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n", ServedThenClosed(1)),
        ("options of everything", "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", Served(1)),
        ("pipelined", "GET /1 HTTP/1.1\r\nhost: x\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\nGET /3 HTTP/1.1\r\nhost: x\r\n\r\n", Served(3)),
    ]);
}

#[test]
fn chunks_that_are_none() {
    let corpus = Corpus::new();
    let refused = [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhellos\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "0\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
        "5\r\nhel",
    ];
    for body in refused {
        let request = post("transfer-encoding: chunked\r\n", body);
        corpus.run(&format!("{body:?}"), request.as_bytes(), Refused);
    }
    let served = [
        "5;name=value\r\nhello\r\n0\r\n\r\n",
        "005\r\nhello\r\n000\r\n\r\n",
        "5\r\nhello\r\n0\r\nx-a: b\r\n\r\n",
    ];
    for body in served {
        let request = post("transfer-encoding: chunked\r\n", body);
        corpus.run(&format!("{body:?}"), request.as_bytes(), Served(1));
    }
    let trailers = "5\r\nhello\r\n0\r\ncontent-length: 50\r\ntransfer-encoding: chunked\r\nhost: y\r\n\r\n";
    corpus.run("framing in trailers", post("transfer-encoding: chunked\r\n", trailers).as_bytes(), Served(1));
    let request =
        post("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\n");
    corpus.run("pipelined after chunks", request.as_bytes(), Served(2));
}

#[test]
fn upgrades_without_consent() {
    let corpus = Corpus::new();
    corpus.all(&[
        ("upgrade, then a request", "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\n", Served(2)),
        ("upgrade with a body", "POST / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n", Served(1)),
        ("h2c by upgrade", "GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n", Served(1)),
        ("h2c among others", "GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket, H2C\r\n\r\n", Served(1)),
        ("upgrade in 1.0", "GET / HTTP/1.0\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", ServedThenClosed(1)),
        ("upgrade unnamed in Connection", "GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n\r\n", Served(1)),
    ]);
    corpus
        .world
        .client()
        .get("/", &[("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "x")]);
    let lines = corpus.lines.lock().unwrap();
    let last = lines.last().unwrap().to_ascii_lowercase();
    assert!(!last.contains("upgrade") && !last.contains("http2-settings"), "{last}");
}

#[test]
fn a_body_nobody_reads_is_no_request() {
    // Answers at the head and never reads the body.
    let instance = listen(|mut stream| {
        let mut head = Vec::new();
        let mut one = [0; 1];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_exact(&mut one).is_err() {
                return;
            }
            head.push(one[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = if head.contains("/smuggled") { "299" } else { "200" };
        let _ = stream.write_all(format!("HTTP/1.1 {status} OK\r\ncontent-length: 0\r\n\r\n").as_bytes());
        std::thread::sleep(std::time::Duration::from_millis(300));
    });
    let mut world = World::new();
    let table = table(&world.address, &[&instance]);
    world.control.apply(&table);
    for length in [35, 2_000_000] {
        let mut client = world.client();
        let mut request = post(&format!("content-length: {length}\r\n"), SMUGGLED).into_bytes();
        request.resize(request.len() + length - SMUGGLED.len(), b'x');
        let _ = client.stream.write_all(&request);
        while let Some(answer) = client.answer() {
            assert_ne!(answer.status, 299, "the body of {length} bytes was taken for a request");
            if client.stream.write_all(b"GET /after HTTP/1.1\r\nhost: x\r\n\r\n").is_err()
                || answer.status != 200
            {
                break;
            }
            client.stream.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
        }
    }
}

#[test]
fn an_answer_that_is_ambiguous_does_not_poison_the_next_client() {
    // The instance sends two answers for one request: the second must not reach another client.
    let instance = listen(|mut stream| {
        let mut buffered = Vec::new();
        while crate::world::read_request(&mut stream, &mut buffered).is_some() {
            let answers = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
            if stream.write_all(answers).is_err() {
                return;
            }
        }
    });
    let mut world = World::new();
    let table = table(&world.address, &[&instance]);
    world.control.apply(&table);
    for _ in 0..30 {
        let answer = Client::to(&world.address).get("/", &[]);
        assert_ne!(answer.text(), "poison");
    }
}
