//! Values of conditions, and what may be done with them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list, such as the samples of a vector.
    List(Vec<Value>),
    /// An object, such as a web metric answers with.
    Map(BTreeMap<String, Value>),
}

/// Why a condition has no value; the measurement is then an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

pub(super) fn fault<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault(message.into()))
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "text",
            Self::List(_) => "list",
            Self::Map(_) => "object",
        }
    }

    pub(super) fn number(&self, what: &str) -> Result<f64, Fault> {
        match self {
            Self::Int(int) => Ok(*int as f64),
            Self::Float(float) => Ok(*float),
            other => fault(format!("{what} needs a number, and this is {}", other.kind())),
        }
    }

    pub(super) fn truth(&self, what: &str) -> Result<bool, Fault> {
        match self {
            Self::Bool(truth) => Ok(*truth),
            other => fault(format!("{what} needs true or false, and this is {}", other.kind())),
        }
    }

    pub(super) fn list(&self, what: &str) -> Result<&[Self], Fault> {
        match self {
            Self::List(items) => Ok(items),
            other => fault(format!("{what} needs a list, and this is {}", other.kind())),
        }
    }

    /// Numbers are equal across kinds; NaN is equal to nothing.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Int(a), Self::Float(b)) | (Self::Float(b), Self::Int(a)) => *a as f64 == *b,
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b)),
            (a, b) => a == b,
        }
    }

    /// The order of two numbers or two texts; none where one is NaN.
    pub(super) fn order(&self, other: &Self) -> Result<Option<Ordering>, Fault> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Ok(Some(a.cmp(b))),
            (Self::Text(a), Self::Text(b)) => Ok(Some(a.cmp(b))),
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                Ok(self.number("")?.partial_cmp(&other.number("")?))
            }
            (a, b) => fault(format!("{} and {} cannot be compared", a.kind(), b.kind())),
        }
    }
}
