//! The reference page of `taxiway.yaml`, written from the table of keys.

use super::init;
use super::keys::{self, Key, Kind, Need, Section};
use super::problem::Code;
use crate::presets::PRESETS;
use std::fmt::Write as _;

/// The page as it stands in `docs/reference/taxiway-yaml.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    _ = writeln!(page, "```yaml\n{}```\n", init::SMALLEST);
    page.push_str(NOTATION);
    for section in keys::sections() {
        write_section(&mut page, section);
    }
    write_presets(&mut page);
    write_problems(&mut page);
    page
}

/// The page of a `CanaryConfig` as it stands in `docs/reference/canary-config.md`.
pub fn canary_page() -> String {
    let mut page = String::from(CANARY);
    for section in keys::canary_sections() {
        write_section(&mut page, section);
    }
    page
}

const CANARY: &str = "\
# CanaryConfig

<!-- Written from the table of keys in crates/model/src/document/keys/canary.rs; a test compares. -->

Steps and metrics of a canary in a document of their own, which `analysis: {file, source}` of
[taxiway.yaml](taxiway-yaml.md) names; `taxiway check` reads both. A metric asks in the words of a metric there: `query`,
`bad` or `good` with `total`, also `by` type, `count` and `sum`, or `values`. Each kind of question can be bounded in its own
way: `bad` by `max_…`, `good` by `max_decrease_ratio` and `min_…`, types by `max_absolute_percent` (any new one holds), means
and values by either. What a metric of taxiway.yaml says beyond that (`slack`, `exclude`, `unit`, `endpoint`, `on_no_data`,
an SLO's `objective`) stands there; both may be used together. A `query` may name another metric that is a `query` too.

```yaml
apiVersion: analysis/v1
kind: CanaryConfig
metadata: {name: shop}
spec:
  metrics:
    - name: failed
      bad: http_requests_total{status=~\"5..\"}
      total: http_requests_total
      threshold: {max_increase_ratio: 2.0}
    - name: revenue
      count: orders_total
      sum: revenue_total
      threshold: {max_decrease_ratio: 1.05}
    - name: script_errors
      bad: script_errors_total
      by: type
      total: sessions_total
      threshold: {max_absolute_percent: 0.1}
```

";

const INTRODUCTION: &str = "\
# taxiway.yaml

<!-- Written from the table of keys in crates/model/src/document/keys.rs; a test compares. -->

A service and how its versions are released, on a page. `taxiway init` writes one, `taxiway check`
reads it and says everything that is wrong with it. For editors there is
[a JSON Schema](taxiway.schema.json). Relative paths begin at the file's directory.

This is enough:

";

const NOTATION: &str = "\
## How values are written

| value | examples |
|---|---|
| time | `500ms`, `90s`, `5m`, `1h30m`, `24h`, `7d` |
| size | `512`, `64KiB`, `1.5GiB`, `100MB` |
| share | `5%`, `0.5%`, `100%` |
| multiple | `2x`, `1.5x` |
| cores | `0.5`, `2`, `250m` |
| address | `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` |
| network | `10.0.0.0/8`, `fd00::/8` |
| band | `1%`, `500ms`, `none` |
| command | `./run --port {port}`, or `[./run, --port, \"{port}\"]`; no shell is involved |
| name | letters, digits, `-`, `_` and `.`, at most 63 |

";

fn write_section(page: &mut String, section: &Section) {
    _ = writeln!(page, "## {}\n\n{}\n", section.name, section.doc);
    page.push_str("| key | value | without it | |\n|---|---|---|---|\n");
    for key in section.keys {
        _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            key.name,
            written(&key.kind),
            without(section, key),
            cell(key.doc)
        );
    }
    page.push('\n');
    for key in section.keys {
        if let Kind::Word(words) | Kind::Short(Kind::Word(words), _) = &key.kind {
            let words = words.iter().map(|(word, meaning)| format!("`{word}` ({meaning})"));
            _ = writeln!(page, "`{}`: {}.\n", key.name, words.collect::<Vec<_>>().join("; "));
        }
    }
}

/// A text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn without(section: &Section, key: &Key) -> String {
    match key.need {
        Need::Required => "needed".to_owned(),
        Need::Optional if section.one_of.contains(&key.name) => "exactly one is needed".to_owned(),
        Need::Optional => match &key.kind {
            Kind::Section(inner)
                if inner.keys.iter().any(|key| matches!(key.need, Need::Default(_))) && !needy(inner) =>
            {
                "what its keys say".to_owned()
            }
            _ => "nothing".to_owned(),
        },
        Need::Default(text) => format!("`{text}`"),
        Need::From(text) => cell(text),
    }
}

/// Whether a section, once given, needs a key.
fn needy(section: &Section) -> bool {
    section.keys.iter().any(|key| key.need == Need::Required)
}

fn written(kind: &Kind) -> String {
    let link = |section: &Section| format!("[{}](#{})", section.name, section.name.replace(' ', "-"));
    match kind {
        Kind::Name => "name".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Whole(least, most) => format!("number, {least} to {most}"),
        Kind::Span => "time".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Share | Kind::FineShare => "share".to_owned(),
        Kind::Percent => "share, also above `100%`".to_owned(),
        Kind::Multiple => "multiple".to_owned(),
        Kind::Cores => "cores".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Word(words) => words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Preset => "[preset](#presets)".to_owned(),
        Kind::Address => "address".to_owned(),
        Kind::Network => "network".to_owned(),
        Kind::Band => "band".to_owned(),
        Kind::Digest => "`sha256:` and 64 hex digits".to_owned(),
        Kind::Command => "command".to_owned(),
        Kind::List(kind) => format!("list: {}", written(kind)),
        Kind::OneOrMany(kind) => format!("{}, or a list", written(kind)),
        Kind::Map(kind) => format!("{} by name", written(kind)),
        Kind::Section(section) => link(section),
        Kind::Sections(section) => format!("list of {}", link(section)),
        Kind::Named(section) => format!("{} by name", link(section)),
        Kind::Short(kind, section) => format!("{}, or {}", written(kind), link(section)),
    }
}

fn write_presets(page: &mut String) {
    page.push_str("## presets\n\n| preset | steps |\n|---|---|\n");
    for preset in PRESETS {
        _ = writeln!(page, "| `{}` | {} |", preset.name, cell(preset.summary));
    }
    page.push('\n');
}

fn write_problems(page: &mut String) {
    page.push_str("## problems\n\nWhat `taxiway check` can say; each names its line and column.\n\n");
    page.push_str("| code | meaning |\n|---|---|\n");
    for code in Code::ALL {
        _ = writeln!(page, "| `{code}` | {} |", code.meaning());
    }
}
