//! Every way in which a source fails, once for all of them.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{LazyLock, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::super::world::answer;
use super::{Hosted, PLANTED};

/// Connections that are never answered: they stay open as long as their server plays.
pub(super) type Held = Mutex<Vec<TcpStream>>;

type Play = fn(&Hosted, &dyn Fn() -> String, &mut TcpStream, &Held);

/// A fault, and what is told of it: one of these.
pub(super) struct Fault {
    pub(super) play: Play,
    pub(super) told: fn(&Hosted) -> Vec<&'static str>,
}

pub(super) const FAULTS: &[Fault] = &[
    // It refuses the question, in its own words.
    Fault { play: |of, _, c, _| answer(c, of.refusal.0, "", of.refusal.1), told: |of| vec![of.refusal.2] },
    Fault {
        play: |_, _, c, _| answer(c, "500 Internal Server Error", "content-type: text/html\r\n", "<html>"),
        told: |_| vec!["it answers 500 Internal Server Error"],
    },
    Fault {
        play: |_, _, c, _| {
            answer(c, "503 Service Unavailable", "content-type: text/plain\r\n", "\nmoving house\n");
        },
        told: |_| vec!["it answers 503 Service Unavailable: moving house"],
    },
    Fault {
        play: |_, _, c, _| answer(c, "429 Too Many Requests", "retry-after: 1\r\n", "{}"),
        told: |_| vec!["it answers 429 Too Many Requests"],
    },
    // It refuses who asks, in its own words; and repeating what it was sent.
    Fault {
        play: |of, _, c, _| answer(c, of.who.0, "", of.who.1),
        told: |_| vec!["the credentials are refused: it answers "],
    },
    Fault {
        play: |_, _, c, _| {
            let said =
                json!({"error": PLANTED, "errors": [PLANTED], "message": PLANTED, "__type": "x#Denied"});
            answer(c, "403 Forbidden", "", &said.to_string());
        },
        told: |_| vec!["the credentials are refused: it answers 403 Forbidden"],
    },
    Fault { play: |_, _, c, _| answer(c, "200 OK", "", "\u{0}\u{1}<html>"), told: |of| vec![of.garbage] },
    Fault {
        play: |_, good, c, _| {
            let whole = good();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len());
            drop(c.write_all((head + &whole[..whole.len() / 2]).as_bytes()));
        },
        told: |_| vec!["broke off"],
    },
    // A page to sign in, most likely: it gets no secret.
    Fault {
        play: |_, _, c, _| answer(c, "302 Found", "location: http://127.0.0.1:1/login\r\n", ""),
        told: |_| vec!["it answers 302 Found; it points to http://127.0.0.1:1/login"],
    },
    // Both take a debug build longer than the limit, or are longer than an answer may be.
    Fault { play: |_, _, c, _| bomb(c), told: |_| vec!["more than 16 MiB", "no answer within"] },
    Fault {
        play: |_, _, c, _| flood(c),
        told: |_| vec!["more than 16 MiB", "no answer within", "no whole answer"],
    },
    Fault {
        play: |_, _, c, held| held.lock().unwrap().extend(c.try_clone()),
        told: |_| vec!["no answer within", "no whole answer within"],
    },
];

/// Twenty thousand bytes that become twenty million; packed once, a debug build takes a while for it.
fn bomb(connection: &mut TcpStream) {
    static PACKED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&vec![b' '; 20 << 20]).unwrap();
        packed.finish().unwrap()
    });
    let length = PACKED.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n");
    drop(connection.write_all(&[head.as_bytes(), &PACKED].concat()));
}

/// A million series, as Prometheus writes them: 70 MB.
fn flood(connection: &mut TcpStream) {
    drop(connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"));
    drop(connection.write_all(br#"{"status":"success","data":{"resultType":"vector","result":["#));
    let series = r#"{"metric":{"taxiway":"canary.1","pod":"0123456789"},"value":[1,"1"]},"#.repeat(10_000);
    for _ in 0..100 {
        if connection.write_all(series.as_bytes()).is_err() {
            return;
        }
    }
}
