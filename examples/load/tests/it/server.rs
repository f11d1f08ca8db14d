//! A server of known behaviour on threads of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Answers each request head with what `answer(path, cookie)` returns: a whole response, or nothing to close.
pub(crate) fn serve(answer: impl Fn(&str, Option<&str>) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || connection(&stream, &*answer));
        }
    });
    url
}

fn connection(stream: &TcpStream, answer: &dyn Fn(&str, Option<&str>) -> Option<String>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let cookie = head.iter().find_map(|line| line.strip_prefix("cookie: "));
        let path = first.split(' ').nth(1).unwrap_or_default();
        let Some(response) = answer(path, cookie) else { return };
        let mut stream = stream;
        if stream.write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

pub(crate) fn response(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n{headers}\r\nok")
}
