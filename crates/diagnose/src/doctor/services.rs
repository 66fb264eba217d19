//! Services with fewer running tasks than they should have, and runs that failed.

use std::cell::LazyCell;

use swarmscout_model::counted;
use swarmscout_swarm::ServiceTasks;
use swarmscout_swarm::scheduler::Scheduler;

use super::SwarmState;
use crate::report::{Finding, Severity};
use crate::tasks::{Condition, JudgedTasks, KnownTasks};

pub(super) fn check(swarm: &SwarmState) -> Vec<Finding> {
    let Some(snapshot) = &swarm.snapshot else { return Vec::new() };
    let known = KnownTasks::of(snapshot);
    if !known.has_running() {
        return Vec::new();
    }
    let scheduler = LazyCell::new(|| Scheduler::new(snapshot));
    let services = snapshot.services.objects();
    let findings = services.filter_map(|service| {
        let judged = JudgedTasks::of(snapshot, service, known, &scheduler);
        let ServiceTasks { running, wanted, desired, failed, .. } = judged.tasks;
        let (severity, check, what) = match judged.condition {
            Condition::AsWanted => return None,
            Condition::TasksMissing => {
                let severity = if running == 0 { Severity::Error } else { Severity::Warning };
                (severity, "tasks_missing", format!("{running} of {wanted} tasks run"))
            }
            Condition::RunFailed => {
                let what =
                    format!("its last run failed ({failed} of {})", counted(desired, "task"));
                (Severity::Warning, "run_failed", what)
            }
        };
        let mut reasons = judged.reasons(snapshot, service, &scheduler).into_iter();
        let first = reasons.next().map(|first| format!(": {first}")).unwrap_or_default();
        Some(Finding {
            severity,
            check: check.to_owned(),
            subject: format!("service {}", service.name),
            problem: format!("{what}{first}"),
            fix: format!("docker service ps --no-trunc {}", service.name),
            targets: 0,
            examples: reasons.collect(),
        })
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::expect;
    use swarmscout_docker::engine::{Lists, Mode, Node, Placement, Service, Task, TaskFailure};
    use swarmscout_swarm::{Feed, Snapshot};

    use super::*;

    #[test]
    fn a_service_without_enough_tasks_is_explained() {
        let service = |id: &str, constraint: &str| Service {
            id: id.into(),
            name: format!("shop_{id}").into(),
            mode: Mode::Replicated,
            replicas: 2,
            placement: Placement {
                constraints: [constraint]
                    .into_iter()
                    .filter(|c| !c.is_empty())
                    .map(Arc::from)
                    .collect(),
                ..Placement::default()
            },
            ..Service::default()
        };
        let task = |id: &str, service: &str, node: &str, state: &str, error: &str| {
            let failure = TaskFailure { error: error.into(), exit_code: 0 };
            Arc::new(Task {
                id: id.into(),
                service: service.into(),
                slot: id.parse().unwrap(),
                node: node.into(),
                state: state.into(),
                desired_state: "running".into(),
                failure: (!error.is_empty()).then(|| Box::new(failure)),
                ..Task::default()
            })
        };
        let node = Node {
            id: "n".into(),
            hostname: "pi1".into(),
            state: "ready".into(),
            availability: "active".into(),
            ..Node::default()
        };
        let job = Service { mode: Mode::ReplicatedJob, replicas: 0, ..service("job", "") };
        let cron = Service { restart_condition: "none".into(), ..service("cron", "") };
        let lists = Lists {
            nodes: vec![Arc::new(node)],
            services: [service("web", ""), service("gpu", "node.labels.gpu==yes"), job, cron]
                .map(Arc::new)
                .into(),
            tasks: vec![
                task("1", "web", "n", "running", ""),
                task("2", "web", "n", "rejected", "No such image: shop/web:2"),
                task("3", "gpu", "", "pending", "no suitable node (scheduling constraints …)"),
                task("4", "gpu", "", "pending", "no suitable node (scheduling constraints …)"),
            ],
            ..Lists::default()
        };
        let swarm = SwarmState {
            feed: Arc::new(Feed::new("x".into())),
            snapshot: Some(Arc::new(Snapshot::from(&lists))),
            as_of: None,
            tasks: None,
        };
        let text = check(&swarm).into_iter().map(|finding| {
            let Finding { severity, subject, problem, examples, .. } = finding;
            format!("{severity:?} {subject}: {problem} {examples:?}\n")
        });
        expect![[r#"
            Error service shop_gpu: 0 of 2 tasks run: no node satisfies the constraint node.labels.gpu==yes ["no suitable node (scheduling constraints …) (2 tasks)"]
            Warning service shop_web: 1 of 2 tasks run: No such image: shop/web:2 []
        "#]].assert_eq(&text.collect::<String>());
    }
}
