//! The presets of the requirements' annex, each expanded to plain steps.
//!
//! Where the annex names no time, a step bakes for [`UNSPECIFIED_MS`].

use crate::ids::StepName;
use crate::plan::Step;
use crate::route::HeaderRule;
use crate::service::{Strategy, StrategyKind};
use crate::weight::WeightBp;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Bake time of a step whose time the annex leaves open: as long as any wait may last (R3.1).
pub const UNSPECIFIED_MS: u64 = 5 * MINUTE_MS;

/// A preset by name, for lists and references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name in `taxiway.yaml`.
    pub name: &'static str,
    /// What it does, one line.
    pub summary: &'static str,
}

/// Every preset, the refused ones too.
pub const PRESETS: &[Preset] = &[
    Preset { name: "canary", summary: "1, 5, 25, 100 % of the traffic with 5, 5, 10 and 30 minutes" },
    Preset { name: "quick", summary: "1 % for 15 minutes, then 10, 50, 100 %" },
    Preset { name: "dependency", summary: "10, 50, 100 %: for a changed dependency" },
    Preset { name: "two-step", summary: "10 % for 15 minutes, then 100 %" },
    Preset { name: "mesh", summary: "5 % for 15 minutes, then 25, 50, 100 %, 15 minutes each" },
    Preset { name: "hourly", summary: "5, 25, 100 %, an hour each" },
    Preset { name: "promote", summary: "50 %, then 100 % after 15 minutes" },
    Preset {
        name: "staged",
        summary: "dark, the team for a day, 5, 25, 50 % a day each, 100 % watched for a week; needs `traffic.internal_users`",
    },
    Preset {
        name: "blue-green",
        summary: "a full second set is tested, then everything flips and is watched for 30 minutes; the old set stays 24 hours",
    },
    Preset { name: "rolling", summary: "instance by instance, one at a time, each step gated by readiness" },
    Preset { name: "recreate", summary: "stop the old, start the new: an outage, refused in production" },
    Preset {
        name: "cost",
        summary: "50 % for a day with as many instances as the baseline has, then 100 %: cost against performance at equal load",
    },
    Preset {
        name: "serverless",
        summary: "refused here: it needs functions with weighted aliases as the target",
    },
];

/// Why a preset cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No preset has this name.
    #[error("there is no preset {0:?}")]
    Unknown(String),
    /// It needs a kind of target that this description does not have.
    #[error("preset `{preset}` needs {needs}; this service runs as local processes")]
    Target {
        /// The preset.
        preset: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// It exposes the version to internal users first, and none are declared.
    #[error("preset `staged` begins with internal users, and none are declared")]
    InternalUsers,
}

/// The steps of a preset for a service with `replicas` instances at full exposure.
pub fn expand(
    name: &str,
    replicas: u32,
    internal_users: Option<&HeaderRule>,
) -> Result<Strategy, Unavailable> {
    let canary = |shares: &[(u16, u64)]| (StrategyKind::Canary, ramp(shares), 0);
    let (kind, steps, retire_after_ms) = match name {
        "canary" => canary(&[
            (100, 5 * MINUTE_MS),
            (500, 5 * MINUTE_MS),
            (2_500, 10 * MINUTE_MS),
            (10_000, 30 * MINUTE_MS),
        ]),
        "quick" => canary(&[
            (100, 15 * MINUTE_MS),
            (1_000, UNSPECIFIED_MS),
            (5_000, UNSPECIFIED_MS),
            (10_000, UNSPECIFIED_MS),
        ]),
        "dependency" => canary(&[(1_000, UNSPECIFIED_MS), (5_000, UNSPECIFIED_MS), (10_000, UNSPECIFIED_MS)]),
        "two-step" => canary(&[(1_000, 15 * MINUTE_MS), (10_000, UNSPECIFIED_MS)]),
        "mesh" => canary(&[500, 2_500, 5_000, 10_000].map(|bp| (bp, 15 * MINUTE_MS))),
        "hourly" => canary(&[500, 2_500, 10_000].map(|bp| (bp, HOUR_MS))),
        "promote" => canary(&[(5_000, 15 * MINUTE_MS), (10_000, UNSPECIFIED_MS)]),
        "cost" => (StrategyKind::Canary, equal_load(replicas), 0),
        "staged" => {
            let team = internal_users.ok_or(Unavailable::InternalUsers)?;
            (StrategyKind::Canary, staged(team), 0)
        }
        "blue-green" => (StrategyKind::BlueGreen, blue_green(replicas), DAY_MS),
        "rolling" => (StrategyKind::Rolling, rolling(replicas), 0),
        "recreate" => (StrategyKind::Recreate, recreate(replicas), 0),
        "serverless" => {
            return Err(Unavailable::Target {
                preset: "serverless",
                needs: "functions with weighted aliases",
            });
        }
        other => return Err(Unavailable::Unknown(other.to_owned())),
    };
    Ok(Strategy { kind, preset: name.to_owned(), steps, retire_after_ms })
}

/// A step that is judged, with nothing special about it.
pub fn step(name: &str, weight: WeightBp, bake_ms: u64) -> Step {
    Step {
        name: StepName::new(name).expect("names of presets keep the rule"),
        weight,
        instances: None,
        baseline_instances: None,
        header: None,
        mirror: WeightBp::ZERO,
        bake_ms,
        analysis: true,
        approval: false,
        before: Vec::new(),
        after: Vec::new(),
    }
}

/// What a step of this weight is called unless its owner names it: `canary-5`, `canary-0.5`, `full`.
pub fn name_for(weight: WeightBp) -> String {
    if weight == WeightBp::ALL {
        return "full".to_owned();
    }
    format!("canary-{}", weight.to_string().trim_end_matches('%'))
}

fn share(bp: u16) -> WeightBp {
    WeightBp::new(bp).expect("shares of presets are at most everything")
}

/// Judged steps of rising weight: basis points and bake time in milliseconds.
fn ramp(shares: &[(u16, u64)]) -> Vec<Step> {
    shares.iter().map(|(bp, bake_ms)| step(&name_for(share(*bp)), share(*bp), *bake_ms)).collect()
}

/// A day side by side: what a request costs can be compared where an instance of either side gets as
/// many of them (R4.9).
fn equal_load(replicas: u32) -> Vec<Step> {
    let mut steps = ramp(&[(500, UNSPECIFIED_MS), (5_000, DAY_MS), (10_000, UNSPECIFIED_MS)]);
    steps[1].instances = Some(replicas);
    steps
}

/// The part of the staged sequence (R3.2) that traffic can express.
fn staged(team: &HeaderRule) -> Vec<Step> {
    let dark = Step { analysis: false, ..step("dark", WeightBp::ZERO, 0) };
    let internal = Step { header: Some(team.clone()), ..step("team", WeightBp::ZERO, DAY_MS) };
    let mut steps = vec![dark, internal];
    steps.extend(ramp(&[(500, DAY_MS), (2_500, DAY_MS), (5_000, DAY_MS), (10_000, 7 * DAY_MS)]));
    steps
}

fn blue_green(replicas: u32) -> Vec<Step> {
    // Green is gated by readiness and smoke tests; there is no traffic to judge yet.
    let green = Step { instances: Some(replicas), analysis: false, ..step("green", WeightBp::ZERO, 0) };
    let flip = Step { instances: Some(replicas), ..step("flip", WeightBp::ALL, 30 * MINUTE_MS) };
    vec![green, flip]
}

/// One instance more of the new and one less of the old per step: `maxSurge` 1 while the new one
/// starts, `maxUnavailable` 1 afterwards.
fn rolling(replicas: u32) -> Vec<Step> {
    (1..=replicas)
        .map(|k| {
            let bp = u64::from(k) * 10_000 / u64::from(replicas);
            Step {
                instances: Some(k),
                baseline_instances: Some(replicas - k),
                analysis: false,
                ..step(&format!("instance-{k}"), share(bp as u16), 0)
            }
        })
        .collect()
}

fn recreate(replicas: u32) -> Vec<Step> {
    let none = Step { baseline_instances: Some(0), analysis: false, ..step("stop", WeightBp::ZERO, 0) };
    vec![
        Step { instances: Some(0), ..none.clone() },
        Step {
            instances: Some(replicas),
            name: step("start", WeightBp::ALL, 0).name,
            weight: WeightBp::ALL,
            ..none
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::HeaderSource;

    fn team() -> HeaderRule {
        HeaderRule { from: HeaderSource::Header, name: "x-team".into(), values: vec!["1".into()] }
    }

    #[test]
    fn every_preset_rises_to_everything_with_distinct_names_or_says_why_not() {
        for preset in PRESETS {
            for replicas in [1, 2, 3, 7, 100] {
                let strategy = match expand(preset.name, replicas, Some(&team())) {
                    Ok(strategy) => strategy,
                    Err(why) => {
                        assert_eq!(preset.name, "serverless", "{why}");
                        continue;
                    }
                };
                assert_eq!(strategy.steps.last().unwrap().weight, WeightBp::ALL, "{}", preset.name);
                for pair in strategy.steps.windows(2) {
                    assert!(pair[0].weight < pair[1].weight || pair[1].weight == WeightBp::ZERO);
                    assert!(strategy.steps.iter().filter(|s| s.name == pair[0].name).count() == 1);
                }
            }
        }
    }

    #[test]
    fn rolling_never_lacks_more_than_one_instance_nor_has_more_than_one_beyond() {
        for replicas in 1..=20 {
            let steps = expand("rolling", replicas, None).unwrap().steps;
            let mut old = replicas;
            for (k, step) in (1..).zip(&steps) {
                assert_eq!(step.canary_instances(replicas), k);
                assert!(k + old <= replicas + 1, "surge while instance {k} starts");
                old = step.baseline_instances(replicas);
                assert_eq!(k + old, replicas);
            }
            assert_eq!(old, 0);
        }
    }

    #[test]
    fn the_canary_is_the_annexes() {
        let steps = expand("canary", 4, None).unwrap().steps;
        let shape: Vec<_> =
            steps.iter().map(|s| (s.name.as_str(), s.weight.bp(), s.bake_ms / MINUTE_MS)).collect();
        assert_eq!(
            shape,
            [("canary-1", 100, 5), ("canary-5", 500, 5), ("canary-25", 2_500, 10), ("full", 10_000, 30)]
        );
    }

    #[test]
    fn staged_needs_internal_users() {
        assert_eq!(expand("staged", 1, None), Err(Unavailable::InternalUsers));
        let steps = expand("staged", 1, Some(&team())).unwrap().steps;
        assert_eq!(steps[1].header, Some(team()));
    }
}
