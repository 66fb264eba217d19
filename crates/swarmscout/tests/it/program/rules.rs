//! The alerts of `deploy/rules` against what is served and documented.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use swarmscout_state::Family;

use super::harness::{Folder, transcript};

const RULES: &str = "deploy/rules/swarmscout.yml";
const INHIBIT: &str = "deploy/rules/alertmanager-inhibit.yml";
const TESTS: [&str; 5] = [
    "deploy/rules/tests/classic.yml",
    "deploy/rules/tests/days.yml",
    "deploy/rules/tests/network.yml",
    "deploy/rules/tests/services.yml",
    "deploy/rules/tests/swarm.yml",
];
const INDEX: &str = "docs/alerts.md";
const PAGES: &str = "docs/alerts";

/// What an expression has beside metrics and labels.
const WORDS: [&str; 14] = [
    "absent_over_time",
    "and",
    "count",
    "increase",
    "label_replace",
    "max",
    "max_over_time",
    "min",
    "or",
    "sum",
    "time",
    "topk",
    "unless",
    "vector",
];

/// Of cAdvisor.
const FOREIGN: [&str; 2] =
    ["container_memory_working_set_bytes", "container_spec_memory_limit_bytes"];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The texts of all rules, by the name of the alert or record. Two may share a name.
fn rules(text: &str) -> Vec<(&str, &str)> {
    let rules = text.split("\n  - alert: ").skip(1);
    let rules = rules.chain(text.split("\n  - record: ").skip(1));
    let own = rules.map(|rule| rule.split("\n  - ").next().unwrap_or_default());
    own.filter_map(|rule| rule.split_once('\n')).collect()
}

fn alerts(text: &str) -> BTreeMap<&str, &str> {
    rules(text).into_iter().filter(|(name, _)| !name.contains(':')).collect()
}

/// The expression of a rule, on one line.
fn expression(rule: &str) -> String {
    let (_, rest) = rule.split_once("    expr: ").expect("a rule has an expression");
    let mut lines = rest.lines();
    let mut expression = lines.next().unwrap_or_default().trim_start_matches('|').to_owned();
    for line in lines.take_while(|line| line.starts_with("      ")) {
        expression.push(' ');
        expression.push_str(line);
    }
    expression
}

/// The names of metrics: no matchers and texts, no labels of `by` and `on`, no words of the language.
fn metrics(expression: &str) -> BTreeSet<String> {
    let mut rest = String::new();
    let mut is_text = false;
    let mut depth = 0;
    for c in expression.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            '"' => is_text = !is_text,
            c if depth == 0 && !is_text => rest.push(c),
            _ => {}
        }
    }
    for word in ["by (", "on (", "group_left ("] {
        while let Some((before, after)) = rest.split_once(word) {
            let (_, after) = after.split_once(')').expect("a list of labels ends");
            rest = format!("{before} {after}");
        }
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let names = rest.split(|c| !is_part(c));
    let names = names.filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
    names.filter(|name| !WORDS.contains(name)).map(str::to_owned).collect()
}

/// The values of one label in all matchers.
fn matched<'a>(text: &'a str, label: &str) -> BTreeSet<&'a str> {
    let start = format!("{label}=\"");
    let values = text.split(start.as_str()).skip(1);
    values.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_metric_in_the_rules_is_served() {
    let rules_text = read(RULES);
    let documented = ["docs/http.md", "docs/peers.md"].map(read).concat();
    let records: BTreeSet<_> =
        rules(&rules_text).into_iter().map(|(name, _)| name).filter(|n| n.contains(':')).collect();
    let is_served = |name: &str| {
        name == "up"
            || FOREIGN.contains(&name)
            || records.contains(name)
            || Family::ALL.iter().any(|family| family.name() == name)
            || documented.contains(&format!("| `{name}` |"))
    };
    let used: BTreeSet<_> =
        rules(&rules_text).into_iter().flat_map(|(_, rule)| metrics(&expression(rule))).collect();
    assert!(used.len() > 25, "the rules have another form than this reads: {used:?}");
    let unknown: Vec<_> = used.iter().filter(|name| !is_served(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_alert_has_a_page_that_begins_with_what_to_type() {
    let text = read(RULES);
    let index = read(INDEX);
    let alerts = alerts(&text);
    assert!(alerts.len() > 20, "the rules have another form than this reads: {alerts:?}");
    for (name, rule) in &alerts {
        let file = format!("{PAGES}/{name}.md");
        let page = read(&file);
        assert!(page.starts_with(&format!("# {name}\n\n```console\n")), "{page}");
        assert!(index.contains(&format!("[{name}](alerts/{name}.md)")), "{name} not in {INDEX}");
        let runbook = format!("runbook_url: {file}\n");
        assert!(format!("{rule}\n").contains(&runbook), "{name}: no {runbook}");
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        for ignored in matched(rule, "alert") {
            let label = format!("prometheus.io/alert.ignore: {ignored}`");
            let on_node = format!("prometheus.io/alert.ignore={ignored} ");
            let is_there = page.contains(&label) || page.contains(&on_node);
            assert!(is_there, "{name}: {label} is not documented");
            assert!(index.contains(&format!("\n| `{ignored}` | ")), "{ignored} not in the table");
        }
        for kind in matched(rule, "kind") {
            let label = format!("`prometheus.io/alert.{kind}`");
            assert!(page.contains(&label), "{name}: {label} is not documented");
            assert!(index.contains(&format!("\n| {label} | ")), "{kind} is not in the table");
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGES);
    let pages: Vec<_> = std::fs::read_dir(folder).expect("the folder exists").collect();
    assert_eq!(pages.len(), alerts.len(), "pages without an alert: {pages:?}");
}

#[test]
fn every_alert_is_tested_and_every_inhibited_one_exists() {
    let text = read(RULES);
    let alerts: BTreeSet<_> = alerts(&text).into_keys().collect();
    let tests = TESTS.map(read).concat();
    let tested = matched(&tests, "labels: 'ALERTS{alertname");
    assert_eq!(tested, alerts);

    let inhibit = read(INHIBIT);
    let named = matched(&inhibit, "alertname").into_iter();
    let several = inhibit.split("alertname=~\"").skip(1);
    let several = several.filter_map(|rest| rest.split('"').next());
    let named: BTreeSet<_> = named.chain(several.flat_map(|names| names.split('|'))).collect();
    assert!(named.len() > 10, "the file has another form than this reads: {named:?}");
    let unknown: Vec<_> = named.difference(&alerts).collect();
    assert!(unknown.is_empty(), "no such alert: {unknown:?}");
}

/// Stdout of `swarmscout rules` with these flags.
#[track_caller]
fn printed(flags: &[&str]) -> String {
    let folder = Folder::new();
    let output = folder.run(&[&["rules"], flags].concat());
    assert!(output.status.success(), "{}", transcript(&folder, &output));
    String::from_utf8(output.stdout).expect("YAML is UTF-8")
}

#[test]
fn the_program_prints_the_rules() {
    let rules = read(RULES);
    assert_eq!(printed(&[]), rules);
    assert_eq!(printed(&["--inhibit"]), read(INHIBIT));
    let folder = "https://wiki.example.org/a";
    let runbook = "    runbook_url: ";
    for url in [folder.to_owned(), format!("{folder}/")] {
        let moved = printed(&[&format!("--runbooks={url}")]);
        let count = moved.matches(&format!("{runbook}{folder}/")).count();
        assert_eq!(count, rules.matches(runbook).count());
        assert_eq!(moved.replace(folder, PAGES), rules);
    }
}

#[test]
fn every_alert_has_a_team_if_one_is_given() {
    let rules = read(RULES);
    let of_team = printed(&["--team=ops"]);
    let added = "team: '{{ or $labels.team \"ops\" }}', ";
    assert_eq!(of_team.matches(added).count(), rules.matches("  - alert: ").count());
    assert_eq!(of_team.replace(added, ""), rules);
    for team in ["", "a b", "{{ . }}", "a'b"] {
        let folder = Folder::new();
        let output = folder.run(&["rules", &format!("--team={team}")]);
        assert_eq!(output.status.code(), Some(2), "{team}: {}", transcript(&folder, &output));
    }
}

#[test]
fn runbooks_are_at_a_url_that_yaml_and_templates_take_as_it_is() {
    let folder = Folder::new();
    for page in [
        "docs",
        "ftp://h/p",
        "http://h/p#anchor",
        "http://h/p?a=b",
        "http://h/{{p}}",
        "http://h/a b",
        "",
    ] {
        let output = folder.run(&["rules", &format!("--runbooks={page}")]);
        let said = transcript(&folder, &output);
        assert_eq!(output.status.code(), Some(2), "{page}: {said}");
        assert!(output.stdout.is_empty(), "{page}: {said}");
    }
}
