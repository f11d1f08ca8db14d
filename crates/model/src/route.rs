//! What the proxy is told: one complete table per service, replaced as a whole.

use crate::ids::{Generation, StreamId, VersionName};
use crate::time::Timestamp;
use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything the proxy needs to serve one service. Complete and idempotent; a table of an older
/// generation than the proxy has is refused, the same generation may renew the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTable {
    /// The service and environment it is for.
    pub stream: StreamId,
    /// Which intent this is.
    pub generation: Generation,
    /// Where clients connect, and how they are treated.
    pub listen: Listen,
    /// The version that serves whatever no rule gives away. None while nothing may be served:
    /// the proxy answers 503 with a reason.
    pub baseline: Option<VersionName>,
    /// The version under test.
    pub canary: Option<CanaryRoute>,
    /// Instances by version. A version that is still draining stays here with weight zero.
    pub backends: BTreeMap<VersionName, Vec<Backend>>,
}

/// How the canary gets requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryRoute {
    /// The version under test.
    pub version: VersionName,
    /// Its share of the requests no header rule has claimed.
    pub weight: WeightBp,
    /// Requests that match go to the canary whatever the weight (internal users).
    pub header: Option<HeaderRule>,
    /// Share of the baseline's requests that is copied to the canary, the answers thrown away.
    pub mirror: WeightBp,
    /// Until when the canary may have its share. Past it, new requests go to the baseline.
    /// The proxy measures the span on its own monotonic clock from receipt.
    pub lease_ms: u64,
    /// How long open streams of a canary at weight zero may go on before they are closed.
    pub drain_ms: u64,
    /// Fresh instances of the baseline that get a share beside the canary, for as long as it has its.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<FreshRoute>,
}

/// How a fresh baseline gets requests: from the other end of the line that weights cut, so that who
/// is in the canary stays there, and who is beside it stays as long as there is room. While none of
/// its instances can take a request, the baseline does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshRoute {
    /// Its entry in `backends`.
    pub version: VersionName,
    /// Its share of the requests no header rule has claimed; with the canary's at most everything.
    pub weight: WeightBp,
}

/// A request matches when the header (or the cookie) has one of the values; no values: when present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// Header or cookie.
    pub from: HeaderSource,
    /// Its name.
    pub name: String,
    /// Accepted values, compared exactly; empty accepts any.
    pub values: Vec<String>,
}

/// Where a rule or a stickiness key is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderSource {
    /// A request header.
    Header,
    /// A cookie.
    Cookie,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// `host:port`; loopback for local processes.
    pub address: String,
    /// Which protocol it speaks.
    pub protocol: UpstreamProtocol,
    /// False once it is being drained: no new request, open ones finish.
    pub accepting: bool,
}

/// The protocol spoken to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1 with keep-alive.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, without TLS (gRPC).
    H2c,
}

/// How clients reach the service and what is held against them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// `host:port` addresses to accept on.
    pub addresses: Vec<String>,
    /// Certificate and key, reread when the files change.
    pub tls: Option<Tls>,
    /// What keeps a user on one side.
    pub sticky: Sticky,
    /// Networks (CIDR) whose `Forwarded`/`X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Bounds on what one client may use.
    pub limits: Limits,
    /// Path prefixes that are counted apart, most specific first; everything else is `other`.
    pub endpoint_classes: Vec<EndpointClass>,
    /// Active health check of instances by the proxy; none leaves it to passive health.
    pub health: Option<ActiveHealth>,
}

/// Certificate files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Path of the certificate chain.
    pub certificate: String,
    /// Path of the private key.
    pub key: String,
}

/// What keeps a user on one side of the split. Assignment is monotone: who is in at 5 % stays in
/// at 25 %, because the key is hashed to a point in 0..10,000 and compared with the weight.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Sticky {
    /// Each request on its own.
    #[default]
    None,
    /// A cookie; the proxy sets it when missing.
    Cookie {
        /// The cookie's name.
        name: String,
    },
    /// A request header, such as a user id; without it each request on its own.
    Header {
        /// The header's name.
        name: String,
    },
    /// The client's address.
    Address,
}

/// Requests whose path begins with `prefix` are counted under `name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointClass {
    /// The class in counts and metrics.
    pub name: String,
    /// Path prefix.
    pub prefix: String,
}

/// The proxy's own probe of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveHealth {
    /// Path asked for with GET; a 2xx is healthy.
    pub path: String,
    /// Time between probes.
    pub interval_ms: u64,
    /// Time limit of one probe.
    pub timeout_ms: u64,
    /// Failures in a row that take an instance out.
    pub unhealthy_after: u32,
    /// Successes in a row that bring it back.
    pub healthy_after: u32,
}

/// Bounds at the door. Each exists because some client has used its absence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of request head.
    pub header_bytes_max: u32,
    /// Number of header fields.
    pub header_count_max: u32,
    /// Bytes of request body; more is answered 413.
    pub body_bytes_max: u64,
    /// Open client connections.
    pub connections_max: u32,
    /// Time for a complete request head.
    pub header_ms_max: u64,
    /// Time between two pieces of a request body.
    pub body_idle_ms_max: u64,
    /// Time from the request's end to the answer's head; past it 504 and a timeout is counted.
    pub response_ms_max: u64,
    /// Time an idle connection is kept.
    pub idle_ms_max: u64,
    /// Streams at once on one HTTP/2 connection.
    pub h2_streams_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes_max: 64 * 1024,
            header_count_max: 100, // as many as are parsed without allocating
            body_bytes_max: 1024 * 1024 * 1024,
            connections_max: 20_000,
            header_ms_max: 10_000,
            body_idle_ms_max: 30_000,
            response_ms_max: 60_000,
            idle_ms_max: 75_000,
            h2_streams_max: 256,
        }
    }
}

/// What the proxy says of the table in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The generation in force from the next request on.
    pub generation: Generation,
    /// The canary's weight in force (zero when the lease has ended).
    pub weight: WeightBp,
    /// Whether the lease has ended.
    pub lease_ended: bool,
    /// When the table came into force, on the proxy's wall clock.
    pub since: Timestamp,
}
