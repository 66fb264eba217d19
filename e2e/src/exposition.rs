//! Reads the text format of Prometheus, as far as Swarmscout writes it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

/// All series of an exposition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition(Vec<Series>);

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// As it is written.
    pub value: String,
}

impl Exposition {
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines.map(|line| parse(line).with_context(|| line.to_owned()));
        series.collect::<Result<_>>().map(Self)
    }

    /// All series of a name that have these labels.
    pub fn all<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a Series> {
        self.0.iter().filter(move |series| {
            let has = |(name, value): &(&str, &str)| series.label(name) == *value;
            series.name == name && labels.iter().all(has)
        })
    }

    /// The value, a whole number, of the only series of a name that has these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Result<i64> {
        let found: Vec<_> = self.all(name, labels).collect();
        ensure!(found.len() == 1, "{} series {name} with {labels:?}: {found:?}", found.len());
        let value = &*found[0].value;
        let whole = value.strip_suffix(".0").unwrap_or(value);
        whole.parse().with_context(|| format!("{:?}", found[0]))
    }
}

impl Series {
    /// The value of a label; empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map(String::as_str).unwrap_or_default()
    }
}

fn parse(line: &str) -> Result<Series> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(after) = rest.strip_prefix('{') {
        rest = after;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").context("no label")?;
            let (value, after) = quoted(after)?;
            let before = labels.insert(label.to_owned(), value);
            ensure!(before.is_none(), "two labels {label}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    Ok(Series { name: name.to_owned(), labels, value: rest.trim().to_owned() })
}

/// A text up to its closing quotation mark, and what follows.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next().context("no quotation mark")? {
            '"' => return Ok((value, chars.as_str())),
            '\\' => value.push(match chars.next().context("nothing is escaped")? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}
