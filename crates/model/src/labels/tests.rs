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

/// What can be done to a builder.
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

/// Does the same to a map from names to values and whether they are defaults.
fn model(map: &mut BTreeMap<String, (String, bool)>, step: &Step) {
    let mut add = |labels: &[(String, String)], default| {
        let labels: BTreeMap<_, _> = labels.iter().cloned().collect();
        for (name, value) in labels.into_iter().filter(|(_, value)| !value.is_empty()) {
            map.entry(name).or_insert((value, default));
        }
    };
    match step {
        Step::Set(name, value) => {
            map.insert(name.clone(), (value.clone(), false));
        }
        Step::Remove(name) => {
            map.remove(name);
        }
        Step::AddAbsent(labels) => add(labels, false),
        Step::AddDefaults(labels) => add(labels, true),
        Step::CopyDefault(name, from) => {
            if let Some((value, _)) = map.get(from).cloned() {
                map.entry(name.clone()).or_insert((value, true));
            }
        }
        Step::CopyAll(prefix) => {
            for (name, (value, _)) in map.clone() {
                if name.starts_with(prefix) {
                    map.insert(renamed(&name), (value, false));
                }
            }
        }
        Step::RemoveAll(prefix) => map.retain(|name, _| !name.starts_with(prefix)),
        Step::DropDefaults => map.retain(|_, (_, default)| !*default),
        Step::Rebuild => map.values_mut().for_each(|(_, default)| *default = false),
    }
    map.retain(|_, (value, _)| !value.is_empty());
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
        let mut map = BTreeMap::new();
        let mut builder = LabelsBuilder::new();
        for step in &steps {
            model(&mut map, step);
            apply(&mut builder, step);
            let expected: Vec<_> =
                map.iter().map(|(name, (value, _))| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(builder.iter().collect::<Vec<_>>(), expected.clone());
            let built = builder.build();
            prop_assert_eq!(built.iter().collect::<Vec<_>>(), expected.clone());
            for (name, value) in &expected {
                prop_assert_eq!(built.get(name), Some(*value));
                prop_assert_eq!(builder.get(name), Some(*value));
                prop_assert_eq!(builder.value(name), *value);
            }
            prop_assert_eq!(built.get("nobody"), None);
        }
    }
}
