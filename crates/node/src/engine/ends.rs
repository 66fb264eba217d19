//! How often containers ended, by service: a container that ends takes its own series with it, so
//! what happens to it is counted apart.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swarmscout_docker::engine::ContainerEvent;
use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

/// The most services that are counted apart. What comes after them is counted without labels.
const MOST_SERVICES: usize = 10_000;

/// The most exit codes of one service. What comes after them is counted without a code.
const MOST_CODES: usize = 256;

/// Labels of a container, in the order in which they name what it belongs to.
const SERVICE: [&str; 2] = ["com.docker.swarm.service.name", "com.docker.compose.service"];
const STACK: [&str; 2] = ["com.docker.stack.namespace", "com.docker.compose.project"];

/// The ends of containers since the start of the process.
#[derive(Debug, Default)]
pub struct Ends(Mutex<BTreeMap<Service, Count>>);

/// What containers belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Service {
    /// A stack, or a project of Compose; empty without one.
    stack: String,
    /// A service of a Swarm or of Compose; else the name of the container.
    service: String,
}

#[derive(Debug, Default)]
struct Count {
    /// By exit code; `None`: not known.
    died: BTreeMap<Option<i32>, u64>,
    out_of_memory: u64,
}

impl Ends {
    /// Counts the end of a container.
    pub(super) fn died(&self, event: &ContainerEvent, exit_code: Option<i32>) {
        self.count(event, |count| {
            let is_full = count.died.len() >= MOST_CODES && !count.died.contains_key(&exit_code);
            let code = if is_full { None } else { exit_code };
            *count.died.entry(code).or_default() += 1;
        });
    }

    /// Counts a kill for want of memory.
    pub(super) fn out_of_memory(&self, event: &ContainerEvent) {
        self.count(event, |count| count.out_of_memory += 1);
    }

    fn count(&self, event: &ContainerEvent, add: impl FnOnce(&mut Count)) {
        let first = |keys: [&str; 2]| keys.iter().find_map(|key| event.attribute(key));
        let name = || event.attribute("name");
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let service =
            Service { stack: text(first(STACK)), service: text(first(SERVICE).or_else(name)) };
        let mut all = self.lock();
        let is_full = all.len() >= MOST_SERVICES && !all.contains_key(&service);
        add(all.entry(if is_full { Service::default() } else { service }).or_default());
    }

    /// Writes `swarmscout_container_deaths_total` and `swarmscout_container_oom_kills_total`. The
    /// second has a series for every service that has one of the first, so that its first kill is a
    /// change from 0.
    pub fn write(&self, out: &mut Families) {
        let none = SeriesLabels::default();
        let all = self.lock();
        let help = "Ends of containers by service and exit code, since this process started";
        let mut family = out.family("swarmscout_container_deaths_total", Kind::Counter, help);
        for (Service { stack, service }, count) in &*all {
            for (code, died) in &count.died {
                let code = code.map(|code| code.to_string()).unwrap_or_default();
                let labels = [("stack", &**stack), ("service", service), ("exit_code", &code)];
                family.series_with(&none, &labels, *died);
            }
        }
        let help = "Processes that the kernel killed in a container of the service for want of \
                    memory, since this process started";
        let mut family = out.family("swarmscout_container_oom_kills_total", Kind::Counter, help);
        for (Service { stack, service }, count) in &*all {
            let labels = [("stack", &**stack), ("service", service)];
            family.series_with(&none, &labels, count.out_of_memory);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Service, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use swarmscout_docker::engine::ContainerAction;
    use swarmscout_exposition::Format;

    use super::*;

    fn event(attributes: &[(&str, &str)]) -> ContainerEvent {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        ContainerEvent {
            id: String::from("a"),
            action: ContainerAction::Changed,
            attributes: attributes.iter().map(owned).collect(),
            time_nano: 0,
        }
    }

    #[test]
    fn ends_are_counted_by_service() {
        let ends = Ends::default();
        let of_swarm = event(&[
            ("name", "blog_web.1.x"),
            ("com.docker.swarm.service.name", "blog_web"),
            ("com.docker.stack.namespace", "blog"),
        ]);
        ends.died(&of_swarm, Some(137));
        ends.died(&of_swarm, Some(137));
        ends.died(&of_swarm, Some(0));
        ends.out_of_memory(&of_swarm);
        ends.died(&event(&[("name", "alone\n\"")]), None);
        let mut out = Families::new(Format::Text);
        ends.write(&mut out);
        let text = out.finish();
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        expect![[r#"
            swarmscout_container_deaths_total{service="alone\n\""} 1
            swarmscout_container_deaths_total{stack="blog",service="blog_web",exit_code="0"} 1
            swarmscout_container_deaths_total{stack="blog",service="blog_web",exit_code="137"} 2
            swarmscout_container_oom_kills_total{service="alone\n\""} 0
            swarmscout_container_oom_kills_total{stack="blog",service="blog_web"} 1"#]]
        .assert_eq(&series.join("\n"));
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let ends = Ends::default();
        let one = event(&[("name", "one")]);
        for code in 0..300 {
            ends.died(&one, Some(code));
        }
        for name in 0..MOST_SERVICES + 10 {
            ends.died(&event(&[("name", &name.to_string())]), None);
        }
        let all = ends.lock();
        assert_eq!(all.len(), MOST_SERVICES + 1);
        assert_eq!(all[&Service { service: "one".into(), ..Service::default() }].died[&None], 44);
        assert_eq!(all[&Service::default()].died[&None], 11);
    }
}
