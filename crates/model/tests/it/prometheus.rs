//! Holds relabeling against what Prometheus answered: see `../prometheus-relabel/README.md`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use swarmscout_model::relabel::{self, RawRule, RelabelError, RelabelRule};
use swarmscout_model::target::{DefaultLabels, discovered, relabel_group};
use swarmscout_model::{
    DropReason, Labels, LabelsBuilder, NameScheme, TargetDefaults, TargetGroup,
};

const ANSWERS: &str = include_str!("../prometheus-relabel/answers.jsonl");

fn answers() -> impl Iterator<Item = Value> {
    ANSWERS.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// A rule as it is written. A key without a value is the type's zero.
fn raw(rule: &Value) -> RawRule {
    let text = |key| rule.get(key).map(|value: &Value| value.as_str().unwrap_or("").to_owned());
    let names = |list: &Value| serde_json::from_value(list.clone()).unwrap();
    RawRule {
        source_labels: rule.get("source_labels").filter(|list| !list.is_null()).map(names),
        separator: text("separator"),
        regex: text("regex"),
        modulus: rule.get("modulus").map(|modulus| modulus.as_u64().unwrap_or(0)),
        target_label: text("target_label"),
        replacement: text("replacement"),
        action: text("action"),
    }
}

fn check(rules: &Value, scheme: NameScheme) -> Result<Vec<RelabelRule>, RelabelError> {
    let rules = rules.as_array().map_or(&[][..], Vec::as_slice);
    rules.iter().map(|rule| raw(rule).check(scheme)).collect()
}

/// A rule in the form of Prometheus' API.
fn shown(rule: &RelabelRule) -> Value {
    let mut out = Map::new();
    if !rule.source_labels().is_empty() {
        out.insert("source_labels".into(), json!(rule.source_labels()));
    }
    out.insert("separator".into(), json!(rule.separator()));
    out.insert("regex".into(), json!(rule.regex()));
    if rule.modulus() != 0 {
        // The recorder reads numbers as Go reads JSON by default.
        out.insert("modulus".into(), json!(rule.modulus() as f64));
    }
    if !rule.target_label().is_empty() {
        out.insert("target_label".into(), json!(rule.target_label()));
    }
    out.insert("replacement".into(), json!(rule.replacement()));
    out.insert("action".into(), json!(rule.action().name()));
    Value::Object(out)
}

fn labels(set: &Value) -> Labels {
    let set = set.as_object().into_iter().flatten();
    set.map(|(name, value)| (name, value.as_str().unwrap())).collect()
}

#[test]
fn rules_do_what_they_do_in_prometheus() {
    let mut checked = 0;
    for answer in answers().filter(|answer| answer.get("target").is_none()) {
        checked += 1;
        let legacy = answer["legacy"] == true;
        let scheme = if legacy { NameScheme::Legacy } else { NameScheme::Utf8 };
        let rules = match check(&answer["rules"], scheme) {
            Ok(rules) => rules,
            Err(error) => {
                assert_eq!(answer["error"], error.to_string(), "{answer}");
                continue;
            }
        };
        assert_eq!(answer["error"], Value::Null, "{answer}");
        for (i, rule) in rules.iter().enumerate() {
            let expected = &mut answer["shown"][i].clone();
            if let Some(modulus) = expected.get_mut("modulus") {
                *modulus = json!(modulus.as_f64());
            }
            assert_eq!(*expected, shown(rule), "{answer}");
            assert_eq!(answer["regex"][i], !rule.has_default_regex(), "{answer}");
        }

        let mut builder = LabelsBuilder::new();
        builder.reset(&labels(&answer["labels"]));
        let result = relabel::process(&rules, &mut builder);
        let dropped = answer["dropped"].as_u64().map(|rule| usize::try_from(rule).unwrap());
        assert_eq!(result.err(), dropped, "{answer}");
        if dropped.is_none() {
            assert_eq!(builder.build(), labels(&answer["output"]), "{answer}");
        }

        builder.reset(&labels(&answer["labels"]));
        for (i, step) in relabel::steps(&rules, &mut builder).iter().enumerate() {
            assert_eq!(step.keep, dropped.is_none_or(|rule| i < rule));
            assert!(step.keep || step.output.is_empty());
        }
    }
    assert!(checked > 900, "{checked}");
}

fn defaults(answer: &Value) -> TargetDefaults {
    let text = |key: &str, default: &str| answer["job"][key].as_str().unwrap_or(default).to_owned();
    let flag = |key: &str| answer["job"][key] == "true";
    let params = answer["params"].as_object().into_iter().flatten();
    let values = |list: &Value| serde_json::from_value(list.clone()).unwrap();
    TargetDefaults {
        job: text("job_name", "job").into(),
        scrape_interval: text("scrape_interval", "1m").parse().unwrap(),
        scrape_timeout: text("scrape_timeout", "10s").parse().unwrap(),
        metrics_path: text("metrics_path", "/metrics"),
        scheme: text("scheme", "http"),
        params: params.map(|(name, list)| (name.clone(), values(list))).collect(),
        convert_classic_histograms_to_nhcb: flag("convert_classic_histograms_to_nhcb"),
        always_scrape_classic_histograms: flag("always_scrape_classic_histograms"),
        scrape_native_histograms: flag("scrape_native_histograms"),
        common_labels: Labels::empty(),
    }
}

#[test]
fn targets_are_what_they_are_in_prometheus() {
    let mut checked = 0;
    let mut builder = LabelsBuilder::new();
    for answer in answers().filter(|answer| answer.get("target").is_some()) {
        checked += 1;
        let defaults = defaults(&answer);
        let rules = check(&answer["rules"], NameScheme::Utf8).unwrap();
        let group = Arc::new(TargetGroup {
            source: "test".into(),
            targets: vec![labels(&answer["target"])],
            labels: labels(&answer["group"]),
        });
        discovered(&group, 0, &DefaultLabels::new(&defaults), &mut builder);
        assert_eq!(builder.build(), labels(&answer["discovered"]), "{answer}");
        let made = relabel_group(group, &defaults, &rules, &mut builder);
        if let [target] = made.active.as_slice() {
            assert_eq!(target.labels, labels(&answer["labels"]), "{answer}");
            let public: Labels = target.public_labels().collect();
            assert_eq!(public, labels(&answer["public"]), "{answer}");
            assert_eq!(target.url(&defaults.params), answer["url"].as_str().unwrap(), "{answer}");
        } else if let [refused] = made.refused.as_slice() {
            assert_eq!(refused.reason, answer["error"].as_str().unwrap(), "{answer}");
        } else {
            assert!(answer.get("labels").is_none() && answer.get("error").is_none(), "{answer}");
            assert!(matches!(made.dropped[0].reason, DropReason::Relabel { .. }));
        }
    }
    assert!(checked > 80, "{checked}");
}
