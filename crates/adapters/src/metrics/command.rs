//! A program that prints JSON, run once a side.

use std::collections::BTreeMap;

use taxiway_model::ids::version_and_group;
use taxiway_model::metrics::Side;
use tokio::process::Command;

use super::answer::{Answer, Vector};
use super::ask::Question;
use super::exchange::{Failure, cut, now_s};
use super::json;
use crate::child::{self, End};

pub(super) async fn ask(command: &[String], question: &Question) -> Result<Answer, Failure> {
    let mut vector = Vector::default();
    for ((side, version), (_, paths)) in question.sides.iter().zip(question.texts()) {
        let printed = run(command, question, *side, version).await?;
        let document = serde_json::from_slice(&printed)
            .map_err(|error| Failure::new(format!("what it prints is not JSON: {error}")))?;
        json::numbers(&document, &question.query.shape, *side, &paths, &mut vector)?;
        vector.at_s = Some(now_s());
    }
    Ok(Answer::Now(vector))
}

async fn run(command: &[String], question: &Question, side: Side, version: &str) -> Result<Vec<u8>, Failure> {
    let words: Vec<String> = command.iter().map(|word| question.source.filled(word, side, version)).collect();
    let (program, arguments) = words.split_first().ok_or_else(|| Failure::new("there is no program"))?;
    let (plain, group) = version_and_group(version);
    let environment = BTreeMap::from([
        ("TAXIWAY_VERSION", plain),
        ("TAXIWAY_GROUP", group),
        ("TAXIWAY_SIDE", side.word()),
        ("TAXIWAY_METRIC", question.query.metric.as_str()),
    ]);
    let mut prepared = Command::new(program);
    prepared.args(arguments).envs(environment);
    let ran = child::run(prepared, question.limit).await;
    let ran = ran.map_err(|error| Failure::new(format!("{program} cannot be run: {error}")))?;
    match ran.end {
        End::Exited(status) if status.success() && ran.cut_bytes == 0 => Ok(ran.stdout),
        End::Exited(status) if status.success() => {
            Err(Failure::new(format!("{program} prints more than {} KiB", child::OUTPUT_BYTES_MAX >> 10)))
        }
        End::Exited(status) => {
            let said = String::from_utf8_lossy(&ran.output);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
            Err(Failure::new(format!("{program} {}: {}", child::describe(status), cut(last))))
        }
        End::TimedOut => {
            Err(Failure::new(format!("{program} gave no answer within {} ms", question.limit.as_millis())))
        }
    }
}
