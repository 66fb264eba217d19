//! Properties of all rules and labels. `tests/it/prometheus.rs` tests single rules.

use proptest::prelude::*;

use super::*;
use crate::name::NameScheme;

fn rule() -> impl Strategy<Value = RawRule> {
    let name =
        || prop::sample::select(vec!["a", "b", "__meta_a", "__meta_b", "é", "", "$1", "x_$1"]);
    let regex = ["(.*)", "a|b", "__meta_(.+)", "(.)(.*)", "", "(?i)A+", "[^a]*", "a)|(?:b", "("];
    let text = |options: &[&'static str]| {
        prop::option::of(prop::sample::select(options.to_vec()).prop_map(str::to_owned))
    };
    (
        prop::option::of(prop::collection::vec(name().prop_map(str::to_owned), 0..3)),
        text(&[";", "", ",", "é"]),
        text(&regex),
        prop::option::of(0..5_u64),
        prop::option::of(name().prop_map(str::to_owned)),
        text(&["$1", "", "a", "${2}$1", "x_$1", "$"]),
        prop::sample::select(&Action::ALL[..]),
    )
        .prop_map(
            |(source_labels, separator, regex, modulus, target_label, replacement, action)| {
                let action = Some(action.name().to_owned());
                RawRule {
                    source_labels,
                    separator,
                    regex,
                    modulus,
                    target_label,
                    replacement,
                    action,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn rules_leave_a_set_and_do_not_depend_on_what_was_before(
        rules in prop::collection::vec(rule(), 0..6),
        sets in prop::collection::vec(
            prop::collection::vec(("(__meta_)?[abé]{0,2}", "[abA1é\n$;]{0,3}"), 0..8),
            1..4,
        ),
    ) {
        let check = |rule: RawRule| rule.check(NameScheme::Utf8).ok();
        let rules: Vec<_> = rules.into_iter().filter_map(check).collect();
        let mut used = LabelsBuilder::new();
        for set in sets {
            let labels: Labels = set.into_iter().collect();
            let mut fresh = LabelsBuilder::new();
            fresh.reset(&labels);
            used.reset(&labels);
            let result = process(&rules, &mut used);
            prop_assert_eq!(process(&rules, &mut fresh), result);
            prop_assert_eq!(used.build(), fresh.build());

            let after: Vec<_> = used.iter().collect();
            prop_assert!(after.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(after.iter().all(|(_, value)| !value.is_empty()));

            let after = used.build();
            used.reset(&labels);
            let steps = steps(&rules, &mut used);
            let dropped = steps.iter().position(|step| !step.keep);
            prop_assert_eq!(dropped, result.err());
            if let (None, Some(last)) = (dropped, steps.last()) {
                prop_assert_eq!(&last.output, &after);
            }
        }
    }
}

#[test]
fn a_label_that_a_rule_added_wins_over_discovered_ones_and_of_those_the_byte_largest() {
    let rule = RawRule {
        action: Some("labelmap".into()),
        regex: Some("(?:x|y|z)(.*)".into()),
        ..RawRule::default()
    };
    let rules = [
        RawRule {
            target_label: Some("x1".into()),
            replacement: Some("x".into()),
            ..RawRule::default()
        },
        rule,
    ];
    let rules = rules.map(|rule| rule.check(NameScheme::Utf8).unwrap());
    let mut builder = LabelsBuilder::new();
    builder.reset(&[("z1", "z"), ("y1", "y"), ("1", "old")].into_iter().collect());
    process(&rules, &mut builder).unwrap();
    assert_eq!(format!("{:?}", builder.build()), r#"{1="x", x1="x", y1="y", z1="z"}"#);

    builder.reset(&[("z1", "z"), ("y1", "y"), ("1", "old")].into_iter().collect());
    process(&rules[1..], &mut builder).unwrap();
    assert_eq!(format!("{:?}", builder.build()), r#"{1="z", y1="y", z1="z"}"#);
}

#[test]
fn rules_are_equal_if_they_were_configured_to_the_same() {
    let check = |rule: RawRule| rule.check(NameScheme::Utf8).unwrap();
    let target = || RawRule { target_label: Some("a".into()), ..RawRule::default() };
    let default = check(target());
    assert_eq!(default, check(target()));
    assert_eq!(default, check(RawRule { replacement: Some("$1".into()), ..target() }));
    assert_ne!(default, check(RawRule { regex: Some("(.*)".into()), ..target() }));
    assert_ne!(default, check(RawRule { separator: Some(String::new()), ..target() }));
}
