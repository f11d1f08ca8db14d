//! Several judges' answers on the same recordings, side by side. A row needs no more than a name
//! and a [`Decision`], so that other judges than ours have their rows as well.

use crate::course::{self, Course, Decision, Exposure};
use crate::recording::{Recording, Truth};
use serde::{Deserialize, Serialize};
use taxiway_model::verdict::Verdict;

/// What one judge says of one recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The recording.
    pub recording: String,
    /// What its version turned out to be; none: nobody knows.
    pub truth: Option<Truth>,
    /// The judge, with the policy it went by.
    pub judge: String,
    /// What it says, since when, and why.
    #[serde(flatten)]
    pub decision: Decision,
    /// What the canary cost by then.
    pub exposure: Exposure,
}

/// The rows with what they come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of this format.
    pub format: u32,
    /// By recording, and in it by judge, the first judge being what the others are held against.
    pub rows: Vec<Row>,
    /// One for each judge, in the same order.
    pub totals: Vec<Total>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What one judge's answers come to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Total {
    /// The judge.
    pub judge: String,
    /// Recordings of versions that were healthy …
    pub healthy: u32,
    /// … of which so many were sent back,
    pub false_alarms: u32,
    /// … and so many could have gone on.
    pub passed: u32,
    /// Recordings of versions that were bad …
    pub bad: u32,
    /// … of which so many were sent back.
    pub caught: u32,
    /// Median time to the verdict on those, in milliseconds.
    pub median_ms: Option<u64>,
    /// Requests that the canaries had, over all recordings.
    pub requests: u64,
    /// Failed ones among them.
    pub failed: u64,
}

/// A judge's row.
pub fn row(recording: &Recording, judge: &str, decision: Decision) -> Row {
    Row {
        recording: recording.head.name.clone(),
        truth: recording.truth(),
        judge: judge.to_owned(),
        exposure: course::exposure(recording, &decision),
        decision,
    }
}

/// Our judge's row.
pub fn own_row(recording: &Recording, judge: &str, course: &Course) -> Row {
    row(recording, judge, course.decision.clone())
}

impl Comparison {
    /// Adds up rows.
    pub fn of(rows: Vec<Row>, notes: Vec<String>) -> Self {
        let mut judges: Vec<&str> = Vec::new();
        for row in &rows {
            if !judges.contains(&row.judge.as_str()) {
                judges.push(&row.judge);
            }
        }
        let totals = judges.iter().map(|judge| total(judge, &rows)).collect();
        Self { format: 1, rows, totals, notes }
    }

    /// As pretty JSON, ended by a line feed.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("rows are plain data with string keys");
        text.push('\n');
        text
    }

    /// The rows of each recording, in order.
    pub fn by_recording(&self) -> Vec<&[Row]> {
        self.rows.chunk_by(|a, b| a.recording == b.recording).collect()
    }
}

fn total(judge: &str, rows: &[Row]) -> Total {
    let mut total = Total { judge: judge.to_owned(), ..Total::default() };
    let mut times: Vec<u64> = Vec::new();
    for row in rows.iter().filter(|row| row.judge == judge) {
        let back = row.decision.verdict == Verdict::Rollback;
        total.requests += row.exposure.requests;
        total.failed += row.exposure.failed;
        match row.truth {
            Some(Truth::Healthy) => {
                total.healthy += 1;
                total.false_alarms += u32::from(back);
                total.passed += u32::from(row.decision.verdict == Verdict::Proceed);
            }
            Some(Truth::Bad) => {
                total.bad += 1;
                total.caught += u32::from(back);
                times.extend(row.decision.at_ms.filter(|_| back));
            }
            None => {}
        }
    }
    times.sort_unstable();
    total.median_ms = times.get(times.len().saturating_sub(1) / 2).copied();
    total
}
