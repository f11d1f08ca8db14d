//! What people see in a terminal, as pure functions from the API's values to lines of text.
//!
//! Nothing here asks for a terminal, an environment variable or a clock: the caller says how wide
//! the paper is and whether it takes colour ([`Paper`]). Every text goes through [`ink::Line`],
//! which strips control characters, so that no foreign text can steer the terminal. Nothing is
//! said by colour alone.

mod evidence;
mod explain;
mod figures;
mod fleet;
mod forecast;
mod history;
mod ink;
mod line;
mod metrics;
mod rail;
#[cfg(test)]
mod samples;
mod sides;
mod status;
mod summary;
#[cfg(test)]
mod tests;
mod traffic;

pub use explain::explain;
pub use figures::{latency, rate, span, thousands};
pub use fleet::fleet;
pub use forecast::forecast;
pub use history::history;
pub use ink::{clean, fitted};
pub use line::{log_line, rates, state_line};
pub use status::status;
pub use summary::summary;

use jiff::tz::TimeZone;

/// What is drawn on.
#[derive(Debug, Clone)]
pub struct Paper {
    /// Columns; fewer than 40 are treated as 40.
    pub width: usize,
    /// Lines that can be seen at once; none where nothing is lost by more of them.
    pub rows: Option<usize>,
    /// Whether colours may be used.
    pub colour: bool,
    /// The time zone in which times of day are shown.
    pub zone: TimeZone,
}

impl Paper {
    /// Paper in UTC.
    pub fn new(width: usize, colour: bool) -> Self {
        Self { width, rows: None, colour, zone: TimeZone::UTC }
    }

    /// Whether so many lines can be seen at once.
    fn has_room_for(&self, lines: usize) -> bool {
        self.rows.is_none_or(|rows| lines <= rows)
    }

    /// The columns there are to draw on.
    fn columns(&self) -> usize {
        self.width.clamp(40, 200)
    }
}
