//! Counts the requests of the web server: by route, since a path of its own for each job would be
//! without limit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use swarmscout_exposition::{Histogram, Writer};

/// Upper bounds of the buckets in seconds, as Prometheus has them.
const BOUNDS: [f64; 9] = [0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];

/// The requests since the start of the program, by route.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<BTreeMap<String, Route>>);

#[derive(Clone, Debug, Default)]
struct Route {
    by_code: BTreeMap<u16, u64>,
    buckets: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Requests {
    /// Counts a request that was answered.
    pub(crate) fn count(&self, route: String, code: StatusCode, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(route).or_default();
        *route.by_code.entry(code.as_u16()).or_default() += 1;
        route.buckets[bucket] += 1;
        route.seconds += seconds;
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut counts = Vec::new();
        for (handler, route) in &routes {
            let codes = route.by_code.iter();
            counts.extend(codes.map(|(code, count)| (code.to_string(), handler, *count)));
        }
        out.counter(
            "prometheus_http_requests",
            "HTTP requests",
            counts.iter().map(|(code, handler, count)| {
                ([("code", &**code), ("handler", &***handler)], *count)
            }),
        );
        out.histogram(
            "prometheus_http_request_duration_seconds",
            "Duration of HTTP requests",
            routes.iter().map(|(handler, route)| {
                let Route { buckets, seconds, .. } = route;
                let one = Histogram { bounds: &BOUNDS, counts: buckets, sum: *seconds };
                ([("handler", &**handler)], one)
            }),
        );
    }
}
