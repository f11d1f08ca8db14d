//! Debian's Prometheus, scraping a tiny exporter, asked the queries of the given document.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use taxiway_adapters::metrics::Sources as Source;
use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::document::canary_config;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Sample, Tally};

use super::world::{Prometheus, answer, order, serve, stream, until};

/// The page of an exporter whose versions have had so many requests, one in ten of v2's failed.
fn page(requests: u64) -> String {
    let mut page = String::from("# TYPE http_requests_total counter\n");
    for (version, share) in [("v1", 0), ("v2", 10)] {
        let failed = requests * share / 100;
        let counter = format!("http_requests_total{{version=\"{version}\"");
        writeln!(page, "{counter},status=\"200\"}} {}", requests - failed).unwrap();
        writeln!(page, "{counter},status=\"503\"}} {failed}").unwrap();
        let bucket = format!("http_request_duration_seconds_bucket{{version=\"{version}\"");
        for (le, of_ten) in [("0.1", 8), ("0.5", 9), ("+Inf", 10)] {
            writeln!(page, "{bucket},le=\"{le}\"}} {}", requests * of_ten / 10).unwrap();
        }
    }
    page
}

#[test]
fn the_given_document_is_counted_by_a_real_prometheus() {
    let requests = Arc::new(AtomicU64::new(1_000));
    let shown = Arc::clone(&requests);
    let (url, _) = serve(move |_, _, connection| {
        let page = page(shown.load(Ordering::SeqCst));
        answer(connection, "200 OK", "content-type: text/plain; version=0.0.4\r\n", &page);
    });
    let exporter = url.trim_start_matches("http://");
    let test = "adapters::metrics::real::the_given_document_is_counted_by_a_real_prometheus";
    let Some(prometheus) = Prometheus::start(test, exporter) else { return };

    let config =
        canary_config::read(include_bytes!("../../../../model/tests/it/canary-analysis.yaml")).unwrap();
    let queries: Vec<_> = config.metrics.iter().map(|m| (m.name.as_str(), m.query.as_str())).collect();
    let source = Source::start().unwrap();
    let stream = stream("service-x/production");
    let mut order = order(&prometheus.url, &queries);
    order.sources[0].timeout_ms = 5_000;
    source.want(&stream, &order);

    let first = until("all metrics", || source.latest(&stream).filter(|r| r.samples.len() == 3));
    assert!(first.trouble.is_empty(), "{first:?}");
    let of = |name: &str| {
        let name = MetricName::new(name).unwrap();
        source.latest(&stream).unwrap().samples[&name].since(first.samples.get(&name))
    };
    requests.fetch_add(500, Ordering::SeqCst);
    until("the new requests", || (of("error_rate").totals() == (500, 500)).then_some(()));
    let more = |bad| Tally { total: 500, bad };
    assert_eq!(of("error_rate"), Sample::Counts { canary: more(50), baseline: more(0) });
    until("the burn rate", || (of("slo_burn_rate") == of("error_rate")).then_some(()));
    let buckets = vec![(100_000, 400), (500_000, 50), (u64::MAX, 50)];
    let latency = Sample::Buckets { canary: buckets.clone(), baseline: buckets };
    until("the latencies", || (of("latency_p95") == latency).then_some(()));

    // The exporter begins again at zero: what it has counted since then is added.
    requests.store(100, Ordering::SeqCst);
    until("the reset", || (of("error_rate").totals() == (600, 600)).then_some(()));
    assert_eq!(of("error_rate"), Sample::Counts { canary: more(60).plus(100), baseline: more(0).plus(100) });

    // A query that Prometheus refuses is told in its words.
    let mut wrong = order;
    for query in &mut wrong.sources[0].queries {
        if let taxiway_model::metrics::Shape::Counts { total, .. } = &mut query.shape {
            *total = "http_requests_total{".to_owned();
        }
    }
    source.want(&stream, &wrong);
    let said = until("trouble", || source.latest(&stream)?.trouble.into_values().next());
    assert!(said.contains("400 Bad Request") && said.contains("parse error"), "{said}");
}

trait Plus {
    fn plus(self, more: u64) -> Self;
}

impl Plus for Tally {
    fn plus(self, more: u64) -> Self {
        Self { total: self.total + more, ..self }
    }
}
