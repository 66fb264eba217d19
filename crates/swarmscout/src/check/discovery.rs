//! `check service-discovery`: one refresh of a job's sources, and what its rules make of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};

use anyhow::{Context as _, bail};
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use swarmscout_diagnose::SERVICE_LABELS;
use swarmscout_discovery::manager::JobState;
use swarmscout_model::target::{DefaultLabels, DropReason, discovered};
use swarmscout_model::{Labels, LabelsBuilder, RelabelledGroup, TargetSet};

use crate::cli::{CheckDiscoveryArgs, DiscoveryFormat};
use crate::diagnose::direct::{TargetFlags, observe_jobs};
use crate::output::{print, print_error, printable};

/// Shows the targets of a job. Whether each of its sources answered.
pub(super) async fn check(args: &CheckDiscoveryArgs) -> bool {
    match refresh(args).await {
        Ok(set) => show(&set, args),
        Err(error) => {
            print_error(&format!("{error:#}\n"));
            false
        }
    }
}

/// Runs the job alone until each source has answered once, or the time is over.
async fn refresh(args: &CheckDiscoveryArgs) -> anyhow::Result<JobState> {
    let options = swarmscout_config::Options::default();
    let loaded = swarmscout_config::load(&args.file, &options).context("Cannot load config")?;
    let mut jobs = loaded.config.job_configs();
    let Some(job) = jobs.iter().position(|job| **job.name() == *args.job) else {
        let names: Vec<_> = jobs.iter().map(|job| format!("\t{}", job.name())).collect();
        bail!("Job {} not found. Select one of:\n{}", args.job, names.join("\n"));
    };
    // Everything is to be seen.
    let mut job = jobs.swap_remove(job);
    job.pool.keep_dropped_targets = 0;

    // What is known when the time is over is shown, too.
    let CheckDiscoveryArgs { cluster, series_labels, state_metrics, .. } = args;
    let flags = TargetFlags::new(cluster.as_deref(), series_labels, *state_metrics)?;
    let subject = observe_jobs(vec![job], flags, args.timeout.into()).await;
    let job = subject.jobs.into_iter().next().context("the job has not started")?;
    Ok(job.state)
}

fn show(JobState { set, status }: &JobState, args: &CheckDiscoveryArgs) -> bool {
    let mut dropped = DroppedCounts::new();
    let results = results(set, &mut dropped);
    let mut good = match args.format {
        DiscoveryFormat::Json => {
            let json = serde_json::to_string_pretty(&results).expect("strings and maps of strings");
            print(&format!("{json}\n"))
        }
        DiscoveryFormat::Table => print(&table(set, results, &dropped, args.all)),
    };
    for source in &status.sources {
        let what = format!("{} ({})", source.name, source.display_name);
        for problem in source.problems.iter() {
            let text = format!(
                "{what}: {}{}{}{}: {}{}{}",
                if problem.is_skipped() { "skipped " } else { "" },
                problem.kind,
                if problem.object.is_empty() { "" } else { " " },
                problem.object,
                problem.reason,
                if problem.detail.is_empty() { "" } else { ": " },
                problem.detail
            );
            print_error(&format!("  WARNING: {}\n", printable(&text)));
        }
        if let Some(tasks) = &source.without_address {
            for service in &tasks.services {
                print_error(&format!("  NOTE: {}\n", printable(&format!("{what}: {service}"))));
            }
            if tasks.not_listed > 0 {
                print_error(&format!("  NOTE: and {} more services\n", tasks.not_listed));
            }
        }
        if source.as_of.is_none() {
            let why = source.error.as_deref().unwrap_or("no answer within --timeout");
            print_error(&format!("  FAILED: {}\n", printable(&format!("{what}: {why}"))));
            good = false;
        }
    }
    if let Some(error) = &set.limit_error {
        print_error(&format!("  FAILED: {}\n", printable(error)));
        good = false;
    }
    good
}

/// What became of a target, in the order in which the table shows them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum State {
    Active,
    Duplicate,
    Refused(String),
    Dropped(DroppedBy),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Dropped(by) => by.fmt(f),
        }
    }
}

/// What dropped a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct DroppedBy(DropReason);

/// `dropped by relabel_configs[0]`.
impl fmt::Display for DroppedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DropReason::Relabel { rule } => write!(f, "dropped by relabel_configs[{rule}]"),
            reason => write!(f, "dropped: {reason:?}"),
        }
    }
}

/// How many targets were dropped, by what dropped them and by their service, which is empty where
/// there is none.
type DroppedCounts = BTreeMap<DroppedBy, BTreeMap<String, usize>>;

/// How many services are named of those whose targets a rule dropped.
const SERVICES: usize = 20;

/// A target, as promtool shows it.
#[derive(Serialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
struct CheckResult {
    #[serde(serialize_with = "as_map")]
    discovered_labels: Labels,
    /// Empty unless the target is kept.
    #[serde(serialize_with = "as_map")]
    labels: Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What became of it, for the table.
    #[serde(skip)]
    state: State,
    /// Of the discovered labels those that are not the job's defaults, for the table.
    #[serde(skip)]
    found: Labels,
}

fn as_map<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(labels.len()))?;
    for (name, value) in labels {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// All targets in the order in which they were discovered; equal ones stand once. Each that was
/// dropped is counted in `dropped`.
fn results(set: &TargetSet, dropped: &mut DroppedCounts) -> Vec<CheckResult> {
    let mut builder = LabelsBuilder::new();
    let defaults = DefaultLabels::new(&set.pool.defaults);
    let mut results = Vec::new();
    let mut seen = HashSet::new();
    for group in &*set.groups {
        let mut of_group =
            results_of_group(&defaults, &group.relabelled, group.duplicates(), &mut builder);
        of_group.sort_by_key(|(index, _)| *index);
        for (_, result) in of_group {
            if let State::Dropped(by) = &result.state {
                let service = SERVICE_LABELS.iter().find_map(|name| result.found.get(name));
                let service = service.unwrap_or_default().to_owned();
                *dropped.entry(*by).or_default().entry(service).or_default() += 1;
            }
            let key = (result.discovered_labels.clone(), result.labels.clone());
            if seen.insert(key) {
                results.push(result);
            }
        }
    }
    results
}

fn results_of_group(
    defaults: &DefaultLabels,
    group: &RelabelledGroup,
    duplicates: &[u32],
    builder: &mut LabelsBuilder,
) -> Vec<(u32, CheckResult)> {
    let mut result = |index: u32, labels: Labels, state: State, error: Option<String>| {
        let at = usize::try_from(index).expect("an index of a list in memory");
        discovered(&group.group, at, defaults, builder);
        let discovered_labels = builder.build();
        builder.retain_with_origin(|_, _, is_default| !is_default);
        let found = builder.build();
        (index, CheckResult { discovered_labels, labels, error, state, found })
    };
    let mut results = Vec::new();
    for (i, target) in (0_u32..).zip(&group.active) {
        let duplicate = duplicates.binary_search(&i).is_ok();
        let state = if duplicate { State::Duplicate } else { State::Active };
        results.push(result(target.index, target.labels.clone(), state, None));
    }
    for dropped in &group.dropped {
        let by = DroppedBy(dropped.reason);
        results.push(result(dropped.index, Labels::empty(), State::Dropped(by), None));
    }
    for refused in &group.refused {
        let state = State::Refused(refused.reason.clone());
        results.push(result(refused.index, Labels::empty(), state, Some(refused.reason.clone())));
    }
    results
}

/// One row for each target, one line for each label: what is scraped comes first. Dropped targets
/// are only counted unless `all` is to be shown.
fn table(
    set: &TargetSet,
    mut results: Vec<CheckResult>,
    dropped: &DroppedCounts,
    all: bool,
) -> String {
    results.retain(|result| all || !matches!(result.state, State::Dropped(_)));
    results.sort_by(|a, b| a.state.cmp(&b.state));
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["STATE", "LABELS OF ITS METRICS", "DISCOVERED LABELS"]);
    for result in &results {
        table.add_row([
            printable(&result.state.to_string()),
            lines(result.labels.iter().filter(|(name, _)| !name.starts_with("__"))),
            lines(result.found.iter()),
        ]);
    }
    let counts = set.counts;
    let mut text =
        if results.is_empty() { String::new() } else { format!("{}\n\n", table.trim_fmt()) };
    writeln!(
        text,
        "{} active, {} dropped, {} refused, {} duplicates",
        counts.active, counts.dropped, counts.refused, counts.duplicates
    )
    .expect("a string takes all");
    if !all {
        count_dropped(&mut text, dropped);
    }
    text
}

fn count_dropped(text: &mut String, dropped: &DroppedCounts) {
    for (by, services) in dropped {
        let total: usize = services.values().sum();
        let mut lines = vec![format!("{by}: {total}")];
        let mut services: Vec<_> = services.iter().filter(|(name, _)| !name.is_empty()).collect();
        // The largest first.
        services.sort_by_key(|(_, count)| Reverse(**count));
        let more = services.len().saturating_sub(SERVICES);
        let service = |(name, count): &(&String, &usize)| format!("  service {name:?}: {count}");
        lines.extend(services.iter().take(SERVICES).map(service));
        if more > 0 {
            lines.push(format!("  and {more} more services"));
        }
        for line in lines {
            text.push_str(&printable(&line));
            text.push('\n');
        }
    }
    if !dropped.is_empty() {
        text.push_str("--all shows each dropped target\n");
    }
}

fn lines<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let lines = labels.map(|(name, value)| printable(&format!("{name}={value:?}")));
    lines.collect::<Vec<_>>().join("\n")
}
