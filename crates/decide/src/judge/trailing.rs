//! The time just past: absolute bands look at it, since an outage that is over is over.

use std::collections::VecDeque;

/// How far it reaches back.
const TRAILING_MS: u64 = 60_000;

/// What was seen in the last minute, window by window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trailing<T> {
    windows: VecDeque<(u64, T)>,
    span_ms: u64,
}

impl<T> Default for Trailing<T> {
    fn default() -> Self {
        Self { windows: VecDeque::new(), span_ms: 0 }
    }
}

impl<T> Trailing<T> {
    pub(super) fn push(&mut self, span_ms: u64, seen: T) {
        self.windows.push_back((span_ms, seen));
        self.span_ms = self.span_ms.saturating_add(span_ms);
        while let Some((oldest_ms, _)) = self.windows.front()
            && self.span_ms - oldest_ms > TRAILING_MS
        {
            self.span_ms -= oldest_ms;
            self.windows.pop_front();
        }
    }

    /// The windows, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.windows.iter().map(|(_, seen)| seen)
    }
}
