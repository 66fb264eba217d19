//! A process that reports its metrics: `/metrics` in Prometheus' text format.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Listen, Response, Server};

/// A running exporter. Ends when it is dropped.
#[derive(Debug)]
pub struct Exporter {
    /// Where it listens, what goes wrong, and what it was asked.
    pub server: Server,
    work: Arc<AtomicU64>,
}

impl Exporter {
    /// Starts an exporter. `name` stands in a label of its series, so that one exporter can be
    /// distinguished from another.
    pub fn start(listen: Listen, name: &str) -> io::Result<Self> {
        let work = Arc::new(AtomicU64::new(0));
        let (name, done) = (name.to_owned(), Arc::clone(&work));
        let server = Server::start(listen, move |request| match request.path.as_str() {
            "/metrics" => Response::new(
                "text/plain; version=0.0.4; charset=utf-8",
                // Each scrape is some work too, so that something changes.
                exposition(&name, 3 + done.fetch_add(3, Ordering::Relaxed)),
            ),
            _ => Response::not_found(),
        })?;
        Ok(Self { server, work })
    }

    /// Does some work: its counters grow by so much.
    pub fn work(&self, amount: u64) {
        self.work.fetch_add(amount, Ordering::Relaxed);
    }
}

fn exposition(name: &str, work: u64) -> String {
    let name = name.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n");
    let failed = work / 20;
    let busy = work % 7;
    let seconds = work as f64 / 250.0;
    let fast = work * 9 / 10;
    let mut text = String::new();
    let _ = write!(
        text,
        "\
# HELP demo_requests_total Requests served, by status.
# TYPE demo_requests_total counter
demo_requests_total{{exporter=\"{name}\",code=\"200\"}} {ok}
demo_requests_total{{exporter=\"{name}\",code=\"500\"}} {failed}
# HELP demo_busy_workers Workers that serve a request now.
# TYPE demo_busy_workers gauge
demo_busy_workers{{exporter=\"{name}\"}} {busy}
# HELP demo_request_duration_seconds How long requests took.
# TYPE demo_request_duration_seconds histogram
demo_request_duration_seconds_bucket{{exporter=\"{name}\",le=\"0.01\"}} {fast}
demo_request_duration_seconds_bucket{{exporter=\"{name}\",le=\"+Inf\"}} {work}
demo_request_duration_seconds_sum{{exporter=\"{name}\"}} {seconds}
demo_request_duration_seconds_count{{exporter=\"{name}\"}} {work}
",
        ok = work - failed,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn counters_grow_and_labels_are_escaped() {
        expect![[r#"
            # HELP demo_requests_total Requests served, by status.
            # TYPE demo_requests_total counter
            demo_requests_total{exporter="a\"b\\c",code="200"} 95
            demo_requests_total{exporter="a\"b\\c",code="500"} 5
            # HELP demo_busy_workers Workers that serve a request now.
            # TYPE demo_busy_workers gauge
            demo_busy_workers{exporter="a\"b\\c"} 2
            # HELP demo_request_duration_seconds How long requests took.
            # TYPE demo_request_duration_seconds histogram
            demo_request_duration_seconds_bucket{exporter="a\"b\\c",le="0.01"} 90
            demo_request_duration_seconds_bucket{exporter="a\"b\\c",le="+Inf"} 100
            demo_request_duration_seconds_sum{exporter="a\"b\\c"} 0.4
            demo_request_duration_seconds_count{exporter="a\"b\\c"} 100
        "#]]
        .assert_eq(&exposition("a\"b\\c", 100));
    }
}
