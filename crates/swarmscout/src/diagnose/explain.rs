//! `explain`: prints all that is known of one object.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use swarmscout_diagnose::explain::{self, ExplainedTarget, Explanation, Fate, JobTargets, Label};

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
    match args.server.format {
        DiagnoseFormat::Json => {
            let json = serde_json::to_string_pretty(&explanation).expect("its keys are strings");
            print(&format!("{json}\n"));
        }
        DiagnoseFormat::Text => print(&text(&explanation)),
    }
    let active = |job: &JobTargets| job.counts.contains_key(&Fate::Active);
    if explanation.jobs.iter().any(active) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// No name or address is longer, in bytes.
const LONGEST_OBJECT: usize = 1024;

async fn find_out(args: &ExplainArgs) -> anyhow::Result<Explanation> {
    if args.object.len() > LONGEST_OBJECT {
        bail!("no object has a name of more than {LONGEST_OBJECT} bytes");
    }
    let Some(file) = &args.server.config_file else {
        return Server::new(&args.server.endpoint, ADVICE)?
            .get_object("/explain", "object", &args.object)
            .await;
    };
    let subject = direct::observe(file, args.server.timeout.into()).await?;
    Ok(explain::explain(&subject, &args.object)?)
}

/// What the Swarm says, then the targets of each job, then the verdict in one sentence.
fn text(explanation: &Explanation) -> String {
    let mut out = Lines::default();
    let Explanation { object, swarm, facts, problems, settings, jobs, verdict } = explanation;
    let place = if swarm.is_empty() { String::new() } else { format!(" in Swarm {swarm}") };
    out.add(0, &format!("{} {} ({}){place}", object.kind.as_str(), object.name, object.id));
    for fact in facts {
        out.add(2, &format!("{}: {}", fact.name, fact.value));
    }
    for problem in problems {
        out.add(2, &format!("problem: {problem}"));
    }
    for of_job in settings {
        out.add(0, "");
        out.add(0, &format!("scrape settings in job {}: {}", of_job.job, of_job.conclusion));
        for Label { place, style, key, value, outcome } in &of_job.labels {
            let style = if style == "ours" { String::new() } else { format!(" ({style})") };
            out.add(2, &format!("label of the {place}{style} {key}={value:?}: {outcome}"));
        }
    }
    for job in jobs {
        let counts = job.counts.iter().map(|(fate, count)| format!("{count} {}", fate.as_str()));
        out.add(0, "");
        out.add(0, &format!("job {}: {}", job.job, counts.collect::<Vec<_>>().join(", ")));
        for target in &job.targets {
            out.target(target);
        }
        let more = job.counts.values().sum::<usize>() - job.targets.len();
        if more > 0 {
            out.add(2, &format!("and {more} more"));
        }
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
        self.labels("discovered", &target.discovered);
        for step in &target.steps {
            self.add(4, step);
        }
        self.labels("labels", &target.labels);
    }

    fn labels(&mut self, name: &str, labels: &BTreeMap<String, String>) {
        if !labels.is_empty() {
            let labels = labels.iter().map(|(name, value)| format!("{name}={value:?}"));
            self.add(4, &format!("{name}: {}", labels.collect::<Vec<_>>().join(" ")));
        }
    }
}
