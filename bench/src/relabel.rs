//! Relabeling 100,000 targets with 15 usual rules, beside Prometheus' own package where Go is there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use swarmscout_model::relabel::{self, RawRule, RelabelRule};
use swarmscout_model::{Labels, LabelsBuilder, NameScheme};

use crate::report::{Report, seconds};

const COUNT: usize = 100_000;
const INPUT: &str = include_str!("../relabel.json");

pub fn run(report: &mut Report) -> Result<()> {
    let input: Value = serde_json::from_str(INPUT)?;
    let rules = input["rules"].as_array().context("no rules")?;
    let rules = rules.iter().map(rule).collect::<Result<Vec<_>>>()?;
    let targets: Vec<Labels> = (0..COUNT).map(|i| target(&input["labels"], i)).collect();

    let before = cpu();
    let mut builder = LabelsBuilder::new();
    let mut results = Vec::with_capacity(COUNT);
    for target in &targets {
        builder.reset(target);
        if relabel::process(&rules, &mut builder).is_ok() {
            results.push(builder.build());
        }
    }
    let ours = cpu() - before;

    let peer = peer()?;
    if let Some((_, kept)) = peer {
        ensure!(kept == results.len(), "the peer keeps {kept} targets, ours {}", results.len());
    }
    let what = "CPU to relabel 100,000 targets with 15 rules (peer: Prometheus 3.14's package)";
    report.row(what, ours, peer.map(|(cpu, _)| cpu), "< 0.5 s", seconds);
    Ok(())
}

fn rule(written: &Value) -> Result<RelabelRule> {
    let text = |key: &str| written[key].as_str().map(str::to_owned);
    let names =
        |list: &Vec<Value>| list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let raw = RawRule {
        source_labels: written["source_labels"].as_array().map(names),
        separator: text("separator"),
        regex: text("regex"),
        modulus: written["modulus"].as_u64(),
        target_label: text("target_label"),
        replacement: text("replacement"),
        action: text("action"),
    };
    Ok(raw.check(NameScheme::Utf8)?)
}

/// The template with this target's numbers in it.
fn target(template: &Value, i: usize) -> Labels {
    let template = template.as_object().into_iter().flatten();
    let numbers = [("{j}", i / 250), ("{k}", i % 250), ("{s}", i % 1000)];
    template
        .map(|(name, value)| {
            let value = value.as_str().unwrap_or_default().to_owned();
            let fill = |text: String, (place, number): &(&str, usize)| {
                text.replace(place, &number.to_string())
            };
            (name, numbers.iter().fold(value, fill))
        })
        .collect()
}

/// CPU seconds and kept targets of the Go program; `None` where there is no Go.
fn peer() -> Result<Option<(f64, usize)>> {
    if Command::new("go").arg("version").output().is_err() {
        return Ok(None);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("go")
        .args(["run", "-mod=mod", ".", "../relabel.json"])
        .current_dir(here.join("relabel-peer"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout)?;
    let (cpu, kept) = printed.trim().split_once(' ').context("two figures expected")?;
    Ok(Some((cpu.parse()?, kept.parse()?)))
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
