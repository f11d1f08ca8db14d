//! The published reference says what the reader does: both come from one table.

use std::path::Path;
use taxiway_model::document::{canary_config, keys, reference, schema};

/// Compares a published file with what it is written from; `TAXIWAY_BLESS=1` writes it.
fn published(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("TAXIWAY_BLESS").is_some() {
        std::fs::write(&path, text).expect("the repository can be written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "docs/reference/{name} is stale: TAXIWAY_BLESS=1 cargo test -p taxiway-model reference"
    );
}

#[test]
fn the_schema_is_the_tables() {
    published("taxiway.schema.json", &schema::text());
}

#[test]
fn the_page_is_the_tables() {
    published("taxiway-yaml.md", &reference::page());
}

#[test]
fn the_canary_config_has_a_page_and_a_schema_and_its_example_is_right() {
    published("canary-config.md", &reference::canary_page());
    published("canary-config.schema.json", &schema::canary_text());
    let page = reference::canary_page();
    let example = page.split("```").nth(1).and_then(|text| text.strip_prefix("yaml\n")).expect("an example");
    canary_config::read(example.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#?}"));
}

#[test]
fn every_reference_of_the_schema_leads_somewhere() {
    let schema = schema::schema();
    let text = schema.to_string();
    for part in text.split("\"$ref\":\"#/$defs/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schema["$defs"].get(name).is_some(), "{name}");
    }
    assert_eq!(schema["$defs"].as_object().unwrap().len() + 1, keys::sections().len());
}
