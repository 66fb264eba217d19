//! The queries of the dashboards, as Grafana sends them.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// Those for swarm mode, each with the number of its queries, at least.
pub const BOARDS: [(&str, usize); 4] =
    [("cluster", 35), ("service", 25), ("node", 25), ("swarmscout", 20)];

/// What the variables of a dashboard are. The others are "All".
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    pub cluster: &'a str,
    /// The service that a panel shows.
    pub service: fn(panel: &str) -> &'a str,
    pub node: &'a str,
    pub rate_interval: &'a str,
}

/// An expression of a dashboard with the variables filled in.
#[derive(Debug)]
pub struct Query {
    /// The panel, annotation or variable that it is of.
    pub of: String,
    pub expression: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Instant,
    Range,
    /// Series that must have a label.
    Values(String),
}

/// All of a dashboard.
pub fn queries(board: &str, variables: Variables<'_>) -> Result<Vec<Query>> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../deploy/dashboards/{board}.json"));
    let board: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let list = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let mut queries = Vec::new();
    let mut add = |of: &str, expression: &str, kind| -> Result<()> {
        let expression = filled(expression, (variables.service)(of), variables)?;
        queries.push(Query { of: of.to_owned(), expression, kind });
        Ok(())
    };
    for panel in list(&board["panels"]) {
        for target in list(&panel["targets"]) {
            let kind = if target["range"] == true { Kind::Range } else { Kind::Instant };
            add(text(&panel["title"])?, text(&target["expr"])?, kind)?;
        }
    }
    for annotation in list(&board["annotations"]["list"]) {
        add(text(&annotation["name"])?, text(&annotation["expr"])?, Kind::Range)?;
    }
    for variable in list(&board["templating"]["list"]) {
        if variable["type"] != "query" {
            continue;
        }
        let source = text(&variable["query"])?;
        let source = source.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (series, label) = source.and_then(|rest| rest.rsplit_once(", ")).context("a form")?;
        // A Swarm has neither unless it is named, or there are several.
        if label != "cluster" && label != "swarm" {
            add(label, series, Kind::Values(label.to_owned()))?;
        }
    }
    Ok(queries)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("no text")
}

/// Fills the variables in as Grafana does.
fn filled(expression: &str, service: &str, variables: Variables<'_>) -> Result<String> {
    let from = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() - 600_000;
    let filled = expression
        .replace("$__rate_interval", variables.rate_interval)
        .replace("$__range", "10m")
        .replace("$__from", &from.to_string())
        .replace("$cluster", variables.cluster)
        .replace("$swarm", ".*")
        .replace("$job", ".*")
        .replace("$service", service)
        .replace("$node", variables.node);
    // Of the function label_replace.
    ensure!(!filled.replace("\"$1\"", "").contains('$'), "a variable is left: {filled}");
    Ok(filled)
}

impl Query {
    /// The result, of a Prometheus that answers a path below `/api/v1/`.
    pub fn answer(&self, prometheus: impl FnOnce(&str) -> Result<Value>) -> Result<Value> {
        let encoded = utf8_percent_encode(&self.expression, NON_ALPHANUMERIC);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let path = match &self.kind {
            Kind::Instant => format!("query?query={encoded}"),
            Kind::Range => {
                format!("query_range?query={encoded}&start={}&end={now}&step=1", now - 5)
            }
            Kind::Values(label) => format!("label/{label}/values?match%5B%5D={encoded}"),
        };
        let mut answer = prometheus(&path).with_context(|| self.expression.clone())?;
        Ok(match self.kind {
            Kind::Values(_) => answer["data"].take(),
            Kind::Instant | Kind::Range => answer["data"]["result"].take(),
        })
    }

    /// Fails unless the answer has a value.
    pub fn ask(&self, prometheus: impl FnOnce(&str) -> Result<Value>) -> Result<()> {
        let is_empty = self.answer(prometheus)?.as_array().is_none_or(Vec::is_empty);
        ensure!(!is_empty, "no value: {}", self.expression);
        Ok(())
    }
}
