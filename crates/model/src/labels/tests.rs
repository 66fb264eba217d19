use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn sorts_drops_empty_values_and_lets_the_last_win() {
    let labels: Labels = [("b", "1"), ("a", "2"), ("c", ""), ("b", "3")].into_iter().collect();
    assert_eq!(format!("{labels:?}"), r#"{a="2", b="3"}"#);
    assert_eq!(labels.get("b"), Some("3"));
    assert_eq!(labels.get("c"), None);
    assert_eq!(labels.len(), 2);
}

#[test]
fn an_emptied_builder_builds_the_empty_set() {
    let mut builder = LabelsBuilder::new();
    builder.set("a", "1");
    builder.set("a", "");
    assert_eq!(builder.build(), Labels::empty());
}

/// Operations on a builder.
#[derive(Clone, Debug)]
enum Step {
    Set(String, String),
    Remove(String),
    AddAbsent(Vec<(String, String)>),
    AddDefaults(Vec<(String, String)>),
    CopyDefault(String, String),
    /// Copies the labels with this prefix to their names as [`renamed`] makes them.
    CopyAll(String),
    RemoveAll(String),
    DropDefaults,
    Rebuild,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || "[abé]{0,3}";
    let labels = || prop::collection::vec((name(), ".{0,70}"), 0..6);
    prop_oneof![
        (name(), ".{0,200}").prop_map(|(name, value)| Step::Set(name, value)),
        name().prop_map(Step::Remove),
        labels().prop_map(Step::AddAbsent),
        labels().prop_map(Step::AddDefaults),
        (name(), name()).prop_map(|(name, from)| Step::CopyDefault(name, from)),
        "[ab]{0,2}".prop_map(Step::CopyAll),
        "[ab]{0,2}".prop_map(Step::RemoveAll),
        Just(Step::DropDefaults),
        Just(Step::Rebuild),
    ]
}

/// A label of the map that a builder is held against.
#[derive(Clone, Debug)]
struct Kept {
    value: String,
    default: bool,
    /// When it came: 0 for what was there before defaults were added, 1 for those, and more since.
    came: usize,
}

/// Does the same to a map by name. `next` counts the labels that came since the last addition.
fn model(map: &mut BTreeMap<String, Kept>, next: &mut usize, step: &Step) {
    let mut set = |map: &mut BTreeMap<String, Kept>, name: String, value: &str, default| {
        *next += 1;
        let value = value.to_owned();
        let kept = map.entry(name).or_insert(Kept { value: String::new(), default, came: *next });
        (kept.value, kept.default) = (value, default);
    };
    let add = |map: &mut BTreeMap<String, Kept>, labels: &[(String, String)], default: bool| {
        for kept in map.values_mut() {
            kept.came = 0;
        }
        let labels: BTreeMap<_, _> = labels.iter().cloned().collect();
        for (name, value) in labels.into_iter().filter(|(_, value)| !value.is_empty()) {
            map.entry(name).or_insert(Kept { value, default, came: usize::from(default) });
        }
    };
    match step {
        Step::Set(name, value) => set(map, name.clone(), value, false),
        Step::Remove(name) => {
            map.remove(name);
        }
        Step::AddAbsent(labels) => add(map, labels, false),
        Step::AddDefaults(labels) => add(map, labels, true),
        Step::CopyDefault(name, from) => {
            if let (Some(Kept { value, .. }), false) =
                (map.get(from).cloned(), map.contains_key(name))
            {
                set(map, name.clone(), &value, true);
            }
        }
        Step::CopyAll(prefix) => {
            let mut from: Vec<_> = map.clone().into_iter().collect();
            from.retain(|(name, _)| name.starts_with(prefix));
            from.sort_by_key(|(_, kept)| kept.came);
            for (name, kept) in from {
                set(map, renamed(&name), &kept.value, false);
            }
        }
        Step::RemoveAll(prefix) => map.retain(|name, _| !name.starts_with(prefix)),
        Step::DropDefaults => map.retain(|_, kept| !kept.default),
        Step::Rebuild => map.values_mut().for_each(|kept| (kept.default, kept.came) = (false, 0)),
    }
    map.retain(|_, kept| !kept.value.is_empty());
}

fn apply(builder: &mut LabelsBuilder, step: &Step) {
    match step {
        Step::Set(name, value) => builder.set(name, value),
        Step::Remove(name) => builder.remove(name),
        Step::AddAbsent(labels) => builder.add_absent(&labels.iter().cloned().collect()),
        Step::AddDefaults(labels) => builder.add_defaults(&labels.iter().cloned().collect()),
        Step::CopyDefault(name, from) => builder.copy_default(name, from),
        Step::CopyAll(prefix) => builder.copy_all(1, prefix, |name, new| {
            new.push_str(&renamed(name));
            true
        }),
        Step::RemoveAll(prefix) => builder.remove_all(prefix, |_| true),
        Step::DropDefaults => builder.retain_with_origin(|_, _, default| !default),
        Step::Rebuild => {
            let labels = builder.build();
            builder.reset(&labels);
        }
    }
}

/// The name with an `x` before it and without its last character.
fn renamed(name: &str) -> String {
    let end = name.char_indices().next_back().map_or(0, |(i, _)| i);
    format!("x{}", &name[..end])
}

proptest! {
    #[test]
    fn behaves_like_a_sorted_map(steps in prop::collection::vec(step(), 0..20)) {
        let (mut map, mut next) = (BTreeMap::new(), 1);
        let mut builder = LabelsBuilder::new();
        for step in &steps {
            model(&mut map, &mut next, step);
            apply(&mut builder, step);
            let expected: Vec<_> =
                map.iter().map(|(name, kept)| (name.as_str(), kept.value.as_str())).collect();
            prop_assert_eq!(builder.iter().collect::<Vec<_>>(), expected.clone());
            let built = builder.build();
            prop_assert_eq!(built.iter().collect::<Vec<_>>(), expected.clone());
            for (name, value) in &expected {
                prop_assert_eq!(built.get(name), Some(*value));
                prop_assert_eq!(builder.get(name), Some(*value));
                prop_assert_eq!(builder.value(name), *value);
            }
            prop_assert_eq!(built.get("missing"), None);
        }
    }
}
