//! HTTP checks: statuses, texts, time limits, and servers that misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use taxiway_model::plan::CheckRun;

use super::room::Room;

/// A server that hands each connection with its request head (and body, by content-length) to `play`.
fn serve(play: impl Fn(&str, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
            let lower = head.to_lowercase();
            let length =
                lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            play(&(head + &String::from_utf8(body).unwrap()), &mut stream);
        }
    });
    url
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // Whoever asked may have gone.
    drop(stream.write_all((head + body).as_bytes()));
}

fn get(url: &str, path: &str) -> CheckRun {
    CheckRun::Http {
        method: "GET".to_owned(),
        url: format!("{url}{path}"),
        headers: Vec::new(),
        body: None,
        expect_status: Vec::new(),
        expect_body: None,
    }
}

#[test]
fn a_request_is_sent_as_ordered_and_judged_as_expected() {
    let url = serve(|request, stream| answer(stream, "201 Created", &format!("you sent:\n{request}")));
    let room = Room::new();
    let post = CheckRun::Http {
        method: "POST".to_owned(),
        url: format!("{url}/orders?token=s3cret"),
        headers: vec![("x-smoke".to_owned(), "yes".to_owned())],
        body: Some("{\"item\": 1}".to_owned()),
        expect_status: vec![200, 201],
        expect_body: Some("{\"item\": 1}".to_owned()),
    };
    let evidence = room.play("shop-1/smoke", 10_000, post);
    assert!(evidence.passed, "{evidence:?}");
    for expected in [
        "POST /orders?token=s3cret HTTP/1.1",
        "x-smoke: yes",
        "idempotency-key: shop-1/smoke",
        "host: 127.0.0.1:",
    ] {
        assert!(evidence.output.contains(expected), "{expected}: {}", evidence.output);
    }
    assert!(
        evidence.said.contains("/orders was answered 201") && !evidence.said.contains("s3cret"),
        "{}",
        evidence.said
    );
}

#[test]
fn each_failure_says_what_came_instead() {
    let url = serve(|request, stream| match request.split(' ').nth(1).unwrap_or_default() {
        "/500" => answer(stream, "500 Oops", "stock table\nis missing"),
        "/302" => answer(stream, "302 Found", ""),
        "/text" => answer(stream, "200 OK", "hello"),
        "/half" => drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")),
        "/garbage" => drop(stream.write_all(b"\x16\x03\x01 what is this")),
        "/close" => (),
        _ => std::thread::sleep(Duration::from_secs(5)),
    });
    let room = Room::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = match get(&url, "/text") {
        CheckRun::Http { method, url, headers, body, expect_status, .. } => CheckRun::Http {
            method,
            url,
            headers,
            body,
            expect_status,
            expect_body: Some("goodbye".to_owned()),
        },
        other @ CheckRun::Command { .. } => other,
    };
    let cases = [
        (get(&url, "/500"), "was answered 500, expected 2xx: stock table is missing"),
        (get(&url, "/302"), "was answered 302, expected 2xx"),
        (text, "the answer does not contain \"goodbye\": hello"),
        (get(&url, "/half"), "was answered 200, then the answer broke off"),
        (get(&url, "/garbage"), "no answer from 127.0.0.1"),
        (get(&url, "/close"), "no answer from 127.0.0.1"),
        (get(&format!("http://{nobody}"), "/"), "nothing listens on 127.0.0.1"),
        (get("http://no such host", "/"), "is not a request"),
        (get("", "/relative"), "names no host"),
        (get(&url, "/hang"), "no whole answer within 300ms"),
    ];
    for (number, (run, expected)) in cases.into_iter().enumerate() {
        let evidence = room.play(&format!("case-{number}"), 300, run);
        assert!(!evidence.passed && evidence.said.contains(expected), "{expected}: {}", evidence.said);
    }
}

#[test]
fn an_endless_answer_ends_with_the_time_limit() {
    let url = serve(|_, stream| {
        let piece = [b'x'; 8192];
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while stream.write_all(&piece).is_ok() {}
    });
    let room = Room::new();
    let evidence = room.play("endless", 500, get(&url, "/"));
    assert!(!evidence.passed && evidence.said.contains("no whole answer within 500ms"), "{}", evidence.said);
}
