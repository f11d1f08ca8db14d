/// A parameter that no test can be built from. Counts never fail: only configuration does.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} is {value}, but must be {must}")]
pub struct Error {
    /// The parameter's name as the function's documentation spells it.
    pub name: &'static str,
    /// What was given.
    pub value: f64,
    /// What would be accepted.
    pub must: &'static str,
}

impl Error {
    /// `Ok` when `holds`, else this error; NaN never holds when the condition is a comparison.
    pub(crate) fn unless(
        holds: bool,
        name: &'static str,
        value: f64,
        must: &'static str,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { name, value, must }) }
    }
}
