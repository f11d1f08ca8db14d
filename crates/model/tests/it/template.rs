//! Analysis templates: gaps, values, digests, and what is told of their misuse.

use std::collections::BTreeMap;
use taxiway_model::document::template::{self, misuse, pin, read};
use taxiway_model::document::{self, Code, Included, Problem};
use taxiway_model::ids::Digest;
use taxiway_model::metrics::{Query, Shape};

const TEMPLATE: &str = include_str!("template.yaml");
const SERVICE: &str =
    "name: shop\nowner: me\ntarget: {command: ./run}\ntraffic: {listen: '127.0.0.1:8080'}\n";
const SOURCE: &str = "  source: {prometheus: {url: 'http://p:9090'}}\n";

fn good(text: &str) -> template::Template {
    read(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn first(problems: Vec<Problem>) -> (Code, String) {
    let problem = problems.into_iter().next().expect("there is a problem");
    (problem.code, problem.to_string())
}

fn bad(text: &str) -> (Code, String) {
    first(read(text.as_bytes()).map(|_| ()).expect_err("this is no good template"))
}

fn description(template: &str) -> String {
    format!("{SERVICE}analysis:\n  template:\n{template}{SOURCE}")
}

fn told(description: &str) -> Vec<Problem> {
    misuse(description.as_bytes(), "/srv", &good(TEMPLATE))
}

#[test]
fn gaps_are_filled_by_values_and_defaults() {
    let template = good(TEMPLATE);
    let given = |values: &[(&str, &str)]| -> BTreeMap<String, String> {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let config = template.fill(&given(&[("service", "shop")])).expect("it fills");
    assert_eq!(config.metrics[0].query.matches("service=\"shop\"").count(), 2);
    assert_eq!(config.metrics[0].threshold.increase_bp, Some(20_000));
    let config = template.fill(&given(&[("service", "shop"), ("errors", "1.5")])).expect("it fills");
    assert_eq!(config.metrics[0].threshold.increase_bp, Some(15_000));
    // A value that does not fit is told where the gap stands.
    let problems = template.fill(&given(&[("service", "shop"), ("errors", "many")])).expect_err("no number");
    assert_eq!(
        (problems[0].line, problems[0].path.as_str()),
        (18, "spec.metrics[0].threshold.max_increase_ratio")
    );
}

#[test]
fn a_description_uses_it_like_a_file() {
    let text = description("    {file: ../templates/http.yaml, with: {service: shop}}\n");
    let named = document::named(text.as_bytes(), "/srv").expect("it names one");
    assert_eq!(named.path, "/srv/../templates/http.yaml");
    let used = named.template.expect("it is a template");
    assert_eq!((used.digest, used.with["service"].as_str()), (None, "shop"));
    let config = good(TEMPLATE).fill(&used.with).expect("it fills");
    let queries: Vec<Query> = config
        .metrics
        .iter()
        .map(|metric| Query {
            metric: metric.name.clone(),
            text: metric.query.clone(),
            shape: Shape::Counts { bad: "a".into(), total: "b".into(), scale_micro: 1_000_000 },
        })
        .collect();
    let included = Included { config: &config, queries: &queries };
    let service = document::read_with(text.as_bytes(), "/srv", Some(included), None);
    let service = service.unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(service.analysis.metrics[0].name.as_str(), "error_rate");
    assert_eq!(service.analysis.metrics[0].red_bp, 20_000);
    let both = text.replace("  template:", "  file: a.yaml\n  template:");
    let both = document::read_with(both.as_bytes(), "/srv", Some(included), None).expect_err("both");
    assert!(both.iter().any(|problem| problem.message.contains("has a file too")), "{both:?}");
}

#[test]
fn another_digest_is_refused_with_both() {
    let pinned =
        format!("    file: t.yaml\n    with: {{service: shop}}\n    digest: sha256:{}\n", "ab".repeat(32));
    let (code, said) = first(told(&description(&pinned)));
    assert_eq!(code, Code::Conflict);
    let is = Digest::of(TEMPLATE.as_bytes()).to_string();
    assert!(said.starts_with("line 9, column 13: analysis.template.digest"), "{said}");
    assert!(said.contains(&is) && said.contains(&"ab".repeat(32)) && said.contains("check --pin"), "{said}");
    let right = pinned.replace(&format!("sha256:{}", "ab".repeat(32)), &is);
    assert_eq!(told(&description(&right)), []);
}

#[test]
fn parameters_that_are_missing_or_too_many_are_told_where_they_stand() {
    let (code, said) = first(told(&description("    file: t.yaml\n    with:\n      servce: shop\n")));
    assert_eq!(code, Code::UnknownKey, "{said}");
    let problems =
        told(&description("    file: t.yaml\n    with:\n      service: shop\n      servce: shop\n"));
    let (code, said) = first(problems);
    assert_eq!(code, Code::UnknownKey);
    assert!(said.starts_with("line 10, column 7: analysis.template.with.servce"), "{said}");
    assert!(said.contains("did you mean `service`?"), "{said}");
    let (_, said) = first(told(&description("    file: t.yaml\n")));
    assert!(said.contains("`service` has no value"), "{said}");
}

#[test]
fn what_is_no_template_says_where() {
    let (code, said) = bad(&TEMPLATE.replace("{{ errors }}", "{{ error }}"));
    assert_eq!(code, Code::BadValue);
    assert!(said.starts_with("line 18, column 27") && said.contains("no parameter `error`"), "{said}");
    let (code, said) = bad(&TEMPLATE.replace("AnalysisTemplate", "CanaryConfig"));
    assert_eq!((code, said.contains("`analysis.file`")), (Code::UnknownWord, true));
    assert_eq!(bad(&TEMPLATE.replace("kind: AnalysisTemplate\n", "")).0, Code::MissingKey);
    assert_eq!(bad(&TEMPLATE.replace("name: errors", "name: service")).0, Code::DuplicateName);
    assert_eq!(bad(&TEMPLATE.replace("default: 2.0", "devault: 2.0")).0, Code::UnknownKey);
    assert_eq!(bad("- a\n").0, Code::WrongKind);
    assert_eq!(bad("").0, Code::Empty);
}

/// The digest is put in place of the one there is, or after `file`; the rest of the text stays as it is.
#[test]
fn a_description_is_pinned_in_place() {
    let digest = Digest::of(TEMPLATE.as_bytes());
    for (before, after) in [
        (
            "    file: t.yaml # ours\n    with: {service: shop}\n",
            format!("    file: t.yaml # ours\n    digest: {digest}\n    with: {{service: shop}}\n"),
        ),
        (
            "    {file: 't.yaml', with: {service: shop}}\n",
            format!("    {{file: 't.yaml', digest: '{digest}', with: {{service: shop}}}}\n"),
        ),
        (
            &*format!(
                "    file: t.yaml\n    digest: 'sha256:{}'\n    with: {{service: shop}}\n",
                "ab".repeat(32)
            ),
            format!("    file: t.yaml\n    digest: {digest}\n    with: {{service: shop}}\n"),
        ),
    ] {
        let pinned = pin(&description(before), "/srv", &digest).expect("it was not pinned");
        assert_eq!(pinned, description(&after));
        assert_eq!(told(&pinned), []);
        assert_eq!(pin(&pinned, "/srv", &digest), None, "it is pinned");
    }
    assert_eq!(pin(SERVICE, "/srv", &digest), None);
}
