//! What is pushed over OTLP 1.x, read from protobuf or JSON (opentelemetry-proto, `metrics.proto`).
//!
//! Of protobuf only what metrics need is read, by field number; unknown fields are passed over, as
//! the format wants it.

use serde_json::Value;

/// Messages are nested so deep at most: values of attributes may hold values.
const DEPTH_MAX: usize = 16;

/// What one process has pushed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Pushed {
    pub(super) resource: Attributes,
    pub(super) metrics: Vec<Metric>,
}

pub(super) type Attributes = Vec<(String, String)>;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) unit: String,
    /// Whether it is a sum that only grows, or a histogram; otherwise a value.
    pub(super) counts: bool,
    /// Whether points say what was added since the one before.
    pub(super) delta: bool,
    pub(super) points: Vec<Point>,
    /// Points of a summary: quantiles, of which no two can be added.
    pub(super) summaries: u64,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) attributes: Attributes,
    pub(super) start_ns: u64,
    pub(super) at_ns: u64,
    pub(super) data: Data,
    /// Of a histogram: how many values, and their sum, where it was pushed.
    pub(super) sums: Option<[f64; 2]>,
    /// Whether it says that there is no value now (`NO_RECORDED_VALUE`).
    pub(super) void: bool,
}

impl Point {
    /// Whether there is nothing to take of it.
    pub(super) fn is_void(&self) -> bool {
        self.void || matches!(self.data, Data::Number(number) if !number.is_finite())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Number(f64),
    /// Upper bounds, and one count more than there are bounds.
    Explicit(Vec<f64>, Vec<u64>),
    /// Scale, count at zero, index of the first bucket, counts.
    Exponential(i32, u64, i32, Vec<u64>),
}

impl Default for Data {
    fn default() -> Self {
        Self::Number(f64::NAN)
    }
}

/// The flag of a point without a value.
const NO_VALUE: u64 = 1;

type Read<T> = Result<T, &'static str>;

const BROKEN: &str = "the message is broken off or is no protobuf";

/// A field's value.
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

impl<'b> Field<'b> {
    fn bytes(&self) -> Read<&'b [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(BROKEN),
        }
    }

    fn number(&self) -> Read<u64> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Bytes(_) => Err(BROKEN),
        }
    }

    fn text(&self) -> Read<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    fn double(&self) -> Read<f64> {
        Ok(f64::from_bits(self.number()?))
    }

    /// Fixed 64-bit numbers, packed or alone.
    fn fixed(&self) -> Read<Vec<u64>> {
        match self {
            Self::Number(number) => Ok(vec![*number]),
            Self::Bytes(bytes) if bytes.len() % 8 == 0 => {
                let one =
                    |chunk: &[u8]| u64::from_le_bytes(chunk.try_into().expect("chunks are of eight bytes"));
                Ok(bytes.chunks_exact(8).map(one).collect())
            }
            Self::Bytes(_) => Err(BROKEN),
        }
    }
}

/// Calls `take` with each field of a message.
fn fields<'b>(mut bytes: &'b [u8], mut take: impl FnMut(u64, Field<'b>) -> Read<()>) -> Read<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => Field::Number(u64::from_le_bytes(split(&mut bytes, 8)?.try_into().map_err(|_| BROKEN)?)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| BROKEN)?;
                Field::Bytes(split(&mut bytes, length)?)
            }
            5 => Field::Number(u64::from(u32::from_le_bytes(
                split(&mut bytes, 4)?.try_into().map_err(|_| BROKEN)?,
            ))),
            _ => return Err(BROKEN),
        };
        take(key >> 3, field)?;
    }
    Ok(())
}

fn split<'b>(bytes: &mut &'b [u8], length: usize) -> Read<&'b [u8]> {
    let (part, rest) = bytes.split_at_checked(length).ok_or(BROKEN)?;
    *bytes = rest;
    Ok(part)
}

fn varint(bytes: &mut &[u8]) -> Read<u64> {
    let mut number = 0_u64;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first().ok_or(BROKEN)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(BROKEN)
}

fn zigzag(number: u64) -> i32 {
    ((number >> 1) as i64 ^ -((number & 1) as i64)) as i32
}

/// An `ExportMetricsServiceRequest` in protobuf.
pub(super) fn protobuf(bytes: &[u8]) -> Read<Vec<Pushed>> {
    let mut all = Vec::new();
    fields(bytes, |number, field| {
        if number == 1 {
            all.push(resource_metrics(field.bytes()?)?);
        }
        Ok(())
    })?;
    Ok(all)
}

fn resource_metrics(bytes: &[u8]) -> Read<Pushed> {
    let mut pushed = Pushed::default();
    fields(bytes, |number, field| match number {
        1 => fields(field.bytes()?, |number, field| match number {
            1 => attribute(field.bytes()?, &mut pushed.resource),
            _ => Ok(()),
        }),
        2 => fields(field.bytes()?, |number, field| {
            if number == 2 {
                pushed.metrics.push(metric(field.bytes()?)?);
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    Ok(pushed)
}

fn attribute(bytes: &[u8], into: &mut Attributes) -> Read<()> {
    let (mut key, mut value) = (String::new(), String::new());
    fields(bytes, |number, field| {
        match number {
            1 => key = field.text()?,
            2 => value = any(field.bytes()?, 0)?,
            _ => {}
        }
        Ok(())
    })?;
    into.push((key, value));
    Ok(())
}

/// An `AnyValue` as text; of lists and maps the first value stands for all.
fn any(bytes: &[u8], depth: usize) -> Read<String> {
    if depth > DEPTH_MAX {
        return Err("a value is nested too deeply");
    }
    let mut text = String::new();
    fields(bytes, |number, field| {
        text = match number {
            1 => field.text()?,
            2 => (field.number()? != 0).to_string(),
            3 => (field.number()? as i64).to_string(),
            4 => field.double()?.to_string(),
            5 => any(field.bytes()?, depth + 1)?,
            _ => String::new(),
        };
        Ok(())
    })?;
    Ok(text)
}

fn metric(bytes: &[u8]) -> Read<Metric> {
    let mut metric = Metric::default();
    fields(bytes, |number, field| {
        match number {
            1 => metric.name = field.text()?,
            3 => metric.unit = field.text()?,
            5 | 7 | 9 | 10 => points(number, field.bytes()?, &mut metric)?,
            11 => fields(field.bytes()?, |number, _| {
                metric.summaries += u64::from(number == 1);
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(metric)
}

/// Gauge (5), sum (7), histogram (9) or exponential histogram (10).
fn points(kind: u64, bytes: &[u8], metric: &mut Metric) -> Read<()> {
    metric.counts = kind >= 9;
    fields(bytes, |number, field| {
        match number {
            1 => metric.points.push(point(kind, field.bytes()?)?),
            2 => metric.delta = field.number()? == 1,
            3 if kind == 7 => metric.counts = field.number()? != 0,
            _ => {}
        }
        Ok(())
    })
}

fn point(kind: u64, bytes: &[u8]) -> Read<Point> {
    let mut point = Point::default();
    let (mut counts, mut bounds): (Vec<u64>, Vec<f64>) = (Vec::new(), Vec::new());
    let (mut scale, mut zero, mut offset) = (0, 0, 0);
    let (mut count, mut sum) = (0, None);
    fields(bytes, |number, field| {
        match (kind, number) {
            (_, 2) => point.start_ns = field.number()?,
            (_, 3) => point.at_ns = field.number()?,
            (5 | 7, 4) => point.data = Data::Number(field.double()?),
            (5 | 7, 6) => point.data = Data::Number(field.number()? as i64 as f64),
            (5 | 7, 7) | (9, 9) | (10, 1) => attribute(field.bytes()?, &mut point.attributes)?,
            (5 | 7, 8) | (9 | 10, 10) => point.void = field.number()? & NO_VALUE != 0,
            (9 | 10, 4) => count = field.number()?,
            (9 | 10, 5) => sum = Some(field.double()?),
            (9, 6) => counts.extend(field.fixed()?),
            (9, 7) => bounds.extend(field.fixed()?.into_iter().map(f64::from_bits)),
            (10, 6) => scale = zigzag(field.number()?),
            (10, 7) => zero = field.number()?,
            (10, 8) => fields(field.bytes()?, |number, field| {
                match (number, field) {
                    (1, field) => offset = zigzag(field.number()?),
                    (2, Field::Number(number)) => counts.push(number),
                    (2, Field::Bytes(mut packed)) => {
                        while !packed.is_empty() {
                            counts.push(varint(&mut packed)?);
                        }
                    }
                    _ => {}
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    point.sums = sum.map(|sum| [count as f64, sum]);
    match kind {
        9 => point.data = Data::Explicit(bounds, counts),
        10 => point.data = Data::Exponential(scale, zero, offset, counts),
        _ => {}
    }
    Ok(point)
}

/// The same in JSON, where 64-bit numbers are texts.
pub(super) fn json(bytes: &[u8]) -> Read<Vec<Pushed>> {
    let root: Value = serde_json::from_slice(bytes).map_err(|_| "the message is no JSON")?;
    let list = root.get("resourceMetrics").and_then(Value::as_array).ok_or("there are no resourceMetrics")?;
    Ok(list.iter().map(json_resource).collect())
}

fn json_resource(value: &Value) -> Pushed {
    let metrics = many(value, "scopeMetrics").flat_map(|scope| many(scope, "metrics")).map(json_metric);
    let resource = value.get("resource").map(json_attributes).unwrap_or_default();
    Pushed { resource, metrics: metrics.collect() }
}

fn many<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn json_attributes(value: &Value) -> Attributes {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let one = |pair: &Value| {
        let inner = pair.get("value")?.as_object()?.values().next()?;
        Some((pair.get("key")?.as_str()?.to_owned(), text(inner)))
    };
    many(value, "attributes").filter_map(one).collect()
}

fn json_metric(value: &Value) -> Metric {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kinds = ["gauge", "sum", "histogram", "exponentialHistogram"];
    let data = kinds.into_iter().find_map(|kind| Some((kind, value.get(kind)?)));
    let summary = value.get("summary").map_or(0, |summary| many(summary, "dataPoints").count());
    let mut metric =
        Metric { name: text("name"), unit: text("unit"), summaries: summary as u64, ..Metric::default() };
    let Some((kind, data)) = data else { return metric };
    metric.counts = match kind {
        "gauge" => false,
        "sum" => data.get("isMonotonic").and_then(Value::as_bool).unwrap_or(false),
        _ => true,
    };
    let temporality = data.get("aggregationTemporality");
    metric.delta = temporality.is_some_and(|value| {
        value.as_u64() == Some(1) || value.as_str() == Some("AGGREGATION_TEMPORALITY_DELTA")
    });
    metric.points = many(data, "dataPoints").map(|point| json_point(kind, point)).collect();
    metric
}

/// A number, also as the texts that JSON has for what are none (`NaN`).
fn double(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| match value.as_str()? {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    })
}

fn json_point(kind: &str, value: &Value) -> Point {
    let whole = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.parse().unwrap_or_default(),
        Some(value) => value.as_i64().unwrap_or_default(),
        None => 0_i64,
    };
    let counts = |value: &Value| -> Vec<u64> {
        many(value, "bucketCounts").map(|count| whole(Some(count)).max(0) as u64).collect()
    };
    let data = match kind {
        "histogram" => {
            Data::Explicit(many(value, "explicitBounds").filter_map(double).collect(), counts(value))
        }
        "exponentialHistogram" => {
            let positive = value.get("positive").unwrap_or(&Value::Null);
            let (scale, zero) =
                (whole(value.get("scale")) as i32, whole(value.get("zeroCount")).max(0) as u64);
            Data::Exponential(scale, zero, whole(positive.get("offset")) as i32, counts(positive))
        }
        _ => match value.get("asDouble").and_then(double) {
            Some(number) => Data::Number(number),
            None => value.get("asInt").map_or(Data::default(), |int| Data::Number(whole(Some(int)) as f64)),
        },
    };
    Point {
        attributes: json_attributes(value),
        start_ns: whole(value.get("startTimeUnixNano")).max(0) as u64,
        at_ns: whole(value.get("timeUnixNano")).max(0) as u64,
        data,
        void: whole(value.get("flags")).cast_unsigned() & NO_VALUE != 0,
        sums: value.get("sum").and_then(double).map(|sum| [whole(value.get("count")) as f64, sum]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of open-telemetry/opentelemetry-proto, `examples/metrics.json`, with values of our own.
    #[test]
    fn every_kind_of_metric_is_read_as_the_published_example_has_it() {
        let point = |more: &str| {
            format!(
                r#"{{{more},"startTimeUnixNano":"1795284012300000000","timeUnixNano":"1795284013300000000",
                "attributes":[{{"key":"route","value":{{"stringValue":"/cart"}}}}]}}"#
            )
        };
        let (sum, gauge) = (point(r#""asDouble":7"#), point(r#""asInt":"11""#));
        let histogram =
            point(r#""count":"3","sum":2.5,"bucketCounts":["1","2"],"explicitBounds":[1],"min":0,"max":2"#);
        let exponential = point(
            r#""count":"6","sum":20,"scale":0,"zeroCount":"1","positive":{"offset":1,"bucketCounts":["0","5"]},
            "min":0,"max":7,"zeroThreshold":0"#,
        );
        let summary = point(r#""count":"1","sum":1,"quantileValues":[{"quantile":0.5,"value":1}]"#);
        let void = point(r#""flags":1"#);
        let text = format!(
            r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},
            "scopeMetrics":[{{"scope":{{"name":"lib","version":"1.0.0","attributes":[]}},"metrics":[
            {{"name":"a","unit":"1","description":"d","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{sum},{void}]}}}},
            {{"name":"b","unit":"1","gauge":{{"dataPoints":[{gauge}]}}}},
            {{"name":"c","unit":"ms","histogram":{{"aggregationTemporality":2,"dataPoints":[{histogram}]}}}},
            {{"name":"d","unit":"s","exponentialHistogram":{{"aggregationTemporality":1,"dataPoints":[{exponential}]}}}},
            {{"name":"e","unit":"s","summary":{{"dataPoints":[{summary}]}}}}]}}]}}],"unknownField":{{"x":1}}}}"#
        );
        let read = json(text.as_bytes()).expect("the example");
        assert_eq!(read[0].resource, [("service.name".to_owned(), "shop".to_owned())]);
        let [a, b, c, d, e] = &read[0].metrics[..] else { panic!("{read:?}") };
        assert!(a.counts && a.delta && a.points[1].is_void());
        assert_eq!((&a.points[0].data, a.points[0].at_ns), (&Data::Number(7.0), 1_795_284_013_300_000_000));
        assert_eq!(a.points[0].attributes, [("route".to_owned(), "/cart".to_owned())]);
        assert!(!b.counts && b.points[0].data == Data::Number(11.0));
        assert!(c.counts && !c.delta && c.unit == "ms");
        assert_eq!(c.points[0].data, Data::Explicit(vec![1.0], vec![1, 2]));
        assert_eq!(d.points[0].data, Data::Exponential(0, 1, 1, vec![0, 5]));
        assert_eq!((e.points.len(), e.summaries), (0, 1));
    }
}
