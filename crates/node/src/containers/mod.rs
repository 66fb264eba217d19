//! The metrics of containers.
//!
//! [`ContainerReader`] finds the cgroups of containers at each scrape, reads their files and returns
//! a [`Reading`], which is written in one of two formats. Descriptors of files are kept from scrape
//! to scrape, numbers are not.

mod devices;
mod families;
mod kills;
mod labels;
mod process;
mod reader;
pub mod sample;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use swarmscout_exposition::Decimal;
use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

pub use reader::ContainerReader;
use sample::Sample;

use crate::facts::{Facts, Health};

/// Descriptors that are kept for one container, at most.
pub const MOST_DESCRIPTORS: usize = 14;

/// All containers at one scrape.
#[derive(Debug)]
pub struct Reading {
    now: SystemTime,
    cgroups: Vec<CgroupReading>,
    /// Those that the facts know, with a cgroup or without.
    containers: Vec<(Arc<SeriesLabels>, Arc<Facts>)>,
    /// Files that were not read, since the process was started: name, reason, how often.
    errors: Vec<(&'static str, &'static str, u64)>,
}

/// One cgroup: of a container, or of the machine.
#[derive(Debug)]
struct CgroupReading {
    labels: Arc<SeriesLabels>,
    started: Option<SystemTime>,
    created: Option<SystemTime>,
    health: Option<Health>,
    sample: Sample,
}

/// Milliseconds are more than Docker promises.
fn unix_seconds(time: SystemTime) -> Option<Decimal> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Decimal::millis(u64::try_from(since.as_millis()).ok()?))
}

impl Reading {
    /// Adds the machine itself, as `id="/"`, and when it was started.
    pub fn add_machine(&mut self, sample: Sample, started: Option<SystemTime>) {
        let mut labels = SeriesLabels::default();
        labels.push("id", "/");
        let labels = Arc::new(labels);
        let machine = CgroupReading { labels, started, created: None, health: None, sample };
        self.cgroups.insert(0, machine);
    }

    /// How many cgroups of containers there are, that of the machine included.
    pub fn len(&self) -> usize {
        self.cgroups.len()
    }

    /// Whether there is no cgroup of a container.
    pub fn is_empty(&self) -> bool {
        self.cgroups.is_empty()
    }

    /// Writes all families.
    pub fn write(&self, out: &mut Families) {
        let mut part = 0;
        while self.write_part(part, out) {
            part += 1;
        }
    }

    /// Writes one part of the families, so that an answer of many containers need not be in memory
    /// as a whole: parts 0, 1, … until there is no further one, which is `false`. A family is never
    /// in two parts.
    pub fn write_part(&self, part: usize, out: &mut Families) -> bool {
        match part.checked_sub(1) {
            None => self.write_facts(out),
            Some(family) => {
                let cgroups = self.cgroups.iter().map(|one| (&*one.labels, &one.sample));
                return families::write(family, cgroups, out);
            }
        }
        true
    }

    fn write_facts(&self, out: &mut Families) {
        let now = unix_seconds(self.now);
        let help = "When the container was seen last: the time of the scrape";
        let mut family = out.family("container_last_seen", Kind::Gauge, help);
        for (one, now) in self.cgroups.iter().zip(std::iter::repeat(now)) {
            now.inspect(|now| family.series(&one.labels, *now));
        }
        let help = "When the container was started last, in seconds since 1970";
        let mut family = out.family("container_start_time_seconds", Kind::Gauge, help);
        for one in &self.cgroups {
            one.started.and_then(unix_seconds).inspect(|time| family.series(&one.labels, *time));
        }
        let help = "When the container was made, in seconds since 1970";
        let mut family = out.family("container_creation_time_seconds", Kind::Gauge, help);
        for one in &self.cgroups {
            one.created.and_then(unix_seconds).inspect(|time| family.series(&one.labels, *time));
        }
        let help =
            "Health check: 1 healthy, 0 unhealthy, -1 without one; absent as long as it starts";
        let mut family = out.family("container_health_state", Kind::Gauge, help);
        for one in &self.cgroups {
            let value = match one.health {
                None | Some(Health::Starting) => continue,
                Some(Health::Healthy) => 1,
                Some(Health::Unhealthy) => 0,
                Some(Health::Unchecked) => -1_i64,
            };
            family.series(&one.labels, value);
        }
        let help = "State of the container, as Docker has it: the series of the present one is 1";
        let mut family = out.family("swarmscout_container_state", Kind::Gauge, help);
        for (labels, facts) in &self.containers {
            if let Some(state) = facts.state {
                family.series_with(labels, &[("state", state.as_str())], 1_u64);
            }
        }
        let help = "Health check of the container: the series of the present result is 1";
        let mut family = out.family("swarmscout_container_health", Kind::Gauge, help);
        for (labels, facts) in &self.containers {
            let health = match facts.health {
                None | Some(Health::Unchecked) => continue,
                Some(Health::Starting) => "starting",
                Some(Health::Healthy) => "healthy",
                Some(Health::Unhealthy) => "unhealthy",
            };
            family.series_with(labels, &[("health", health)], 1_u64);
        }
        let help = "Code with which the container ended last";
        let mut family = out.family("swarmscout_container_last_exit_code", Kind::Gauge, help);
        for (labels, facts) in &self.containers {
            if let Some(code) = facts.last_exit_code {
                family.series(labels, i64::from(code));
            }
        }
        let help = "Files of containers that were not read, or that had nothing to be read";
        let name = "swarmscout_node_file_errors_total";
        let mut family = out.family(name, Kind::Counter, help);
        for (file, reason, count) in &self.errors {
            let labels = [("file", *file), ("reason", *reason)];
            family.series_with(&SeriesLabels::default(), &labels, *count);
        }
    }
}
