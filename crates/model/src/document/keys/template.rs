//! Keys of analysis templates: the parameters they have, and how a description uses one.

use super::{Kind, Need, Section, key};

/// What a template has beside a `CanaryConfig`'s keys.
pub(in crate::document) static TEMPLATE: Section = Section {
    name: "analysis template",
    doc: "A `CanaryConfig` with gaps, shared by services; `{{ name }}` in its texts is replaced.",
    one_of: &[],
    keys: &[key(
        "parameters",
        Kind::Sections(&PARAMETER),
        Need::Optional,
        "Its parameters; the other keys of `spec` are a `CanaryConfig`'s.",
    )],
};

pub(in crate::document) static PARAMETER: Section = Section {
    name: "template parameter",
    doc: "A gap in a template.",
    one_of: &[],
    keys: &[
        key("name", Kind::Name, Need::Required, "What it is called, as in `{{ name }}`."),
        key("default", Kind::Text, Need::Optional, "Its value where none is given; without it, one must be."),
        key("description", Kind::Text, Need::Optional, "What to give."),
    ],
};

pub(in crate::document) static TEMPLATE_USE: Section = Section {
    name: "template use",
    doc: "An analysis template, pinned by its digest, with values for its parameters.",
    one_of: &[],
    keys: &[
        key("file", Kind::Path, Need::Required, "The template."),
        key(
            "digest",
            Kind::Digest,
            Need::Optional,
            "SHA-256 of the file that is meant; another file is refused. `taxiway check --pin` writes it.",
        ),
        key("with", Kind::Map(&Kind::Text), Need::Optional, "Values of its parameters by name."),
    ],
};
