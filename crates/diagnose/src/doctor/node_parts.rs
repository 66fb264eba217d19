//! Node parts that get no tasks from this program, so that they fetch for no scraper.
//!
//! It is known which parts ask, and which are refused. One that cannot connect is known by its targets
//! alone.

use std::collections::BTreeMap;

use swarmscout_discovery::config::Reach;
use swarmscout_model::target_list::{ADDRESS_SOURCE, NODE_PART};
use swarmscout_node_tasks::{NodeParts, PartRefusal};

use super::Subject;
use super::context::Context;
use super::targets::{discovered, each_target, targets_are};
use crate::nodes::display_name;
use crate::report::{Finding, Severity};

const NODE_ID: &str = "__meta_dockerswarm_node_id";

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let nodes = Context::new(subject, None).snapshots().flat_map(|it| it.nodes.objects());
    let ready = nodes.filter(|node| &*node.state == "ready");
    let ready = ready.map(|node| (&*node.id, display_name(node))).collect();
    findings(&ready, &behind(subject), &subject.node_parts)
}

/// How many targets are behind the part of each node, by ID.
fn behind(subject: &Subject) -> BTreeMap<&str, usize> {
    let mut behind = BTreeMap::new();
    let context = Context::new(subject, None);
    if context.all_options().all(|options| options.reach != Reach::Node) {
        return behind;
    }
    each_target(subject.jobs.iter().map(|job| &job.state.set), |_, group, target| {
        if discovered(group, target, ADDRESS_SOURCE) == Some(NODE_PART)
            && let Some(node) = discovered(group, target, NODE_ID)
        {
            *behind.entry(node).or_default() += 1;
        }
    });
    behind
}

/// `ready` are the names of nodes that are ready, by ID.
fn findings(
    ready: &BTreeMap<&str, &str>,
    behind: &BTreeMap<&str, usize>,
    parts: &NodeParts,
) -> Vec<Finding> {
    let targets = |id: &str| behind.get(id).copied().unwrap_or_default();
    let refused = parts.refused.iter().filter_map(|(id, refusal)| {
        let name = ready.get(&**id)?;
        Some(refused(name, *refusal, targets(id)))
    });
    let mut findings: Vec<_> = refused.collect();
    let is_missing = |id: &str| !parts.registered.contains(id) && !parts.refused.contains_key(id);
    let missing = ready.iter().filter(|(id, _)| targets(id) > 0 && is_missing(id));
    let missing: Vec<_> = missing.map(|(id, name)| (*name, targets(id))).collect();
    if !parts.had_time || missing.is_empty() {
        return findings;
    }
    if parts.registered.is_empty() && parts.refused.is_empty() {
        let all = missing.iter().map(|(_, targets)| targets).sum();
        findings.push(Finding {
            problem: "none asks this Swarmscout for its tasks".to_owned(),
            fix: "give this Swarmscout to the node parts (--manager), unless they follow another one with \
                  the same configuration; their logs say why they cannot ask"
                .to_owned(),
            ..finding(Severity::Note, "node_part_missing", "node parts".to_owned(), all)
        });
        return findings;
    }
    findings.extend(missing.into_iter().map(|(name, targets)| {
        Finding {
            problem: format!(
                "its node part does not ask this Swarmscout for its tasks, and {} behind it",
                targets_are(targets)
            ),
            fix:
                "check that swarmscout node runs there; its log says why it cannot ask (--manager, \
              --manager.http-config)"
                    .to_owned(),
            ..finding(Severity::Warning, "node_part_missing", format!("node {name}"), targets)
        }
    }));
    findings
}

fn refused(name: &str, refusal: PartRefusal, targets: usize) -> Finding {
    let PartRefusal { from, has_certificate } = refusal;
    let from = from.map_or("a unix socket".to_owned(), |from| from.to_string());
    let (reason, fix) = if has_certificate {
        (
            "its certificate does not name the node, and that is not the address of the node",
            format!(
                "make a certificate for the node (swarmscout tls client {name}), or publish the port of \
                 Swarmscout in mode host, so that addresses arrive"
            ),
        )
    } else {
        (
            "it has no client certificate",
            "give it one (--manager.http-config, as swarmscout tls init writes it), or start Swarmscout \
             with --nodes.insecure"
                .to_owned(),
        )
    };
    Finding {
        problem: format!("its node part asks from {from} for its tasks, and is refused: {reason}"),
        fix,
        ..finding(Severity::Warning, "node_part_refused", format!("node {name}"), targets)
    }
}

/// A finding without its texts.
fn finding(severity: Severity, check: &str, subject: String, targets: usize) -> Finding {
    let (problem, fix) = (String::new(), String::new());
    Finding {
        severity,
        check: check.to_owned(),
        subject,
        problem,
        fix,
        targets,
        examples: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Of the nodes `a` to `c`, with two targets behind each.
    fn check(registered: &[&str], refused: &[(&str, bool)], expected: &Expect) {
        let ready = [("a", "pi-a"), ("b", "pi-b"), ("c", "pi-c")].into();
        let behind = [("a", 2), ("b", 2), ("c", 2), ("down", 2)].into();
        let refused = refused.iter().map(|(id, has_certificate)| {
            let from = "192.0.2.7".parse().ok();
            ((*id).to_owned(), PartRefusal { from, has_certificate: *has_certificate })
        });
        let mut parts = NodeParts {
            registered: registered.iter().map(|id| (*id).to_owned()).collect(),
            refused: refused.collect(),
            had_time: true,
        };
        let mut text = String::new();
        for finding in findings(&ready, &behind, &parts) {
            let Finding { severity, check, subject, problem, fix, .. } = finding;
            let line = format!("{severity:?} {check}: {subject}: {problem}\n  fix: {fix}\n");
            text.push_str(&line);
        }
        expected.assert_eq(&text);
        // Shortly after the start, only what asks is known.
        parts.had_time = false;
        let early = findings(&ready, &behind, &parts);
        assert!(early.iter().all(|finding| finding.check == "node_part_refused"));
    }

    #[test]
    fn parts_that_ask_are_no_finding() {
        check(&["a", "b", "c"], &[], &expect![""]);
    }

    #[test]
    fn what_does_not_ask_or_is_refused_is_named() {
        check(
            &["a"],
            &[("b", true), ("gone", true)],
            &expect![[r#"
                Warning node_part_refused: node pi-b: its node part asks from 192.0.2.7 for its tasks, and is refused: its certificate does not name the node, and that is not the address of the node
                  fix: make a certificate for the node (swarmscout tls client pi-b), or publish the port of Swarmscout in mode host, so that addresses arrive
                Warning node_part_missing: node pi-c: its node part does not ask this Swarmscout for its tasks, and 2 targets are behind it
                  fix: check that swarmscout node runs there; its log says why it cannot ask (--manager, --manager.http-config)
            "#]],
        );
        check(
            &[],
            &[("a", false), ("b", false), ("c", true)],
            &expect![[r#"
            Warning node_part_refused: node pi-a: its node part asks from 192.0.2.7 for its tasks, and is refused: it has no client certificate
              fix: give it one (--manager.http-config, as swarmscout tls init writes it), or start Swarmscout with --nodes.insecure
            Warning node_part_refused: node pi-b: its node part asks from 192.0.2.7 for its tasks, and is refused: it has no client certificate
              fix: give it one (--manager.http-config, as swarmscout tls init writes it), or start Swarmscout with --nodes.insecure
            Warning node_part_refused: node pi-c: its node part asks from 192.0.2.7 for its tasks, and is refused: its certificate does not name the node, and that is not the address of the node
              fix: make a certificate for the node (swarmscout tls client pi-c), or publish the port of Swarmscout in mode host, so that addresses arrive
        "#]],
        );
        // All of them may follow another Swarmscout.
        check(
            &[],
            &[],
            &expect![[r#"
            Note node_part_missing: node parts: none asks this Swarmscout for its tasks
              fix: give this Swarmscout to the node parts (--manager), unless they follow another one with the same configuration; their logs say why they cannot ask
        "#]],
        );
    }
}
