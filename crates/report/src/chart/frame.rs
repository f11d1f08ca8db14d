//! The frame of a chart: scales, axes, paths. Everything is drawn on the same sheet of units, which
//! the page then fits to its column.

use crate::figures::span;
use crate::html::escape;
use std::fmt::Write as _;

/// Width of a drawing, in its own units.
pub(super) const WIDTH: f64 = 460.0;
/// Height of a drawing.
pub(super) const HEIGHT: f64 = 250.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 74.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 30.0;
/// Least distance of two labels at the right edge.
const LABEL_GAP: f64 = 14.0;

/// From figures to places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    log: bool,
    start: f64,
    end: f64,
}

impl Scale {
    /// Over time, left to right.
    pub(super) fn time(from_ms: u64, to_ms: u64) -> Self {
        let (from, to) = (from_ms as f64, to_ms.max(from_ms + 1) as f64);
        Self { from, to, log: false, start: LEFT, end: WIDTH - RIGHT }
    }

    /// Up from zero.
    pub(super) fn up(to: f64) -> Self {
        Self { from: 0.0, to: to.max(f64::MIN_POSITIVE), log: false, start: HEIGHT - BOTTOM, end: TOP }
    }

    /// Up from zero, or from below it.
    pub(super) fn between(from: f64, to: f64) -> Self {
        let up = Self::up(to);
        Self { from: from.min(0.0), ..up }
    }

    /// Up, by factors.
    pub(super) fn up_log(from: f64, to: f64) -> Self {
        let from = from.max(1e-9);
        Self { from, to: to.max(from * 1.01), log: true, start: HEIGHT - BOTTOM, end: TOP }
    }

    /// To the right, by factors.
    pub(super) fn right_log(from: f64, to: f64) -> Self {
        Self { start: LEFT, end: WIDTH - RIGHT, ..Self::up_log(from, to) }
    }

    /// Where a figure lies; beyond the ends it lies at the end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = if self.log {
            libm::log(value.max(self.from) / self.from) / libm::log(self.to / self.from)
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.start + part.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Round figures on the scale, few enough to be read.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.log {
            return self.log_ticks();
        }
        let rough = (self.to - self.from) / 4.0;
        let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough);
        every(self.from, self.to, step.unwrap_or(rough))
    }

    fn log_ticks(&self) -> Vec<f64> {
        let ticks = |times: &[f64]| -> Vec<f64> {
            let decades =
                (libm::floor(libm::log10(self.from)) as i32)..=(libm::ceil(libm::log10(self.to)) as i32);
            let all = decades.flat_map(|decade| {
                times.iter().map(move |times| times * libm::pow(10.0, f64::from(decade))).collect::<Vec<_>>()
            });
            all.filter(|tick| (self.from..=self.to).contains(tick)).collect()
        };
        let sets: [&[f64]; 3] = [&[1.0, 1.5, 2.0, 3.0, 5.0, 7.0], &[1.0, 2.0, 5.0], &[1.0]];
        let fitting = sets.into_iter().map(ticks).find(|ticks| ticks.len() <= 6);
        fitting.unwrap_or_else(|| vec![self.from, self.to])
    }

    /// Round times on the scale.
    pub(super) fn time_ticks(&self) -> Vec<f64> {
        // Whole seconds, since spans are told in them.
        const STEPS_S: [f64; 17] = [
            1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
            21_600.0, 43_200.0, 86_400.0,
        ];
        let rough = (self.to - self.from) / 5.0;
        let step = STEPS_S.map(|seconds| seconds * 1e3).into_iter().find(|step| *step >= rough);
        every(self.from, self.to, step.unwrap_or(rough))
    }
}

fn every(from: f64, to: f64, step: f64) -> Vec<f64> {
    let first = libm::ceil(from / step - 1e-9);
    let last = libm::floor(to / step + 1e-9);
    let count = (last - first).clamp(0.0, 20.0) as usize;
    (0..=count).map(|place| (first + place as f64) * step).collect()
}

/// A drawing being made.
pub(super) struct Drawing {
    body: String,
    labels: Vec<(f64, &'static str, String)>,
}

impl Drawing {
    pub(super) fn new() -> Self {
        Self { body: String::new(), labels: Vec::new() }
    }

    /// Lines across and figures at the left.
    pub(super) fn left_axis(&mut self, scale: &Scale, figure: impl Fn(f64) -> String) {
        for tick in scale.ticks() {
            let y = scale.at(tick);
            let end = WIDTH - RIGHT;
            let _ = write!(self.body, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{end}\"/>");
            let x = LEFT - 6.0;
            self.text("axis end", x, y + 4.0, &figure(tick));
        }
    }

    /// The time at the bottom.
    pub(super) fn time_axis(&mut self, scale: &Scale) {
        for tick in scale.time_ticks() {
            let text = if tick == 0.0 { "0".to_owned() } else { span(tick as u64) };
            self.bottom_tick(scale.at(tick), &text);
        }
    }

    /// Figures at the bottom.
    pub(super) fn bottom_axis(&mut self, scale: &Scale, figure: impl Fn(f64) -> String) {
        for tick in scale.ticks() {
            self.bottom_tick(scale.at(tick), &figure(tick));
        }
    }

    fn bottom_tick(&mut self, x: f64, text: &str) {
        let y = HEIGHT - BOTTOM;
        let _ = write!(self.body, "<path class=\"tick\" d=\"M{x:.1} {y}v5\"/>");
        self.text("axis middle", x, y + 19.0, text);
    }

    /// A line through points; nothing of none.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.is_empty() {
            return;
        }
        let _ = write!(self.body, "<path class=\"line {class}\" d=\"{}\"/>", path(points));
    }

    /// An area between two lines over the same places.
    pub(super) fn area(&mut self, class: &str, upper: &[(f64, f64)], lower: &[(f64, f64)]) {
        if upper.is_empty() {
            return;
        }
        let back: Vec<(f64, f64)> = lower.iter().rev().copied().collect();
        let back = path(&back).replacen('M', "L", 1);
        let _ = write!(self.body, "<path class=\"area {class}\" d=\"{}{back}Z\"/>", path(upper));
    }

    /// A band across, between two heights.
    pub(super) fn band(&mut self, class: &str, y1: f64, y2: f64) {
        let (top, height) = (y1.min(y2), (y1 - y2).abs());
        let width = WIDTH - RIGHT - LEFT;
        let _ = write!(
            self.body,
            "<rect class=\"area {class}\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{width}\" height=\"{height:.1}\"/>"
        );
    }

    /// A line across.
    pub(super) fn across(&mut self, class: &str, y: f64) {
        let end = WIDTH - RIGHT;
        let _ = write!(self.body, "<path class=\"line {class}\" d=\"M{LEFT} {y:.1}H{end}\"/>");
    }

    /// Pales what lies to the right: recorded, but after the verdict.
    pub(super) fn veil(&mut self, x: f64) {
        let (width, height) = (WIDTH - RIGHT - x, HEIGHT - BOTTOM - TOP);
        if width > 1.0 {
            let _ = write!(
                self.body,
                "<rect class=\"veil\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
            );
        }
    }

    /// A line from top to bottom with words at its top.
    pub(super) fn upright(&mut self, class: &str, x: f64, words: &str) {
        let bottom = HEIGHT - BOTTOM;
        let _ = write!(self.body, "<path class=\"line {class}\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
        if !words.is_empty() {
            let middle = LEFT + (WIDTH - RIGHT - LEFT) / 2.0;
            let anchor = if x > middle { "end" } else { "start" };
            let x = if x > middle { x + 4.0 } else { x - 4.0 };
            self.text(&format!("mark {anchor} {class}"), x, TOP - 7.0, words);
        }
    }

    /// A point that is meant.
    pub(super) fn dot(&mut self, class: &str, x: f64, y: f64) {
        let _ = write!(self.body, "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>");
    }

    /// Words in the drawing.
    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, words: &str) {
        let words = escape(words);
        let _ = write!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
    }

    /// Words at the right edge, beside the end of a line.
    pub(super) fn label(&mut self, class: &'static str, y: f64, words: &str) {
        self.labels.push((y, class, words.to_owned()));
    }

    /// The drawing, with words for those who do not see it.
    pub(super) fn finish(mut self, title: &str, description: &str) -> String {
        self.labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut labels = std::mem::take(&mut self.labels);
        let mut places: Vec<f64> = labels.iter().map(|(y, _, _)| *y).collect();
        apart(&mut places);
        for ((_, class, words), y) in labels.drain(..).zip(places) {
            self.text(&format!("label {class}"), WIDTH - RIGHT + 6.0, y + 4.0, &words);
        }
        let (title, description) = (escape(title), escape(description));
        let body = self.body;
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title><desc>{description}</desc>{body}</svg>"
        )
    }
}

/// Moves labels, in their order from the top, so far apart that all can be read, and no further: one
/// with room around it stays beside what it names.
fn apart(places: &mut [f64]) {
    let mut above = f64::MIN;
    for y in places.iter_mut() {
        *y = y.max(above + LABEL_GAP).max(TOP);
        above = *y;
    }
    let mut below = HEIGHT - BOTTOM + 4.0 + LABEL_GAP;
    for y in places.iter_mut().rev() {
        *y = y.min(below - LABEL_GAP);
        below = *y;
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (place, (x, y)) in points.iter().enumerate() {
        let letter = if place == 0 { 'M' } else { 'L' };
        let _ = write!(text, "{letter}{x:.1} {y:.1}");
    }
    text
}

/// Points as stairs: each height holds until the next place.
pub(super) fn stairs(spans: &[(f64, f64, f64)]) -> Vec<(f64, f64)> {
    spans.iter().flat_map(|(from, to, y)| [(*from, *y), (*to, *y)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_with_room_stays_beside_its_line() {
        let bottom = HEIGHT - BOTTOM;
        let mut places = [60.0, bottom, bottom];
        apart(&mut places);
        assert_eq!(places, [60.0, bottom + 4.0 - LABEL_GAP, bottom + 4.0]);
        let mut places = [TOP - 9.0, TOP, 100.0];
        apart(&mut places);
        assert_eq!(places, [TOP, TOP + LABEL_GAP, 100.0]);
    }
}
