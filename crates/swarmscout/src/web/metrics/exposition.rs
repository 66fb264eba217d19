//! Metric families, written one after the other.

use std::fmt::{Result, Write as _};

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use swarmscout_discovery::set::Durations;

/// Names and values.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// Writes families; one without series is left out. A series without labels is the only one of its
/// family.
pub(super) struct Exposition<'a>(DescriptorEncoder<'a>);

impl<'a> Exposition<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    pub(super) fn gauge<'s>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'s>, f64)>,
    ) -> Result {
        self.family(name, help, MetricType::Gauge, series, |mut one, value| {
            one.encode_gauge(&value)
        })
    }

    /// `name` goes without `_total`.
    pub(super) fn counter<'s, N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'s>, N)>,
    ) -> Result {
        self.family(name, help, MetricType::Counter, series, |mut one, value| {
            one.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    pub(super) fn histogram<'s>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'s>, &'s Durations)>,
    ) -> Result {
        self.family(name, help, MetricType::Histogram, series, |mut one, durations| {
            let bounds = Durations::BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(durations.buckets).collect();
            one.encode_histogram::<NoLabelSet>(durations.sum, durations.count(), &buckets, None)
        })
    }

    fn family<'s, V>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        series: impl IntoIterator<Item = (Labels<'s>, V)>,
        encode: impl Fn(MetricEncoder<'_>, V) -> Result,
    ) -> Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in series {
            if labels.is_empty() {
                return encode(family, value);
            }
            encode(family.encode_family(&labels)?, value)?;
        }
        Ok(())
    }
}

/// Turns OpenMetrics into the text format of Prometheus, as far as the two differ in what is written
/// here: a counter's family is called as its series are, and nothing marks the end.
pub(super) fn to_text_format(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 1024);
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|family| family.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let help = help.take().map_or("", |(_, text)| text);
            write!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n")
                .expect("writing to memory never fails");
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_counters_as_the_text_format_does() {
        let open_metrics = "# HELP a Help.\n# TYPE a counter\na_total{b=\"c\"} 1\n\
            # HELP g Of it.\n# TYPE g gauge\ng 2.0\n# EOF\n";
        assert_eq!(
            to_text_format(open_metrics),
            "# HELP a_total Help.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\
             # HELP g Of it.\n# TYPE g gauge\ng 2.0\n"
        );
    }
}
