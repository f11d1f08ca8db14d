//! Recordings from files, and of the releases of a data directory.

use std::path::Path;

use taxiway_api::LogEntry;
use taxiway_model::event::{Event, FORMAT};
use taxiway_model::ids::{ReleaseId, StreamId};
use taxiway_model::record::Recorded;
use taxiway_report::Recording;

use super::table::File;
use crate::client::Client;
use crate::error::{CliError, Code};

/// The recordings of a file, one after the other.
pub(crate) fn read(path: &Path) -> Result<Vec<Recording>, CliError> {
    let text = super::text(path)?;
    let name = path.display().to_string();
    let file = File { name: &name, text: &text };
    let hint = "write recordings with `taxiway log export RELEASE`";
    Recording::read(&text).map_err(|wrong| file.wrong(wrong.line, wrong.column, wrong.why, hint))
}

/// Everything that happened on a stream, as the log has it.
pub(crate) fn events(client: &Client, stream: &StreamId) -> Result<Vec<Recorded<Event>>, CliError> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let path =
            format!("/v1/log?after={after}&service={}&environment={}", stream.service, stream.environment);
        let entries: Vec<LogEntry> = client.get(&path)?;
        let Some(last) = entries.last() else { return Ok(events) };
        after = last.global;
        for entry in entries {
            let bytes = serde_json::to_vec(&entry.event).expect("JSON that was read can be written");
            // What this program does not understand is of no release it could judge.
            let Ok(event) = Event::from_bytes(FORMAT, &bytes) else { continue };
            events.push(Recorded {
                global: entry.global,
                stream: entry.stream,
                seq: entry.seq,
                at: entry.at,
                actor: entry.actor,
                origin: entry.origin,
                reason: entry.reason,
                event,
            });
        }
    }
}

/// The releases that were started, oldest first.
pub(crate) fn started(events: &[Recorded<Event>]) -> Vec<ReleaseId> {
    let release = |recorded: &Recorded<Event>| match &recorded.event {
        Event::ReleaseStarted { release } => Some(release.clone()),
        _ => None,
    };
    events.iter().filter_map(release).collect()
}

/// One release's recording.
pub(crate) fn of_release(events: &[Recorded<Event>], release: &ReleaseId) -> Result<Recording, CliError> {
    Recording::of_release(events, release).ok_or_else(|| {
        let known: Vec<String> = started(events).iter().map(ToString::to_string).collect();
        let why = match known.len() {
            0 => format!("{release} was never started, nor was any other"),
            _ => format!("{release} was never started; there are {}", known.join(", ")),
        };
        CliError::new(Code::BadArgument, why).hint("`taxiway history` shows them all")
    })
}
