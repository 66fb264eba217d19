//! Families whose series come one at a time, in either format.
//!
//! For many objects with the same families: the labels of an object are escaped once, as
//! [`SeriesLabels`], and no series allocates.

use crate::pieces::{Kind, SeriesLabels};
use crate::{Format, Value, escape};

/// Writes metric families, one after the other. A family without series is left out.
///
/// ```
/// use swarmscout_exposition::families::Families;
/// use swarmscout_exposition::{Decimal, Format, pieces::{Kind, SeriesLabels}};
///
/// let mut web = SeriesLabels::default();
/// web.push("name", "web");
/// let mut out = Families::new(Format::OpenMetrics);
/// let mut family = out.family("cpu_seconds_total", Kind::Counter, "CPU time");
/// family.series(&web, Decimal::nanos(1_500_000_000));
/// family.series_with(&web, &[("mode", "idle")], 7_u64);
/// assert_eq!(
///     out.finish(),
///     "# HELP cpu_seconds CPU time\n# TYPE cpu_seconds counter\n\
///      cpu_seconds_total{name=\"web\"} 1.5\ncpu_seconds_total{name=\"web\",mode=\"idle\"} 7\n# EOF\n"
/// );
/// ```
#[derive(Debug)]
pub struct Families {
    format: Format,
    out: String,
}

impl Families {
    /// An empty exposition.
    pub const fn new(format: Format) -> Self {
        Self { format, out: String::new() }
    }

    /// Starts a family. Its head is written with its first series.
    ///
    /// OpenMetrics wants names of counters to end in `_total`; there, one that does not is of the
    /// type `unknown`, so that it has the same name in both formats.
    pub fn family<'w>(&'w mut self, name: &'w str, kind: Kind, help: &'w str) -> Family<'w> {
        Family { format: self.format, out: &mut self.out, name, kind, help, has_head: false }
    }

    /// The text so far, which is taken out. The families go on behind it.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing has been written, or all of it was taken.
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The rest of the exposition, and its end.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// A family that is being written.
#[derive(Debug)]
pub struct Family<'w> {
    format: Format,
    out: &'w mut String,
    name: &'w str,
    kind: Kind,
    help: &'w str,
    has_head: bool,
}

impl Family<'_> {
    /// Writes a series.
    pub fn series(&mut self, labels: &SeriesLabels, value: impl Value) {
        self.head();
        let out = &mut *self.out;
        out.push_str(self.name);
        if !labels.is_empty() {
            out.push_str(labels.open());
            out.push('}');
        }
        out.push(' ');
        value.write(out);
        out.push('\n');
    }

    /// Writes a series with `more` labels than `labels`. Those without a value are left out.
    pub fn series_with(&mut self, labels: &SeriesLabels, more: &[(&str, &str)], value: impl Value) {
        self.head();
        let out = &mut *self.out;
        out.push_str(self.name);
        out.push_str(labels.open());
        let mut before = if labels.is_empty() { '{' } else { ',' };
        for (label, of_label) in more.iter().filter(|(_, of_label)| !of_label.is_empty()) {
            out.push(before);
            out.push_str(label);
            out.push_str("=\"");
            escape(out, of_label, true);
            out.push('"');
            before = ',';
        }
        out.push_str(if before == ',' { "} " } else { " " });
        value.write(out);
        out.push('\n');
    }

    fn head(&mut self) {
        if std::mem::replace(&mut self.has_head, true) {
            return;
        }
        let is_open = self.format == Format::OpenMetrics;
        let (name, kind) = match (self.kind, self.name.strip_suffix("_total")) {
            (Kind::Counter, Some(name)) if is_open => (name, "counter"),
            (Kind::Counter | Kind::Untyped, _) if is_open => (self.name, "unknown"),
            (kind, _) => (self.name, kind.in_text()),
        };
        for part in ["# HELP ", name, " "] {
            self.out.push_str(part);
        }
        escape(self.out, self.help, is_open);
        for part in ["\n# TYPE ", name, " ", kind, "\n"] {
            self.out.push_str(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::Decimal;

    fn written(format: Format) -> String {
        let mut out = Families::new(format);
        let (none, mut one) = (SeriesLabels::default(), SeriesLabels::default());
        one.push("a", "q\"\\\n");
        out.family("empty", Kind::Gauge, "Without series");
        let mut family = out.family("seconds_total", Kind::Counter, "A \"counter\"\nof time");
        family.series(&none, Decimal::micros(1_250_000));
        family.series_with(&none, &[("b", "")], 1_u64);
        family.series_with(&none, &[("b", ""), ("c", "1"), ("d", "2")], 2_u64);
        family.series_with(&one, &[("b", "ü\n")], u64::MAX);
        out.family("failcnt", Kind::Counter, "A counter without _total").series(&one, 3_u64);
        out.family("any", Kind::Untyped, "Of no type").series(&one, 0.5);
        let mut text = out.take();
        assert!(out.is_empty());
        out.family("g", Kind::Gauge, "A gauge").series(&one, f64::NAN);
        text.push_str(&out.finish());
        text
    }

    #[test]
    fn families_are_valid_in_both_formats() {
        let open_metrics = written(Format::OpenMetrics);
        expect![[r#"
            # HELP seconds A \"counter\"\nof time
            # TYPE seconds counter
            seconds_total 1.25
            seconds_total 1
            seconds_total{c="1",d="2"} 2
            seconds_total{a="q\"\\\n",b="ü\n"} 18446744073709551615
            # HELP failcnt A counter without _total
            # TYPE failcnt unknown
            failcnt{a="q\"\\\n"} 3
            # HELP any Of no type
            # TYPE any unknown
            any{a="q\"\\\n"} 0.5
            # HELP g A gauge
            # TYPE g gauge
            g{a="q\"\\\n"} NaN
            # EOF
        "#]]
        .assert_eq(&open_metrics);
        let expected = open_metrics
            .replace("\\\"counter\\\"", "\"counter\"")
            .replace("HELP seconds ", "HELP seconds_total ")
            .replace("TYPE seconds ", "TYPE seconds_total ")
            .replace("failcnt unknown", "failcnt counter")
            .replace("any unknown", "any untyped")
            .replace("# EOF\n", "");
        assert_eq!(written(Format::Text), expected);
    }
}
