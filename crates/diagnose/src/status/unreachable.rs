//! Active targets that the scraper cannot reach, as far as discovery knows.

use std::collections::BTreeMap;

use swarmscout_model::counted;
use swarmscout_model::target_list::UNREACHABLE;
use swarmscout_model::target_set::SetGroup;

use crate::doctor::{
    ObservedJob, PUBLISH_A_PORT, ROLE_LABEL, SHARE_A_NETWORK, discovered, subject_of,
};
use crate::report::{Finding, Severity};

/// This number of services is listed of one reason.
const LISTED: usize = 1000;

/// How many there are, and one finding for each reason.
pub(super) fn check(jobs: &[ObservedJob]) -> (usize, Vec<Finding>) {
    // By reason, separately for engines without a Swarm, and by service.
    let mut reasons = BTreeMap::<(&str, bool), BTreeMap<String, usize>>::new();
    let sets = jobs.iter().map(|job| &*job.state.set);
    for set in sets.filter(|set| set.counts.unreachable > 0) {
        let is_marked = |group: &&SetGroup| group.relabelled.unreachable().next().is_some();
        for group in set.groups.iter().filter(is_marked) {
            let found = &group.relabelled.group;
            for target in group.active() {
                if let Some(reason) = discovered(found, target, UNREACHABLE) {
                    let is_plain = discovered(found, target, ROLE_LABEL).is_none();
                    let services = reasons.entry((reason, is_plain)).or_default();
                    *services.entry(subject_of(set, found, target)).or_default() += 1;
                }
            }
        }
    }
    let all = reasons.values().flat_map(BTreeMap::values).sum();
    (all, reasons.iter().map(|(reason, services)| finding(*reason, services)).collect())
}

fn finding((reason, is_plain): (&str, bool), services: &BTreeMap<String, usize>) -> Finding {
    let targets: usize = services.values().sum();
    let (subject, examples) = match services.first_key_value() {
        Some((service, _)) if services.len() == 1 => (service.clone(), Vec::new()),
        _ => {
            let listed = services.iter().take(LISTED);
            let examples =
                listed.map(|(name, count)| format!("{name}: {}", counted(*count, "target")));
            (counted(services.len(), "service"), examples.collect())
        }
    };
    Finding {
        // It may be that only Swarmscout does not reach them.
        severity: Severity::Warning,
        check: "unreachable".to_owned(),
        subject,
        problem: format!("{} cannot be reached: {reason}", counted(targets, "target")),
        fix: if is_plain { PUBLISH_A_PORT } else { SHARE_A_NETWORK }.to_owned(),
        targets,
        examples,
    }
}
