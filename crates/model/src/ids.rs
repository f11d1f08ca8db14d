//! Names and ids: each a newtype, so that two of them cannot be swapped unnoticed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not a valid name: {why}")]
pub struct InvalidName {
    /// Which kind of name was read, in words.
    pub what: &'static str,
    /// The text as given.
    pub given: String,
    /// The rule it breaks.
    pub why: &'static str,
}

/// The rule for names that end up in file names, labels and URLs: 1–63 characters of
/// `[a-z0-9]`, `-`, `_` and `.`, beginning with a letter or a digit.
fn name_rule(given: &str) -> Result<(), &'static str> {
    if given.is_empty() {
        return Err("it is empty");
    }
    if given.len() > 63 {
        return Err("it is longer than 63 characters");
    }
    if !given.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("it must begin with a letter or a digit");
    }
    if given.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        Ok(())
    } else {
        Err("only letters, digits, '-', '_' and '.' are allowed")
    }
}

/// What a version's name ends with where it names the instances of a fresh baseline. No version may
/// be called so: `+` is not allowed in a name that people give.
const FRESH: &str = "+fresh";

/// Names are read from what was stored as they are given.
fn as_given(given: &str) -> &str {
    given
}

/// Of a version, the group of its fresh instances can be read, too.
fn or_fresh(given: &str) -> &str {
    given.strip_suffix(FRESH).unwrap_or(given)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $stored:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Reads a name; fails with the rule it breaks.
            pub fn new(given: impl Into<String>) -> Result<Self, InvalidName> {
                let given = given.into();
                match name_rule(&given) {
                    Ok(()) => Ok(Self(given)),
                    Err(why) => Err(InvalidName { what: $what, given, why }),
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(given: String) -> Result<Self, InvalidName> {
                match name_rule($stored(&given)) {
                    Ok(()) => Ok(Self(given)),
                    Err(why) => Err(InvalidName { what: $what, given, why }),
                }
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

name!(/// The name of a service, unique in a data directory.
    ServiceName, "service", as_given);
name!(/// The name of an environment (`production`, `staging`).
    EnvironmentName, "environment", as_given);
name!(/// What people call a version (`v42`, `2026-11-20.3`); its digest is what it is.
    VersionName, "version", or_fresh);
name!(/// The name of a step within a plan, unique there.
    StepName, "step", as_given);
name!(/// One release: `<service>-<environment>-<n>`, derived from the stream, never random.
    ReleaseId, "release", as_given);
name!(/// The name of a metric under analysis (`error_rate`, `latency_p95`).
    MetricName, "metric", as_given);

impl VersionName {
    /// The group of this version's instances that are started beside a canary as its baseline. It is
    /// counted, started and routed to like a version, and is none: nobody can release it.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self(fresh(self.plain()))
    }

    /// Whether this is the group of a fresh baseline.
    pub fn is_fresh(&self) -> bool {
        self.0.ends_with(FRESH)
    }

    /// The version itself, as text.
    pub fn plain(&self) -> &str {
        or_fresh(&self.0)
    }

    /// The version itself.
    #[must_use]
    pub fn version(&self) -> Self {
        Self(self.plain().to_owned())
    }

    /// As people read it: `fresh v1` for the group of a fresh baseline.
    pub fn for_people(&self) -> String {
        if self.is_fresh() { format!("fresh {}", self.plain()) } else { self.0.clone() }
    }
}

/// What instances of a fresh baseline are told that they are (`TAXIWAY_GROUP`), and all others.
pub const GROUPS: (&str, &str) = ("fresh", "main");

/// How an order to a source names a version's fresh instances.
#[must_use]
pub fn fresh(version: &str) -> String {
    format!("{version}{FRESH}")
}

/// A version as it stands in an order to a source, and the group of its instances.
pub fn version_and_group(name: &str) -> (&str, &str) {
    match name.strip_suffix(FRESH) {
        Some(version) => (version, GROUPS.0),
        None => (name, GROUPS.1),
    }
}

/// A stream of the log: one service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// The service.
    pub service: ServiceName,
    /// The environment it runs in.
    pub environment: EnvironmentName,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.environment)
    }
}

impl std::str::FromStr for StreamId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (service, environment) = text.split_once('/').ok_or_else(|| InvalidName {
            what: "stream",
            given: text.to_owned(),
            why: "it must be <service>/<environment>",
        })?;
        Ok(Self { service: ServiceName::new(service)?, environment: EnvironmentName::new(environment)? })
    }
}

/// Counts the intents of a stream. A target refuses an older one than it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// A SHA-256 digest, written `sha256:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The first twelve hex digits, for people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidName;
    fn try_from(given: String) -> Result<Self, InvalidName> {
        let bytes = given.strip_prefix("sha256:").and_then(|digits| hex::decode(digits).ok());
        match bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            Some(bytes) => Ok(Self(bytes)),
            None => Err(InvalidName { what: "digest", given, why: "it must be sha256: and 64 hex digits" }),
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl std::str::FromStr for Digest {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::try_from(text.to_owned())
    }
}
