//! The dashboards of `deploy/dashboards` against what is served, and the command that prints them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use swarmscout_state::Family;

use super::harness::{Folder, transcript};

/// Each with the number of its queries, at least.
const BOARDS: [(&str, usize); 5] =
    [("cluster", 30), ("service", 25), ("node", 25), ("swarmscout", 15), ("classic", 20)];

/// Of Prometheus, cAdvisor and node exporter.
const FOREIGN: [&str; 17] = [
    "ALERTS",
    "ALERTS_FOR_STATE",
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "container_network_receive_bytes_total",
    "container_network_transmit_bytes_total",
    "node_boot_time_seconds",
    "node_cpu_seconds_total",
    "node_disk_read_bytes_total",
    "node_disk_written_bytes_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes",
    "node_network_receive_bytes_total",
    "node_network_transmit_bytes_total",
    "up",
];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn board(name: &str) -> Value {
    serde_json::from_str(&read(&format!("deploy/dashboards/{name}.json"))).expect("JSON")
}

/// The values of all members of this name.
fn members<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(object) => {
            let own = object.get(name);
            own.into_iter().chain(object.values().flat_map(|value| members(value, name))).collect()
        }
        Value::Array(array) => array.iter().flat_map(|value| members(value, name)).collect(),
        _ => Vec::new(),
    }
}

/// All expressions: of panels, annotations and variables.
fn expressions(board: &Value) -> Vec<&str> {
    let all = ["expr", "query"].map(|name| members(board, name)).concat();
    all.into_iter().filter_map(Value::as_str).filter(|&query| query != "prometheus").collect()
}

/// The names of metrics: each has matchers in the dashboards.
fn metrics(expression: &str) -> impl Iterator<Item = &str> {
    let starts = expression.match_indices('{').map(|(at, _)| &expression[..at]);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = starts.filter_map(move |before| before.rsplit(|c| !is_part(c)).next());
    names.filter(|name| name.starts_with(|first: char| first.is_ascii_alphabetic()))
}

#[test]
fn every_metric_in_the_dashboards_is_served() {
    let http = read("docs/http.md");
    let is_served = |name: &str| {
        let histogram = name.trim_end_matches("_count").trim_end_matches("_sum");
        FOREIGN.contains(&name)
            || Family::ALL.iter().any(|family| family.name() == name)
            || http.contains(&format!("`{histogram}`"))
    };
    let mut used = BTreeSet::new();
    for (name, count) in BOARDS {
        let board = board(name);
        let expressions = expressions(&board);
        assert!(expressions.len() >= count, "{name}: {expressions:#?}");
        used.extend(expressions.into_iter().flat_map(metrics).map(str::to_owned));
    }
    let unknown: Vec<_> = used.iter().filter(|name| !is_served(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let unused: Vec<_> = FOREIGN.iter().filter(|&&name| !used.contains(name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// A uid that changes makes a second dashboard, and breaks links to the first.
#[test]
fn uids_are_fixed_and_links_lead_to_them() {
    let uids = BOARDS.map(|(name, _)| format!("swarmscout-{name}"));
    for (name, _) in BOARDS {
        let board = board(name);
        assert_eq!(board["uid"], format!("swarmscout-{name}"));
        assert!(
            board.get("id").is_none_or(Value::is_null),
            "{name}: its id is that of one Grafana"
        );
        let urls = members(&board, "url");
        let links: BTreeSet<_> = urls.iter().filter_map(|url| url.as_str()).collect();
        assert!(links.len() >= 3, "{name}: {links:?}");
        for link in links {
            let uid = link.strip_prefix("/d/").and_then(|rest| rest.split('?').next());
            assert!(uids.iter().any(|known| Some(known.as_str()) == uid), "{name}: {link}");
        }
    }
}

#[test]
fn every_query_asks_the_chosen_data_source() {
    for (name, _) in BOARDS {
        let board = board(name);
        let sources: BTreeSet<_> =
            members(&board, "datasource").into_iter().map(ToString::to_string).collect();
        let expected = r#"{"type":"prometheus","uid":"${datasource}"}"#.to_owned();
        assert_eq!(sources, BTreeSet::from([expected]), "{name}");
    }
}

#[test]
fn every_panel_says_what_it_shows_and_every_figure_has_a_unit() {
    for (name, _) in BOARDS {
        let board = board(name);
        let mut titles = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in board["panels"].as_array().expect("panels") {
            let title = panel["title"].as_str().expect("a title");
            assert!(titles.insert(title), "{name}: two panels {title}");
            assert!(ids.insert(panel["id"].as_u64()), "{name}: two panels of one id");
            let is_table = panel["type"] == "table";
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            assert!(is_table || unit.is_string(), "{name}: {title} has no unit");
            assert!(panel["description"].is_string(), "{name}: {title} has no description");
        }
    }
}

#[test]
fn the_program_lists_prints_and_writes_the_dashboards() {
    let folder = Folder::new();
    let run = |args: &[&str]| {
        let output = folder.run(&[&["dashboards"], args].concat());
        assert!(output.status.success(), "{}", transcript(&folder, &output));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let listed = run(&[]);
    let names: Vec<_> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, BOARDS.map(|(name, _)| name));

    assert_eq!(run(&["node"]), read("deploy/dashboards/node.json"));

    assert_eq!(run(&["service", "--output=one"]), "one/service.json\n");
    assert!(!folder.path().join("one/node.json").exists());
    run(&["--output=all/of/them"]);
    for (name, _) in BOARDS {
        let written = folder.path().join(format!("all/of/them/{name}.json"));
        let written = std::fs::read_to_string(written).expect("it is written");
        assert_eq!(written, read(&format!("deploy/dashboards/{name}.json")));
    }
}

#[test]
fn a_dashboard_that_is_not_there_and_a_folder_that_cannot_be_are_errors() {
    let folder = Folder::new();
    folder.write("file", "");
    for (args, code, error) in [
        (
            &["nodes"][..],
            2,
            "there is no dashboard \"nodes\"; there are cluster, service, node, swarmscout, classic\n",
        ),
        (&["--output=file"], 1, "cannot write file/classic.json: "),
    ] {
        let output = folder.run(&[&["dashboards"], args].concat());
        let said = transcript(&folder, &output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(output.stdout.is_empty(), "{said}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with(error), "{said}");
    }
}
