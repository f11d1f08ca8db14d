//! Message heads: what is refused at the door, and which fields may cross the proxy.
//!
//! hyper has already refused what is not HTTP; here falls what is HTTP but ambiguous between two
//! readers, since a request that two hops understand differently is how requests are smuggled.

use crate::counts::Refused;
use crate::networks::Networks;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, StatusCode, Uri, Version, uri};
use std::net::{IpAddr, SocketAddr};
use taxiway_model::route::Limits;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// A request the proxy answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// The answer's status.
    pub status: StatusCode,
    /// How it is counted.
    pub why: Refused,
    /// One sentence for the client.
    pub text: &'static str,
}

impl Reject {
    /// A request that cannot be understood in one way only.
    pub fn bad(text: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: Refused::BadRequest, text }
    }
}

/// What a request wants beyond an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wants {
    /// An answer.
    Answer,
    /// To leave HTTP for the protocol of that name.
    Upgrade(HeaderValue),
}

/// Refuses heads that are over the limits, ambiguous, or nothing for a reverse proxy.
pub fn check<B>(request: &Request<B>, limits: &Limits) -> Result<(), Reject> {
    let headers = request.headers();
    if headers.len() > limits.header_count_max as usize {
        return Err(Reject {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            why: Refused::HeadTooLarge,
            text: "too many header fields",
        });
    }
    if request.method() == Method::CONNECT {
        let text = "this is not a forward proxy: CONNECT is not served";
        return Err(Reject { status: StatusCode::METHOD_NOT_ALLOWED, why: Refused::Unsupported, text });
    }
    check_target(request)?;
    check_host(request)?;
    if request.version() < Version::HTTP_2 {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let first = codings.next();
        let chunked = first.is_none_or(|c| c.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
        if !chunked || codings.next().is_some() {
            return Err(Reject::bad("the only transfer coding served is one 'chunked'"));
        }
    }
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        let length = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        let length = length.ok_or_else(|| Reject::bad("Content-Length is not a number"))?;
        if length > limits.body_bytes_max {
            return Err(too_large());
        }
    }
    Ok(())
}

/// The refusal of a body over the limit.
pub fn too_large() -> Reject {
    let text = "the request body is larger than this service takes";
    Reject { status: StatusCode::PAYLOAD_TOO_LARGE, why: Refused::BodyTooLarge, text }
}

fn check_target<B>(request: &Request<B>) -> Result<(), Reject> {
    let path = request.uri().path();
    let asterisk = path == "*";
    if asterisk && request.method() != Method::OPTIONS {
        return Err(Reject::bad("the target '*' is for OPTIONS only"));
    }
    // `GET name HTTP/1.1` reads as an authority, which only CONNECT may ask for.
    let authority_form = request.uri().scheme().is_none() && request.uri().authority().is_some();
    let rootless =
        !asterisk && !path.starts_with('/') && (!path.is_empty() || request.uri().authority().is_none());
    if authority_form || rootless {
        return Err(Reject::bad("the request target is not a path"));
    }
    Ok(())
}

fn check_host<B>(request: &Request<B>) -> Result<(), Reject> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(Reject::bad("more than one Host"));
    }
    let authority = request.uri().authority();
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Reject::bad("user information in the request target"));
    }
    match first {
        None if request.version() == Version::HTTP_11 => Err(Reject::bad("no Host")),
        None if request.version() >= Version::HTTP_2 && authority.is_none() => {
            Err(Reject::bad("no authority"))
        }
        Some(host) if !host.as_bytes().iter().all(|b| host_byte(*b)) => {
            Err(Reject::bad("Host has characters no host name has"))
        }
        Some(host) if request.version() >= Version::HTTP_2 => match authority {
            Some(a) if a.as_str().as_bytes() != host.as_bytes() => {
                Err(Reject::bad("Host is not the authority"))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(&byte)
}

/// What of the client's connection goes into forwarding headers; made once per connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address.
    pub address: IpAddr,
    address_text: HeaderValue,
    forwarded: HeaderValue,
    scheme: HeaderValue,
    /// Whether it came over TLS.
    pub tls: bool,
}

impl Peer {
    /// The client at the other end of a connection.
    pub fn new(address: SocketAddr, tls: bool) -> Self {
        let address = address.ip().to_canonical();
        let scheme = if tls { "https" } else { "http" };
        let node = if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() };
        let ascii = "an address and a scheme are visible ASCII";
        Self {
            address,
            address_text: HeaderValue::try_from(address.to_string()).expect(ascii),
            forwarded: HeaderValue::try_from(format!("for={node};proto={scheme}")).expect(ascii),
            scheme: HeaderValue::from_static(scheme),
            tls,
        }
    }

    /// The client's address as far as trusted proxies vouch for it: the rightmost address in
    /// `X-Forwarded-For` that is none of them.
    pub fn client(&self, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
        if !trusted.contain(self.address) {
            return self.address;
        }
        let mut client = self.address;
        let fields: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        let hops = fields.iter().rev().flat_map(|field| field.as_bytes().rsplit(|b| *b == b','));
        for hop in hops {
            let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| hop.trim().parse().ok()) else {
                break;
            };
            client = address;
            if !trusted.contain(client) {
                break;
            }
        }
        client
    }

    /// Sets the forwarding headers. Those of an untrusted client are thrown away.
    pub fn mark(&self, headers: &mut HeaderMap, host: Option<HeaderValue>, trusted: bool) {
        if trusted {
            append(headers, X_FORWARDED_FOR, &self.address_text);
            append(headers, FORWARDED, &self.forwarded);
            headers.entry(X_FORWARDED_PROTO).or_insert_with(|| self.scheme.clone());
            if let Some(host) = host {
                headers.entry(X_FORWARDED_HOST).or_insert(host);
            }
        } else {
            headers.remove(X_FORWARDED_PORT);
            headers.remove(X_REAL_IP);
            headers.insert(X_FORWARDED_FOR, self.address_text.clone());
            headers.insert(FORWARDED, self.forwarded.clone());
            headers.insert(X_FORWARDED_PROTO, self.scheme.clone());
            match host {
                Some(host) => headers.insert(X_FORWARDED_HOST, host),
                None => headers.remove(X_FORWARDED_HOST),
            };
        }
    }
}

/// Adds an element to a list field, on one line: some servers read the first line only.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &HeaderValue) {
    let values: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    let mut list = values.join(&b", "[..]);
    if !list.is_empty() {
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    if let Ok(list) = HeaderValue::from_bytes(&list) {
        headers.insert(name, list);
    }
}

/// Whether a field concerns one connection only (RFC 9110, 7.6.1, and those older than it).
pub fn concerns_one_connection(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING, UPGRADE, TE, PROXY_AUTHORIZATION].contains(name)
        || [KEEP_ALIVE, PROXY_CONNECTION].contains(name)
}

/// Takes the fields away that concern one connection only, and says what the request wants.
pub fn strip_request(headers: &mut HeaderMap, version: Version) -> Wants {
    // One look at the names spares most requests a dozen look-ups.
    let (mut hops, mut expects) = (false, false);
    for name in headers.keys() {
        hops |= concerns_one_connection(name);
        expects |= *name == EXPECT;
    }
    // The proxy itself sends 100 when the instance's connection takes the body.
    if expects && headers.get(EXPECT).is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        headers.remove(EXPECT);
    }
    if !hops {
        return Wants::Answer;
    }
    let mut wants = Wants::Answer;
    let asks_upgrade = strip_connection(headers);
    if let Some(protocol) = headers.remove(UPGRADE) {
        // `Upgrade: h2c` would open a tunnel in which the proxy sees nothing more.
        let h2c = protocol.as_bytes().to_ascii_lowercase().windows(3).any(|w| w == b"h2c");
        if asks_upgrade && version == Version::HTTP_11 && !h2c {
            wants = Wants::Upgrade(protocol);
        }
    }
    let trailers = headers.get(TE).is_some_and(|te| mentions(te, b"trailers"));
    headers.remove(TE);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    headers.remove(TRANSFER_ENCODING);
    headers.remove(PROXY_AUTHORIZATION);
    wants
}

/// Takes the fields away from an answer that concern one connection only.
pub fn strip_response(headers: &mut HeaderMap) {
    strip_connection(headers);
    headers.remove(UPGRADE);
    headers.remove(TRANSFER_ENCODING);
}

/// Removes `Connection` and what it names; true when it names `upgrade`.
fn strip_connection(headers: &mut HeaderMap) -> bool {
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    if !headers.contains_key(CONNECTION) {
        return false;
    }
    let named: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    headers.remove(CONNECTION);
    let mut upgrade = false;
    for token in named.iter().flat_map(|value| value.as_bytes().split(|b| *b == b',')) {
        let token = token.trim_ascii();
        if token.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        } else if !is_end_to_end(token)
            && let Ok(name) = HeaderName::from_bytes(token)
        {
            headers.remove(name);
        }
    }
    upgrade
}

/// Fields a client may not have removed by naming them in `Connection`: the request would mean
/// something else to the instance than to the proxy.
fn is_end_to_end(token: &[u8]) -> bool {
    const KEPT: [&[u8]; 7] =
        [b"host", b"content-length", b"content-type", b"cookie", b"authorization", b"close", b"te"];
    KEPT.iter().any(|kept| token.eq_ignore_ascii_case(kept))
}

fn mentions(value: &HeaderValue, token: &[u8]) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// Gives a request the form an HTTP/1.1 instance expects.
pub fn to_http1(parts: &mut http::request::Parts) {
    parts.headers.remove(TE);
    if parts.version >= Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    if parts.uri.scheme().is_some() || parts.uri.authority().is_some() {
        let path = parts.uri.path_and_query().cloned();
        let path = path.filter(|p| !p.as_str().is_empty()).unwrap_or(uri::PathAndQuery::from_static("/"));
        parts.uri = Uri::from(path);
    }
    parts.version = Version::HTTP_11;
}

/// Gives a request the form an HTTP/2 instance expects: an absolute target instead of `Host`.
pub fn to_http2(parts: &mut http::request::Parts) -> Result<(), Reject> {
    let host = parts.headers.remove(HOST);
    let authority = match host {
        Some(host) => {
            uri::Authority::try_from(host.as_bytes()).map_err(|_| Reject::bad("Host is no authority"))?
        }
        None => uri::Authority::from_static("localhost"),
    };
    let path = parts.uri.path_and_query().cloned();
    let mut target = uri::Parts::default();
    target.scheme = Some(uri::Scheme::HTTP);
    target.authority = Some(authority);
    target.path_and_query = path.or(Some(uri::PathAndQuery::from_static("/")));
    parts.uri = Uri::from_parts(target).map_err(|_| Reject::bad("the request target is not a path"))?;
    parts.version = Version::HTTP_2;
    Ok(())
}

/// The host a request is for; sets `Host` from the target where that is absolute (RFC 9112, 3.2.2).
pub fn settle_host(parts: &mut http::request::Parts) -> Option<HeaderValue> {
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(HOST, host);
    }
    parts.headers.get(HOST).cloned()
}

/// HTTP/2 clients may send a cookie field per cookie; HTTP/1.1 knows one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}
