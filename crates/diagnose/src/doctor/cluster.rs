//! The state of a Swarm: its managers, its nodes, and how its changes are learned.

use swarmscout_docker::engine::{List, Node};
use swarmscout_swarm::{FeedKind, Snapshot};

use super::SwarmState;
use crate::nodes::{display_name, removal};
use crate::report::{Finding, Severity};

pub(super) fn check(swarm: &SwarmState) -> Vec<Finding> {
    let subject = format!("Swarm {}", swarm.feed.swarm);
    let mut findings = Vec::new();
    // Before the first listing, its source says what is wrong.
    if swarm.snapshot.is_some()
        && swarm.feed.kind == FeedKind::Poll
        && let Some(reason) = &swarm.feed.reason
    {
        findings.push(Finding {
            severity: Severity::Note,
            check: "polling".to_owned(),
            subject: subject.clone(),
            problem: format!("changes are learned by polling only: {reason}"),
            fix: "mount /var/run/docker/swarm read-only for the control socket, or allow GET \
                  /events where a proxy stands in between"
                .to_owned(),
            targets: 0,
            examples: Vec::new(),
        });
    }
    if let Some(snapshot) = &swarm.snapshot {
        findings.extend(of_managers(&subject, snapshot));
        findings.extend(of_nodes(snapshot));
    }
    findings
}

fn of_managers(subject: &str, snapshot: &Snapshot) -> Option<Finding> {
    let managers: Vec<_> = nodes(snapshot).filter_map(|node| node.manager.as_ref()).collect();
    let reachable = managers.iter().filter(|manager| &*manager.reachability == "reachable").count();
    let (count, quorum) = (managers.len(), managers.len() / 2 + 1);
    if count == 0 || reachable == count && count % 2 == 1 {
        return None;
    }
    let finding = |severity, check: &str, problem: String, fix: &str| Finding {
        severity,
        check: check.to_owned(),
        subject: subject.to_owned(),
        problem,
        fix: fix.to_owned(),
        targets: 0,
        examples: Vec::new(),
    };
    let start = "start the missing managers; remove one that is gone for good: docker node demote \
                 NAME && docker node rm NAME";
    Some(if reachable < quorum {
        let problem = format!(
            "{reachable} of {count} managers are reachable, a quorum needs {quorum}: the Swarm \
             starts no task and accepts no change"
        );
        finding(Severity::Error, "no_quorum", problem, start)
    } else if reachable == count {
        let problem =
            format!("{count} managers tolerate no more failures than {} would", count - 1);
        finding(Severity::Note, "even_managers", problem, "run an odd number of managers")
    } else if reachable == quorum {
        let problem = format!(
            "{reachable} of {count} managers are reachable: with one less, the Swarm has no quorum"
        );
        finding(Severity::Warning, "quorum_at_risk", problem, start)
    } else {
        let problem = format!("{reachable} of {count} managers are reachable");
        finding(Severity::Warning, "manager_unreachable", problem, start)
    })
}

fn of_nodes(snapshot: &Snapshot) -> impl Iterator<Item = Finding> {
    nodes(snapshot).filter(|node| &*node.state != "ready").map(|node| {
        let name = display_name(node);
        let removal = removal(node);
        Finding {
            severity: Severity::Error,
            check: "node_not_ready".to_owned(),
            subject: format!("node {name}"),
            problem: format!("the managers see it as {}: what runs on it is unknown", node.state),
            fix: format!(
                "start its Docker Engine, and check that 2377/tcp of the managers is open to it; \
                 if it is gone for good: {removal}"
            ),
            targets: 0,
            examples: Vec::new(),
        }
    })
}

fn nodes(snapshot: &Snapshot) -> impl Iterator<Item = &Node> {
    let nodes = snapshot.nodes.iter().flat_map(|bucket| bucket.objects());
    let is_old = snapshot.out_of_date().any(|list| list == List::Nodes);
    nodes.filter(move |_| !is_old).map(|node| &**node)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::{Expect, expect};
    use swarmscout_docker::engine::{Lists, ManagerStatus};

    use super::*;

    /// A node for each word: `manager/reachable/ready`, `worker//down`.
    fn check(nodes: &[&str], expected: &Expect) {
        let node = |(number, text): (usize, &&str)| {
            let [role, reachability, state] =
                <[&str; 3]>::try_from(text.split('/').collect::<Vec<_>>()).unwrap();
            let manager = (role == "manager").then(|| ManagerStatus {
                reachability: reachability.into(),
                ..ManagerStatus::default()
            });
            Arc::new(Node {
                id: format!("id{number}").into(),
                hostname: format!("pi{number}").into(),
                state: state.into(),
                manager,
                ..Node::default()
            })
        };
        let lists =
            Lists { nodes: nodes.iter().enumerate().map(node).collect(), ..Lists::default() };
        let snapshot = Snapshot::from(&lists);
        let findings = of_managers("Swarm x", &snapshot).into_iter().chain(of_nodes(&snapshot));
        let text = findings.map(|finding| {
            let Finding { severity, check, subject, problem, .. } = finding;
            format!("{severity:?} {check}: {subject}: {problem}\n")
        });
        expected.assert_eq(&text.collect::<String>());
    }

    #[test]
    fn a_healthy_swarm_has_no_finding() {
        check(&[], &expect![""]);
        check(&["manager/reachable/ready", "worker//ready"], &expect![""]);
        check(&["manager/reachable/ready"; 3], &expect![""]);
    }

    #[test]
    fn the_quorum_is_watched() {
        let (up, down) = ("manager/reachable/ready", "manager/unreachable/ready");
        check(
            &[up, up],
            &expect![[r#"
                Note even_managers: Swarm x: 2 managers tolerate no more failures than 1 would
            "#]],
        );
        check(
            &[up, up, down],
            &expect![[r#"
            Warning quorum_at_risk: Swarm x: 2 of 3 managers are reachable: with one less, the Swarm has no quorum
        "#]],
        );
        check(
            &[up, up, up, up, down],
            &expect![[r#"
            Warning manager_unreachable: Swarm x: 4 of 5 managers are reachable
        "#]],
        );
        check(
            &[up, down, down],
            &expect![[r#"
            Error no_quorum: Swarm x: 1 of 3 managers are reachable, a quorum needs 2: the Swarm starts no task and accepts no change
        "#]],
        );
    }

    #[test]
    fn a_manager_is_demoted_before_it_is_removed() {
        let fixes = ["manager", "worker"].map(|role| {
            let node = Node { hostname: "pi".into(), role: role.into(), ..Node::default() };
            let lists = Lists { nodes: vec![Arc::new(node)], ..Lists::default() };
            of_nodes(&Snapshot::from(&lists)).map(|finding| finding.fix).collect::<String>()
        });
        let [manager, worker] = &fixes;
        assert!(manager.ends_with(": docker node demote pi && docker node rm pi"), "{manager}");
        assert!(worker.ends_with(": docker node rm pi"), "{worker}");
    }

    #[test]
    fn nodes_that_are_not_ready_are_named() {
        check(
            &["manager/reachable/ready", "worker//down", "worker//unknown"],
            &expect![[r#"
            Error node_not_ready: node pi2: the managers see it as unknown: what runs on it is unknown
            Error node_not_ready: node pi1: the managers see it as down: what runs on it is unknown
        "#]],
        );
    }
}
