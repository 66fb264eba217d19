//! How often containers ended, by service: a container that ends takes its own series with it, so
//! what happens to it is counted apart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

use crate::facts::{Facts, FactsSet};

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

/// How long a service is counted that has no container any more, not even one that has ended. Long enough
/// that every scraper has seen its last end.
const KEPT: Duration = Duration::from_hours(1);

/// Names are cut behind this many bytes: anybody may give a container any label.
const LONGEST_NAME: usize = 256;

/// The most ends of killed tasks that wait for the kernel's count.
const MOST_KILLED: usize = 1000;

/// Labels of a container that name what it belongs to, and what series call them: as all others of
/// containers do, so that one query goes for both, and they differ from the labels that a target has.
static LABELS: [ServiceLabels; 2] = [
    ServiceLabels {
        service: "com.docker.swarm.service.name",
        stack: "com.docker.stack.namespace",
        in_series: [
            "container_label_com_docker_stack_namespace",
            "container_label_com_docker_swarm_service_name",
        ],
    },
    ServiceLabels {
        service: "com.docker.compose.service",
        stack: "com.docker.compose.project",
        in_series: [
            "container_label_com_docker_compose_project",
            "container_label_com_docker_compose_service",
        ],
    },
];

/// The ends of containers since the start of the process.
#[derive(Debug, Default)]
pub struct Ends(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    services: BTreeMap<Service, Count>,
    /// Those that have a container.
    present: BTreeSet<Service>,
    /// Ends of tasks with the code of a killed process, until [`Ends::take_killed`].
    killed: VecDeque<Killed>,
    kill_source: KillSource,
}

/// What counts kills for want of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KillSource {
    /// An Engine that reports them.
    #[default]
    Engine,
    /// The counts of the kernel. What an Engine reports as well does not count.
    Kernel,
    /// Nothing: they have no series.
    Unknown,
}

/// What containers belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// By which labels; `None`: a container alone.
    labels: Option<&'static ServiceLabels>,
    /// A stack, or a project of Compose; empty without one.
    stack: String,
    /// A service of a Swarm or of Compose; else the name of the container.
    name: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ServiceLabels {
    service: &'static str,
    stack: &'static str,
    /// Those of the stack and of the service.
    in_series: [&'static str; 2],
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End<'a> {
    /// Its ID.
    pub container: &'a str,
    /// `None` if it is not known.
    pub exit_code: Option<i32>,
    /// When it had ended, by the clock of this node.
    pub at: SystemTime,
    /// When an Engine last reported a kill for want of memory in it.
    pub out_of_memory: Option<SystemTime>,
}

/// The end of a container in which the kernel may have killed a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killed {
    pub(crate) service: Service,
    pub(crate) container: Box<str>,
    /// When it had ended, by the clock of this node.
    pub(crate) at: SystemTime,
    /// Whether its first process was killed, by the kernel or by anybody else.
    pub(crate) by_signal: bool,
    /// When an Engine last reported a kill in it.
    pub(crate) reported: Option<SystemTime>,
}

#[derive(Debug)]
struct Count {
    /// By exit code; `None`: not known.
    died: BTreeMap<Option<i32>, u64>,
    out_of_memory: u64,
    /// When it was counted, or had a container, for all that is known.
    last_seen: Instant,
}

impl Service {
    /// Whether [`of`](Self::of) asks for this label.
    pub(crate) fn has_label(key: &str) -> bool {
        LABELS.iter().any(|labels| [labels.service, labels.stack].contains(&key))
    }

    /// Of a container with these labels, and this name.
    pub fn of<'a>(label: impl Fn(&str) -> Option<&'a str>, name: Option<&'a str>) -> Self {
        let text = |text: Option<&str>| {
            let text = text.unwrap_or_default();
            text[..text.floor_char_boundary(LONGEST_NAME)].to_owned()
        };
        let mut all = LABELS.iter();
        let found = all.find_map(|labels| {
            Some((labels, label(labels.service).filter(|name| !name.is_empty())?))
        });
        match found {
            Some((labels, name)) => {
                let stack = text(label(labels.stack));
                Self { labels: Some(labels), stack, name: text(Some(name)) }
            }
            None => Self { labels: None, stack: String::new(), name: text(name) },
        }
    }

    /// Of the container that has these facts.
    pub fn of_facts(facts: &Facts) -> Self {
        let label = |key: &str| {
            let mut labels = facts.labels.iter();
            labels.find(|(name, _)| name == key).map(|(_, value)| &**value)
        };
        Self::of(label, facts.name.as_deref())
    }

    /// Its labels in series, with one more.
    fn series<'a>(&'a self, label: &'a str, value: &'a str) -> [(&'a str, &'a str); 3] {
        let [stack, service] = self.labels.map_or(["", "name"], |labels| labels.in_series);
        [(stack, &self.stack), (service, &self.name), (label, value)]
    }
}

impl State {
    fn count(&mut self, now: Instant, service: Service, add: impl FnOnce(&mut Count)) {
        let is_full = |services: &BTreeMap<Service, Count>| {
            services.len() >= MOST_SERVICES && !services.contains_key(&service)
        };
        if is_full(&self.services) {
            self.forget(now);
        }
        let service = if is_full(&self.services) { Service::default() } else { service };
        let usual = USUAL.iter().filter(|_| service.labels.is_some());
        let died = usual.map(|code| (Some(*code), 0)).collect();
        let new = Count { died, out_of_memory: 0, last_seen: now };
        let count = self.services.entry(service).or_insert(new);
        count.last_seen = now;
        add(count);
    }

    /// Forgets services that have had no container for some time.
    fn forget(&mut self, now: Instant) {
        let Self { services, present, .. } = self;
        services.retain(|service, count| {
            now.saturating_duration_since(count.last_seen) < KEPT
                || *service == Service::default()
                || present.contains(service)
        });
    }
}

impl Ends {
    /// Notes that there is a service: it has series from now on.
    pub fn add_service(&self, service: Service) {
        if service.labels.is_some() {
            self.count(service, |_| {});
        }
    }

    /// Notes which containers there are. What has none any more is forgotten some time later.
    pub fn set_present(&self, containers: &FactsSet) {
        let containers = containers.containers.values();
        let present = containers.map(|facts| Service::of_facts(facts)).collect();
        let State { services, present: before, .. } = &mut *self.lock();
        let now = Instant::now();
        for service in &std::mem::replace(before, present) {
            if let Some(count) = services.get_mut(service) {
                count.last_seen = now;
            }
        }
    }

    /// Counts the end of a container.
    pub fn ended(&self, service: Service, end: &End<'_>) {
        let by_signal = end.exit_code == Some(KILLED);
        if by_signal || end.out_of_memory.is_some() {
            let killed = &mut self.lock().killed;
            killed.push_back(Killed {
                service: service.clone(),
                container: end.container.into(),
                at: end.at,
                by_signal,
                reported: end.out_of_memory,
            });
            if killed.len() > MOST_KILLED {
                killed.pop_front();
            }
        }
        self.died(service, end.exit_code);
    }

    fn died(&self, service: Service, exit_code: Option<i32>) {
        self.count(service, |count| {
            let is_full = count.died.len() >= MOST_CODES && !count.died.contains_key(&exit_code);
            let code = if is_full { None } else { exit_code };
            *count.died.entry(code).or_default() += 1;
        });
    }

    /// The ends since the last call that may have been kills for want of memory.
    pub(crate) fn take_killed(&self) -> VecDeque<Killed> {
        std::mem::take(&mut self.lock().killed)
    }

    /// Counts a kill for want of memory that an Engine reports, unless the kernel's counts are used.
    pub fn reported_out_of_memory(&self, service: Service) {
        if self.lock().kill_source != KillSource::Kernel {
            self.out_of_memory(Some(service), 1);
        }
    }

    /// Counts kills for want of memory. `None`: in a container whose service is not known.
    pub(crate) fn out_of_memory(&self, service: Option<Service>, kills: u64) {
        self.count(service.unwrap_or_default(), |count| count.out_of_memory += kills);
    }

    /// Says what counts kills for want of memory from now on.
    pub(crate) fn set_kill_source(&self, source: KillSource) {
        self.lock().kill_source = source;
    }

    fn count(&self, service: Service, add: impl FnOnce(&mut Count)) {
        self.lock().count(Instant::now(), service, add);
    }

    /// Writes `swarmscout_container_deaths_total` and `swarmscout_container_oom_kills_total`. The
    /// second has a series for every service that has one of the first, so that its first kill is a
    /// change from 0.
    pub fn write(&self, out: &mut Families) {
        let none = SeriesLabels::default();
        let state = &mut *self.lock();
        state.forget(Instant::now());
        let State { services, kill_source, .. } = state;
        let help = "Ends of containers by service and exit code, since this process started";
        let mut family = out.family("swarmscout_container_deaths_total", Kind::Counter, help);
        for (service, count) in &*services {
            for (code, died) in &count.died {
                let code = code.map(|code| code.to_string()).unwrap_or_default();
                family.series_with(&none, &service.series("exit_code", &code), *died);
            }
        }
        if *kill_source == KillSource::Unknown {
            return;
        }
        let help = "Processes that the kernel killed in a container of the service for want of \
                    memory, since this process started";
        let mut family = out.family("swarmscout_container_oom_kills_total", Kind::Counter, help);
        for (service, count) in services {
            let [stack, service, _] = service.series("", "");
            family.series_with(&none, &[stack, service], count.out_of_memory);
        }
    }

    /// The names of services that have a container.
    #[cfg(test)]
    pub(crate) fn present(&self) -> Vec<String> {
        self.lock().present.iter().map(|service| service.name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::expect;
    use swarmscout_exposition::Format;

    use super::*;

    fn end(exit_code: i32) -> End<'static> {
        let (exit_code, at) = (Some(exit_code), SystemTime::UNIX_EPOCH);
        End { container: "c", exit_code, at, out_of_memory: None }
    }

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
            swarmscout_container_deaths_total{name="alone\n\""} 1
            swarmscout_container_deaths_total{container_label_com_docker_stack_namespace="blog",container_label_com_docker_swarm_service_name="blog_web",exit_code="0"} 0
            swarmscout_container_deaths_total{container_label_com_docker_stack_namespace="blog",container_label_com_docker_swarm_service_name="blog_web",exit_code="1"} 0
            swarmscout_container_deaths_total{container_label_com_docker_stack_namespace="blog",container_label_com_docker_swarm_service_name="blog_web",exit_code="3"} 1
            swarmscout_container_deaths_total{container_label_com_docker_stack_namespace="blog",container_label_com_docker_swarm_service_name="blog_web",exit_code="137"} 2
            swarmscout_container_deaths_total{container_label_com_docker_stack_namespace="blog",container_label_com_docker_swarm_service_name="blog_web",exit_code="143"} 0
            swarmscout_container_oom_kills_total{name="alone\n\""} 0
            swarmscout_container_oom_kills_total{container_label_com_docker_stack_namespace="blog",container_label_com_docker_swarm_service_name="blog_web"} 1"#]]
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

    fn containers(labels: &[(&str, &str)]) -> FactsSet {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let facts =
            Facts { name: Some("x".to_owned()), labels: labels.collect(), ..Facts::default() };
        let containers = [("id".to_owned(), Arc::new(facts))].into();
        FactsSet { containers, ..FactsSet::default() }
    }

    #[test]
    fn a_service_without_containers_is_forgotten_after_an_hour() {
        let ends = Ends::default();
        let labels =
            [("com.docker.compose.service", "web"), ("com.docker.compose.project", "shop")];
        ends.set_present(&containers(&labels));
        ends.died(service(&labels, "x"), Some(1));
        ends.died(service(&[], "job"), Some(0));
        ends.out_of_memory(None, 1);
        let names = || {
            let state = ends.lock();
            state.services.keys().map(|service| service.name.clone()).collect::<Vec<_>>()
        };
        let (soon, later) = (KEPT / 2, KEPT);
        let start = Instant::now();
        ends.lock().forget(start + soon);
        assert_eq!(names(), ["", "job", "web"]);
        ends.lock().forget(Instant::now() + later);
        assert_eq!(names(), ["", "web"]);
        // From the moment when its last container is gone, not from its last end.
        ends.lock().services.values_mut().for_each(|count| count.last_seen = start);
        ends.set_present(&FactsSet::default());
        assert!(ends.lock().services.values().any(|count| count.last_seen > start));
        ends.lock().forget(Instant::now() + later);
        assert_eq!(names(), [""]);
        ends.died(service(&labels, "x"), Some(1));
        assert!(written(&ends).contains(
            r#"deaths_total{container_label_com_docker_compose_project="shop",container_label_com_docker_compose_service="web",exit_code="1"} 1"#
        ));
    }

    #[test]
    fn services_that_are_forgotten_make_room_for_others() {
        let ends = Ends::default();
        (0..MOST_SERVICES).for_each(|name| ends.died(service(&[], &name.to_string()), None));
        ends.died(service(&[], "one"), None);
        let state = &mut *ends.lock();
        assert!(!state.services.contains_key(&service(&[], "one")));
        state.count(Instant::now() + KEPT, service(&[], "one"), |_| {});
        let names: Vec<_> = state.services.keys().map(|service| &*service.name).collect();
        assert_eq!(names, ["", "one"]);
    }

    #[test]
    fn kills_that_cannot_be_counted_have_no_series() {
        let ends = Ends::default();
        ends.set_kill_source(KillSource::Unknown);
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
            ends.ended(one.clone(), &end(KILLED));
        }
        let state = ends.lock();
        assert_eq!(state.services.len(), MOST_SERVICES + 1);
        assert_eq!(state.services[&one].died[&None], 44);
        assert_eq!(state.services[&Service::default()].died[&None], 11);
        assert_eq!(state.killed.len(), MOST_KILLED);
    }
}
