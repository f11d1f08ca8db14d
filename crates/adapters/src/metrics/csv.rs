//! A file that grows by a row a moment: a column `t`, and others with counts or values.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use taxiway_model::metrics::Shape;

use super::answer::{Answer, Points, Series};
use super::ask::Question;
use super::exchange::{Failure, cut, now_s};

/// The most that is read of a file: its end. A row is some 50 bytes.
const TAIL_BYTES: u64 = 8 * 1024 * 1024;

pub(super) async fn ask(path: &str, question: &Question) -> Result<Answer, Failure> {
    let (path, question, limit) = (path.to_owned(), question.clone(), question.limit);
    let read = tokio::task::spawn_blocking(move || points(&path, &question));
    match tokio::time::timeout(limit, read).await {
        Ok(Ok(points)) => points.map(Answer::Buckets).map_err(Failure::new),
        Ok(Err(_)) | Err(_) => {
            Err(Failure::new(format!("it could not be read within {} ms", limit.as_millis())))
        }
    }
}

fn points(path: &str, question: &Question) -> Result<Points, String> {
    let mut series = Vec::new();
    for ((side, version), (_, columns)) in question.sides.iter().zip(question.texts()) {
        let path = question.source.filled(path, *side, version);
        let text = tail(&path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        for (part, column) in columns.iter().enumerate() {
            let points = column_of(&text, column, question.from_s).map_err(|why| format!("{path}: {why}"))?;
            if let Shape::Values { .. } = question.query.shape {
                let sums = summed(&points).into_iter().enumerate();
                series.extend(sums.map(|(part, points)| Series { side: *side, part, points }));
            } else {
                series.push(Series { side: *side, part, points });
            }
        }
    }
    Ok(Points { now_s: now_s(), bucket_s: 0.0, series })
}

/// The first line, and the end of what follows; a row that is being written is left out.
fn tail(path: &str) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if length > 2 * TAIL_BYTES {
        file.by_ref().take(TAIL_BYTES).read_to_end(&mut bytes)?;
        bytes.truncate(bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        file.seek(SeekFrom::Start(length - TAIL_BYTES))?;
        let mut end = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut end)?;
        let whole = end.iter().position(|byte| *byte == b'\n').map_or(end.len(), |at| at + 1);
        bytes.extend_from_slice(&end[whole..]);
    } else {
        file.take(2 * TAIL_BYTES).read_to_end(&mut bytes)?;
    }
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Count, sum and squares of the values of each second: rows of the same moment are several values.
fn summed(points: &[(f64, f64)]) -> [Vec<(f64, f64)>; 3] {
    let mut seconds: BTreeMap<i64, [f64; 3]> = BTreeMap::new();
    for (at_s, value) in points.iter().filter(|(_, value)| value.is_finite()) {
        let sums = seconds.entry(at_s.floor() as i64).or_default();
        for (sum, more) in sums.iter_mut().zip([1.0, *value, value * value]) {
            *sum += more;
        }
    }
    [0, 1, 2].map(|part| seconds.iter().map(|(at_s, sums)| (*at_s as f64, sums[part])).collect())
}

/// Moments and numbers of a column. An empty field is no value.
fn column_of(text: &str, column: &str, from_s: f64) -> Result<Vec<(f64, f64)>, String> {
    let mut lines =
        text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.is_empty());
    let (_, head) = lines.next().ok_or("it has no line with the names of its columns")?;
    let names: Vec<String> = fields(head);
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let at = place("t").ok_or("it has no column `t`")?;
    let wanted = place(column)
        .ok_or_else(|| format!("it has no column `{}`, only {}", cut(column), cut(&names.join(", "))))?;
    let mut points = Vec::new();
    for (number, line) in lines {
        let row = fields(line);
        let faulty = |what: &str| format!("line {}: {what}", number + 1);
        let time =
            row.get(at).and_then(|text| moment_s(text)).ok_or_else(|| faulty("`t` is not a moment"))?;
        if time < from_s {
            continue;
        }
        match row.get(wanted).map(String::as_str) {
            None => return Err(faulty("the row is shorter than the first line")),
            Some("") => {}
            Some(text) => {
                let value = text.parse().map_err(|_| faulty(&format!("`{}` is not a number", cut(text))))?;
                points.push((time, value));
            }
        }
    }
    Ok(points)
}

/// The fields of a row, quoted as in RFC 4180.
pub(super) fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is one at the beginning");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields.into_iter().map(|field| field.trim().to_owned()).collect()
}

/// Seconds or milliseconds since the epoch, or RFC 3339.
pub(super) fn moment_s(text: &str) -> Option<f64> {
    match text.parse::<f64>() {
        // In seconds this would be the year 5138.
        Ok(number) if number >= 1e11 => Some(number / 1e3),
        Ok(number) if number.is_finite() => Some(number),
        Ok(_) => None,
        Err(_) => text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond() as f64 / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_old_rows_left_out() {
        let text =
            "t,canary,\"base, line\"\n5,1,2\n10,3,4\n1970-01-01T00:00:20Z,,5\n30000000000000,7,\"8\"\n";
        assert_eq!(column_of(text, "canary", 10.0).unwrap(), [(10.0, 3.0), (3e10, 7.0)]);
        assert_eq!(column_of(text, "base, line", 0.0).unwrap()[2], (20.0, 5.0));
        for (column, text, why) in [
            ("x", text, "no column `x`"),
            ("a", "t,a\n5,b\n", "line 2: `b` is not a number"),
            ("a", "t,a\nnow,1\n", "line 2: `t` is not a moment"),
            ("a", "t,a\n5\n", "shorter"),
            ("a", "a\n1\n", "no column `t`"),
            ("a", "", "no line"),
        ] {
            let said = column_of(text, column, 0.0).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_row_that_is_being_written_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "t,a\n5,1\n6,1").unwrap();
        assert_eq!(tail(path.to_str().unwrap()).unwrap(), "t,a\n5,1\n");
    }
}
