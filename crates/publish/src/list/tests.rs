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
            let selection = Selection { list: TargetList::Normal, form, encoding };
            let first = Rendered::new(&before, now, &selection, None, &budget).unwrap();
            assert_eq!(Rendered::work(&before, &selection, Some(&first)), 0);
            assert_eq!(Rendered::work(&after, &selection, Some(&first)), 50);
            let second = Rendered::new(&after, now, &selection, Some(&first), &budget).unwrap();
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

/// Each list of a job has the groups that its label names, in every form and encoding.
#[test]
fn a_group_is_in_one_list() {
    let budget = Budget::unlimited();
    let set = Arc::new(set(
        &PoolSpec::new("web"),
        &[
            group("a", "", &["a:1"]),
            group("b", "__meta_swarmscout_list=class/internal", &["b:1", "b:2"]),
            group("c", "__meta_swarmscout_list=probes", &["c:1"]),
            group("d", "__meta_swarmscout_list=class/other", &["d:1"]),
            group("e", "", &["e:1"]),
        ],
    ));
    let class = |name: &str| TargetList::Class(name.into());
    let mut etags = BTreeSet::new();
    for (list, expected) in [
        (TargetList::Normal, "ae"),
        (class("internal"), "b"),
        (class("other"), "d"),
        (TargetList::Probes, "c"),
        (class("nothing"), ""),
    ] {
        for form in [Form::Full, Form::WithoutMeta, Form::Raw] {
            for encoding in [Encoding::Json, Encoding::Yaml] {
                let selection = Selection { list: list.clone(), form, encoding };
                let rendered =
                    Rendered::new(&set, Instant::now(), &selection, None, &budget).unwrap();
                let text = String::from_utf8(rendered.pieces.concat()).unwrap();
                let found: String = "abcde"
                    .chars()
                    .filter(|name| text.contains(&format!("\"{name}:1\"")))
                    .collect();
                assert_eq!(found, expected, "{selection:?}: {text}");
                if form == Form::Full && encoding == Encoding::Json {
                    assert!(etags.insert(rendered.etag.clone()), "{list:?}");
                }
            }
        }
    }
    assert_eq!(set.lists()[&class("internal")], 2);
    assert_eq!(set.lists()[&TargetList::Normal], 2);
}
