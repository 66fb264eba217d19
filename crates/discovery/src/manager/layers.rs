//! The jobs of a program come in layers: those of the configuration file, and those that are made of
//! something else, such as the labels of services.
//!
//! Invariant: a job of an earlier layer wins over one of the same name in a later layer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use swarmscout_model::quote::Quoted;

use crate::JobConfig;

/// All jobs of a program, in layers.
#[derive(Clone, Debug, Default)]
pub struct JobSet {
    /// The most important first.
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    name: &'static str,
    jobs: Vec<LayeredJob>,
}

/// A job of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayeredJob {
    /// What it is.
    pub config: JobConfig,
    /// The same as YAML, with secrets hidden. `None` for a job that the configuration file shows.
    pub yaml: Option<Arc<str>>,
}

/// A job that does not run because another one has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowedJob {
    /// The name of both.
    pub job: Arc<str>,
    /// The layer of the one that does not run.
    pub layer: &'static str,
    /// The layer of the one that runs.
    pub by: &'static str,
}

impl fmt::Display for ShadowedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, layer, by } = self;
        let job = Quoted(job);
        write!(f, "{layer} job {job} is not used: a {by} job has the same name, rename one of them")
    }
}

impl JobSet {
    /// The name of the layer of the configuration file.
    pub const FILE: &'static str = "file";

    /// The jobs of the configuration file.
    pub fn of_file(jobs: Vec<JobConfig>) -> Self {
        let jobs = jobs.into_iter().map(|config| LayeredJob { config, yaml: None }).collect();
        Self { layers: vec![Layer { name: Self::FILE, jobs }] }
    }

    /// Adds a layer that is less important than all before.
    pub fn add_layer(&mut self, name: &'static str, jobs: Vec<LayeredJob>) {
        self.layers.push(Layer { name, jobs });
    }

    /// The jobs that run, by name, and those that do not. Of two jobs of one name in one layer the
    /// last counts.
    pub(super) fn merge(self) -> (BTreeMap<Arc<str>, LayeredJob>, Vec<ShadowedJob>) {
        let mut merged = BTreeMap::<_, (&'static str, LayeredJob)>::new();
        let mut shadowed = Vec::new();
        for Layer { name: layer, jobs } in self.layers {
            for job in jobs {
                let name = job.config.name().clone();
                match merged.get(&name) {
                    Some((by, _)) if *by != layer => {
                        shadowed.push(ShadowedJob { job: name, layer, by });
                    }
                    _ => {
                        merged.insert(name, (layer, job));
                    }
                }
            }
        }
        (merged.into_iter().map(|(name, (_, job))| (name, job)).collect(), shadowed)
    }
}

impl From<Vec<JobConfig>> for JobSet {
    fn from(jobs: Vec<JobConfig>) -> Self {
        Self::of_file(jobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers, each `name: job=limit …`; what runs, and what does not.
    fn check(layers: &[(&'static str, &[(&str, u64)])], runs: &str, shadowed: &str) {
        let mut set = JobSet::default();
        for (name, jobs) in layers {
            let job = |(job, limit): &(&str, u64)| {
                let mut config = JobConfig::new(*job, Vec::new());
                config.pool.target_limit = *limit;
                LayeredJob { config, yaml: Some(Arc::from(*name)) }
            };
            set.add_layer(name, jobs.iter().map(job).collect());
        }
        let (merged, ignored) = set.merge();
        let show = |job: &LayeredJob| {
            let yaml = job.yaml.as_deref().unwrap_or_default();
            format!("{}={} of {yaml}", job.config.name(), job.config.pool.target_limit)
        };
        assert_eq!(merged.values().map(show).collect::<Vec<_>>().join(", "), runs);
        assert!(merged.iter().all(|(name, job)| name == job.config.name()));
        let texts: Vec<_> = ignored.iter().map(ToString::to_string).collect();
        assert_eq!(texts.join("\n"), shadowed);
    }

    #[test]
    fn an_earlier_layer_wins() {
        check(&[], "", "");
        check(&[("file", &[("b", 1), ("a", 2)])], "a=2 of file, b=1 of file", "");
        // In one layer the last counts, and nothing is shadowed.
        check(&[("file", &[("a", 1), ("a", 2)])], "a=2 of file", "");
        check(
            &[("file", &[("a", 1)]), ("discovered", &[("b", 2), ("b", 3)])],
            "a=1 of file, b=3 of discovered",
            "",
        );
        check(
            &[("file", &[("a", 1)]), ("discovered", &[("a", 2), ("b", 3)])],
            "a=1 of file, b=3 of discovered",
            "discovered job \"a\" is not used: a file job has the same name, rename one of them",
        );
        check(
            &[("file", &[]), ("discovered", &[("a", 2)]), ("third", &[("a", 3)])],
            "a=2 of discovered",
            "third job \"a\" is not used: a discovered job has the same name, rename one of them",
        );
    }
}
