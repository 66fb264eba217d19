//! How often containers ended, by service: a container that ends takes its own series with it, so
//! what happens to it is counted apart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

use crate::facts::Facts;

/// The most services that are counted apart. What comes after them is counted without labels.
const MOST_SERVICES: usize = 10_000;

/// The most exit codes of one service. What comes after them is counted without a code.
const MOST_CODES: usize = 256;

/// Codes that most containers end with: by themselves, with an error, by SIGKILL and by SIGTERM. Each
/// service has a series of each from the start, so that the first end is a change from 0. A container
/// without a service does not: each `docker run` makes one, with another name.
const USUAL: [i32; 4] = [0, 1, 137, 143];

/// The code of a process that was killed, by the kernel or by anybody else.
const KILLED: i32 = 137;

/// Names are cut behind this many bytes: anybody may give a container any label, and each service has
/// series for as long as this process runs.
const LONGEST_NAME: usize = 256;

/// The most ends of killed tasks that wait for the kernel's count.
const MOST_KILLED: usize = 1000;

/// Labels of a container, in the order in which they name what it belongs to.
const SERVICE: [&str; 2] = ["com.docker.swarm.service.name", "com.docker.compose.service"];
const STACK: [&str; 2] = ["com.docker.stack.namespace", "com.docker.compose.project"];

/// The ends of containers since the start of the process.
#[derive(Debug, Default)]
pub struct Ends(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    services: BTreeMap<Service, Count>,
    /// Ends of tasks with the code of a killed process, until [`Ends::take_killed`].
    killed: VecDeque<Killed>,
    /// Whether kills for want of memory are not counted.
    without_kills: bool,
}

/// What containers belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// A stack, or a project of Compose; empty without one.
    stack: String,
    /// A service of a Swarm or of Compose; else the name of the container.
    name: String,
    /// Whether it is a service, and not a container alone.
    is_lasting: bool,
}

/// The end of a task's container by a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killed {
    pub(crate) service: Service,
    /// When it had ended, by the clock of this node.
    pub(crate) at: SystemTime,
}

#[derive(Debug, Default)]
struct Count {
    /// By exit code; `None`: not known.
    died: BTreeMap<Option<i32>, u64>,
    out_of_memory: u64,
}

impl Service {
    /// Whether [`of`](Self::of) asks for this label.
    pub(crate) fn has_label(key: &str) -> bool {
        SERVICE.contains(&key) || STACK.contains(&key)
    }

    /// Of a container with these labels, and this name.
    pub fn of<'a>(label: impl Fn(&str) -> Option<&'a str>, name: Option<&'a str>) -> Self {
        let first = |keys: [&str; 2]| keys.iter().find_map(|key| label(key));
        let text = |text: Option<&str>| {
            let text = text.unwrap_or_default();
            text[..text.floor_char_boundary(LONGEST_NAME)].to_owned()
        };
        let service = first(SERVICE);
        let is_lasting = service.is_some();
        Self { stack: text(first(STACK)), name: text(service.or(name)), is_lasting }
    }

    /// Of the container that has these facts.
    pub fn of_facts(facts: &Facts) -> Self {
        let label = |key: &str| {
            let mut labels = facts.labels.iter();
            labels.find(|(name, _)| name == key).map(|(_, value)| &**value)
        };
        Self::of(label, facts.name.as_deref())
    }
}

impl Ends {
    /// Notes that there is a service: it has series from now on.
    pub fn add_service(&self, service: Service) {
        if service.is_lasting {
            self.count(service, |_| {});
        }
    }

    /// Counts the end of a container. The code is `None` if it is not known.
    pub fn died(&self, service: Service, exit_code: Option<i32>) {
        self.count(service, |count| {
            let is_full = count.died.len() >= MOST_CODES && !count.died.contains_key(&exit_code);
            let code = if is_full { None } else { exit_code };
            *count.died.entry(code).or_default() += 1;
        });
    }

    /// Counts the end of a task's container at the moment `at`, which may have been a kill for want of
    /// memory.
    pub fn task_died(&self, service: Service, exit_code: i32, at: SystemTime) {
        if exit_code == KILLED {
            let killed = &mut self.lock().killed;
            killed.push_back(Killed { service: service.clone(), at });
            if killed.len() > MOST_KILLED {
                killed.pop_front();
            }
        }
        self.died(service, Some(exit_code));
    }

    /// The ends of tasks since the last call that may have been kills for want of memory.
    pub(crate) fn take_killed(&self) -> VecDeque<Killed> {
        std::mem::take(&mut self.lock().killed)
    }

    /// Counts kills for want of memory. `None`: in a container whose service is not known.
    pub fn out_of_memory(&self, service: Option<Service>, kills: u64) {
        self.count(service.unwrap_or_default(), |count| count.out_of_memory += kills);
    }

    /// Says whether kills for want of memory can be counted. If not, they have no series.
    pub(crate) fn set_counts_kills(&self, counts: bool) {
        self.lock().without_kills = !counts;
    }

    fn count(&self, service: Service, add: impl FnOnce(&mut Count)) {
        let all = &mut self.lock().services;
        let is_full = all.len() >= MOST_SERVICES && !all.contains_key(&service);
        let service = if is_full { Service::default() } else { service };
        let usual = USUAL.iter().filter(|_| service.is_lasting);
        let died = usual.map(|code| (Some(*code), 0)).collect();
        add(all.entry(service).or_insert(Count { died, out_of_memory: 0 }));
    }

    /// Writes `swarmscout_container_deaths_total` and `swarmscout_container_oom_kills_total`. The
    /// second has a series for every service that has one of the first, so that its first kill is a
    /// change from 0.
    pub fn write(&self, out: &mut Families) {
        let none = SeriesLabels::default();
        let State { services, without_kills, .. } = &*self.lock();
        let help = "Ends of containers by service and exit code, since this process started";
        let mut family = out.family("swarmscout_container_deaths_total", Kind::Counter, help);
        for (Service { stack, name, .. }, count) in services {
            for (code, died) in &count.died {
                let code = code.map(|code| code.to_string()).unwrap_or_default();
                let labels = [("stack", &**stack), ("service", name), ("exit_code", &code)];
                family.series_with(&none, &labels, *died);
            }
        }
        if *without_kills {
            return;
        }
        let help = "Processes that the kernel killed in a container of the service for want of \
                    memory, since this process started";
        let mut family = out.family("swarmscout_container_oom_kills_total", Kind::Counter, help);
        for (Service { stack, name, .. }, count) in services {
            let labels = [("stack", &**stack), ("service", name)];
            family.series_with(&none, &labels, count.out_of_memory);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use swarmscout_exposition::Format;

    use super::*;

    fn service(labels: &[(&str, &'static str)], name: &str) -> Service {
        let label =
            |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        Service::of(label, Some(name))
    }

    fn written(ends: &Ends) -> String {
        let mut out = Families::new(Format::Text);
        ends.write(&mut out);
        let text = out.finish();
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        series.join("\n")
    }

    #[test]
    fn ends_are_counted_by_service() {
        let ends = Ends::default();
        let labels =
            [("com.docker.swarm.service.name", "blog_web"), ("com.docker.stack.namespace", "blog")];
        let of_swarm = service(&labels, "blog_web.1.x");
        ends.died(of_swarm.clone(), Some(137));
        ends.died(of_swarm.clone(), Some(137));
        ends.died(of_swarm.clone(), Some(3));
        ends.out_of_memory(Some(of_swarm), 1);
        ends.died(service(&[], "alone\n\""), None);
        expect![[r#"
            swarmscout_container_deaths_total{service="alone\n\""} 1
            swarmscout_container_deaths_total{stack="blog",service="blog_web",exit_code="0"} 0
            swarmscout_container_deaths_total{stack="blog",service="blog_web",exit_code="1"} 0
            swarmscout_container_deaths_total{stack="blog",service="blog_web",exit_code="3"} 1
            swarmscout_container_deaths_total{stack="blog",service="blog_web",exit_code="137"} 2
            swarmscout_container_deaths_total{stack="blog",service="blog_web",exit_code="143"} 0
            swarmscout_container_oom_kills_total{service="alone\n\""} 0
            swarmscout_container_oom_kills_total{stack="blog",service="blog_web"} 1"#]]
        .assert_eq(&written(&ends));
    }

    #[test]
    fn long_names_are_cut() {
        let ends = Ends::default();
        let long: &'static str = "ü".repeat(100_000).leak();
        let labels = [("com.docker.compose.service", long), ("com.docker.compose.project", long)];
        ends.add_service(service(&labels, "x"));
        ends.died(service(&[], long), Some(1));
        assert_eq!(ends.lock().services.len(), 2);
        let lengths = ends.lock().services.keys().map(|it| it.stack.len() + it.name.len()).max();
        assert_eq!(lengths, Some(2 * LONGEST_NAME));
    }

    #[test]
    fn kills_that_cannot_be_counted_have_no_series() {
        let ends = Ends::default();
        ends.set_counts_kills(false);
        ends.add_service(service(&[], "web"));
        assert!(!written(&ends).contains("oom_kills"));
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let ends = Ends::default();
        let one = service(&[], "one");
        for code in 0..300 {
            ends.died(one.clone(), Some(code));
        }
        for name in 0..MOST_SERVICES + 10 {
            ends.died(service(&[], &name.to_string()), None);
        }
        for _ in 0..MOST_KILLED + 10 {
            ends.task_died(one.clone(), KILLED, SystemTime::UNIX_EPOCH);
        }
        let state = ends.lock();
        assert_eq!(state.services.len(), MOST_SERVICES + 1);
        assert_eq!(state.services[&one].died[&None], 44);
        assert_eq!(state.services[&Service::default()].died[&None], 11);
        assert_eq!(state.killed.len(), MOST_KILLED);
    }
}
