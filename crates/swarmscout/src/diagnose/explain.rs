//! `explain`: prints all that is known of one object.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use swarmscout_diagnose::explain::{
    self, ExplainedTarget, Explanation, FailedTask, Fate, JobTargets, Label,
};

use super::{ADVICE, NO_RESULT, direct};
use crate::ask::Server;
use crate::cli::{DiagnoseFormat, ExplainArgs};
use crate::output::{print, print_error, printable};

pub(super) async fn run(args: &ExplainArgs) -> ExitCode {
    let explanation = match find_out(args).await {
        Ok(explanation) => explanation,
        Err(error) => {
            print_error(&format!("cannot explain: {}\n", printable(&format!("{error:#}"))));
            return ExitCode::from(NO_RESULT);
        }
    };
    let is_printed = match args.server.format {
        DiagnoseFormat::Json => {
            let json = serde_json::to_string_pretty(&explanation).expect("its keys are strings");
            print(&format!("{json}\n"))
        }
        DiagnoseFormat::Text => print(&text(&explanation)),
    };
    let active = |job: &JobTargets| job.counts.contains_key(&Fate::Active);
    let is_active = explanation.jobs.iter().any(active);
    if is_printed && is_active { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// No name or address is longer, in bytes.
const LONGEST_OBJECT: usize = 1024;

async fn find_out(args: &ExplainArgs) -> anyhow::Result<Explanation> {
    if args.object.len() > LONGEST_OBJECT {
        bail!("no object has a name of more than {LONGEST_OBJECT} bytes");
    }
    let Some(subject) = direct::observe(&args.server).await? else {
        return Server::new(&args.server.endpoint, ADVICE)?
            .get_object("/explain", "object", &args.object)
            .await;
    };
    Ok(explain::explain(&subject, &args.object).await?)
}

/// What the Swarm says, then the targets of each job, then the verdict in one sentence.
fn text(explanation: &Explanation) -> String {
    let mut out = Lines::default();
    let Explanation { object, swarm, facts, problems, settings, jobs, verdict, .. } = explanation;
    let place = if swarm.is_empty() { String::new() } else { format!(" in Swarm {swarm}") };
    out.add(0, &format!("{} {} ({}){place}", object.kind.as_str(), object.name, object.id));
    for fact in facts {
        out.add(2, &format!("{}: {}", fact.name, fact.value));
    }
    for problem in problems {
        out.add(2, &format!("problem: {problem}"));
    }
    if !explanation.failures.is_empty() {
        out.add(0, "");
        out.add(0, "failed tasks, the newest first:");
        for FailedTask { id, name, node, state, exit_code, error, at } in &explanation.failures {
            let code =
                if *exit_code == 0 { String::new() } else { format!(", exit code {exit_code}") };
            let node = if node.is_empty() { String::new() } else { format!(" on node {node}") };
            out.add(2, &format!("{at} {name} ({id}){node}: {state}{code}: {error}"));
        }
        out.more(explanation.more_failures);
    }
    for of_job in settings {
        out.add(0, "");
        out.add(0, &format!("scrape settings in job {}: {}", of_job.job, of_job.conclusion));
        for Label { place, style, key, value, outcome } in &of_job.labels {
            let style = if style == "ours" { String::new() } else { format!(" ({style})") };
            out.add(2, &format!("label of the {place}{style} {key}={value:?}: {outcome}"));
        }
        out.more(of_job.more_labels);
    }
    for job in jobs {
        let counts = job.counts.iter().map(|(fate, count)| format!("{count} {}", fate.as_str()));
        out.add(0, "");
        let list = if job.list.is_empty() { String::new() } else { format!(" ({})", job.path) };
        let counts = counts.collect::<Vec<_>>().join(", ");
        out.add(0, &format!("job {}{list}: {counts}", job.job));
        for target in &job.targets {
            out.target(target);
        }
        out.more(job.counts.values().sum::<usize>().saturating_sub(job.targets.len()));
    }
    out.add(0, "");
    out.add(0, verdict);
    out.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, indent: usize, text: &str) {
        writeln!(self.0, "{:indent$}{}", "", printable(text)).expect("a string takes all");
    }

    fn target(&mut self, target: &ExplainedTarget) {
        let reason = match &*target.reason {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        self.add(2, &format!("{} {}{reason}", target.fate.as_str(), target.url));
        // The rest is in JSON; steps name the labels that rules read.
        let matters = |name: &str| !name.starts_with("__meta_docker") && !is_histogram_option(name);
        self.labels("discovered", &target.discovered, target.more_discovered, matters);
        for step in &target.steps {
            self.add(4, step);
        }
        self.labels("labels", &target.labels, target.more_labels, |_| true);
    }

    fn labels(
        &mut self,
        title: &str,
        labels: &BTreeMap<String, String>,
        more: usize,
        matters: impl Fn(&str) -> bool,
    ) {
        let (mut shown, mut more) = (Vec::new(), more);
        for (name, value) in labels {
            if matters(name) {
                shown.push(format!("{name}={value:?}"));
            } else {
                more += 1;
            }
        }
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        if !shown.is_empty() {
            self.add(4, &format!("{title}: {}{more}", shown.join(" ")));
        }
    }

    /// This number of things are not shown.
    fn more(&mut self, more: usize) {
        if more > 0 {
            self.add(2, &format!("and {more} more"));
        }
    }
}

fn is_histogram_option(name: &str) -> bool {
    name.ends_with("_histograms__") || name.ends_with("_histograms_to_nhcb__")
}
