//! The ends of containers, found in what a manager lists of this node's tasks: each is counted once,
//! whatever managers answer, and in which order.
//!
//! Only what ended since the start of this process counts, as with an engine's events. A task says when
//! it ended by the clock of this node, so that a manager that knows more than the one before, or less,
//! changes nothing.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::ends::{End, Ends, Service};
use crate::facts::FactsSet;

/// The most tasks that are remembered as ended: two answers of the largest size.
const MOST: usize = 40_000;

/// Finds the ends of tasks' containers.
#[derive(Debug)]
pub struct TaskEnds {
    ends: Arc<Ends>,
    started: Instant,
    /// IDs of tasks whose end was seen: the oldest first.
    order: VecDeque<Arc<str>>,
    seen: HashSet<Arc<str>>,
    /// Tasks that had a container and no process when they were last listed.
    not_started: HashSet<String>,
}

/// A task that has not ended.
#[derive(Clone, Debug)]
pub struct LivingTask<'a> {
    /// Its ID.
    pub id: &'a str,
    /// What its container belongs to; `None` if its service is not known.
    pub service: Option<Service>,
    /// Whether its container was started.
    pub has_process: bool,
}

/// A task that has ended.
#[derive(Clone, Debug)]
pub struct EndedTask<'a> {
    /// Its ID.
    pub id: &'a str,
    /// The ID of its container.
    pub container: &'a str,
    /// What its container belonged to.
    pub service: Service,
    /// With which code its container ended; `None` if it was never started.
    pub exit_code: Option<i32>,
    /// Whether it was to stop: then its container may have waited, and never have run.
    pub was_stopped: bool,
    /// When it ended, by the clock of this node. One that does not say so does not count.
    pub at: Option<SystemTime>,
}

impl TaskEnds {
    /// Counts in `ends` what ends after the moment `started`.
    pub fn new(ends: Arc<Ends>, started: Instant) -> Self {
        let (order, seen, not_started) = (VecDeque::new(), HashSet::new(), HashSet::new());
        Self { ends, started, order, seen, not_started }
    }

    /// Takes what a manager lists at the moment `now` of both clocks.
    pub fn observe<'a>(
        &mut self,
        now: (Instant, SystemTime),
        living: impl IntoIterator<Item = LivingTask<'a>>,
        ended: impl IntoIterator<Item = EndedTask<'a>>,
    ) {
        // The clock may have been set since the start, as on a machine that has none of its own.
        let since = now.1.checked_sub(now.0.saturating_duration_since(self.started));
        for EndedTask { id, container, service, exit_code, was_stopped, at } in ended {
            let Some(at) = at.filter(|at| since.is_none_or(|since| *at >= since)) else { continue };
            if !self.remember(id) {
                continue;
            }
            // It was stopped while it waited for an earlier task to stop.
            let never_ran = was_stopped && exit_code == Some(0) && self.not_started.contains(id);
            if exit_code.is_some() && !never_ran {
                let end = End { container, exit_code, at, out_of_memory: None };
                self.ends.ended(service, &end);
            }
        }
        self.not_started.clear();
        for LivingTask { id, service, has_process } in living {
            if let Some(service) = service {
                self.ends.add_service(service);
            }
            if !has_process {
                self.not_started.insert(id.to_owned());
            }
        }
    }

    /// Takes which containers there are now: see [`Ends::set_present`].
    pub fn set_present(&self, containers: &FactsSet) {
        self.ends.set_present(containers);
    }

    /// Whether the end of this task was not seen before.
    fn remember(&mut self, id: &str) -> bool {
        if self.seen.contains(id) {
            return false;
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.seen.insert(id);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};
    use swarmscout_exposition::Format;
    use swarmscout_exposition::families::Families;

    use super::*;

    fn service(name: &str) -> Service {
        let label = |key: &str| (key == "com.docker.swarm.service.name").then_some(name);
        Service::of(label, None)
    }

    /// One answer a line: `<task>` waits, `<task>+` runs, `<task>=<code>@<second>` has ended; `=none`
    /// was not started, and one with `-` behind its number was stopped. The first letter of a task is its service. The process is started at second 100.
    #[track_caller]
    fn check(answers: &[&str], expected: &Expect) {
        let (ends, started) = (Arc::<Ends>::default(), Instant::now());
        let mut found = TaskEnds::new(Arc::clone(&ends), started);
        let second = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        for answer in answers {
            let (mut living, mut ended) = (Vec::new(), Vec::new());
            for word in answer.split(' ') {
                let Some((id, end)) = word.split_once('=') else {
                    let id = word.trim_end_matches('+');
                    let (service, has_process) = (Some(service(&id[..1])), word.ends_with('+'));
                    living.push(LivingTask { id, service, has_process });
                    continue;
                };
                let (code, at) = end.split_once('@').unwrap();
                let (service, exit_code) = (service(&id[..1]), code.parse().ok());
                let (was_stopped, at) = (id.ends_with('-'), at.parse().ok().map(second));
                let id = id.trim_end_matches('-');
                ended.push(EndedTask { id, container: id, service, exit_code, was_stopped, at });
            }
            let elapsed = Duration::from_mins(1);
            found.observe((started + elapsed, second(100) + elapsed), living, ended);
        }
        let mut out = Families::new(Format::Text);
        ends.write(&mut out);
        let text = out.finish();
        let deaths = text.lines().filter_map(|line| {
            let (_, labels) =
                line.split_once("deaths_total{container_label_com_docker_swarm_service_name=")?;
            Some(labels).filter(|labels| !labels.ends_with(" 0"))
        });
        expected.assert_eq(&deaths.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn each_end_counts_once() {
        check(
            &[
                "a1+ b1+",
                "a1=3@110 a2 b1+",
                "a1=3@110 a2+ b1=137@120",
                // Another manager, which has not learned of the last end.
                "a1=3@110 a2+ b1+",
                // SwarmKit has forgotten the first one, and the next manager has not.
                "a2=0@130 b1=137@120",
                "a1=3@110 a2=0@130 b1=137@120",
            ],
            &expect![[r#"
                "a",exit_code="0"} 1
                "a",exit_code="3"} 1
                "b",exit_code="137"} 1"#]],
        );
    }

    #[test]
    fn what_ended_before_the_start_does_not_count() {
        // Nor when a manager lists it later. What ended before the first answer counts.
        check(
            &["a1=1@99 a2=1@100 a3=1@?", "a1=1@99 a2=1@100 a3=1@? a0=1@5"],
            &expect![[r#""a",exit_code="1"} 1"#]],
        );
    }

    #[test]
    fn a_container_that_was_never_started_does_not_end() {
        check(
            // The last one came and went between two answers.
            &["a1 a2+ a3 a5", "a1-=0@110 a2-=0@110 a3-=1@110 a4=none@110 a5=0@110"],
            &expect![[r#"
                "a",exit_code="0"} 2
                "a",exit_code="1"} 1"#]],
        );
    }

    #[test]
    fn a_service_has_series_before_its_first_end() {
        let ends = Arc::<Ends>::default();
        let mut found = TaskEnds::new(Arc::clone(&ends), Instant::now());
        let living = LivingTask { id: "a", service: Some(service("web")), has_process: true };
        found.observe((Instant::now(), SystemTime::now()), [living], []);
        let mut out = Families::new(Format::Text);
        ends.write(&mut out);
        let text = out.finish();
        let label = "container_label_com_docker_swarm_service_name=\"web\"";
        assert!(text.contains(&format!("deaths_total{{{label},exit_code=\"137\"}} 0\n")), "{text}");
        assert!(text.contains(&format!("oom_kills_total{{{label}}} 0\n")), "{text}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut found = TaskEnds::new(Arc::default(), Instant::now());
        (0..=MOST).for_each(|id| assert!(found.remember(&id.to_string())));
        assert_eq!((found.seen.len(), found.order.len()), (MOST, MOST));
        assert!(found.remember("0") && !found.remember("2"));
    }
}
