//! The texts of an import.

use std::fmt::Write as _;

use super::{Draft, Imported};
use crate::span;

/// Columns of a comment.
const COLUMNS: usize = 108;

pub(super) fn imported(draft: &Draft, file: &str) -> Imported {
    let config = (!draft.metrics.is_empty()).then(|| config(draft));
    let fragment = fragment(draft, config.is_some().then_some(file));
    Imported { peer: draft.peer, config, fragment, left: draft.left.clone() }
}

/// A comment, broken into lines.
fn comment(text: &mut String, indent: &str, sentence: &str) {
    let mut line = format!("{indent}#");
    for word in sentence.split_whitespace() {
        if line.len() + word.len() >= COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line = format!("{indent}#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// A text between quotes of YAML, which are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is a text")
}

fn config(draft: &Draft) -> String {
    let mut text = String::new();
    comment(&mut text, "", &format!("Carried over from {}.", draft.peer));
    for note in draft.notes.iter().chain(&draft.left) {
        comment(&mut text, "", note);
    }
    _ = writeln!(
        text,
        "apiVersion: analysis/v1\nkind: CanaryConfig\nmetadata:\n  name: {}\nspec:",
        draft.name
    );
    if !draft.steps.is_empty() {
        text.push_str("  steps:\n");
        for (percentage, ms) in &draft.steps {
            _ = writeln!(text, "    - percentage: {percentage}\n      duration: {}", span::show(*ms));
        }
    }
    text.push_str("  metrics:\n");
    for metric in &draft.metrics {
        for note in &metric.notes {
            comment(&mut text, "    ", note);
        }
        _ = writeln!(
            text,
            "    - name: {}\n      query: {}\n      threshold:",
            metric.name,
            quoted(&metric.query)
        );
        for (key, value) in &metric.threshold {
            _ = writeln!(text, "        {key}: {value}");
        }
        if !metric.critical {
            text.push_str("      critical: false\n");
        }
        if !metric.required {
            text.push_str("      required: false\n");
        }
    }
    text
}

fn fragment(draft: &Draft, file: Option<&str>) -> String {
    let mut text = String::new();
    if file.is_none() {
        comment(&mut text, "", &format!("Carried over from {}.", draft.peer));
        for note in draft.notes.iter().chain(&draft.left) {
            comment(&mut text, "", note);
        }
        if !draft.steps.is_empty() {
            text.push_str("strategy:\n  steps:\n");
            for (percentage, ms) in &draft.steps {
                _ = writeln!(text, "    - {{weight: {percentage}%, bake: {}}}", span::show(*ms));
            }
        }
    }
    text.push_str("analysis:\n");
    if let Some(file) = file {
        _ = writeln!(text, "  file: {}\n  source:", quoted(file));
        if let Some(url) = &draft.url {
            _ = writeln!(text, "    prometheus: {{url: {}}}", quoted(url));
        } else {
            comment(&mut text, "    ", "Nothing says where Prometheus is; put its address here.");
            text.push_str("    prometheus: {url: 'http://prometheus:9090'}\n");
        }
        let labels = "Canary and baseline are told apart by these labels, added to every selector of every query: \
                      write those your series carry.";
        comment(&mut text, "    ", labels);
        text.push_str("    canary: {version: '{version}'}\n    baseline: {version: '{version}'}\n");
    }
    if !draft.built_in.is_empty() {
        text.push_str("  metrics:\n");
        for metric in &draft.built_in {
            for note in &metric.notes {
                comment(&mut text, "    ", note);
            }
            _ = writeln!(text, "    {}: {{rollback_above: {}}}", metric.name, metric.rollback_above);
        }
    }
    if !draft.checks.is_empty() {
        text.push_str("checks:\n");
    }
    for check in &draft.checks {
        for note in &check.notes {
            comment(&mut text, "  ", note);
        }
        _ = writeln!(
            text,
            "  - {{name: {}, at: {}, on_failure: {}, http: {{url: {}, method: POST}}}}",
            check.name,
            check.at,
            check.on_failure,
            quoted(&check.url)
        );
    }
    text
}
