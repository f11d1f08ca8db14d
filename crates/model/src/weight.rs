//! Shares of traffic in basis points, and what may be said of them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A share in basis points: 10,000 is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct WeightBp(u16);

/// A share above 10,000 basis points was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share of {0} basis points is more than everything (10000)")]
pub struct TooMuch(pub u16);

impl WeightBp {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(10_000);

    /// A share of `bp` basis points; fails above 10,000.
    pub fn new(bp: u16) -> Result<Self, TooMuch> {
        if bp <= 10_000 { Ok(Self(bp)) } else { Err(TooMuch(bp)) }
    }

    /// A share in whole percent; above 100 it is everything.
    pub fn percent(percent: u16) -> Self {
        Self(percent.min(100) * 100)
    }

    /// The share in basis points.
    pub fn bp(self) -> u16 {
        self.0
    }

    /// How many of `replicas` instances this share needs: rounded up, at least one when not zero.
    pub fn of_replicas(self, replicas: u32) -> u32 {
        (u64::from(self.0) * u64::from(replicas)).div_ceil(10_000) as u32
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// This share among those of this and another side alone: a half where both are alike. Where the
    /// other side has none apart, it has all the rest, and the share is what it is.
    #[must_use]
    pub fn among(self, other: Self) -> Self {
        if other.is_zero() {
            return self;
        }
        let both = u32::from(self.0) + u32::from(other.0);
        Self((u32::from(self.0) * 10_000 / both) as u16)
    }

    /// What is left for the other side.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(10_000 - self.0)
    }
}

impl TryFrom<u16> for WeightBp {
    type Error = TooMuch;
    fn try_from(bp: u16) -> Result<Self, TooMuch> {
        Self::new(bp)
    }
}

impl From<WeightBp> for u16 {
    fn from(weight: WeightBp) -> u16 {
        weight.0
    }
}

impl fmt::Display for WeightBp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => f.pad(&format!("{whole}%")),
            p if p % 10 == 0 => f.pad(&format!("{whole}.{}%", p / 10)),
            p => f.pad(&format!("{whole}.{p:02}%")),
        }
    }
}
