//! Distinguishes metrics from anything else that a web server may answer.

use std::fmt::Write as _;

/// The bytes that are checked: a page or a document is recognised by its first lines.
const ENOUGH: usize = 64 << 10;

/// The longest line that is kept.
const LONGEST: usize = 8 << 10;

/// Reads the beginning of an answer piece by piece, and decides whether it is an exposition in
/// Prometheus' text format or in OpenMetrics. It checks the shape of lines, not each rule of the
/// formats: a scrape does that.
///
/// ```
/// use swarmscout_exposition::Sniffer;
///
/// let mut sniffer = Sniffer::default();
/// sniffer.push(b"<!doctype html>\n");
/// assert_eq!(sniffer.refusal().unwrap(), "line 1 is not a sample: an HTML page");
/// ```
#[derive(Debug, Default)]
pub struct Sniffer {
    line: Vec<u8>,
    lines: usize,
    samples: usize,
    seen: usize,
    refusal: Option<String>,
}

impl Sniffer {
    /// Takes the next piece of the answer.
    pub fn push(&mut self, piece: &[u8]) {
        let left = ENOUGH.saturating_sub(self.seen).min(piece.len());
        self.seen += piece.len();
        for part in piece[..left].split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST.saturating_sub(self.line.len()).min(part.len());
            self.line.extend(&part[..room]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// Why the answer is not an exposition, if that is certain already.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }

    /// The verdict at the end of the answer. An answer without a sample is an exposition: a target
    /// may have none.
    ///
    /// # Errors
    ///
    /// The reason why it is not an exposition.
    pub fn finish(mut self) -> Result<(), String> {
        if self.seen <= ENOUGH && !self.line.is_empty() {
            self.end_line();
        }
        self.refusal.map_or(Ok(()), Err)
    }

    fn end_line(&mut self) {
        self.lines += 1;
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii();
        if self.refusal.is_some() || line.is_empty() || line.starts_with(b"#") {
            return;
        }
        if is_sample(line) {
            self.samples += 1;
            return;
        }
        let mut reason = format!("line {} is not a sample: ", self.lines);
        let kind = match line {
            [b'<', ..] => "an HTML page",
            [b'{' | b'[', ..] => "JSON",
            _ => "",
        };
        if kind.is_empty() {
            let shown = String::from_utf8_lossy(&line[..line.len().min(60)]);
            // A string takes all.
            let _ = write!(reason, "{shown:?}");
        } else {
            reason.push_str(kind);
        }
        self.refusal = Some(reason);
    }
}

/// `name value`, `name{…} value` or `{"name",…} value`, with a timestamp or an exemplar maybe.
fn is_sample(line: &[u8]) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let end = line.iter().position(|byte| !is_name(*byte)).unwrap_or(line.len());
    if line.first().is_none_or(u8::is_ascii_digit) {
        return false;
    }
    let value = match &line[end..] {
        [b'{', rest @ ..] if end > 0 || rest.first() == Some(&b'"') => match end_of_labels(rest) {
            Some(at) => &rest[at..],
            // The line was cut within its labels.
            None => return line.len() >= LONGEST - 1,
        },
        rest if end > 0 => rest,
        _ => return false,
    };
    let value = value.trim_ascii_start();
    let value = value.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let value = std::str::from_utf8(value).unwrap_or_default();
    value.parse::<f64>().is_ok()
}

/// The length of the labels with the brace that ends them; a brace in a value ends nothing.
fn end_of_labels(labels: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in labels.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(answer: &[u8], piece: usize) -> Result<(), String> {
        let mut sniffer = Sniffer::default();
        answer.chunks(piece).for_each(|piece| sniffer.push(piece));
        sniffer.finish()
    }

    #[test]
    fn metrics_are_distinguished_from_pages_and_documents() {
        let long = format!("a{{b=\"{}\"}} 1\nup 1\n", "x".repeat(LONGEST * 2));
        for good in [
            "",
            "\n",
            "# HELP up Whether it is up.\n# TYPE up gauge\nup 1\n",
            "up 1",
            "a:b_c{x=\"}\\\"{\",y=\"2\"} +Inf 1700000000000\n",
            "a NaN\nb -1.5e-3\n",
            "{\"a.b\",c=\"d\"} 1\n",
            "a_total{b=\"c\"} 1 # {trace=\"x\"} 1\n# EOF\n",
            &long,
        ] {
            for piece in [1, 7, 1 << 20] {
                assert_eq!(verdict(good.as_bytes(), piece), Ok(()), "{good:.80}");
            }
        }
        for (bad, reason) in [
            ("<html>", "line 1 is not a sample: an HTML page"),
            ("\n\n  <!doctype html>", "line 3 is not a sample: an HTML page"),
            ("{\"status\":\"ok\"}", "line 1 is not a sample: JSON"),
            ("[1]", "line 1 is not a sample: JSON"),
            ("ok\n", "line 1 is not a sample: \"ok\""),
            ("up 1\nup one\n", "line 2 is not a sample: \"up one\""),
            ("1up 1\n", "line 1 is not a sample: \"1up 1\""),
            ("up{a=\"b\"", "line 1 is not a sample: \"up{a=\\\"b\\\"\""),
        ] {
            for piece in [1, 7, 1 << 20] {
                assert_eq!(verdict(bad.as_bytes(), piece).unwrap_err(), reason);
            }
        }
    }

    #[test]
    fn only_the_beginning_counts() {
        let mut answer = "up 1\n".repeat(ENOUGH / 5 + 1);
        answer.push_str("<html>\n");
        assert_eq!(verdict(answer.as_bytes(), 1000), Ok(()));
    }
}
