//! Whether the sources of all jobs answer, and what they skip.

use std::collections::BTreeMap;

use super::ObservedJob;
use crate::report::{Finding, Severity, merged};
use swarmscout_discovery::SourceStatus;

/// This number of skipped objects is shown of one kind.
const EXAMPLES: usize = 3;

pub(super) fn check(jobs: &[ObservedJob]) -> Vec<Finding> {
    // Several jobs may share a source.
    let mut findings = BTreeMap::new();
    for ObservedJob { state: job, .. } in jobs {
        let name = job.set.pool.name();
        if let Some(error) = &job.set.limit_error {
            let finding = Finding {
                severity: Severity::Error,
                check: "target_limit".to_owned(),
                subject: format!("job {name}"),
                problem: error.clone(),
                fix: "raise target_limit, or drop targets with relabel_configs".to_owned(),
                targets: 0,
                examples: Vec::new(),
            };
            findings.insert((finding.subject.clone(), finding.check.clone()), finding);
        }
        for source in job.status.sources.iter().chain(&job.status.next_sources) {
            for finding in of_source(source) {
                findings.insert((finding.subject.clone(), finding.check.clone()), finding);
            }
        }
    }
    findings.into_values().collect()
}

fn of_source(source: &SourceStatus) -> Vec<Finding> {
    let subject = format!("source {} {}", source.mechanism, source.display_name);
    let mut findings = Vec::new();
    if let Some(error) = &source.error {
        let (check, rest) = match source.as_of {
            None => ("source_never_answered", "it has never answered"),
            Some(_) => ("source_failing", "its previous targets stay"),
        };
        findings.push(Finding {
            severity: Severity::Error,
            check: check.to_owned(),
            subject: subject.clone(),
            problem: format!("{error}; {rest}"),
            // The errors of sources say what to do.
            fix: String::new(),
            targets: source.targets,
            examples: Vec::new(),
        });
    }
    let mut skipped = BTreeMap::<_, BTreeMap<&str, Vec<&str>>>::new();
    for problem in source.problems.iter().filter(|problem| problem.is_skipped()) {
        let objects = skipped.entry((problem.kind, problem.reason)).or_default();
        objects.entry(&problem.object).or_default().push(&problem.detail);
    }
    for ((kind, reason), objects) in skipped {
        let count = objects.values().map(Vec::len).sum::<usize>();
        let examples = objects.into_iter().flat_map(|(object, details)| {
            merged(details.into_iter()).into_iter().map(move |detail| match &*detail {
                "" => object.to_owned(),
                detail => format!("{object}: {detail}"),
            })
        });
        let examples = examples.take(EXAMPLES).collect();
        findings.push(Finding {
            severity: Severity::Warning,
            check: format!("skipped_{kind}_{}", reason.replace(' ', "_").to_lowercase()),
            subject: subject.clone(),
            problem: format!("{count} skipped ({kind}): {reason}"),
            fix: String::new(),
            targets: 0,
            examples,
        });
    }
    if let Some(tasks) = &source.without_address {
        for service in &tasks.services {
            findings.push(Finding {
                severity: Severity::Warning,
                check: "no_address".to_owned(),
                subject: format!("service {}", service.service),
                problem: service.to_string(),
                fix: "publish a port in host mode, or attach the service to an overlay network"
                    .to_owned(),
                targets: 0,
                examples: Vec::new(),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use expect_test::expect;
    use swarmscout_discovery::manager::JobState;
    use swarmscout_discovery::{JobConfig, JobStatus, Problem};
    use swarmscout_model::{DurationHistogram, PoolSpec};
    use swarmscout_publish::testing::set;

    use super::*;

    #[test]
    fn errors_and_skipped_objects_are_found_once() {
        let problem = |object: &str, detail: &str| Problem {
            kind: "service",
            object: object.to_owned(),
            reason: "virtual IP without address",
            detail: detail.to_owned(),
        };
        let source = SourceStatus {
            mechanism: "dockerswarm",
            name: "dockerswarm/0".into(),
            display_name: "unix:///var/run/docker.sock role tasks".into(),
            as_of: Some(Instant::now()),
            restored: false,
            is_refreshed: true,
            error: Some("permission denied: the socket belongs to group docker".into()),
            problems: ["network n1", "network n2"]
                .map(|network| problem("s2", network))
                .into_iter()
                .chain([problem("s1", "")])
                .collect(),
            without_address: None,
            refreshes: 1,
            failures: 1,
            durations: Arc::new(DurationHistogram::default()),
            groups: 0,
            targets: 7,
            swarm: None,
        };
        let status = JobStatus { sources: vec![source], ..JobStatus::default() };
        let jobs = ["a", "b"].map(|name| ObservedJob {
            config: Arc::new(JobConfig::new(name, Vec::new())),
            state: JobState {
                set: Arc::new(set(&PoolSpec::new(name), &[])),
                status: Arc::new(status.clone()),
            },
        });
        let findings = check(&jobs);
        let text = findings.iter().map(|finding| {
            let Finding { severity, check, subject, problem, examples, .. } = finding;
            format!("{severity:?} {check}: {subject}: {problem} {examples:?}\n")
        });
        expect![[r#"
            Warning skipped_service_virtual_ip_without_address: source dockerswarm unix:///var/run/docker.sock role tasks: 3 skipped (service): virtual IP without address ["s1", "s2: network n1, n2"]
            Error source_failing: source dockerswarm unix:///var/run/docker.sock role tasks: permission denied: the socket belongs to group docker; its previous targets stay []
        "#]].assert_eq(&text.collect::<String>());
    }
}
