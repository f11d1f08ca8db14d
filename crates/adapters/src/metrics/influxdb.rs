//! InfluxDB: Flux of version 2, InfluxQL of version 1.

use http::{Request, header};
use serde::Deserialize;
use serde_json::Value;
use taxiway_model::metrics::{Credentials, Influx, Side};

use super::answer::{Answer, Points, Series};
use super::ask::Question;
use super::csv;
use super::exchange::{Failure, Reply, Secrets, cut, encoded, exchange};

pub(super) async fn ask(
    url: &str,
    of: &Influx,
    credentials: Option<&Credentials>,
    question: &Question,
) -> Result<Answer, Failure> {
    let bucket_s = (question.source.bucket_ms / 1_000).max(1);
    let whole = |at_s: f64| (at_s / bucket_s as f64).floor() as i64 * bucket_s as i64;
    let (from_s, to_s) = (whole(question.from_s), whole(question.to_s) + bucket_s as i64);
    let mut points = Points { bucket_s: bucket_s as f64, ..Points::default() };
    for (side, parts) in question.texts() {
        for (part, text) in parts.iter().enumerate() {
            let at = |at_s: i64| match of {
                Influx::Flux { .. } => jiff::Timestamp::from_second(at_s).unwrap_or_default().to_string(),
                Influx::Influxql { .. } => format!("{at_s}s"),
            };
            let text = text
                .replace("{from}", &at(from_s))
                .replace("{to}", &at(to_s))
                .replace("{bucket}", &format!("{bucket_s}s"));
            let reply = post(url, of, credentials, &text, question).await?;
            points.now_s = reply.at_s;
            match of {
                Influx::Flux { .. } => flux(&reply.body, side, part, &mut points)?,
                Influx::Influxql { .. } => influxql(&reply.body, side, part, &mut points)?,
            }
        }
    }
    Ok(Answer::Buckets(points))
}

async fn post(
    url: &str,
    of: &Influx,
    credentials: Option<&Credentials>,
    text: &str,
    question: &Question,
) -> Result<Reply, Failure> {
    let mut secrets = Secrets::default();
    let (mut request, body) = match of {
        Influx::Flux { org } => (
            Request::post(format!("{url}/api/v2/query?org={}", encoded(org)))
                .header(header::CONTENT_TYPE, "application/vnd.flux")
                .header(header::ACCEPT, "application/csv"),
            text.to_owned(),
        ),
        Influx::Influxql { database } => (
            Request::post(format!("{url}/query?db={}&epoch=ms", encoded(database)))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ACCEPT, "application/json"),
            format!("q={}", encoded(text)),
        ),
    };
    if let Some(credentials) = credentials {
        let (name, value) = secrets.header(credentials)?;
        request = request.header(name, value);
    }
    let said = |value: &Value| {
        let text = ["error", "message"].into_iter().find_map(|key| value.get(key)?.as_str());
        text.map(str::to_owned)
    };
    exchange(request, body, question.limit, &secrets, said).await
}

/// Annotated CSV: tables one after the other, each with a line of names, `_time` and `_value` among them.
fn flux(body: &[u8], side: Side, part: usize, into: &mut Points) -> Result<(), Failure> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Failure::new("the answer is not what InfluxDB says: it is not UTF-8"))?;
    let mut names: Option<Vec<String>> = None;
    let mut tables: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for line in records(text) {
        if line.is_empty() {
            names = None;
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let row = csv::fields(line);
        let Some(names) = &names else {
            let has = |wanted: &str| row.iter().any(|name| name == wanted);
            if !(has("error") || has("_time") && has("_value")) {
                return Err(Failure::new(
                    "the answer is not what InfluxDB says: a table lacks _time or _value",
                ));
            }
            names = Some(row);
            continue;
        };
        let field = |wanted: &str| row.get(names.iter().position(|name| name == wanted)?).map(String::as_str);
        if let Some(error) = field("error") {
            let error = if error.is_empty() { "unknown query error" } else { error };
            return Err(Failure::new(format!("it answers an error: {}", cut(error))));
        }
        let at_s = field("_time").and_then(csv::moment_s);
        let value = field("_value");
        let (Some(at_s), Some(value)) = (at_s, value) else {
            return Err(Failure::new("the answer is not what InfluxDB says: a row lacks _time or _value"));
        };
        let table = field("table").unwrap_or_default();
        if tables.last().is_none_or(|(last, _)| last != table) {
            tables.push((table.to_owned(), Vec::new()));
        }
        if let (false, Some((_, points))) = (value.is_empty(), tables.last_mut()) {
            let value =
                value.parse().map_err(|_| Failure::new(format!("`{}` is not a value", cut(value))))?;
            points.push((at_s, value));
        }
    }
    into.series.extend(tables.into_iter().map(|(_, points)| Series { side, part, points }));
    Ok(())
}

/// The records of CSV: lines, but for those that end within quotes.
fn records(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let end = text.bytes().position(|byte| {
            quoted ^= byte == b'"';
            byte == b'\n' && !quoted
        });
        let (record, after) = end.map_or((text, None), |end| (&text[..end], Some(&text[end + 1..])));
        rest = after;
        Some(record.trim_end_matches('\r'))
    })
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    results: Vec<Statement>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(default)]
    series: Vec<Table>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Table {
    columns: Vec<String>,
    values: Vec<Vec<Value>>,
    #[serde(default)]
    partial: bool,
}

fn influxql(body: &[u8], side: Side, part: usize, into: &mut Points) -> Result<(), Failure> {
    let read: Read = serde_json::from_slice(body)
        .map_err(|error| Failure::new(format!("the answer is not what InfluxDB says: {error}")))?;
    let statement = read.results.into_iter().next();
    let inner = statement.as_ref().and_then(|statement| statement.error.clone());
    if let Some(error) = read.error.or(inner) {
        return Err(Failure::new(format!("it answers an error: {}", cut(&error))));
    }
    for table in statement.map(|statement| statement.series).unwrap_or_default() {
        if table.partial {
            return Err(Failure::new("the answer is not complete; widen `bucket`"));
        }
        if table.columns.len() != 2 || table.columns[0] != "time" {
            return Err(Failure::new("the answer has not one column beside the time: SELECT one thing"));
        }
        let point = |row: &Vec<Value>| Some((row.first()?.as_f64()? / 1e3, row.get(1)?.as_f64()?));
        let points = table.values.iter().filter_map(point).collect();
        into.series.push(Series { side, part, points });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Series>, Failure> {
        let mut points = Points::default();
        flux(text.as_bytes(), Side::Canary, 1, &mut points)?;
        Ok(points.series)
    }

    /// Tables as influxdb-client-go reads them in `api/query_test.go`: another schema begins after an empty line.
    #[test]
    fn tables_of_several_schemas_are_read_by_the_names_of_their_columns() {
        let text = "#datatype,string,long,dateTime:RFC3339,double,string\r\n#group,false,false,false,false,true\r\n\
            #default,_result,,,,\r\n,result,table,_time,_value,note\r\n\
            ,,0,2020-02-18T10:34:08.135814545Z,1.4,\"a, b\r\nand \"\"c\"\"\"\r\n\
            ,,0,2020-02-18T10:34:09Z,,x\r\n,,1,2020-02-18T10:34:08Z,+Inf,x\r\n\r\n\
            #datatype,string,long,long,dateTime:RFC3339Nano\r\n#group,false,false,false,false\r\n\
            #default,_result,,,\r\n,result,table,_value,_time\r\n,,2,4,2020-02-18T10:34:10Z\r\n\r\n";
        let series = read(text).expect("tables");
        assert_eq!(series.len(), 3);
        assert_eq!(series[0].points.len(), 1, "an empty value is none");
        assert_eq!(series[0].points[0].1, 1.4);
        assert_eq!(series[1].points[0].1, f64::INFINITY);
        assert_eq!(series[2].points, [(1_582_022_050.0, 4.0)]);
        assert_eq!(read("\r\n").expect("nothing"), []);
    }

    #[test]
    fn a_table_of_errors_is_an_error_also_after_values() {
        let error = "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n";
        let said = |row: &str| read(&format!("{error}{row}")).expect_err("an error").why;
        assert_eq!(
            said(",\"failed to create\r\nphysical plan\",897\r\n"),
            "it answers an error: failed to create  physical plan"
        );
        assert_eq!(said(",,\r\n"), "it answers an error: unknown query error");
    }
}
