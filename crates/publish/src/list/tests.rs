//! The cost of a change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use swarmscout_model::target::relabel_group;
use swarmscout_model::{Budget, LabelsBuilder, PoolSpec, SetGroup};

use super::*;
use crate::testing::{group, set};

/// Services of some tasks each.
const SERVICES: usize = 100;

fn tasks(service: usize, image: &str) -> Arc<swarmscout_model::TargetGroup> {
    let addresses: Vec<_> =
        (0..50).map(|task| format!("10.0.{service}.{task}:80 t={task}")).collect();
    let targets: Vec<_> = addresses.iter().map(String::as_str).collect();
    group(&format!("service/{service:03}"), &format!("image={image}"), &targets)
}

/// In every form and encoding, a service that changed is rendered again, and nothing else is: all
/// other bytes are those that were there before.
#[test]
fn a_changed_service_rewrites_its_part_alone() {
    let now = Instant::now();
    let pool = PoolSpec::new("web");
    let budget = Budget::unlimited();
    let groups: Vec<_> = (0..SERVICES).map(|service| tasks(service, "demo:1")).collect();
    let before = Arc::new(set(&pool, &groups));
    let changed = relabel_group(
        tasks(42, "demo:2"),
        &pool.defaults,
        &pool.relabel,
        &mut LabelsBuilder::new(),
    );
    let mut groups = before.groups.to_vec();
    groups[42] = SetGroup::new(Arc::new(changed), &[]);
    let after = Arc::new(TargetSet { groups: groups.into(), ..TargetSet::clone(&before) });
    for form in [Form::Full, Form::WithoutMeta, Form::Raw] {
        for encoding in [Encoding::Json, Encoding::Gzip, Encoding::Yaml] {
            let first = Rendered::new(&before, now, form, encoding, None, &budget).unwrap();
            assert_eq!(Rendered::work(&before, form, Some(&first)), 0);
            assert_eq!(Rendered::work(&after, form, Some(&first)), 50);
            let second = Rendered::new(&after, now, form, encoding, Some(&first), &budget).unwrap();
            let large = |rendered: &Rendered| -> BTreeSet<_> {
                let pieces = rendered.pieces.iter().filter(|piece| piece.len() > 100);
                pieces.map(|piece| (piece.as_ptr() as usize, piece.len())).collect()
            };
            let (first, second) = (large(&first), large(&second));
            assert_eq!(second.len(), SERVICES);
            assert_eq!(second.difference(&first).count(), 1, "{form:?} {encoding:?}");
        }
    }
}
