//! Reads `taxiway.yaml` into a [`ServiceSpec`], or says everything that is wrong with it.
//!
//! Bytes in, value out: no file is opened here. [`parse`] makes a tree of nodes that know their
//! place, within budgets; [`fields`] reads it by the one table of keys in [`keys`], from which
//! the JSON Schema and the reference page are written too, so that they cannot say anything else.

mod advice;
mod analysis;
mod by_query;
pub mod canary_config;
mod checks;
mod fields;
pub mod init;
pub mod keys;
mod metric;
mod node;
pub mod openslo;
mod parse;
pub mod plain;
mod problem;
pub mod reference;
pub mod schema;
mod service;
mod signals;
mod slo;
mod source;
mod strategy;
mod target;
pub mod template;
mod traffic;
mod value;

pub use advice::advice;
pub use by_query::{Included, Named};
pub use problem::{Code, PROBLEMS_MAX, Problem};

use crate::metrics::TakeApart;
use crate::service::ServiceSpec;

/// Reads a service's description. Relative paths in it are resolved against `directory`, which is
/// absolute. Fails with every problem found (at most [`PROBLEMS_MAX`]), in the order of the file.
pub fn read(bytes: &[u8], directory: &str) -> Result<ServiceSpec, Vec<Problem>> {
    read_with(bytes, directory, None, None)
}

/// The file that a description names for its analysis, and what has to be known to take that
/// file's queries apart; none where it names none, or neither can be read ([`read`] says why).
pub fn named(bytes: &[u8], directory: &str) -> Option<Named> {
    let text = parse::text(bytes).ok()?;
    let context = fields::Context::new(text, directory);
    let root = parse::tree(text, &context)?;
    let file = fields::Fields::open(&context, &keys::SERVICE, &root, "")?;
    by_query::named(&file.section("analysis")?)
}

/// As [`read`], of a description that names a file for its analysis, which was read before, or
/// that has PromQL of its own, which `promql` takes apart.
pub fn read_with(
    bytes: &[u8],
    directory: &str,
    included: Option<Included<'_>>,
    promql: Option<&TakeApart<'_>>,
) -> Result<ServiceSpec, Vec<Problem>> {
    read_whole(bytes, directory, included, promql, None)
}

/// The OpenSLO files that a description names, as absolute paths.
pub fn slo_files(bytes: &[u8], directory: &str) -> Vec<String> {
    let Ok(text) = parse::text(bytes) else { return Vec::new() };
    let context = fields::Context::new(text, directory);
    let root = parse::tree(text, &context);
    let file = root.as_ref().and_then(|root| fields::Fields::open(&context, &keys::SERVICE, root, ""));
    file.and_then(|file| file.section("analysis")).map(|fields| slo::files(&fields)).unwrap_or_default()
}

/// As [`read_with`], of a description that names OpenSLO files, which were read before.
pub fn read_whole(
    bytes: &[u8],
    directory: &str,
    included: Option<Included<'_>>,
    promql: Option<&TakeApart<'_>>,
    slos: Option<&openslo::Objectives>,
) -> Result<ServiceSpec, Vec<Problem>> {
    let text = match parse::text(bytes) {
        Ok(text) => text,
        Err(problem) => return Err(vec![*problem]),
    };
    let context = fields::Context::new(text, directory);
    let spec =
        parse::tree(text, &context).and_then(|root| service::read(&root, &context, included, promql, slos));
    let problems = context.into_problems();
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ => {
            debug_assert!(!problems.is_empty(), "a description is read, or there is a problem");
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{fields::asked, keys, read};
    use std::collections::BTreeSet;

    #[test]
    fn every_key_of_the_table_is_asked_for_by_the_reader() {
        let largest = include_bytes!("../tests/it/largest.yaml");
        // Short forms leave the long ones unread, so both are read.
        let short: &[u8] = b"name: a\nowner: b\ntarget: {command: a}\ntraffic: {listen: '127.0.0.1:1'}\n\
            strategy: {preset: canary, bake: 1s, analysis: true, approval: [full]}\n\
            analysis: {metrics: {error_rate: {measure: error_rate}}}\n\
            checks: [{name: a, at: end, http: {url: 'http://a'}}]\n";
        let probes = b"name: a\nowner: b\ntarget: {command: a, readiness: {tcp: true}}\ntraffic: {listen: '127.0.0.1:1'}\n";
        let measures = include_bytes!("../tests/it/measures.yaml");
        let means = b"name: a\nowner: b\ntarget: {command: a}\ntraffic: {listen: '127.0.0.1:1'}\n\
            analysis:\n  sources: {j: {json: {url: 'http://a/{version}'}}, c: {csv: {path: '{side}.csv'}}}\n\
            \x20 metrics:\n    a: {source: j, count: $.n, sum: $.s, sum_of_squares: $.q}\n\
            \x20   b: {source: j, bad: $.b, total: $.t, by: kind}\n    c: {source: c, values: x}\n";
        for text in [&largest[..], short, probes, measures, means] {
            read(text, "/").expect("these descriptions are good");
        }
        let more = b"apiVersion: analysis/v1\nkind: CanaryConfig\nmetadata: {name: a}\nspec:\n  metrics:\n\
            \x20   - {name: a, bad: b, total: c, by: d, threshold: {max_absolute: 1}}\n\
            \x20   - {name: b, good: b, total: c, threshold: {min_absolute: 1, max_decrease_ratio: 2}}\n\
            \x20   - {name: c, count: b, sum: c, sum_of_squares: d, threshold: {min_absolute_percent: 1}}\n\
            \x20   - {name: d, values: b, threshold: {max_absolute: 1}}\n\
            \x20   - {name: e, value: b, threshold: {max_absolute: 1}}\n";
        super::canary_config::read(more).expect("this document is good");
        let config = super::canary_config::read(include_bytes!("../tests/it/canary-analysis.yaml"));
        let config = config.expect("this document is good");
        let query = |metric: &super::canary_config::Metric| crate::metrics::Query {
            metric: metric.name.clone(),
            text: metric.query.clone(),
            shape: crate::metrics::Shape::Scalar { expression: "a".into(), every_ms: 1, why: "b".into() },
        };
        let queries: Vec<_> = config.metrics.iter().map(query).collect();
        let with_file = b"name: a\nowner: b\ntarget: {command: a}\ntraffic: {listen: '127.0.0.1:1'}\n\
            analysis: {file: a.yaml, source: {prometheus: {url: 'http://a'}, canary: {a: b}}}\n";
        super::read_with(with_file, "/", Some(super::Included { config: &config, queries: &queries }), None)
            .expect("this description is good");
        let with_template = b"name: a\nowner: b\ntarget: {command: a}\ntraffic: {listen: '127.0.0.1:1'}\n\
            analysis: {template: {file: a.yaml, with: {a: b}}, source: {prometheus: {url: 'http://a'}}}\n";
        super::named(with_template, "/").expect("it names one");
        super::template::read(include_bytes!("../tests/it/template.yaml")).expect("this template is good");
        let promql = |asked: &[(crate::ids::MetricName, String)], _: &BTreeSet<String>| {
            let query = |(metric, text): &(crate::ids::MetricName, String)| crate::metrics::Query {
                metric: metric.clone(),
                text: text.clone(),
                shape: crate::metrics::Shape::Scalar {
                    expression: text.clone(),
                    every_ms: 1,
                    why: "b".into(),
                },
            };
            Ok(asked.iter().map(query).collect())
        };
        let sources = include_bytes!("../tests/it/sources.yaml");
        super::read_with(sources, "/", None, Some(&promql)).expect("this description is good");
        let table: BTreeSet<_> = keys::sections()
            .iter()
            .chain(&keys::canary_sections())
            .flat_map(|s| s.keys.iter().map(|k| (s.name, k.name.to_owned())))
            .collect();
        let asked = asked::all();
        assert_eq!(
            table.difference(&asked).collect::<Vec<_>>(),
            Vec::<&(&str, String)>::new(),
            "never asked for"
        );
        assert_eq!(
            asked.difference(&table).collect::<Vec<_>>(),
            Vec::<&(&str, String)>::new(),
            "not in the table"
        );
    }
}
