//! Writes metrics in the text format of Prometheus (0.0.4) and in OpenMetrics (1.0.0).
//!
//! There is no registry: the caller writes one family after the other from the state that it has at
//! the moment, so no series outlives its subject.
//!
//! ```
//! use swarmscout_exposition::{Format, NO_LABELS, Writer};
//!
//! let mut out = Writer::new(Format::negotiate(["text/plain"]));
//! out.gauge("up", "Whether the server runs", [(NO_LABELS, 1.0)]);
//! out.counter("requests", "Number of requests", [([("code", "200")], 7_u64)]);
//! assert!(out.finish().ends_with("\nrequests_total{code=\"200\"} 7\n"));
//! ```
//!
//! **Invariant: the output is valid in its format, whatever labels and values hold.** Names of
//! metrics and labels are the caller's: they are written as they are.
//!
//! Depends on no other crate.

pub mod families;
mod number;
pub mod pieces;
mod sniff;

use std::fmt::Write as _;

pub use number::{Decimal, Value};
pub use sniff::Sniffer;

/// The labels of a series that has none.
pub const NO_LABELS: [(&str, &str); 0] = [];

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// The format for a client that sends these `Accept` headers: OpenMetrics if it is named.
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let mut accept = accept.into_iter();
        if accept.any(|accept| accept.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The `Content-Type` of an answer in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A histogram at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<'a> {
    /// The upper bounds of the buckets in ascending order, without `+Inf`.
    pub bounds: &'a [f64],
    /// The number of observations in each bucket, not cumulative; the last one is above all bounds.
    pub counts: &'a [u64],
    /// The sum of all observations.
    pub sum: f64,
}

/// Writes metric families, one after the other. A family without series is left out.
#[derive(Debug)]
pub struct Writer {
    format: Format,
    out: String,
}

impl Writer {
    /// An empty exposition.
    pub fn new(format: Format) -> Self {
        Self { format, out: String::new() }
    }

    /// Writes a gauge: labels and value of each series.
    pub fn gauge<'l, L: AsRef<[(&'l str, &'l str)]>>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) {
        let mut head = Some("gauge");
        for (labels, value) in series {
            self.head(&mut head, name, "", help);
            self.sample(name, "", None, labels.as_ref(), value);
        }
    }

    /// Writes a counter: labels and value of each series. `name` goes without `_total`.
    pub fn counter<'l, L: AsRef<[(&'l str, &'l str)]>, V: Value>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, V)>,
    ) {
        let mut head = Some("counter");
        // The text format names the family like its series.
        let suffix = if self.format == Format::Text { "_total" } else { "" };
        for (labels, value) in series {
            self.head(&mut head, name, suffix, help);
            self.sample(name, "_total", None, labels.as_ref(), value);
        }
    }

    /// Writes a histogram: labels and observations of each series.
    pub fn histogram<'l, 'h, L: AsRef<[(&'l str, &'l str)]>>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, Histogram<'h>)>,
    ) {
        let mut head = Some("histogram");
        for (labels, Histogram { bounds, counts, sum }) in series {
            let labels = labels.as_ref();
            self.head(&mut head, name, "", help);
            self.sample(name, "_sum", None, labels, sum);
            self.sample(name, "_count", None, labels, counts.iter().sum::<u64>());
            let mut count = 0;
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            for (bound, in_bucket) in bounds.zip(counts) {
                count += in_bucket;
                self.sample(name, "_bucket", Some(bound), labels, count);
            }
        }
    }

    /// The whole exposition.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    /// Writes the head of a family, unless its kind was taken by an earlier series.
    fn head(&mut self, kind: &mut Option<&str>, name: &str, suffix: &str, help: &str) {
        let Some(kind) = kind.take() else { return };
        let (out, quotes) = (&mut self.out, self.format == Format::OpenMetrics);
        push(out, format_args!("# HELP {name}{suffix} "));
        escape(out, help, quotes);
        push(out, format_args!("\n# TYPE {name}{suffix} {kind}\n"));
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        bound: Option<f64>,
        labels: &[(&str, &str)],
        value: impl Value,
    ) {
        let out = &mut self.out;
        push(out, format_args!("{name}{suffix}"));
        let mut before = '{';
        if let Some(bound) = bound {
            out.push_str("{le=\"");
            bound.write(out);
            out.push('"');
            before = ',';
        }
        for (label, text) in labels {
            push(out, format_args!("{before}{label}=\""));
            escape(out, text, true);
            out.push('"');
            before = ',';
        }
        if before == ',' {
            out.push('}');
        }
        out.push(' ');
        value.write(out);
        out.push('\n');
    }
}

/// Appends `text` on one line, with `quotes` as a part of a quoted string.
fn escape(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    // Most texts have nothing to escape, and are copied as a whole.
    while let Some(at) =
        rest.bytes().position(|b| matches!(b, b'\\' | b'\n') || (quotes && b == b'"'))
    {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory never fails");
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn written(format: Format) -> String {
        let mut out = Writer::new(format);
        out.gauge("empty", "Without series", [([("a", "b")], 1.0)].into_iter().take(0));
        out.gauge("g", "A \"gauge\" \\ of\ntwo lines", [(NO_LABELS, 1_699_999_000.0)]);
        out.counter(
            "c",
            "A counter",
            [([("a", "1"), ("b", "q\"\\\n")], 7_u64), ([("a", ""), ("b", "ü")], 0)],
        );
        out.counter("seconds", "A counter of time", [(NO_LABELS, 0.25)]);
        let one = Histogram { bounds: &[0.005, 1.0], counts: &[1, 0, 2], sum: 102.02 };
        out.histogram("h", "A histogram", [(vec![("a", "1")], one)]);
        out.histogram("i", "One without labels", [(Vec::new(), one)]);
        out.finish()
    }

    /// The bytes are those that prometheus-client 0.25 wrote before, but for escapes in HELP.
    #[test]
    fn writes_both_formats() {
        let open_metrics = written(Format::OpenMetrics);
        expect![[r#"
            # HELP g A \"gauge\" \\ of\ntwo lines
            # TYPE g gauge
            g 1699999000.0
            # HELP c A counter
            # TYPE c counter
            c_total{a="1",b="q\"\\\n"} 7
            c_total{a="",b="ü"} 0
            # HELP seconds A counter of time
            # TYPE seconds counter
            seconds_total 0.25
            # HELP h A histogram
            # TYPE h histogram
            h_sum{a="1"} 102.02
            h_count{a="1"} 3
            h_bucket{le="0.005",a="1"} 1
            h_bucket{le="1.0",a="1"} 1
            h_bucket{le="+Inf",a="1"} 3
            # HELP i One without labels
            # TYPE i histogram
            i_sum 102.02
            i_count 3
            i_bucket{le="0.005"} 1
            i_bucket{le="1.0"} 1
            i_bucket{le="+Inf"} 3
            # EOF
        "#]]
        .assert_eq(&open_metrics);
        let expected = open_metrics
            .replace("\\\"gauge\\\"", "\"gauge\"")
            .replace("HELP c ", "HELP c_total ")
            .replace("TYPE c ", "TYPE c_total ")
            .replace("HELP seconds ", "HELP seconds_total ")
            .replace("TYPE seconds ", "TYPE seconds_total ")
            .replace("# EOF\n", "");
        assert_eq!(written(Format::Text), expected);
    }

    #[test]
    fn open_metrics_is_for_clients_that_name_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        for (accept, format) in [
            (&[][..], Format::Text),
            (&["text/plain", "*/*"], Format::Text),
            (&["text/html", prometheus], Format::OpenMetrics),
        ] {
            assert_eq!(Format::negotiate(accept.iter().copied()), format, "{accept:?}");
        }
    }
}
