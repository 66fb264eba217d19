//! An exposition in pieces: heads of families, and series that are written apart from them.
//!
//! A family must not be torn apart, while a caller that keeps the series of each object has them by
//! object. So it writes the series of each family into a text of its own, and joins the texts behind
//! the heads. The format is Prometheus' text format, 0.0.4.

use std::fmt::Write as _;

use super::{escape, push};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may fall.
    Gauge,
    /// It only grows. Its name ends in `_total`.
    Counter,
    /// Not known, or not of one kind.
    Untyped,
}

impl Kind {
    /// Its name in Prometheus' text format.
    pub(crate) const fn in_text(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Untyped => "untyped",
        }
    }
}

/// Appends what stands before the series of a family.
pub fn head(out: &mut String, name: &str, kind: Kind, help: &str) {
    push(out, format_args!("# HELP {name} "));
    escape(out, help, false);
    push(out, format_args!("\n# TYPE {name} {}\n", kind.in_text()));
}

/// Labels of several series, written once. One without a value is left out: for Prometheus it is the
/// same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesLabels(String);

impl SeriesLabels {
    /// No labels.
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Adds a label. Its name is the caller's: it is written as it is.
    pub fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.0.push_str(if self.0.is_empty() { "{" } else { "," });
        self.0.push_str(name);
        self.0.push_str("=\"");
        escape(&mut self.0, value, true);
        self.0.push('"');
    }

    /// The labels with what opens them, without what closes them: `{a="1",b="2"`.
    pub(crate) fn open(&self) -> &str {
        &self.0
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with one more label.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut labels = self.clone();
        labels.push(name, value);
        labels
    }
}

/// Appends a series. A whole number is written without a point.
pub fn series(out: &mut String, name: &str, labels: &SeriesLabels, value: f64) {
    out.push_str(name);
    if !labels.0.is_empty() {
        out.push_str(&labels.0);
        out.push('}');
    }
    out.push(' ');
    number(out, value);
    out.push('\n');
}

/// Appends a series with one more label than `labels`.
pub fn series_with(
    out: &mut String,
    name: &str,
    labels: &SeriesLabels,
    (label, of_label): (&str, &str),
    value: f64,
) {
    out.push_str(name);
    out.push_str(&labels.0);
    out.push_str(if labels.0.is_empty() { "{" } else { "," });
    out.push_str(label);
    out.push_str("=\"");
    escape(out, of_label, true);
    out.push_str("\"} ");
    number(out, value);
    out.push('\n');
}

/// Whole numbers up to here are written without a point: `f64` has all of them.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

#[expect(clippy::cast_possible_truncation, reason = "no whole number of this size is cut")]
fn number(out: &mut String, value: f64) {
    if value.fract() == 0.0 && value.abs() <= LARGEST_WHOLE {
        push(out, format_args!("{}", value as i64));
    } else {
        super::Value::write(value, out);
    }
}

/// Makes a name of a label from any text: characters that it may not have become `_`.
pub fn label_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        name.push('_');
    }
    for c in text.chars() {
        let _ = name.write_char(if c.is_ascii_alphanumeric() { c } else { '_' });
    }
    name
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn heads_and_series_are_valid() {
        let mut out = String::new();
        head(&mut out, "a_total", Kind::Counter, "Two\nlines \\ \"quoted\"");
        series(&mut out, "a_total", &SeriesLabels::default(), 3.0);
        let mut labels = SeriesLabels::default();
        labels.push("empty", "");
        series_with(&mut out, "a_total", &labels, ("x", ""), -0.25);
        labels.push("b", "q\"\\\n");
        series(&mut out, "a_total", &labels, 1_764_468_123.0);
        series_with(&mut out, "a_total", &labels, ("c", "ü"), f64::NAN);
        series(&mut out, "a_total", &labels.with("d", "1"), 1e300);
        expect![[r#"
            # HELP a_total Two\nlines \\ "quoted"
            # TYPE a_total counter
            a_total 3
            a_total{x=""} -0.25
            a_total{b="q\"\\\n"} 1764468123
            a_total{b="q\"\\\n",c="ü"} NaN
            a_total{b="q\"\\\n",d="1"} 1e300
        "#]]
        .assert_eq(&out);
    }

    #[test]
    fn any_text_makes_a_label_name() {
        for (text, name) in [
            ("team", "team"),
            ("com.example/team", "com_example_team"),
            ("1st", "_1st"),
            ("ü", "_"),
        ] {
            assert_eq!(label_name(text), name);
        }
    }
}
