//! The scrape settings of a service, in each job that reads labels.

use swarmscout_discovery::SdConfig;
use swarmscout_discovery::source::swarmscout::{ServiceSettings, SettingLabel};
use swarmscout_docker::engine::{LabelMap, Service};

use super::find::{Found, Known, Place};
use super::limits::{NAME, SENTENCE, cut};
use super::{Label, Problem, Settings};
use crate::doctor::{ObservedJob, Subject};
use crate::report::merged;

/// The settings of this number of blocks are shown.
const SHOWN: usize = 8;

/// This number of labels of a block is shown.
const SHOWN_LABELS: usize = 50;

/// The settings of a service, or of a task's service, and why nothing follows from them.
pub(super) fn of(subject: &Subject, found: &Found<'_>) -> (Vec<Settings>, Vec<Problem>) {
    let Some(Place { snapshot, known, .. }) = &found.place else { return Default::default() };
    let service = match known {
        Known::Service(service) => Some(service),
        Known::Task(task) => snapshot.services.get("", &task.service),
        Known::Node(_) => None,
    };
    let Some(service) = service else { return Default::default() };
    let newest = || snapshot.tasks.of_owner(&service.id).max_by_key(|task| task.version);
    let container = match known {
        Known::Task(task) => Some(task),
        _ => newest(),
    };
    let none = LabelMap::default();
    let container = container.map_or(&none, |task| &task.labels);
    let is_task = matches!(known, Known::Task(_));
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for job in &subject.jobs {
        let name = || Some(job.config.name().to_string());
        // What a source skipped explains more than the labels, which are as they should be then.
        problems.extend(skipped(job, service).into_iter().map(|text| Problem {
            job: name(),
            text,
            is_wanted: false,
        }));
        let blocks: Vec<_> = blocks(job, service, container).collect();
        let is_listed = |block: &ServiceSettings| block.is_scraped || block.has_probes && !is_task;
        if !blocks.iter().any(is_listed) {
            problems.extend(blocks.iter().map(|block| Problem {
                job: name(),
                text: block.conclusion.clone(),
                is_wanted: block.is_switched_off,
            }));
        }
        settings.extend(blocks.into_iter().map(|block| shown(job, block)));
    }
    settings.truncate(SHOWN);
    (settings, problems)
}

/// The settings in each block of a job that reads labels.
fn blocks(
    job: &ObservedJob,
    service: &Service,
    container: &LabelMap,
) -> impl Iterator<Item = ServiceSettings> {
    job.config.sources.iter().filter_map(move |source| match source {
        SdConfig::Swarmscout(config) => Some(config.options.settings(service, container)),
        _ => None,
    })
}

fn shown(job: &ObservedJob, settings: ServiceSettings) -> Settings {
    let ServiceSettings { mut labels, conclusion, .. } = settings;
    let more_labels = labels.len().saturating_sub(SHOWN_LABELS);
    if more_labels > 0 {
        labels.sort_by_key(|label| label.outcome.starts_with("ignored"));
        labels.truncate(SHOWN_LABELS);
    }
    let label = |label: SettingLabel| Label {
        place: label.place.to_owned(),
        style: label.style.to_owned(),
        key: cut(&label.key, NAME),
        value: label.value,
        outcome: cut(&label.outcome, SENTENCE),
    };
    Settings {
        job: job.config.name().to_string(),
        labels: labels.into_iter().map(label).collect(),
        more_labels,
        conclusion: cut(&conclusion, SENTENCE),
    }
}

/// What the sources of a job skipped of a service, and which of its tasks have no address.
fn skipped(job: &ObservedJob, service: &Service) -> Vec<String> {
    let sources = &job.state.status.sources;
    let problems = sources.iter().flat_map(|source| source.problems.iter());
    let of_service = problems.filter(|problem| {
        problem.kind == "service"
            && (problem.object == *service.name || problem.object == *service.id)
    });
    // By reason, in the order in which they are met.
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for problem in of_service {
        match reasons.iter_mut().find(|(reason, _)| *reason == problem.reason) {
            Some((_, details)) => details.push(&problem.detail),
            None => reasons.push((problem.reason, vec![&problem.detail])),
        }
    }
    let skipped = reasons.into_iter().flat_map(|(reason, details)| {
        merged(details.into_iter()).into_iter().map(move |detail| match &*detail {
            "" => reason.to_owned(),
            detail => format!("{reason}: {detail}"),
        })
    });
    let without = sources.iter().filter_map(|source| source.without_address.as_deref());
    let without = without.flat_map(|tasks| &tasks.services);
    let without = without.filter(|tasks| tasks.service == service.name);
    skipped.chain(without.map(ToString::to_string)).collect()
}
