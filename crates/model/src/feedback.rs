//! What users say about a service, tied to the release and step it was said of (R4.5).

use crate::ids::{Digest, ReleaseId, VersionName};
use serde::{Deserialize, Serialize};

/// Most characters of a text that are kept.
pub const TEXT_CHARS_MAX: usize = 1_000;

/// Most characters of a sender's key that are kept.
pub const KEY_CHARS_MAX: usize = 200;

/// What one user said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// The release in flight when it came, else the last one that was sealed; filled in when it is
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// The step that release was on; none when nothing was in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u16>,
    /// The version the user had, where the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionName>,
    /// Praise, a problem, or neither.
    pub kind: Kind,
    /// 1 (bad) to 5 (good), where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<u8>,
    /// What was said, cleaned and cut ([`cleaned`]).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Whose it is, as a digest: one user counts once, and nobody is named in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The sender's key: the same one sent twice is one piece of feedback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What a piece of feedback is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something does not work.
    Problem,
    /// Something is good.
    Praise,
    /// Neither.
    Remark,
}

impl Kind {
    /// What a rating alone says: 1 and 2 are a problem, 4 and 5 are praise.
    pub fn of_rating(rating: Option<u8>) -> Self {
        match rating {
            Some(1 | 2) => Self::Problem,
            Some(4 | 5) => Self::Praise,
            _ => Self::Remark,
        }
    }
}

/// A text from outside as it is kept: control and direction marks go, blanks become single, and it
/// is cut after `chars_max` characters.
pub fn cleaned(text: &str, chars_max: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let spaced: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    let kept: String = words.join(" ").chars().filter(|c| !hidden(*c)).collect();
    if kept.chars().count() <= chars_max {
        return kept;
    }
    kept.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// A user as the log knows one: enough of a digest to tell users of one service apart.
pub fn user_digest(service: &str, user: &str) -> String {
    let digest = Digest::of(format!("taxiway-user\0{service}\0{user}").as_bytes());
    hex::encode(&digest.0[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cleaned_and_cut() {
        assert_eq!(cleaned("  it\u{1b}[2J is\n\tslow\u{202e} ", 100), "it[2J is slow");
        assert_eq!(cleaned("abcdef", 4), "abc…");
        assert_eq!(cleaned("äöüß", 4), "äöüß");
    }

    #[test]
    fn a_user_is_a_digest_of_the_service() {
        let digest = user_digest("shop", "ada@example.org");
        assert!(digest.len() == 16 && !digest.contains("ada"));
        assert_ne!(digest, user_digest("cart", "ada@example.org"));
    }

    #[test]
    fn a_rating_says_what_it_is() {
        let kinds = [None, Some(1), Some(2), Some(3), Some(4), Some(5)].map(Kind::of_rating);
        assert_eq!(
            kinds,
            [Kind::Remark, Kind::Problem, Kind::Problem, Kind::Remark, Kind::Praise, Kind::Praise]
        );
    }
}
