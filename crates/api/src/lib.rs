//! What the resident process and its clients say to each other: requests, answers, updates.
//!
//! Plain data with serde, shared by server and CLI. No logic beyond filling a value from the
//! model's words. Read [`status`] first: it is what every view is drawn from. Times are
//! [`Timestamp`](taxiway_model::time::Timestamp)s of the resident process, spans milliseconds,
//! shares basis points, latencies microseconds.

pub mod explain;
pub mod feedback;
pub mod hook;
pub mod problem;
pub mod record;
pub mod request;
pub mod status;
pub mod summary;
pub mod update;

pub use explain::{
    Coming, Explained, Fate, Harm, Input, MetricView, NextStep, NormalView, QueryView, SourceState,
    SourceView, Unproven,
};
pub use feedback::{FeedbackRequest, FeedbackView, Said};
pub use hook::{Done, HookAnswer, HookResult, ListenRequest, Listening, SignalRequest};
pub use problem::{Class, Place, Problem};
pub use record::{HistoryEntry, LogEntry, Replayed, Verified};
pub use request::{CommandAnswer, CommandRequest, NormalAnswer, StartAnswer, StartRequest};
pub use status::{Flight, HoldView, Queued, Return, Side, State, Status, StepState, StepView, Timings};
pub use summary::{OutcomeWord, ReleaseSummary, Summary};
pub use update::Update;
