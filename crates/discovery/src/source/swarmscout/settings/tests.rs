mod endpoints;
mod explained;
mod places;
mod probes;
mod refusals;

use std::fmt::Write as _;

use expect_test::Expect;
use swarmscout_docker::engine::LabelMap;

use super::dialects::DIALECTS;
use super::*;

/// Labels, one a line, `key=value`; those of the container after a line `--`.
fn read(labels: &str) -> [LabelMap; 2] {
    let (service, container) = labels.split_once("--\n").unwrap_or((labels, ""));
    [service, container].map(|labels| {
        let lines = labels.lines().map(str::trim).filter(|line| !line.is_empty());
        let pairs = lines.filter_map(|line| line.split_once('='));
        LabelMap::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    })
}

fn rules() -> Rules {
    Rules::new("prometheus.io/", &DIALECTS)
}

fn check(labels: &str, expected: &Expect) {
    let [service, container] = read(labels);
    expected.assert_eq(&show(&declared(&rules(), &service, &container)));
}

fn show(declared: &Declared<'_>) -> String {
    let mut text = fuzzing::show(declared);
    for refusal in &declared.refusals {
        let lost = if refusal.endpoint_lost { "lost" } else { "kept" };
        writeln!(text, "{lost}: {}: {}", refusal.reason.as_str(), refusal.detail).unwrap();
    }
    text
}
