//! What a description may say, and probably should not.

use crate::plan::Step;
use crate::service::{ServiceSpec, Stage, StrategyKind};
use crate::weight::WeightBp;

/// Sentences for `taxiway check` and the dry run: each names what was found and what to do.
pub fn advice(spec: &ServiceSpec) -> Vec<String> {
    let mut said = Vec::new();
    if !names_version(spec) {
        said.push(
            "nothing in `target` names `{version}` or `{artifact}`: every version starts the same command, and only \
             TAXIWAY_VERSION tells them apart"
                .to_owned(),
        );
    }
    if spec.strategy.kind == StrategyKind::Recreate && spec.stage == Stage::Production {
        said.push(
            "`recreate` is an outage and is refused in production; use `rolling` or `blue-green`".to_owned(),
        );
    }
    let exposed = |step: &&Step| step.weight > WeightBp::ZERO;
    let judged = spec.strategy.steps.iter().filter(exposed).any(|step| step.analysis);
    let checked = !spec.checks.is_empty()
        || spec.strategy.steps.iter().any(|s| !s.before.is_empty() || !s.after.is_empty());
    if !judged && !checked {
        said.push(format!(
            "no step of `{}` is judged and nothing is checked: only readiness can stop a bad version; add `analysis: true` or `checks`",
            spec.strategy.preset
        ));
    }
    for step in spec.strategy.steps.iter().filter(exposed) {
        if step.analysis && step.bake_ms == 0 {
            said.push(format!(
                "step `{}` is judged and bakes for no time: it goes on as soon as there is evidence",
                step.name
            ));
        }
    }
    said
}

fn names_version(spec: &ServiceSpec) -> bool {
    let target = &spec.target;
    let named = |text: &String| text.contains("{version}") || text.contains("{artifact}");
    target.command.iter().any(named)
        || named(&target.directory)
        || target.env.values().any(named)
        || target.artifact.as_ref().is_some_and(|artifact| artifact.from.contains("{version}"))
}

#[cfg(test)]
mod tests {
    use super::advice;
    use crate::document::{init::SMALLEST, read};

    fn given(text: &str) -> Vec<String> {
        advice(&read(text.as_bytes(), "/").expect("a good description"))
    }

    #[test]
    fn what_is_likely_a_mistake_is_said_and_nothing_else() {
        assert_eq!(given(SMALLEST), Vec::<String>::new());
        assert!(given(&SMALLEST.replace("-{version}", ""))[0].contains("TAXIWAY_VERSION"));
        let recreate = given(&format!("{SMALLEST}strategy: recreate\n"));
        assert!(recreate[0].contains("refused in production") && recreate[1].contains("only readiness"));
        let staged =
            format!("{SMALLEST}strategy: recreate\nstage: test\nchecks: [{{name: a, command: a}}]\n");
        assert_eq!(given(&staged), Vec::<String>::new());
        assert!(given(&format!("{SMALLEST}strategy: {{bake: 0s}}\n"))[0].contains("bakes for no time"));
    }
}
