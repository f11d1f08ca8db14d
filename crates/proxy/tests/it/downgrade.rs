//! HTTP/2 requests that would be something else in HTTP/1.1. Frames are made by hand here, since
//! no library would send them.

use crate::world::{Client, Instance, World};
use std::io::Write;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literal fields without indexing or Huffman coding.
pub(crate) fn fields(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(text.len() as u8);
            block.extend_from_slice(text);
        }
    }
    block
}

pub(crate) fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// What became of stream 1.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Answered(Vec<u8>),
    Reset,
    Closed,
}

fn outcome(client: &mut Client) -> Outcome {
    loop {
        let Some(head) = client.try_exactly(9) else { return Outcome::Closed };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some(payload) = client.try_exactly(length) else { return Outcome::Closed };
        match (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])) {
            (HEADERS, 1) => return Outcome::Answered(payload),
            (RESET, 1) => return Outcome::Reset,
            (GOAWAY, _) => return Outcome::Closed,
            _ => {}
        }
    }
}

const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

type Fields = Vec<(&'static [u8], &'static [u8])>;

/// An honest POST.
const PLAIN: [(&[u8], &[u8]); 4] =
    [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/")];

/// The honest request and these fields.
fn with(extra: &[(&'static [u8], &'static [u8])]) -> Fields {
    PLAIN.iter().copied().chain(extra.iter().copied()).collect()
}

/// The honest request with another value in one place.
fn instead(at: usize, value: &'static [u8]) -> Fields {
    let mut fields = PLAIN.to_vec();
    fields[at].1 = value;
    fields
}

/// Requests that must not reach an instance.
fn ambiguous() -> Vec<(&'static str, Fields)> {
    vec![
        ("TE", with(&[(b"transfer-encoding", b"chunked")])),
        ("TE and CL", with(&[(b"transfer-encoding", b"chunked"), (b"content-length", b"35")])),
        ("connection", with(&[(b"connection", b"close")])),
        ("keep-alive", with(&[(b"keep-alive", b"timeout=5")])),
        ("proxy-connection", with(&[(b"proxy-connection", b"close")])),
        ("upgrade", with(&[(b"upgrade", b"websocket")])),
        ("te other than trailers", with(&[(b"te", b"chunked")])),
        ("CL too small", with(&[(b"content-length", b"0")])),
        ("CL too large", with(&[(b"content-length", b"3500")])),
        ("CL differs", with(&[(b"content-length", b"35"), (b"content-length", b"36")])),
        ("CL no number", with(&[(b"content-length", b"+35")])),
        ("CRLF in a value", with(&[(b"x-a", b"b\r\ntransfer-encoding: chunked")])),
        ("LF in a value", with(&[(b"x-a", b"b\ntransfer-encoding: chunked")])),
        ("CR in a value", with(&[(b"x-a", b"b\rc")])),
        ("NUL in a value", with(&[(b"x-a", b"b\0c")])),
        ("CRLF in a name", with(&[(b"x-a\r\ntransfer-encoding", b"chunked")])),
        ("colon in a name", with(&[(b"x-a: b", b"c")])),
        ("capitals in a name", with(&[(b"X-A", b"b")])),
        ("space in a name", with(&[(b"transfer-encoding ", b"chunked")])),
        ("empty name", with(&[(b"", b"x")])),
        ("CRLF in the path", instead(3, b"/ HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled")),
        ("space in the path", instead(3, b"/ HTTP/1.1")),
        ("no slash in the path", instead(3, b"smuggled")),
        ("empty path", instead(3, b"")),
        ("CRLF in the method", instead(0, b"GET / HTTP/1.1\r\n\r\nGET")),
        ("space in the method", instead(0, b"GET /smuggled")),
        ("CRLF in the authority", instead(2, b"x\r\nx-a: b")),
        ("space in the authority", instead(2, b"x y")),
        ("slash in the authority", instead(2, b"x/y")),
        ("user in the authority", instead(2, b"u@x")),
        ("no authority", vec![PLAIN[0], PLAIN[1], PLAIN[3]]),
        ("no path", vec![PLAIN[0], PLAIN[1], PLAIN[2]]),
        ("no method", vec![PLAIN[1], PLAIN[2], PLAIN[3]]),
        ("two paths", with(&[(b":path", b"/smuggled")])),
        ("two methods", with(&[(b":method", b"GET")])),
        ("unknown pseudo-header", with(&[(b":protocolx", b"y")])),
        ("pseudo-header after a header", with(&[(b"x-a", b"b"), (b":path", b"/smuggled")])),
        ("other host", with(&[(b"host", b"y")])),
        ("two hosts", with(&[(b"host", b"x"), (b"host", b"x")])),
    ]
}

#[test]
fn what_http1_would_read_otherwise_is_refused() {
    let instance = Instance::saying("ok");
    let world = World::serving(&instance);
    for (name, list) in &ambiguous() {
        let before = instance.seen();
        let mut client = world.client();
        let mut bytes = opening();
        bytes.extend(frame(HEADERS, END_HEADERS, 1, &fields(list)));
        bytes.extend(frame(DATA, END_STREAM, 1, SMUGGLED));
        let _ = client.stream.write_all(&bytes);
        match outcome(&mut client) {
            // Static table: 8 is :status 200, 12 is :status 400.
            Outcome::Answered(block) => assert_ne!(block[0], 0x88, "{name}: served"),
            Outcome::Reset | Outcome::Closed => {}
        }
        assert_eq!(instance.seen(), before, "{name}: the instance saw it");
    }
    // The honest one among them is served.
    let mut client = world.client();
    let mut bytes = opening();
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &fields(&with(&[(b"content-length", b"35")]))));
    bytes.extend(frame(DATA, END_STREAM, 1, SMUGGLED));
    client.send(&bytes);
    let Outcome::Answered(block) = outcome(&mut client) else { panic!("the honest request was refused") };
    assert_eq!(block[0], 0x88);
    assert_eq!(instance.seen(), 1);
}
