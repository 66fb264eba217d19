//! The tables of `docs/state-metrics.md` say what the code does.

use std::fmt::Write as _;

use swarmscout_exposition::pieces::Kind;
use swarmscout_swarm::Reason;

use crate::families::Family;

const DOCS: &str = "../../docs/state-metrics.md";

/// Compares a part of the page between comments with what the code says. With `UPDATE_EXPECT` it is
/// written.
#[track_caller]
fn check(name: &str, expected: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCS);
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- {name}: read by crates/state/src/docs_tests.rs -->\n\n");
    let end = format!("<!-- end of {name} -->");
    let (before, rest) = text.split_once(&begin).expect("the part has a beginning");
    let (part, after) = rest.split_once(&end).expect("and an end");
    if part.trim() != expected.trim() && std::env::var_os("UPDATE_EXPECT").is_some() {
        let text = format!("{before}{begin}{}\n\n{end}{after}", expected.trim());
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert_eq!(part.trim(), expected.trim());
}

#[test]
fn all_metrics_and_reasons_are_listed() {
    let mut table = String::from("| metric | type | meaning |\n|---|---|---|\n");
    for family in Family::ALL {
        let kind = match family.kind() {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Untyped => "untyped",
        };
        writeln!(table, "| `{}` | {kind} | {} |", family.name(), family.help()).unwrap();
    }
    check("metrics", &table);
    let reasons = Reason::ALL.iter().map(|reason| format!("`{reason}`"));
    check("reasons", &(reasons.collect::<Vec<_>>().join(", ") + "."));
}
