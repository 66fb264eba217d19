use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// An object with an ID that may refer to another.
#[derive(Debug, PartialEq)]
struct Thing {
    id: Arc<str>,
    owner: Arc<str>,
    version: u64,
}

impl Object for Thing {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn owner(&self) -> Arc<str> {
        Arc::clone(&self.owner)
    }

    fn refers(&self, to: &mut dyn FnMut(&str)) {
        to(&format!("node-{}", self.version));
    }
}

fn thing(owner: u8, id: u16, version: u64) -> Arc<Thing> {
    Arc::new(Thing { id: format!("id-{id}").into(), owner: format!("o{owner}").into(), version })
}

/// The contents of each bucket.
fn shape(buckets: &Buckets<Thing>) -> Vec<(Arc<str>, Vec<Arc<str>>)> {
    let shape = buckets.iter().map(|bucket| {
        (bucket.name("x"), bucket.objects().map(|thing| Arc::clone(&thing.id)).collect())
    });
    shape.collect()
}

fn from(things: impl IntoIterator<Item = Arc<Thing>>) -> Buckets<Thing> {
    let mut buckets = Buckets::default();
    things.into_iter().for_each(|thing| buckets.insert(thing));
    buckets
}

proptest! {
    /// After any changes, the buckets hold exactly what is left, and none is too large.
    #[test]
    fn buckets_are_a_function_of_their_objects(
        steps in prop::collection::vec((0..2_u8, 0..300_u16, any::<bool>()), 0..900),
    ) {
        let mut buckets = Buckets::default();
        let mut present = BTreeMap::new();
        for (at, (owner, id, insert)) in (0..).zip(steps) {
            let thing = thing(owner, id, at);
            if insert || id % 3 == 0 {
                buckets.insert(Arc::clone(&thing));
                present.insert((owner, id), thing);
            } else {
                let removed = buckets.remove(&thing.owner, &thing.id);
                prop_assert_eq!(removed, present.remove(&(owner, id)).is_some());
            }
        }
        let expected = from(present.values().rev().cloned());
        prop_assert_eq!(shape(&buckets), shape(&expected));
        prop_assert_eq!(buckets.len(), present.len());
        prop_assert!(buckets.iter().all(|bucket| (1..=MOST).contains(&bucket.objects().len())));
        for thing in present.values() {
            let found = buckets.get(&thing.owner, &thing.id);
            prop_assert!(found.is_some_and(|found| Arc::ptr_eq(found, thing)));
        }
        prop_assert!(buckets.get("o0", "id-999").is_none());
    }

    /// The differences are those of the objects, however the buckets are cut.
    #[test]
    fn differences_are_those_of_the_objects(
        first in prop::collection::btree_map((0..2_u8, 0..300_u16), 0..2_u64, 0..300),
        steps in prop::collection::vec((0..2_u8, 0..300_u16, prop::option::of(2..4_u64)), 0..200),
    ) {
        let before = from(first.iter().map(|((owner, id), version)| thing(*owner, *id, *version)));
        let mut after = before.clone();
        for (owner, id, version) in steps {
            match version {
                Some(version) => after.insert(thing(owner, id, version)),
                None => drop(after.remove(&format!("o{owner}"), &format!("id-{id}"))),
            }
        }
        let by_id = |buckets: &Buckets<Thing>| -> BTreeMap<_, _> {
            buckets.objects().map(|t| ((t.owner(), t.id.clone()), Arc::as_ptr(t))).collect()
        };
        let (old, new) = (by_id(&before), by_id(&after));
        let mut expected: Vec<_> = old.keys().chain(new.keys()).collect();
        expected.sort();
        expected.dedup();
        expected.retain(|key| old.get(*key) != new.get(*key));
        let mut found: Vec<_> = before
            .differences(&after)
            .into_iter()
            .filter_map(|(old, new)| new.or(old).map(|t| (t.owner(), t.id.clone())))
            .collect();
        found.sort();
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_change_touches_one_bucket() {
    let before = from((0..1000).map(|id| thing(0, id, 0)));
    let mut after = before.clone();
    after.insert(thing(0, 500, 1));
    let shared = before.iter().zip(after.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
    assert_eq!(shared, before.iter().len() - 1);
    let differences = before.differences(&after);
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].1.map(|thing| thing.version), Some(1));
}

#[test]
fn a_bucket_knows_what_it_refers_to() {
    let mut buckets = from([thing(0, 1, 7), thing(0, 2, 8)]);
    let refers = |buckets: &Buckets<Thing>, id| {
        buckets.iter().any(|bucket| bucket.refers_to_any(&[hash_of(id)]))
    };
    assert!(refers(&buckets, "node-7") && refers(&buckets, "node-8"));
    assert!(!refers(&buckets, "node-9"));
    buckets.insert(thing(0, 1, 9));
    assert!(refers(&buckets, "node-9") && !refers(&buckets, "node-7"));
}
