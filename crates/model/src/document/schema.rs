//! The JSON Schema of `taxiway.yaml`, for editors: written from the table of keys.
//!
//! It says what a schema can say; the reader knows more (rising steps, names that must exist).

use super::keys::{self, Key, Kind, Need, SERVICE, Section};
use serde_json::{Map, Value, json};

/// The schema (draft 2020-12).
pub fn schema() -> Value {
    let inner = keys::sections().into_iter().filter(|section| section.name != SERVICE.name);
    let defs: Map<String, Value> = inner.map(|section| (def(section), object(section))).collect();
    let mut root = object(&SERVICE);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("taxiway.yaml");
    root["$defs"] = Value::Object(defs);
    root
}

/// The schema of a `CanaryConfig` as it stands in `docs/reference/canary-config.schema.json`.
pub fn canary_text() -> String {
    let sections = keys::canary_sections();
    let (root, inner) = sections.split_first().expect("the document itself comes first");
    let defs: Map<String, Value> = inner.iter().map(|section| (def(section), object(section))).collect();
    let mut schema = object(root);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("CanaryConfig");
    schema["$defs"] = Value::Object(defs);
    serde_json::to_string_pretty(&schema).expect("a schema is plain data with string keys") + "\n"
}

/// The schema as it stands in `docs/reference/taxiway.schema.json`.
pub fn text() -> String {
    serde_json::to_string_pretty(&schema()).expect("a schema is plain data with string keys") + "\n"
}

fn def(section: &Section) -> String {
    section.name.replace(' ', "_")
}

fn reference(section: &Section) -> Value {
    json!({ "$ref": format!("#/$defs/{}", def(section)) })
}

fn object(section: &Section) -> Value {
    let properties: Map<String, Value> =
        section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        section.keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut object = json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    if !section.one_of.is_empty() {
        object["oneOf"] = section.one_of.iter().map(|name| json!({ "required": [name] })).collect();
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = value(&key.kind);
    property["description"] = match key.need {
        Need::Default(text) | Need::From(text) => json!(format!("{} Without it: {text}.", key.doc)),
        Need::Required | Need::Optional => json!(key.doc),
    };
    property
}

/// How a value of a kind is written.
fn value(kind: &Kind) -> Value {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind {
        Kind::Name => pattern("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"),
        Kind::Path | Kind::Network => json!({ "type": "string" }),
        Kind::Text => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Span => pattern("^([0-9]+([.][0-9]+)?(us|ms|s|m|h|d))+$"),
        Kind::Size => json!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+([.][0-9]+)?(B|[KMGT]iB|kB|[MGT]B)?$",
        }),
        Kind::Share | Kind::Percent => pattern("^[0-9]+([.][0-9]{1,2})?%$"),
        Kind::FineShare => pattern("^[0-9]+([.][0-9]{1,4})?%$"),
        Kind::Multiple => pattern("^[0-9]+([.][0-9]{1,4})?[x×]$"),
        Kind::Cores => json!({ "type": ["string", "number"], "pattern": "^[0-9]+([.][0-9]+)?m?$" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>() }),
        Kind::Preset => json!({ "enum": keys::preset_names().collect::<Vec<_>>() }),
        Kind::Address => pattern("^(localhost|[0-9.]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$"),
        Kind::Band => json!({
            "type": ["string", "number"],
            "pattern": "^(none|[0-9]+([.][0-9]+)?(x|%|[KMGT]?i?B)?|([0-9]+([.][0-9]+)?(us|ms|s|m|h|d))+)$",
        }),
        Kind::Digest => pattern("^sha256:[0-9A-Fa-f]{64}$"),
        Kind::Command => either(&json!({ "type": "string" }), &list(&value(&Kind::Text))),
        Kind::List(kind) => list(&value(kind)),
        Kind::OneOrMany(kind) => either(&value(kind), &list(&value(kind))),
        Kind::Map(kind) => {
            let mut inner = value(kind);
            if let Some(types) = inner["type"].as_array_mut() {
                types.push(json!("null"));
            }
            json!({ "type": "object", "additionalProperties": inner })
        }
        Kind::Section(section) => reference(section),
        Kind::Sections(section) => list(&reference(section)),
        Kind::Named(section) => json!({ "type": "object", "additionalProperties": reference(section) }),
        Kind::Short(kind, section) => either(&value(kind), &reference(section)),
    }
}

fn either(one: &Value, other: &Value) -> Value {
    json!({ "anyOf": [one, other] })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}
