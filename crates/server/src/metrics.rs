//! The metrics of a server.

use std::time::{Duration, SystemTime};

use swarmscout_exposition::{NO_LABELS, Writer};
use swarmscout_web_config::DoorsHandle;

use crate::HttpServer;

impl HttpServer {
    /// Writes the metrics of its requests, connections and web configurations.
    pub fn write_metrics(&self, out: &mut Writer) {
        self.requests.write(out);
        out.counter(
            "swarmscout_http_connections_evicted",
            "Connections that were closed to make room for others: idle, blocked or streaming",
            [(NO_LABELS, self.connections.evicted())],
        );
        out.gauge(
            "swarmscout_http_waiting",
            "Requests that wait for a change",
            [(NO_LABELS, self.connections.waiting() as f64)],
        );
        out.gauge(
            "swarmscout_http_waiting_limit",
            "The most requests that may wait for a change",
            [(NO_LABELS, self.options.max_waiting as f64)],
        );
        out.counter(
            "swarmscout_http_waiting_refused",
            "Requests that were not allowed to wait because too many did",
            [(NO_LABELS, self.connections.refused())],
        );
        let refused: Vec<_> =
            self.access.refused().map(|(reason, count)| ([("reason", reason)], count)).collect();
        out.counter(
            "swarmscout_http_requests_refused",
            "Requests refused by the web configuration",
            refused.iter().map(|(labels, count)| (labels, *count)),
        );
        if !self.doors.is_empty() {
            let failures = self.connections.handshakes().counts();
            out.counter(
                "swarmscout_http_tls_handshake_failures",
                "TLS handshakes that failed",
                failures.map(|(reason, count)| ([("reason", reason)], count)),
            );
        }
        web_configs(out, &self.doors);
    }
}

fn web_configs(out: &mut Writer, doors: &[DoorsHandle]) {
    let status = |doors: &DoorsHandle| (doors.file().display().to_string(), doors.status());
    let files: Vec<_> = doors.iter().map(status).collect();
    if files.is_empty() {
        return;
    }
    out.gauge(
        "swarmscout_web_config_last_reload_successful",
        "Whether the last attempt to load the web configuration was successful",
        files.iter().map(|(file, status)| {
            ([("config", &**file)], f64::from(u8::from(status.error.is_none())))
        }),
    );
    out.gauge(
        "swarmscout_web_config_last_reload_success_timestamp_seconds",
        "When the web configuration in use was loaded",
        files.iter().map(|(file, status)| ([("config", &**file)], timestamp(status.loaded))),
    );
    let ends = files.iter().zip(doors).filter_map(|((file, _), doors)| {
        let ends = doors.current().tls.as_ref()?.certificate_ends;
        Some(([("config", &**file)], ends as f64))
    });
    out.gauge(
        "swarmscout_web_certificate_expiry_timestamp_seconds",
        "When the first certificate of the server's chain ends",
        ends,
    );
}

/// Seconds since 1970.
pub(crate) fn timestamp(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0.0, Duration::as_secs_f64)
}
