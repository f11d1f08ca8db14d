//! Releases of the past, read from the log: who asked, why, how it ended.

use std::collections::BTreeMap;

use taxiway_api::{HistoryEntry, Problem};
use taxiway_decide::environment::{Environment, Past};
use taxiway_model::event::Event;
use taxiway_model::ids::{ReleaseId, StreamId};
use taxiway_model::record::{Actor, Recorded};

use crate::desk::Desk;
use crate::feedback;
use crate::log;

impl Desk {
    /// The latest `limit` releases of a stream, newest first, with the one in flight.
    pub fn history(&self, stream: &StreamId, limit: usize) -> Result<Vec<HistoryEntry>, Problem> {
        let state = self.engine.state(stream);
        let mut entries: BTreeMap<ReleaseId, (u64, HistoryEntry)> = BTreeMap::new();
        log::each(&self.engine, stream, |recorded| {
            if let Event::ReleaseAccepted { release, .. } = &recorded.event {
                entries.insert(release.clone(), (recorded.seq, asked(recorded)));
            }
            Ok(())
        })?;
        for past in &state.history {
            if let Some((_, entry)) = entries.get_mut(&past.release) {
                end(entry, past);
            }
        }
        if let Some(flight) = &state.flight
            && let Some((_, entry)) = entries.get_mut(&flight.release)
        {
            entry.started_at = Some(flight.started_at);
            (entry.canary_requests, entry.canary_failed) = flight.evidence.canary_totals();
            entry.feedback = feedback::of_flight(&state, flight);
        }
        let mut entries: Vec<_> = entries.into_values().collect();
        entries.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
        Ok(entries.into_iter().take(limit).map(|(_, entry)| entry).collect())
    }
}

/// What an accepted release says of itself.
fn asked(recorded: &Recorded<Event>) -> HistoryEntry {
    let Event::ReleaseAccepted { release, plan, .. } = &recorded.event else {
        unreachable!("only called for accepted releases")
    };
    HistoryEntry {
        stream: recorded.stream.clone(),
        release: release.clone(),
        version: plan.version.name.clone(),
        baseline: plan.baseline.clone(),
        purpose: plan.purpose,
        outcome: None,
        sentence: String::new(),
        actor: recorded.actor.clone(),
        reason: recorded.reason.clone(),
        commit: plan.version.provenance.commit.clone(),
        accepted_at: recorded.at,
        started_at: None,
        ended_at: None,
        detect_ms: None,
        shift_ms: None,
        canary_requests: 0,
        canary_failed: 0,
        feedback: taxiway_api::FeedbackView::default(),
    }
}

fn end(entry: &mut HistoryEntry, past: &Past) {
    entry.outcome = Some(past.outcome);
    entry.sentence.clone_from(&past.sentence);
    entry.started_at = Some(past.started_at);
    entry.ended_at = Some(past.ended_at);
    entry.detect_ms = past.detect_ms;
    entry.shift_ms = past.shift_ms;
    entry.canary_requests = past.canary_requests;
    entry.canary_failed = past.canary_failed;
    entry.feedback = feedback::of_past(past);
}

/// An ended release from the state alone: without the words of whoever asked.
pub(crate) fn of_past(state: &Environment, past: &Past) -> HistoryEntry {
    let known = state.versions.get(&past.version);
    HistoryEntry {
        stream: state.stream.clone(),
        release: past.release.clone(),
        version: past.version.clone(),
        baseline: past.baseline.clone(),
        purpose: taxiway_model::plan::Purpose::Forward,
        outcome: Some(past.outcome),
        sentence: past.sentence.clone(),
        actor: Actor::Engine,
        reason: String::new(),
        commit: known.and_then(|known| known.version.provenance.commit.clone()),
        accepted_at: past.started_at,
        started_at: Some(past.started_at),
        ended_at: Some(past.ended_at),
        detect_ms: past.detect_ms,
        shift_ms: past.shift_ms,
        canary_requests: past.canary_requests,
        canary_failed: past.canary_failed,
        feedback: feedback::of_past(past),
    }
}
