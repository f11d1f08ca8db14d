//! Lines of coloured pieces; the only place that knows escape sequences.

use super::Paper;

/// How a piece is drawn; meaning first, colour second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text.
    Plain,
    /// Names and figures to be seen first.
    Strong,
    /// What can be skipped.
    Faint,
    /// All is well.
    Good,
    /// A person should look.
    Warn,
    /// Something is wrong.
    Bad,
    /// What is going on.
    Active,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\u{1b}[1m",
            Self::Faint => "\u{1b}[2m",
            Self::Good => "\u{1b}[32m",
            Self::Warn => "\u{1b}[1;33m",
            Self::Bad => "\u{1b}[1;31m",
            Self::Active => "\u{1b}[36m",
        }
    }
}

/// A line under construction.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pieces: Vec<(Ink, String)>,
    width: usize,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a piece, stripped of what could steer the terminal.
    pub(super) fn put(mut self, ink: Ink, text: &str) -> Self {
        let text = clean(text);
        self.width += text.chars().count();
        self.pieces.push((ink, text));
        self
    }

    pub(super) fn plain(self, text: &str) -> Self {
        self.put(Ink::Plain, text)
    }

    /// Blanks up to a column; one where something stands already beyond it.
    pub(super) fn to(self, column: usize) -> Self {
        let blanks = if self.width > column { 1 } else { column - self.width };
        self.plain(&" ".repeat(blanks))
    }

    /// A piece that ends at a column.
    pub(super) fn right(self, column: usize, ink: Ink, text: &str) -> Self {
        let start = column.saturating_sub(clean(text).chars().count());
        let start = if self.width > 0 { start.max(self.width + 1) } else { start };
        self.to(start).put(ink, text)
    }

    /// Columns so far.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The line as it is printed: cut to the paper, without blanks at its end.
    pub(super) fn draw(mut self, paper: &Paper) -> String {
        while let Some((_, text)) = self.pieces.last_mut() {
            text.truncate(text.trim_end().len());
            if !text.is_empty() {
                break;
            }
            self.pieces.pop();
        }
        let mut left = paper.columns();
        let cut = self.pieces.iter().map(|(_, text)| text.chars().count()).sum::<usize>() > left;
        let mut drawn = String::new();
        for (ink, text) in &self.pieces {
            let room = if cut { left.saturating_sub(1) } else { left };
            let part: String = text.chars().take(room).collect();
            left -= part.chars().count();
            let code = if paper.colour && !part.trim().is_empty() { ink.code() } else { "" };
            drawn.push_str(code);
            drawn.push_str(&part);
            if !code.is_empty() {
                drawn.push_str("\u{1b}[0m");
            }
        }
        if cut {
            drawn.push('…');
        }
        drawn
    }
}

/// Draws a block of lines.
pub(super) fn draw(lines: Vec<Line>, paper: &Paper) -> Vec<String> {
    lines.into_iter().map(|line| line.draw(paper)).collect()
}

/// Text from elsewhere without anything that could steer a terminal or hide what it says: escape
/// sequences go, line breaks and tabs become blanks, other control and direction marks go.
pub fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' | '\u{9b}' => skip_escape(c, &mut chars),
            '\n' | '\t' | '\r' => kept.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {}
            c if c.is_control() => {}
            c => kept.push(c),
        }
    }
    kept
}

/// Skips the rest of an escape sequence (ECMA-48): CSI to its final byte, strings to their end.
fn skip_escape(start: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let kind = if start == '\u{9b}' { Some('[') } else { chars.next() };
    match kind {
        Some('[') => {
            while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
            chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                match c {
                    '\u{7}' | '\u{9c}' => break,
                    '\u{1b}' => {
                        chars.next_if_eq(&'\\');
                        break;
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// A label and a text that is broken at blanks, its later lines under its first.
pub(super) fn labelled(label: &str, label_ink: Ink, text: &str, ink: Ink, paper: &Paper) -> Vec<Line> {
    let indent = LABEL_COLUMNS;
    let room = paper.columns().saturating_sub(indent).max(20);
    let mut lines = Vec::new();
    for (i, part) in broken(&clean(text), room).iter().enumerate() {
        let line = if i == 0 { Line::new().plain(" ").put(label_ink, label) } else { Line::new() };
        lines.push(line.to(indent).put(ink, part));
    }
    lines
}

/// As [`labelled`], the text led by a word in an ink of its own.
pub(super) fn led(label: &str, lead: (Ink, &str), text: &str, ink: Ink, paper: &Paper) -> Vec<Line> {
    let (lead_ink, word) = lead;
    let mut lines = labelled(label, Ink::Faint, &format!("{word} {text}"), ink, paper);
    if let Some((_, first)) = lines.first_mut().and_then(|line| line.pieces.pop()) {
        let rest = first.strip_prefix(word).unwrap_or_default().to_owned();
        let line = std::mem::take(&mut lines[0]);
        let line = Line { width: LABEL_COLUMNS, ..line };
        lines[0] = line.put(lead_ink, word).put(ink, &rest);
    }
    lines
}

/// Columns of the labels at the left.
pub(super) const LABEL_COLUMNS: usize = 11;

/// Breaks a text at blanks so that no line is longer than `room`; a word that is, such as a path,
/// goes on in the next line rather than lose its end.
pub(super) fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace().flat_map(|word| pieces(word, room.max(1))) {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(&word);
        } else if line.chars().count() + 1 + word.chars().count() <= room {
            line.push(' ');
            line.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

fn pieces(word: &str, room: usize) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    chars.chunks(room).map(|piece| piece.iter().collect()).collect()
}

/// A text of several lines, those too long broken at blanks and hung in below their beginning.
pub fn fitted(text: &str, columns: usize) -> String {
    let mut fitted = Vec::new();
    for line in text.lines() {
        if line.chars().count() <= columns {
            fitted.push(line.to_owned());
            continue;
        }
        let begin = line.chars().take_while(|c| *c == ' ').count();
        let indent = begin + 2;
        let room = columns.saturating_sub(indent).max(20);
        for (i, part) in broken(line, room).into_iter().enumerate() {
            let blanks = if i == 0 { begin } else { indent };
            fitted.push(format!("{}{part}", " ".repeat(blanks)));
        }
    }
    fitted.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_steers_the_terminal() {
        let cases = [
            ("a\u{1b}[31;1mred\u{1b}[0mb", "aredb"),
            ("title\u{1b}]0;owned\u{7}!", "title!"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}2Jcleared", "cleared"),
            ("two\nlines\rover", "two lines over"),
            ("\u{202e}txt.exe", "txt.exe"),
            ("unfinished\u{1b}[", "unfinished"),
            ("unfinished\u{1b}]0;abc", "unfinished"),
            ("bell\u{7}\u{0}\u{8}", "bell"),
            ("ünïcödé → ✔", "ünïcödé → ✔"),
        ];
        for (given, kept) in cases {
            assert_eq!(clean(given), kept, "{given:?}");
        }
    }

    #[test]
    fn a_line_is_cut_to_the_paper_in_any_colour() {
        let line = Line::new().put(Ink::Bad, &"x".repeat(30)).put(Ink::Good, &"y".repeat(30));
        let plain = line.clone().draw(&Paper::new(50, false));
        assert_eq!(plain.chars().count(), 50);
        assert_eq!(clean(&line.draw(&Paper::new(50, true))), plain);
    }

    #[test]
    fn what_is_too_long_for_a_terminal_is_broken_between_words() {
        let text =
            "\nerror: the file is wrong: name is missing\n  next: write a name, such as shop or cart\nshort";
        let broken = "\nerror: the file is wrong:\n  name is missing\n  next: write a name, such as\n    shop or cart\nshort";
        assert_eq!(fitted(text, 31), broken);
        assert_eq!(fitted(text, 80), text);
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        let line = Line::new().put(Ink::Bad, "x").to(10).right(20, Ink::Warn, "y");
        assert_eq!(line.draw(&Paper::new(80, false)), "x                  y");
    }
}
