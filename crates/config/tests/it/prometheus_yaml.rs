//! Compares our reading of YAML with that of Prometheus: see `../prometheus-yaml/README.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use swarmscout_config::{self as config, Options};
use swarmscout_discovery::source::file;
use swarmscout_model::yaml::{self, Data, Node, Resolved};

const ANSWERS: &str = include_str!("../prometheus-yaml/answers.jsonl");

/// Where we differ on purpose: a part of the text or of the difference, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("refresh_interval must be greater than 0s", "it would be a loop without a pause"),
    ("the file is empty: write", "it would take every target away at a reload"),
    ("into uint: ", "Go makes a number of 20 digits of a negative fraction and of -.inf"),
    ("into int: ", "Go makes a number of 19 digits of -.inf"),
    ("_limit: 18446744073709551616", "Go takes it, and makes half as much of it"),
    ("negative size in", "a limit below nothing"),
    ("units: too large", "Go makes a negative size of it"),
    ("Null", "Go skips the type's reader for `null` and `~` alone"),
    ("NULL", "as Null"),
    ("'null'", "Go skips the type's reader for `null` and `~` in quotes too"),
    ("\"~\"", "as 'null'"),
    ("{}: b", "Go forgets that empty brackets may be a key, and the rest of the file with it"),
    ("\n{}\n", "as {}: b"),
    ("\n[]\n", "as {}: b"),
    (r#""labels":{}"#, "what has no name is left out, and labels where there is no other"),
    ("source_labels: []", "Prometheus does not show what it refuses some rules for"),
    (
        "  metrics_path:\n",
        "Prometheus does not show that a path is empty, and reads a default there",
    ),
];

/// Errors that we find while the text is read, where Go has an error of another line as well.
const FOUND_EARLIER: &[&str] = &[
    "is not closed",
    "a key must be a single value",
    "map merge requires map or sequence of maps",
    "value contains itself",
];

/// Keys that Prometheus does not have.
const OURS: [&str; 2] = ["events", "overlay_port"];

fn answers() -> impl Iterator<Item = Value> {
    ANSWERS.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// A number as JSON reads it without a type. What JSON has no number for is a string.
fn number(value: f64) -> Value {
    match value {
        value if value.is_finite() => json!(value),
        value if value.is_nan() => json!("NaN"),
        value if value > 0.0 => json!("+Inf"),
        _ => json!("-Inf"),
    }
}

/// A document as JSON.
fn plain(node: &Node) -> Value {
    match node.data() {
        Data::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => json!(value),
            #[expect(clippy::cast_precision_loss, reason = "as JSON reads it")]
            Resolved::Int(value) => number(value as f64),
            Resolved::Float(value) => number(value),
            Resolved::String => json!(scalar.text),
        },
        // The name of a label that is null, which Prometheus writes as an empty text.
        Data::Sequence(items) => {
            items.iter().map(|item| if item.is_null() { json!("") } else { plain(item) }).collect()
        }
        Data::Mapping(entries) => {
            let entries = entries.iter().filter(|(key, _)| !OURS.contains(&&*key.text));
            entries.map(|(key, value)| (key.text.to_string(), plain(value))).collect()
        }
    }
}

/// The same of what was recorded, without labels that have no name.
fn recorded(value: &Value) -> Value {
    match value {
        Value::Number(value) => number(value.as_f64().unwrap()),
        Value::Array(items) => items.iter().map(recorded).collect(),
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(key, _)| !key.is_empty());
            entries.map(|(key, value)| (key.clone(), recorded(value))).collect()
        }
        other => other.clone(),
    }
}

/// What is not there by default. What is missing is null.
fn without(tree: &Value, defaults: &Value) -> Value {
    let (tree, defaults) = (tree.as_object().unwrap(), defaults.as_object().unwrap());
    let differs = tree.iter().filter(|(key, value)| defaults.get(*key) != Some(value));
    let mut out: Map<_, _> = differs.map(|(key, value)| (key.clone(), value.clone())).collect();
    for key in defaults.keys().filter(|key| !tree.contains_key(*key)) {
        out.insert(key.clone(), Value::Null);
    }
    Value::Object(out)
}

fn prune(tree: &Value, defaults: &Value) -> Value {
    let mut out = without(tree, defaults);
    if let Some(global) = out.get_mut("global") {
        *global = without(global, &defaults["global"]);
    }
    for job in out.get_mut("scrape_configs").and_then(Value::as_array_mut).into_iter().flatten() {
        *job = without(job, &defaults["scrape_configs"][0]);
    }
    out
}

/// Our reading of a file, or the lines and texts of its errors.
fn load(text: &str) -> Result<Value, Vec<(u64, String)>> {
    let options = Options { agent: false, env: |_| None };
    let loaded = config::parse(text.as_bytes(), Path::new("prometheus.yml"), &options);
    let loaded = loaded.map_err(|errors| {
        let line = |error: &config::ConfigError| error.position.map_or(0, |at| at.line.into());
        errors.iter().map(|error| (line(error), error.to_string())).collect::<Vec<_>>()
    })?;
    let written = loaded.config.to_yaml();
    let again = config::parse(written.as_bytes(), Path::new("prometheus.yml"), &options);
    assert_eq!(again.map(|loaded| loaded.config.to_yaml()).as_deref(), Ok(&*written), "{text:?}");
    let shown = yaml::parse(written.as_bytes(), 10_000).unwrap();
    Ok(shown.as_ref().map_or(Value::Null, plain))
}

/// The groups of a list, or the line and text of its error.
fn list(text: &str) -> Result<Value, Vec<(u64, String)>> {
    let path = Path::new("list.yml");
    let groups =
        file::parse_groups(path, text.as_bytes()).map(|(groups, _)| groups).map_err(|error| {
            let line = error.strip_prefix("line ").and_then(|rest| rest.split(',').next());
            vec![(line.and_then(|line| line.parse().ok()).unwrap_or(0), error)]
        })?;
    let address = |target: &swarmscout_model::Labels| {
        target.get("__address__").unwrap_or_default().to_owned()
    };
    let groups = groups.iter().map(|group| {
        let labels = group.labels.iter().filter(|(name, _)| *name != "__meta_filepath");
        let labels: BTreeMap<_, _> = labels.collect();
        let targets: Vec<_> = group.targets.iter().map(address).collect();
        json!({"targets": targets, "labels": labels})
    });
    Ok(groups.collect())
}

/// The difference between an answer and our reading of it; empty if there is none.
fn difference(
    answer: &Value,
    ours: Result<Value, Vec<(u64, String)>>,
    expected: &Value,
) -> Option<String> {
    match (ours, answer["error"].as_str()) {
        (Ok(_), None) if *expected == "unreadable" => None,
        (Ok(value), None) => (value != *expected).then(|| format!("{value}\nnot {expected}")),
        (Ok(_), Some(error)) => Some(format!("taken, Go: {error}")),
        (Err(errors), None) => Some(format!("refused: {errors:?}")),
        (Err(errors), Some(error)) => {
            let lines = answer["lines"].as_array().into_iter().flatten();
            let lines: Vec<_> = lines.map(|line| line.as_u64().unwrap()).collect();
            let earlier = FOUND_EARLIER.iter().any(|text| errors[0].1.contains(text));
            let is_ours = |line: &u64| errors.iter().any(|(own, _)| own == line);
            // Only the first error of a list is shown.
            let same = lines.iter().all(is_ours)
                || answer.get("list").is_some() && lines.first().is_some_and(is_ours);
            (!earlier && !same).then(|| format!("lines of {errors:?}, Go: {error}"))
        }
    }
}

/// Fails on what differs without a reason, and on a reason that nothing needs.
fn check(
    key: &str,
    least: usize,
    reasons: &[(&str, &str)],
    compare: impl Fn(&Value) -> Option<String>,
) {
    let (mut wrong, mut checked) = (String::new(), 0);
    let mut used = vec![false; reasons.len()];
    for answer in answers().filter(|answer| answer.get(key).is_some()) {
        checked += 1;
        let text = answer[key].as_str().unwrap();
        let Some(difference) = compare(&answer) else { continue };
        let reason =
            reasons.iter().position(|(part, _)| text.contains(part) || difference.contains(part));
        match reason {
            Some(reason) => used[reason] = true,
            None => writeln!(wrong, "{text:?}\n{difference}\n").unwrap(),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(checked > least, "{checked}");
    let unused: Vec<_> = reasons.iter().zip(used).filter(|(_, used)| !used).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn files_are_read_as_by_prometheus() {
    let first = answers().next().unwrap();
    let ours = load(first["config"].as_str().unwrap()).unwrap();
    // A server's storage is not ours to show.
    let theirs = recorded(&first["shown"]);
    assert_eq!(without(&theirs, &ours), json!({"storage": theirs["storage"].clone()}));
    check("config", 3000, DIFFERENCES, |answer| {
        if answer.get("shown") == first.get("shown") {
            return None;
        }
        let shown = load(answer["config"].as_str().unwrap()).map(|tree| prune(&tree, &ours));
        difference(answer, shown, &recorded(&answer["shown"]))
    });
}

#[test]
fn target_files_are_read_as_by_prometheus() {
    check("list", 300, &[], |answer| {
        let groups = list(answer["list"].as_str().unwrap());
        let mut expected = answer.get("groups").map_or_else(|| json!([]), recorded);
        // A group without targets is not kept.
        expected.as_array_mut().unwrap().retain(|group| group["targets"] != json!([]));
        for group in expected.as_array_mut().unwrap() {
            // A label without a value does not exist.
            group["labels"].as_object_mut().unwrap().retain(|_, value| value != "");
        }
        difference(answer, groups, &expected)
    });
}
