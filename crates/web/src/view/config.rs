//! The configuration in use, without secrets.

use serde::Serialize;
use swarmscout_config::Config;

use super::Moment;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigInUse<'a> {
    /// The file, written again.
    yaml: String,
    /// The jobs that are not in the file, by name.
    generated_jobs: Vec<GeneratedJob<'a>>,
}

/// A job that Swarmscout generated.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GeneratedJob<'a> {
    scrape_pool: &'a str,
    /// An entry of `scrape_configs`.
    yaml: &'a str,
}

impl<'a> ConfigInUse<'a> {
    pub(crate) fn of(moment: &'a Moment, config: &Config) -> Self {
        let generated = moment.jobs.iter().filter_map(|job| {
            Some(GeneratedJob { scrape_pool: job.name(), yaml: job.generated.as_deref()? })
        });
        Self { yaml: config.to_yaml(), generated_jobs: generated.collect() }
    }
}
