//! Taxiway's data plane: a reverse proxy that splits traffic between a baseline and a canary.
//!
//! It runs as a process of its own (`taxiway proxy --dir <data-dir>`) and goes on serving when
//! engine, store and everything else are dead. It must never know a release: only route tables.
//!
//! # Starting and driving it
//! [`run`] serves until told to leave. Everything it keeps lies in `<dir>/proxy/`:
//! - `control.sock`, or what `--control-socket` names: one JSON object per line, each answered by
//!   one line (`taxiway_model::control::{Ask, Reply}`). Several connections at once are fine.
//!   `curl --unix-socket control.sock http://proxy/metrics` gives Prometheus' text format, as does
//!   the loopback address of [`Options::metrics`].
//! - `<service>@<environment>.json`: the table in force of each service, written before a table
//!   that exposes more takes effect. A restarted proxy serves from it at once; the canary gets
//!   nothing until its lease is renewed.
//! - `lock`: held by the process that serves this directory.
//!
//! # What the replies promise
//! - `Applied`: in force from the next request on, on every core.
//! - `Applied` to `ToBaseline`: no request is routed to the canary any more, and none will be until
//!   a table of a *newer* generation exposes it again. The disk is told afterwards.
//! - Counts are cumulative since `start`; a changed `start` means they began again at zero.
//!
//! # What it does not do
//! It never sends a request twice, but for one case: an idle connection turned out to be closed
//! before a single byte of the request was written; then the same instance gets it over another
//! connection (see [`pool`]). It never sends a canary's request to the baseline instead.
//!
//! # Taking over
//! A proxy started with [`Options::takeover`] on a directory that is served gets the listening
//! sockets of the one that serves it, which then finishes what is open and ends (see [`takeover`]).
//!
//! # Where to read first
//! [`exchange`] is one request from head to tail. [`table`], [`split`], [`health`], [`histogram`]
//! and [`head`] are pure. [`core`] is a thread with its own listeners and pools; [`service`] is
//! what cores share; [`plane`] is what the control socket changes.

pub mod answer;
pub mod body;
pub mod chunked;
pub mod clock;
pub mod connection;
pub mod control;
pub mod core;
pub mod counts;
pub mod error;
pub mod exchange;
pub mod head;
pub mod health;
pub mod histogram;
pub mod line;
pub mod listen;
pub mod metrics;
pub mod mirror;
pub mod networks;
pub mod persist;
pub mod plane;
pub mod pool;
pub mod probe;
mod run;
pub mod seat;
pub mod service;
pub mod split;
pub mod table;
pub mod takeover;
pub mod tls;
pub mod tunnel;
pub mod watch;
pub mod wire;

/// The places where the chaos suite may end this process, by the names of their fail points. They
/// exist only with the feature `failpoints`.
pub const CRASH_POINTS: [&str; 9] = [
    "proxy.before-table-persist",
    "proxy.after-table-persist",
    "proxy.after-accept",
    "proxy.before-route",
    "proxy.after-upstream-connect",
    "proxy.before-counts-snapshot",
    "proxy.takeover-received",
    "proxy.takeover-before-ready",
    "proxy.takeover-before-leave",
];

pub use error::Error;
pub use run::{CONTROL_SOCKET, Options, Running, run, start};
