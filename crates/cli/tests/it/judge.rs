//! `taxiway judge` and `backtest` on files.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use crate::bed::{Bed, Said, Traffic};

/// Rows of ten seconds; every so many requests one fails.
fn csv(rows: u64, requests: u64, one_in: u64) -> String {
    let mut text = "time,requests,errors\n".to_owned();
    let mut carried = 0;
    for row in 0..rows {
        carried += requests;
        let errors = carried.checked_div(one_in).unwrap_or(0);
        carried -= errors * one_in;
        let _ = writeln!(text, "{},{requests},{errors}", 1_795_200_000 + row * 10);
    }
    text
}

fn judged(bed: &Bed, baseline: &str, canary: &str, more: &[&str]) -> Said {
    std::fs::write(bed.folder().join("b.csv"), baseline).unwrap();
    std::fs::write(bed.folder().join("c.csv"), canary).unwrap();
    bed.run(&[&["judge", "b.csv", "c.csv"][..], more].concat())
}

#[test]
fn each_verdict_has_its_exit_code() {
    let bed = Bed::new("");
    let baseline = csv(120, 1_900, 100);
    for (canary, code, word) in [
        (csv(120, 100, 100), 0, "PROCEED"),
        (csv(120, 100, 20), 5, "ROLLBACK"),
        (csv(3, 10, 0), 12, "MORE DATA"),
    ] {
        let said = judged(&bed, &baseline, &canary, &[]);
        assert_eq!(said.code, code, "{said:?}");
        assert!(said.out.contains(word), "{said:?}");
    }
    // Between tolerance and red, with much traffic: a person's to decide.
    let said = judged(&bed, &csv(360, 20_000, 200), &csv(360, 20_000, 130), &[]);
    assert_eq!(said.code, 4, "{said:?}");
    let said = judged(&bed, &csv(360, 20_000, 200), &csv(360, 20_000, 130), &["--profile", "strict"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(!bed.data().exists(), "nothing was started");
}

#[test]
fn the_report_comes_as_text_json_and_a_page() {
    let bed = Bed::new("");
    let (baseline, canary) = (csv(60, 1_900, 100), csv(60, 100, 20));
    let json = judged(&bed, &baseline, &canary, &["--format", "json"]).json();
    assert_eq!(json["verdict"], "ROLLBACK");
    assert_eq!(json["format"], 1);
    assert_eq!(json["metrics"][0]["finding"]["metric"], "error_rate");
    assert!(json["at_ms"].as_u64().unwrap() < 600_000);
    assert_eq!(judged(&bed, &baseline, &canary, &["--json"]).json(), json, "--json says the same");
    let said = judged(&bed, &baseline, &canary, &["--format", "html", "--output", "report.html"]);
    assert_eq!((said.code, said.out.as_str()), (5, ""));
    let page = std::fs::read_to_string(bed.folder().join("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.matches("<svg").count() >= 3 && !page.contains("<script"));
    let said = judged(&bed, &baseline, &canary, &["--output", "no/such/folder"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn malformed_figures_are_refused_with_file_line_and_column() {
    let bed = Bed::new("");
    let good = csv(20, 100, 10);
    for (canary, place, word) in [
        ("", "c.csv:1:1", "the file is empty"),
        ("time,requests,errors\n", "c.csv:1:1", "not one row"),
        ("time,requests,errors\n1,10,x\n", "c.csv:2:6", "not a number"),
        ("time,requests,errors\n1,10,2\n2,10\n", "c.csv:3:3", "2 cells where the header has 3"),
        ("time,requests,errors\n1,10.5,2\n", "c.csv:2:3", "not a whole number"),
        ("time,requests,errors\n1,-3,2\n", "c.csv:2:3", "less than nothing"),
        ("time,requests,errors\n1,3,4\n", "c.csv:2:5", "4 errors of 3 requests"),
        ("time,requests,errors\n9,3,0\n5,3,0\n", "c.csv:3:1", "the time goes back"),
        ("time,requests,errors\nsoon,3,0\n", "c.csv:2:1", "not a time"),
        ("time,requests,errors\n1,1e18,0\n", "c.csv:2:3", "more than"),
        ("time,requests,errors\n1,NaN,NaN\n", "c.csv:1:1", "not one row has data"),
        ("time,requests\n1,3\n", "c.csv:1:1", "no column says how many failed"),
        ("requests,errors\n1,3\n", "c.csv:1:1", "no time"),
        ("1,2,3,4\n", "c.csv:1:1", "no header"),
        ("[{\"time\":1,\"requests\":5,\n\"errors\":\"x\"}]", "c.csv:2:1", "not a number"),
        ("[{\"time\":1,\"requests\":5,,}]", "c.csv:1:", "key must be a string"),
    ] {
        let said = judged(&bed, &good, canary, &[]);
        assert_eq!(said.code, 2, "{canary:?}: {said:?}");
        assert!(said.err.contains(place) && said.err.contains(word), "{canary:?}: {}", said.err);
        assert!(said.err.contains("bad_series") && said.err.contains("next:"), "{}", said.err);
    }
    let said = bed.run(&["judge", "b.csv", "nowhere.csv"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(bed.run(&["judge", "b.csv"]).code, 2, "one side is missing");
}

#[test]
fn rows_without_data_are_left_out_and_said() {
    let bed = Bed::new("");
    let canary = csv(60, 100, 20)
        .replace("1795200100,100,5", "1795200100,NaN,")
        .replace("1795200200,100,5", "1795200200,,");
    let said = judged(&bed, &csv(60, 1_900, 100), &canary, &[]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("2 rows have no data"), "{}", said.out);
}

#[test]
fn sides_of_other_times_and_of_other_figures_are_not_compared() {
    let bed = Bed::new("");
    let later = csv(60, 100, 20).replace("17952", "17953");
    let said = judged(&bed, &csv(60, 1_900, 100), &later, &[]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("no time in common") && said.err.contains("--align"), "{}", said.err);
    assert_eq!(judged(&bed, &csv(60, 1_900, 100), &later, &["--align"]).code, 5);
    let said = judged(&bed, &csv(60, 1_900, 100), "time,value\n1795200000,3\n", &[]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("different figures"), "{}", said.err);
}

#[test]
fn huge_counts_growing_counts_and_latencies_are_judged() {
    let bed = Bed::new("");
    let said = judged(&bed, &csv(60, 1_000_000_000_000, 100), &csv(60, 1_000_000_000_000, 25), &[]);
    assert_eq!(said.code, 5, "{said:?}");
    let growing = |requests: u64, errors: u64| {
        let rows = (0..60).map(|row| format!("{},{},{}\n", row * 10, row * requests, row * errors));
        format!("time,requests,errors\n{}", rows.collect::<String>())
    };
    let said = judged(&bed, &growing(1_900, 19), &growing(100, 6), &["--cumulative"]);
    assert_eq!(said.code, 5, "{said:?}");
    let slow = |factor: u64| {
        let row = |at: u64| format!("{}.{:03},{},200\n", at / 10, at % 10 * 100, factor * (10 + at * 7 % 23));
        format!("time,latency_ms,status\n{}", (0..6_000).map(row).collect::<String>())
    };
    let said = judged(&bed, &slow(1), &slow(2), &[]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("latency_p95  c is slower"), "{}", said.out);
    let buckets = |slow: u64| {
        let row = |at: u64| format!("{at},{},{},1000\n", 900 - slow, 990 - slow / 2);
        format!("time,le_0.1,le_0.5,le_inf\n{}", (0..300).map(row).collect::<String>())
    };
    let said = judged(&bed, &buckets(0), &buckets(300), &["--metric", "duration"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("duration"), "{}", said.out);
}

#[test]
fn values_are_judged_by_the_weaker_test_in_either_direction() {
    let bed = Bed::new("");
    let values = |base: u64| {
        let rows = (0..40).map(|row| format!("{},{}\n", row * 60, base + row % 3));
        format!("time,value\n{}", rows.collect::<String>())
    };
    let said = judged(&bed, &values(100), &values(180), &["--metric", "queue_depth"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("queue_depth"), "{}", said.out);
    assert_eq!(
        judged(&bed, &values(100), &values(180), &["--worse", "lower"]).code,
        0,
        "more sales are not worse"
    );
    assert_eq!(judged(&bed, &values(180), &values(80), &["--worse", "lower"]).code, 5);
}

#[test]
fn a_policy_comes_from_a_description() {
    let bed = Bed::new("");
    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    std::fs::write(bed.file(), format!("{yaml}analysis:\n  profile: strict\n")).unwrap();
    let (baseline, canary) = (csv(360, 20_000, 200), csv(360, 20_000, 130));
    let said = judged(&bed, &baseline, &canary, &["--policy", "taxiway.yaml"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("profile strict"), "{}", said.out);
}

#[test]
fn recordings_are_judged_again_side_by_side() {
    let bed = Bed::new("");
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../report/tests/corpus");
    let file = |name: &str| format!("{corpus}/{name}.ndjson");
    let (bad, slight, good) = (file("errors-3x"), file("errors-slight"), file("healthy-100rps"));
    let files = ["--recording", &bad, "--recording", &slight, "--recording", &good];
    let profiles = ["--profile", "standard", "--profile", "strict"];
    let all = [&["backtest"][..], &files, &profiles].concat();
    let json = bed.ok(&[&all[..], &["--format", "json"]].concat()).json();
    assert_eq!(json["rows"].as_array().unwrap().len(), 6);
    let total = |judge: usize, key: &str| json["totals"][judge][key].as_u64().unwrap();
    assert_eq!((total(0, "caught"), total(1, "caught")), (1, 2));
    assert_eq!((total(0, "false_alarms"), total(1, "false_alarms")), (0, 0));
    assert!(total(1, "failed") < total(0, "failed"), "strict exposes less");
    let text = bed.ok(&all).out;
    assert!(text.contains("errors-slight (bad)") && text.contains("healthy sent back"), "{text}");
    let relabelled =
        bed.ok(&[&all[..], &["--label", "errors-slight=healthy", "--format", "json"]].concat()).json();
    assert_eq!(relabelled["totals"][1]["false_alarms"], 1);
    bed.ok(&[&all[..], &["--format", "html", "-o", "table.html"]].concat());
    let page = std::fs::read_to_string(bed.folder().join("table.html")).unwrap();
    assert!(page.contains("errors-slight") && page.trim_end().ends_with("</html>"));
    std::fs::write(bed.folder().join("broken.ndjson"), "{\"recording\":7}\n").unwrap();
    let said = bed.run(&["backtest", "--recording", "broken.ndjson"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("broken.ndjson:1:"), "{}", said.err);
    assert_eq!(bed.run(&[&all[..], &["--label", "nobody=bad"]].concat()).code, 2);
}

/// A log of HdrHistogram: so many intervals of ten seconds, values in microseconds.
fn hlog(intervals: u64, factor: u64) -> Vec<u8> {
    let began = SystemTime::UNIX_EPOCH + Duration::from_mins(29_920_000);
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.with_start_time(began).with_base_time(began);
    let mut log = builder.begin_log_with(&mut bytes, &mut serializer).unwrap();
    for interval in 0..intervals {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for value in 0..200_u64 {
            histogram.record(factor * (10_000 + value * value)).unwrap();
        }
        let (at, length) = (Duration::from_secs(interval * 10), Duration::from_secs(10));
        log.write_histogram(&histogram, at, length, None).unwrap();
    }
    bytes
}

#[test]
fn histogram_logs_are_judged() {
    let bed = Bed::new("");
    let write = |name: &str, bytes: &[u8]| std::fs::write(bed.folder().join(name), bytes).unwrap();
    write("b.hlog", &hlog(60, 1));
    write("c.hlog", &hlog(60, 2));
    let said = bed.run(&["judge", "b.hlog", "c.hlog"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(
        said.out.contains("latency_p95  c is slower") && said.out.contains("microseconds"),
        "{}",
        said.out
    );
    write("c.hlog", &hlog(60, 1));
    let said = bed.run(&["judge", "b.hlog", "c.hlog", "--unit", "ns"]);
    assert_eq!(said.code, 0, "{said:?}");
    let broken = String::from_utf8(hlog(3, 1)).unwrap().replace("HISTF", "HISTE");
    write("c.hlog", broken.as_bytes());
    let said = bed.run(&["judge", "b.hlog", "c.hlog"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("c.hlog:") && said.err.contains("histogram"), "{}", said.err);
}

/// A log as writers of the first format made it, with V1 histograms: values in nanoseconds, maxima in milliseconds.
fn old_hlog(tag: &str, factor: u64) -> String {
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let mut text = "#[Histogram log format version 1.1]\n#[StartTime: 1795200000.000 (seconds since epoch)]\n\
                    \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        .to_owned();
    for interval in 0..60_u64 {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 2).unwrap();
        for value in 1..=200_u64 {
            histogram.record(factor * (10_000_000 + value * value * 1_000)).unwrap();
        }
        let places = histogram
            .iter_all()
            .take_while(|value| value.value_iterated_to() <= histogram.max() + factor * 1_000_000);
        let payload: Vec<u8> =
            places.flat_map(|value| (value.count_at_value() as u32).to_be_bytes()).collect();
        let mut plain = 0x1c84_9341_u32.to_be_bytes().to_vec();
        plain.extend((payload.len() as u32).to_be_bytes());
        plain.extend(0_u32.to_be_bytes());
        plain.extend(2_u32.to_be_bytes());
        plain.extend(1_u64.to_be_bytes());
        plain.extend(60_000_000_000_u64.to_be_bytes());
        plain.extend(1_f64.to_be_bytes());
        plain.extend(payload);
        let max_ms = histogram.max() as f64 / 1e6;
        let _ = writeln!(text, "{tag}{}.000,10.000,{max_ms:.3},{}", interval * 10, base64(&plain));
    }
    text
}

/// One request in fifty takes six times as long: the 95th percentiles are within the tolerance, and no word may say that
/// they are what the version goes back for.
#[test]
fn a_slow_end_is_told_as_one() {
    let bed = Bed::new("");
    let requests = |factor: u64| {
        let ms = |at: u64| (10 + at * 7 % 23) * if at.is_multiple_of(50) { factor } else { 1 };
        let row = |at: u64| format!("{}.{:02},{},200\n", at / 100, at % 100, ms(at));
        format!("time,latency_ms,status\n{}", (0..20_000).map(row).collect::<String>())
    };
    let said = judged(&bed, &requests(1), &requests(6), &[]);
    assert_eq!(said.code, 5, "{said:?}");
    for words in ["back: its slowest requests take longer than those of", "shown to be slower", "p99 canary"]
    {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    let page = judged(&bed, &requests(1), &requests(6), &["--format", "html"]).out;
    assert!(page.contains("requests take longer than") && !page.contains("equally fast"), "{page}");
}

#[test]
fn old_logs_tags_units_and_single_histograms_are_read() {
    let bed = Bed::new("");
    let write = |name: &str, text: &str| std::fs::write(bed.folder().join(name), text).unwrap();
    write("b.hlog", &old_hlog("", 1));
    write("c.hlog", &old_hlog("", 2));
    let said = bed.run(&["judge", "b.hlog", "c.hlog"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(
        said.out.contains("nanoseconds: line") && said.out.contains("latency_p95  c is slower"),
        "{}",
        said.out
    );
    assert!(said.out.contains("ms ("), "the values are milliseconds: {}", said.out);
    // The same times, from a log without a name that says so.
    write("b.log", &old_hlog("", 1));
    assert_eq!(bed.run(&["judge", "b.log", "b.hlog"]).code, 0);
    // Two tags are two things.
    let tagged = format!(
        "{}{}",
        old_hlog("Tag=read,", 1),
        old_hlog("Tag=write,", 2).split_once("Histogram\"\n").unwrap().1
    );
    write("t.hlog", &tagged);
    let said = bed.run(&["judge", "b.hlog", "t.hlog"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("several tags: read, write") && said.err.contains("--tag"), "{}", said.err);
    write("u.hlog", &old_hlog("Tag=write,", 1));
    assert_eq!(bed.run(&["judge", "u.hlog", "t.hlog", "--tag", "write"]).code, 5);
    let said = bed.run(&["judge", "u.hlog", "t.hlog", "--tag", "none"]);
    assert!(said.code == 2 && said.err.contains("no interval has the tag"), "{said:?}");
    assert_eq!(bed.run(&["judge", "b.csv", "b.hlog", "--tag", "read"]).code, 2);
    // A histogram without a log around it has no time of its own.
    let single = |log: &str| {
        let encoded = log.lines().filter(|line| !line.starts_with(['#', '"']));
        encoded.flat_map(|line| [line.rsplit(',').next().unwrap(), "\n"]).collect::<String>()
    };
    write("b.hdr", &single(&old_hlog("", 1)));
    write("c.hdr", &single(&old_hlog("", 2)));
    let said = bed.run(&["judge", "b.hdr", "c.hdr", "--unit", "ns"]);
    assert_eq!(said.code, 12, "one moment is not enough, whatever it holds: {said:?}");
    assert!(said.out.contains("12,000 requests") && said.out.contains("are one moment"), "{}", said.out);
    // Milliseconds against nanoseconds.
    let said = bed.run(&["judge", "b.hlog", "c.hlog", "--unit", "s", "--json"]);
    assert!(!said.out.contains("x apart"), "{said:?}");
    write("d.csv", "time,latency_ms,status\n1795200000,10,200\n1795200001,11,200\n");
    write("e.csv", "time,latency_ms,status\n1795200000,10000,200\n1795200001,11000,200\n");
    let said = bed.run(&["judge", "d.csv", "e.csv"]);
    assert!(said.out.contains("x apart: are both in the same unit?"), "{said:?}");
}

#[test]
fn packed_figures_are_read_and_others_say_what_they_are() {
    let bed = Bed::new("");
    let (baseline, canary) = (csv(60, 1_900, 100), csv(60, 100, 20));
    std::fs::write(bed.folder().join("b.csv"), &baseline).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(canary.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    std::fs::write(bed.folder().join("c.csv.gz"), &packed).unwrap();
    assert_eq!(bed.run(&["judge", "b.csv", "c.csv.gz"]).code, 5);
    for (bytes, part) in [
        (&packed[..packed.len() / 2], "its compression is broken"),
        (b"PK\x03\x04abc\xff", "an archive or a spreadsheet"),
        (b"\xff\xfet\0i\0", "text in UTF-16"),
        (b"time,requests,errors\n1,2,\xe9\n", "byte 26 is not text in UTF-8"),
    ] {
        std::fs::write(bed.folder().join("c.csv"), bytes).unwrap();
        let said = bed.run(&["judge", "b.csv", "c.csv"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(part) && said.err.contains("next:"), "{part}: {}", said.err);
    }
    let said = bed.run(&["judge", "-", "-"]);
    assert!(said.code == 2 && said.err.contains("both sides cannot come"), "{said:?}");
}

/// A server that answers range queries as a Prometheus does: counters that grow by ten a second,
/// of which every twentieth (canary) or hundredth (baseline) is bad; its address.
fn prometheus() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut part = [0; 4096];
            // The form comes in one piece with the head, or in the next.
            while !String::from_utf8_lossy(&request).contains("timeout=") {
                match connection.read(&mut part) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&part[..count]),
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let one_in = if request.contains("v2") { 20.0 } else { 100.0 };
            let growth = if request.contains("5..") { 10.0 / one_in } else { 10.0 };
            let points: Vec<String> = (0..120)
                .map(|row| {
                    let seconds = f64::from(row) * 10.0;
                    // It begins anew after ten minutes, as after a restart.
                    let counted = (growth * (seconds % 600.0)).floor();
                    format!("[{}, \"{counted}\"]", 1_795_200_000.0 + seconds)
                })
                .collect();
            let series = if request.contains("nobody") {
                String::new()
            } else {
                format!(r#"{{"metric":{{"instance":"a"}},"values":[{}]}}"#, points.join(","))
            };
            let body =
                format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            drop(write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        }
    });
    address
}

#[test]
fn two_ranges_of_a_prometheus_are_judged_by_their_counters() {
    let bed = Bed::new("");
    let url = prometheus();
    let query = r#"sum(rate(http_requests_total{code=~"5.."}[2m])) / sum(rate(http_requests_total[2m]))"#;
    let run = |baseline: &str, canary: &str| {
        let span = ["--from", "2026-11-20T18:40:00Z", "--to", "2026-11-20T19:00:00Z", "--step", "10s"];
        let asked =
            ["judge", "--prometheus", &url, "--query", query, "--canary", canary, "--baseline", baseline];
        bed.run(&[&asked[..], &span].concat())
    };
    let said = run("version=v1", "version=v2");
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("judged by counts of bad and all"), "{}", said.out);
    assert_eq!(run("version=v1", "version=v3").code, 0);
    let said = run("version=v1", "version=nobody");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("knows nothing of the canary"), "{}", said.err);
    let now = bed.run(&[
        "judge",
        "--prometheus",
        &url,
        "--query",
        query,
        "--canary",
        "v2",
        "--baseline",
        "v1",
        "--from",
        "-30m",
    ]);
    assert_eq!(now.code, 5, "a version, and times before now: {now:?}");
    let said = bed.run(&[
        "judge",
        "--prometheus",
        &url,
        "--query",
        query,
        "--canary",
        "v2",
        "--baseline",
        "v1",
        "--from",
        "-5m",
        "--to",
        "-30m",
    ]);
    assert!(said.code == 2 && said.err.contains("--to does not lie after --from"), "{said:?}");
    let gone = bed.run(&[
        "judge",
        "--prometheus",
        "http://127.0.0.1:1",
        "--query",
        "a",
        "--canary",
        "a=b",
        "--baseline",
        "a=c",
        "--from",
        "1795200000",
    ]);
    assert_eq!(gone.code, 8, "{gone:?}");
}

const ANALYSIS: &str = r#"
apiVersion: analysis/v1
kind: CanaryConfig
metadata: {name: shop}
spec:
  metrics:
    - name: errors
      query: sum(rate(http_requests_total{code=~"5.."}[2m])) / sum(rate(http_requests_total[2m]))
      threshold: {max_increase_ratio: 2}
    - name: queue
      query: max(queue_depth)
      threshold: {max_absolute: 5000}
"#;

/// All metrics of an analysis in one go, the baseline of another time, the secret by reference.
#[test]
fn an_analysis_is_judged_on_ranges_of_a_prometheus() {
    let bed = Bed::new("");
    let url = prometheus();
    std::fs::write(bed.folder().join("analysis.yaml"), ANALYSIS).unwrap();
    let span = ["--from", "2026-11-20T18:40:00Z", "--to", "2026-11-20T19:00:00Z", "--step", "10s"];
    let sides = ["--canary", "v2", "--baseline", "v1"];
    let run = |more: &[&str]| bed.run(&[&["judge"][..], &sides, &span, more].concat());
    let at = ["--prometheus", &url, "--analysis", "analysis.yaml"];
    let said = run(&[&at[..], &["--format", "json"]].concat());
    assert_eq!(said.code, 5, "{said:?}");
    let json = said.json();
    let names: Vec<&str> = json["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| metric["finding"]["metric"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["errors", "queue"]);
    assert!(
        json["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .all(|metric| !metric["points"].as_array().unwrap().is_empty())
    );
    let same = run(&[
        &at[..],
        &["--baseline-from", "2026-11-20T17:40:00Z", "--credentials", "bearer:env:PROM_TOKEN"],
    ]
    .concat());
    assert_eq!(same.code, 8, "the variable is not set: {same:?}");
    assert!(same.err.contains("PROM_TOKEN"), "{}", same.err);
    std::fs::write(bed.folder().join("token"), "hush-hush\n").unwrap();
    let same =
        run(&[&at[..], &["--baseline-from", "2026-11-20T18:40:00Z", "--credentials", "bearer:file:token"]]
            .concat());
    assert_eq!(same.code, 5, "{same:?}");
    assert!(same.out.contains("bad hour") && !same.out.contains("hush-hush"), "{}", same.out);
    let said = run(&[&at[..], &["--credentials", "hush-hush"]].concat());
    assert!(said.code == 2 && !said.err.contains("write bearer:hush"), "{said:?}");
    // Argo's own file, its argument given.
    let argo = format!("{}/tests/it/peers/argo.yaml", env!("CARGO_MANIFEST_DIR"));
    let said = run(&["--prometheus", &url, "--analysis", &argo, "--with", "service-name=shop"]);
    assert!([0, 4, 5, 12].contains(&said.code), "{said:?}");
    // A description that says where to ask.
    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    let source = format!("analysis:\n  file: analysis.yaml\n  source: {{prometheus: {{url: '{url}'}}}}\n");
    std::fs::write(bed.file(), yaml + &source).unwrap();
    assert_eq!(run(&["--policy", "taxiway.yaml"]).code, 5);
    let said = run(&[]);
    assert!(said.code == 2 && said.err.contains("nothing says what is to be asked"), "{said:?}");
    let said = bed.run(&[&["judge", "--canary", "v2", "--baseline", "nobody"][..], &span, &at].concat());
    assert!(said.code == 2 && said.err.contains("knows nothing of the baseline"), "{said:?}");
}

#[test]
fn a_release_is_exported_judged_again_and_explained_as_a_page() {
    let judged = "
strategy:
  steps:
    - {name: half, weight: 50%, bake: 3s}
    - {name: all, weight: 100%, bake: 0s}
";
    let bed = Arc::new(Bed::new(judged).with_v1());
    let traffic: Vec<Traffic> = (0..6).map(|_| Traffic::on(&bed)).collect();
    bed.version("v2", "errors --error-percent 30");
    assert_eq!(bed.run(&["release", "--version", "v2", "--timeout", "60s"]).code, 5);
    drop(traffic);
    let recorded = bed.ok(&["history", "--json"]).json()[0].clone();
    let release = recorded["release"].as_str().unwrap();
    let lines = bed.ok(&["log", "export", release]).out;
    std::fs::write(bed.folder().join("recording.ndjson"), &lines).unwrap();
    assert!(!lines.contains("versions/"), "what runs and how is nobody's business who judges again");

    let of_file = ["backtest", "--recording", "recording.ndjson", "--format", "json", "--profile", "strict"];
    let again = bed.ok(&of_file).json();
    assert_eq!(again["rows"][0]["judge"], "as recorded");
    assert_eq!(
        (&again["rows"][0]["verdict"], &again["rows"][0]["truth"]),
        (&"ROLLBACK".into(), &"bad".into())
    );
    let replayed = bed.ok(&["log", "--json"]).out;
    let sentence = again["rows"][0]["sentence"].as_str().unwrap();
    assert!(replayed.contains(sentence), "judged again from the recording it says the same: {sentence}");
    let of_log = bed.ok(&["backtest", release, "--format", "json", "--profile", "strict"]).json();
    assert_eq!(of_log["rows"], again["rows"], "from the log and from the recording alike");

    bed.ok(&["explain", "--html", "report.html"]);
    let page = std::fs::read_to_string(bed.folder().join("report.html")).unwrap();
    assert!(page.contains("ROLLBACK after") && page.contains(release), "{page}");
    bed.ok(&["explain", "--html", "report.html", "--release", release]);
    assert_eq!(bed.run(&["explain", "--html", "report.html", "--release", "shop-production-99"]).code, 2);
    assert_eq!(bed.run(&["log", "export", "shop-production-99"]).code, 2);
}
