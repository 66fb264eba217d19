//! What is written back: a YAML document to read, in the form in which Prometheus shows its own
//! configuration.

use std::fmt::{self, Write as _};

use serde_json::Value;
use swarmscout_model::yaml::write::{LONGEST_KEY, string};
use swarmscout_model::yaml::{self, Resolved};

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A text.
    String(String),
    /// A list, one line for each item.
    List(Vec<Self>),
    /// A list of short items on one line.
    Flow(Vec<Self>),
    /// Keys in the order in which they are written.
    Map(Vec<(String, Self)>),
}

impl Out {
    /// A list as one line.
    #[must_use]
    pub fn on_one_line(self) -> Self {
        match self {
            Self::List(items) => Self::Flow(items),
            other => other,
        }
    }

    /// The same in JSON. What JSON has no number for is null.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => (*value as f64).into(),
            },
            Self::Float(value) => (*value).into(),
            Self::String(text) => text.as_str().into(),
            Self::List(items) | Self::Flow(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
            }
        }
    }

    /// The document, with a newline at its end.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        // Nothing stands before the first line.
        text.trim_start_matches(['\n', ' ']).to_owned() + "\n"
    }

    /// Writes it behind a key or a dash, its lines indented by `indent`.
    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Null => out.push_str(" null"),
            Self::Bool(value) => push(out, format_args!(" {value}")),
            Self::Int(value) => push(out, format_args!(" {value}")),
            Self::Float(value) if value.is_nan() => out.push_str(" .nan"),
            Self::Float(value) if value.is_infinite() => {
                out.push_str(if *value > 0.0 { " .inf" } else { " -.inf" });
            }
            Self::Float(value) => push(out, format_args!(" {value:?}")),
            Self::String(text) => {
                out.push(' ');
                push_string(out, text, Some(indent));
            }
            Self::List(items) | Self::Flow(items) if items.is_empty() => out.push_str(" []"),
            Self::List(items) => {
                // As far left as the key.
                let indent = indent.saturating_sub(2);
                for item in items {
                    push(out, format_args!("\n{:indent$}-", ""));
                    let start = out.len();
                    item.write(out, indent + 2);
                    // The first key stands behind the dash.
                    if out[start..].starts_with('\n') {
                        let length = out[start + 1..].len() - out[start + 1..].trim_start().len();
                        out.replace_range(start..=start + length, " ");
                    }
                }
            }
            Self::Flow(items) => {
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i == 0 { " [" } else { ", " });
                    match item {
                        Self::String(text) => push_string(out, text, None),
                        _ => out.push_str("null"),
                    }
                }
                out.push(']');
            }
            Self::Map(entries) if entries.is_empty() => out.push_str(" {}"),
            Self::Map(entries) => {
                for (key, value) in entries {
                    push(out, format_args!("\n{:indent$}", ""));
                    if key.len() > LONGEST_KEY {
                        out.push_str("? ");
                        push_string(out, key, None);
                        push(out, format_args!("\n{:indent$}", ""));
                    } else {
                        push_string(out, key, None);
                    }
                    out.push(':');
                    value.write(out, indent + 2);
                }
            }
        }
    }
}

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

/// Writes a text so that a reader of YAML 1.1 and one of 1.2 read it as it is: without quotes where
/// nothing can be meant by it, with its lines below where there are several and `indent` says how
/// far to the right, in quotes otherwise.
fn push_string(out: &mut String, text: &str, indent: Option<usize>) {
    if is_plain(text) {
        out.push_str(text);
    } else if let Some(indent) = indent.filter(|_| is_block(text)) {
        let rest = text.trim_end_matches('\n');
        out.push_str(match text.len() - rest.len() {
            0 => "|-",
            1 => "|",
            _ => "|+",
        });
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            let indent = if line.is_empty() { 0 } else { indent.max(2) };
            push(out, format_args!("\n{:indent$}{line}", ""));
        }
    } else {
        let mut quoted = Vec::new();
        string(&mut quoted, text);
        out.push_str(std::str::from_utf8(&quoted).expect("a quoted text is UTF-8"));
    }
}

fn is_plain(text: &str) -> bool {
    const FIRST: &[char] =
        &['"', '\'', '&', '*', '!', '|', '>', '%', '@', '`', '-', ':', '=', '~', ' '];
    let (year, rest) = text.split_at_checked(4).unwrap_or((text, ""));
    let is_date = rest.starts_with('-') && year.bytes().all(|b| b.is_ascii_digit());
    let means_something = matches!(text, "" | "<<")
        || is_date
        || text.starts_with(FIRST)
        || text.ends_with([':', ' '])
        || text.contains(": ")
        || yaml::resolve(text) != Resolved::String;
    !means_something && text.chars().all(|c| is_printable(c) && !"#,[]{}?".contains(c))
}

fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && text.chars().all(|c| c == '\n' || is_printable(c))
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~') || c > '\u{a0}' && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use swarmscout_model::yaml::{self, Data, Node, Resolved};

    use super::*;

    fn text(node: &Node) -> String {
        match node.data() {
            Data::Scalar(scalar) if scalar.resolve() == Resolved::String => scalar.text.clone(),
            _ => format!("not a string: {}", node.tag()),
        }
    }

    /// Whatever a text holds, it is the same text for a reader of YAML 1.1: as a key, as a value, in
    /// a list, and in a list on one line.
    #[test]
    fn what_is_written_is_read_by_the_rules_of_yaml_1_1() {
        let letters = [
            "a", "1", "_", " ", "\n", "\t", "\r", ":", "?", "-", "#", ",", "[", "}", "'", "\"",
            "\\", "<", "=", "~", "!", "&", "*", "|", "%", "@", ".", "y", "\u{85}", "\u{2028}",
            "\u{feff}", "\u{7f}", "\0", "é", "0", "x", "o",
        ];
        let mut texts =
            vec![String::new(), "null".into(), "true".into(), "Off".into(), "0b1".into()];
        texts.push("k".repeat(2000));
        texts.extend(["1e3", "0o17", "2026-11-29", ".inf", "<<", "+.5", "08"].map(String::from));
        for first in letters {
            texts.push(first.to_owned());
            for second in letters {
                texts.push(format!("{first}{second}"));
                texts.extend(letters.iter().map(|third| format!("{first}{second}{third}")));
            }
        }
        let mut wrong = Vec::new();
        for of in &texts {
            let value = Out::String(of.clone());
            let both = vec![value.clone(), value.clone()];
            let tree = Out::Map(vec![
                ("flow".into(), Out::Flow(both.clone())),
                ("list".into(), Out::List(both)),
                ("value".into(), Out::Map(vec![(of.clone(), value)])),
            ]);
            let written = tree.to_yaml();
            let read = yaml::parse(written.as_bytes(), 100);
            let good = read.as_ref().is_ok_and(|read| {
                let Some(Data::Mapping(entries)) = read.as_ref().map(Node::data) else {
                    return false;
                };
                entries.iter().all(|(_, node)| match node.data() {
                    Data::Sequence(items) => items.iter().all(|item| text(item) == *of),
                    Data::Mapping(entries) => entries.iter().all(|(key, value)| {
                        *key.text == **of && !key.null && !key.merge && text(value) == *of
                    }),
                    Data::Scalar(_) => false,
                })
            });
            if !good {
                wrong.push(format!("{of:?}: {read:?}\n{written}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {}: {:#?}",
            wrong.len(),
            texts.len(),
            &wrong[..wrong.len().min(20)]
        );
    }
}
