//! The scrape settings of a service, in each job that reads labels.

use swarmscout_discovery::SdConfig;
use swarmscout_discovery::source::swarmscout::ServiceSettings;
use swarmscout_docker::engine::{LabelMap, Service};

use super::find::{Found, Known, Place};
use super::{Label, Settings};
use crate::doctor::{ObservedJob, Subject};

/// The settings of a service, or of a task's service, and why nothing follows from them.
pub(super) fn of(subject: &Subject, found: &Found<'_>) -> (Vec<Settings>, Vec<String>) {
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
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for job in &subject.jobs {
        for of_block in blocks(job, service, container) {
            if !of_block.is_scraped {
                problems.push(of_block.conclusion.clone());
            }
            settings.push(shown(job, of_block));
        }
        problems.extend(skipped(job, service));
    }
    problems.dedup();
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
    let label = |label: swarmscout_discovery::source::swarmscout::SettingLabel| Label {
        place: label.place.to_owned(),
        style: label.style.to_owned(),
        key: label.key,
        value: label.value,
        outcome: label.outcome,
    };
    Settings {
        job: job.config.name().to_string(),
        labels: settings.labels.into_iter().map(label).collect(),
        conclusion: settings.conclusion,
    }
}

/// What the sources of a job skipped of a service.
fn skipped<'a>(job: &'a ObservedJob, service: &'a Service) -> impl Iterator<Item = String> + 'a {
    let problems = job.state.status.sources.iter().flat_map(|source| source.problems.iter());
    let of_service = problems.filter(|problem| {
        problem.kind == "service"
            && (problem.object == *service.name || problem.object == *service.id)
    });
    of_service.map(|problem| match &*problem.detail {
        "" => problem.reason.to_owned(),
        detail => format!("{}: {detail}", problem.reason),
    })
}
