//! Figures as rows of cells, from CSV, JSON or lines of JSON; every cell knows its place in the file.

use serde_json::{Map, Value};
use taxiway_api::Place;

use crate::error::{CliError, Code};

/// Rows read at most: a day of requests at a hundred a second.
const ROWS_MAX: usize = 10_000_000;

/// Longest line that is shown beside a problem.
const EXCERPT_CHARS_MAX: usize = 160;

/// A text and where it stands, both from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A file's figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// Names of the columns as they stand in the file.
    pub(crate) columns: Vec<String>,
    /// As many cells a row as there are columns; an empty text is no data.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A file, to tell where in it a problem lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl File<'_> {
    /// A problem at a place, with what to do about it.
    pub(crate) fn wrong(&self, line: u32, column: u32, message: impl Into<String>, hint: &str) -> CliError {
        let excerpt = self.text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default();
        let place = Place {
            file: self.name.to_owned(),
            line,
            column,
            path: String::new(),
            message: message.into(),
            hint: hint.to_owned(),
            excerpt: excerpt.chars().take(EXCERPT_CHARS_MAX).collect(),
        };
        CliError::new(Code::BadSeries, format!("{} cannot be judged", self.name)).places(vec![place])
    }

    /// As [`Self::wrong`], at a cell.
    pub(crate) fn wrong_at(&self, cell: &Cell, message: impl Into<String>, hint: &str) -> CliError {
        self.wrong(cell.line, cell.column, message, hint)
    }
}

impl Table {
    /// Reads a file: JSON where it begins like that, else CSV.
    pub(crate) fn read(file: File<'_>) -> Result<Self, CliError> {
        let text = file.text.strip_prefix('\u{feff}').unwrap_or(file.text);
        let table = match text.trim_start().chars().next() {
            None => {
                return Err(file.wrong(
                    1,
                    1,
                    "the file is empty",
                    "give it a header and a row for each time",
                ));
            }
            Some('[' | '{') => json(file, text)?,
            Some(_) => csv(file, text)?,
        };
        if table.rows.is_empty() {
            return Err(file.wrong(1, 1, "there is a header and not one row", "give it a row for each time"));
        }
        Ok(table)
    }
}

/// Objects, one after the other: in an array, or line by line.
fn json(file: File<'_>, text: &str) -> Result<Table, CliError> {
    let hint = "write an array of objects, or one object a line, with the keys time, requests, errors";
    let lines = Lines::of(text);
    let mut columns: Vec<String> = Vec::new();
    let mut objects: Vec<(usize, usize, Map<String, Value>)> = Vec::new();
    let mut at = text.len() - text.trim_start().len();
    let is_array = text[at..].starts_with('[');
    at += usize::from(is_array);
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n', ',']).len();
        let rest = &text[at..];
        if rest.is_empty() || (is_array && rest.starts_with(']')) {
            break;
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Map<String, Value>>();
        let object = match values.next() {
            Some(Ok(object)) => object,
            Some(Err(error)) => {
                let (line, column) = lines.place(at);
                let inner = error.line() as u32;
                let column = if inner <= 1 {
                    column + error.column().saturating_sub(1) as u32
                } else {
                    error.column() as u32
                };
                let why = error.to_string();
                let why = why.split(" at line ").next().unwrap_or_default().to_owned();
                return Err(file.wrong(line + inner.saturating_sub(1), column.max(1), why, hint));
            }
            None => break,
        };
        let end = at + values.byte_offset();
        for key in object.keys() {
            if !columns.contains(key) {
                columns.push(key.clone());
            }
        }
        objects.push((at, end, object));
        if objects.len() > ROWS_MAX {
            return Err(too_many(file));
        }
        at = end;
    }
    let row = |(at, end, object): &(usize, usize, Map<String, Value>)| -> Vec<Cell> {
        columns
            .iter()
            .map(|key| {
                let inner = text[*at..*end].find(&format!("\"{key}\"")).unwrap_or(0);
                let (line, column) = lines.place(at + inner);
                let value = object.get(key);
                Cell { text: value.map(words).unwrap_or_default(), line, column }
            })
            .collect()
    };
    let rows = objects.iter().map(row).collect();
    Ok(Table { columns, rows })
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => u8::from(*yes).to_string(),
        other => other.to_string(),
    }
}

/// Where each line begins, to tell the place of an offset.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// Line and column (in bytes), from 1.
    fn place(&self, at: usize) -> (u32, u32) {
        let line = self.0.partition_point(|begin| *begin <= at);
        (line as u32, (at - self.0[line - 1]) as u32 + 1)
    }
}

fn too_many(file: File<'_>) -> CliError {
    file.wrong(1, 1, format!("there are more than {ROWS_MAX} rows"), "add them up by the second first")
}

/// Comma, semicolon or tab, fields in quotes where they must be; lines that begin with # are skipped.
fn csv(file: File<'_>, text: &str) -> Result<Table, CliError> {
    let mut lines = text.lines().zip(1_u32..).filter(|(line, _)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    let Some((first, number)) = lines.next() else {
        return Err(file.wrong(1, 1, "there are only comments", "give it a header and a row for each time"));
    };
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(|c| first.matches(*c).count()).unwrap_or(',');
    let head = fields(file, first, number, delimiter)?;
    let is_header = head.iter().any(|cell| {
        let text = cell.text.trim();
        !text.is_empty() && text.parse::<f64>().is_err() && super::time::read(text).is_none()
    });
    let mut rows = Vec::new();
    let columns: Vec<String> = if is_header {
        head.into_iter().map(|cell| cell.text).collect()
    } else {
        let names: &[&str] = match head.len() {
            2 => &["time", "value"],
            3 => &["time", "requests", "errors"],
            count => {
                let message = format!("there is no header, and {count} columns do not explain themselves");
                let hint = "begin with a line such as: time,requests,errors";
                return Err(file.wrong(number, 1, message, hint));
            }
        };
        rows.push(head);
        names.iter().map(ToString::to_string).collect()
    };
    for (line, number) in lines {
        let row = fields(file, line, number, delimiter)?;
        if row.len() != columns.len() {
            let column = row.get(columns.len()).or(row.last()).map_or(1, |cell| cell.column);
            let message = format!("{} cells where the header has {}", row.len(), columns.len());
            return Err(file.wrong(
                number,
                column,
                message,
                "give every row as many cells; an empty one is no data",
            ));
        }
        rows.push(row);
        if rows.len() > ROWS_MAX {
            return Err(too_many(file));
        }
    }
    Ok(Table { columns, rows })
}

fn fields(file: File<'_>, line: &str, number: u32, delimiter: char) -> Result<Vec<Cell>, CliError> {
    let mut cells = Vec::new();
    let mut cell = Cell { line: number, column: 1, ..Cell::default() };
    let mut quoted = false;
    let mut chars = line.trim_end_matches('\r').chars().zip(1_u32..).peekable();
    while let Some((c, column)) = chars.next() {
        match c {
            '"' if quoted && chars.peek().is_some_and(|(next, _)| *next == '"') => {
                cell.text.push('"');
                chars.next();
            }
            '"' if quoted => quoted = false,
            '"' if cell.text.trim().is_empty() => {
                cell.text.clear();
                quoted = true;
            }
            c if c == delimiter && !quoted => {
                let next = Cell { line: number, column: column + 1, ..Cell::default() };
                cells.push(std::mem::replace(&mut cell, next));
            }
            c => cell.text.push(c),
        }
    }
    if quoted {
        return Err(file.wrong(number, cell.column, "a quote is not closed on its line", "close it"));
    }
    cells.push(cell);
    for cell in &mut cells {
        cell.text = cell.text.trim().to_owned();
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, CliError> {
        Table::read(File { name: "a", text })
    }

    #[test]
    fn the_same_figures_in_every_form_are_the_same_cells() {
        let texts = [
            "time,requests,errors\n1,10,2\n2,20,\n",
            "\u{feff}time;requests;errors\r\n1;10;2\r\n2;20;\r\n",
            "# made by hand\n\"time\"\t\"requests\"\terrors\n1\t10\t\"2\"\n2\t20\t\n",
            "[{\"time\":1,\"requests\":10,\"errors\":2},\n {\"time\":2,\"requests\":20,\"errors\":null}]",
            "{\"time\":1,\"requests\":10,\"errors\":2}\n{\"time\":2,\"requests\":20}\n",
        ];
        for text in texts {
            let table = read(text).unwrap();
            let cell = |row: usize, name: &str| {
                let column = table.columns.iter().position(|column| column == name).unwrap();
                table.rows[row][column].text.clone()
            };
            assert_eq!(table.rows.len(), 2, "{text}");
            assert_eq!([cell(0, "time"), cell(0, "requests"), cell(0, "errors")], ["1", "10", "2"], "{text}");
            assert_eq!([cell(1, "requests"), cell(1, "errors")], ["20", ""], "{text}");
        }
        assert_eq!(read("1,10,2\n").unwrap().columns, ["time", "requests", "errors"]);
    }

    #[test]
    fn cells_know_their_place() {
        let table = read("time,requests\n1,10\n2,x\n").unwrap();
        assert_eq!((table.rows[1][1].line, table.rows[1][1].column), (3, 3));
        let table = read("[{\"time\":1,\n  \"errors\":5}]").unwrap();
        let errors = table.columns.iter().position(|column| column == "errors").unwrap();
        assert_eq!((table.rows[0][errors].line, table.rows[0][errors].column), (2, 3));
    }
}
