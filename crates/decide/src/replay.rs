//! Replay: the log is folded again and every judgement made again; all must come out the same,
//! byte for byte.

use crate::environment::{Environment, evolve};
use crate::judge;
use taxiway_model::event::Event;
use taxiway_model::ids::StreamId;
use taxiway_model::record::Recorded;

/// What a replay found.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The state at the end.
    pub state: Environment,
    /// Events folded.
    pub events: u64,
    /// Judgements that came out the same.
    pub same: u64,
    /// Judgements that did not: place and both sentences.
    pub different: Vec<Difference>,
}

/// A judgement that is not what the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its place in the stream.
    pub seq: u64,
    /// As recorded.
    pub recorded: String,
    /// As made again.
    pub again: String,
}

/// Folds the events of one stream and judges again wherever the log has a judgement.
pub fn replay<'a>(stream: StreamId, events: impl IntoIterator<Item = &'a Recorded<Event>>) -> Replayed {
    let mut replayed =
        Replayed { state: Environment::new(stream), events: 0, same: 0, different: Vec::new() };
    for recorded in events {
        if let Event::Judged { step, judgement } = &recorded.event {
            let again = replayed.state.flight.as_ref().map(|flight| {
                let question = judge::question(&flight.plan, *step);
                judge::judge(&flight.plan.analysis, &flight.evidence, question)
            });
            let bytes = |judgement| serde_json::to_vec(judgement).expect("a judgement is plain data");
            match &again {
                Some(again) if bytes(again) == bytes(&**judgement) => replayed.same += 1,
                _ => replayed.different.push(Difference {
                    seq: recorded.seq,
                    recorded: format!("{}: {}", judgement.verdict, judgement.sentence),
                    again: again.map_or_else(
                        || "no release is in flight there".to_owned(),
                        |again| format!("{}: {}", again.verdict, again.sentence),
                    ),
                }),
            }
        }
        replayed.state = evolve(replayed.state, recorded);
        replayed.events += 1;
    }
    replayed
}
