//! A list of target groups as file SD and HTTP SD read it, in JSON or YAML (Prometheus
//! `discovery/targetgroup`):
//!
//! ```json
//! [{"targets": ["10.0.0.1:9100"], "labels": {"zone": "a"}}]
//! ```
//!
//! A null member counts as missing, and `null` is a list without groups, but a null group is an
//! error. Members with other names are refused. In JSON the case of member names does not matter,
//! as in Go: a server written in Go may send `Targets`.
//!
//! Groups and targets are counted while they are read. Reading stops when they become too many or
//! too large ([`Meter`]). A group without targets is counted, but not kept.

mod yaml;

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use swarmscout_model::groups::source_order;
use swarmscout_model::quote::Quoted;
use swarmscout_model::{Labels, LabelsBuilder, NameScheme, TargetGroup};

pub(super) use self::yaml::from_yaml;
use super::static_configs::address_only;
use crate::Groups;
use crate::limits::{Excess, Meter, Unreadable, check_count, count, metered};

/// One group of a list, with targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedGroup {
    /// Its index in the list. Groups without targets count, too.
    pub(super) index: usize,
    targets: Vec<Labels>,
    labels: Labels,
}

/// Reads a JSON document. An error has the position in it.
pub(super) fn from_json(json: &[u8], meter: &mut Meter) -> Result<Vec<ListedGroup>, Unreadable> {
    metered(meter, || {
        let Listing(groups) = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        Ok(groups)
    })
}

/// Makes the groups of a list from `place`, which becomes a label and part of their source keys.
pub(super) fn named(
    groups: Vec<ListedGroup>,
    label: &str,
    place: &str,
    builder: &mut LabelsBuilder,
    meter: &mut Meter,
) -> Result<Groups, Excess> {
    let groups = groups.into_iter().map(|ListedGroup { index, targets, labels }| {
        builder.reset(&labels);
        builder.set(label, place);
        let (source, labels) = (format!("{place}:{index}"), builder.build());
        meter.named(source.len(), targets.len(), &labels, || format!("group {index}"))?;
        Ok(Arc::new(TargetGroup { source: source.into(), targets, labels }))
    });
    groups.collect()
}

/// Takes the group of `known` in place of each one that equals it. Otherwise the source would keep
/// the new one, and its job the old one. Both are in the order of their lists.
pub(super) fn reuse(known: &[Arc<TargetGroup>], groups: &mut [Arc<TargetGroup>]) {
    let mut known = known.iter().peekable();
    for group in groups {
        let earlier = |old: &&Arc<TargetGroup>| source_order(&old.source, &group.source).is_lt();
        while known.next_if(earlier).is_some() {}
        if let Some(old) = known.next_if(|old| old == &group) {
            *group = Arc::clone(old);
        }
    }
}

/// The groups of a list with targets.
struct Listing(Vec<ListedGroup>);

impl<'de> Deserialize<'de> for Listing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let groups = Option::<GroupList>::deserialize(deserializer)?;
        let GroupList { groups, nil } = groups.unwrap_or_default();
        if nil {
            return Err(de::Error::custom("nil target group item found"));
        }
        Ok(Self(groups))
    }
}

#[derive(Default)]
struct GroupList {
    groups: Vec<ListedGroup>,
    /// Whether one of the list is null.
    nil: bool,
}

impl<'de> Deserialize<'de> for GroupList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = GroupList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<GroupList, A::Error> {
                let mut list = GroupList::default();
                let mut index = 0;
                while let Some(group) = seq.next_element::<Option<Group>>()? {
                    let here = index;
                    index += 1;
                    count(|meter| {
                        meter.group = index;
                        Ok(())
                    })?;
                    match group {
                        Some(Group(group)) if group.targets.is_empty() => count(Meter::unit)?,
                        Some(Group(group)) => {
                            count(|meter| meter.listed(group.targets.len()))?;
                            list.groups.push(ListedGroup { index: here, ..group });
                        }
                        None => {
                            count(Meter::unit)?;
                            list.nil = true;
                        }
                    }
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(Elements)
    }
}

struct Group(ListedGroup);

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = ListedGroup;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a target group: targets and labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ListedGroup, A::Error> {
                let (mut targets, mut labels) = (Vec::new(), Labels::empty());
                while let Some(Text(name)) = map.next_key()? {
                    if name.eq_ignore_ascii_case("targets") {
                        let addresses: Option<Vec<Address>> = map.next_value()?;
                        targets = addresses.into_iter().flatten().map(|Address(of)| of).collect();
                        // Room for four targets would be most of a group that has one.
                        targets.shrink_to_fit();
                    } else if name.eq_ignore_ascii_case("labels") {
                        let read: Option<GroupLabels> = map.next_value()?;
                        labels = read.map(|GroupLabels(labels)| labels).unwrap_or_default();
                    } else {
                        return Err(de::Error::unknown_field(&name, &["targets", "labels"]));
                    }
                }
                Ok(ListedGroup { index: 0, targets, labels })
            }
        }

        Ok(Self(deserializer.deserialize_map(Members)?))
    }
}

/// The labels of a target that only has an address; null is the empty address.
struct Address(Labels);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<Text>::deserialize(deserializer)?;
        let labels = text.map_or_else(Labels::empty, |Text(address)| address_only(&address));
        count(|meter| {
            let group = meter.group;
            meter.target(&labels, || format!("a target of group {group}"))
        })?;
        Ok(Self(labels))
    }
}

struct GroupLabels(Labels);

impl<'de> Deserialize<'de> for GroupLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels: names and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut labels = LabelsBuilder::new();
                while let Some(Text(name)) = map.next_key()? {
                    if !NameScheme::Utf8.is_valid_label_name(&name) {
                        let name = Quoted(&name);
                        return Err(de::Error::custom(format!("{name} is not a valid label name")));
                    }
                    let value: Option<Text> = map.next_value()?;
                    let value = value.as_ref().map_or("", |Text(value)| value);
                    labels.set(&name, value);
                    count(|meter| {
                        let of = || format!("group {}", meter.group);
                        meter.label(&name, value, of)?;
                        check_count(labels.len(), of)
                    })?;
                }
                let labels = labels.build();
                count(|meter| meter.reserve(labels.footprint()))?;
                Ok(labels)
            }
        }

        Ok(Self(deserializer.deserialize_map(Entries)?))
    }
}

/// A string.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use swarmscout_model::Budget;
    use swarmscout_model::size::Bytes;

    use crate::limits::{LONGEST_LABEL, MOST_LABELS, MOST_TARGETS};

    fn show(read: Result<Vec<ListedGroup>, Unreadable>) -> String {
        match read {
            Err(error) => format!("error: {error}"),
            Ok(groups) if groups.is_empty() => "no group".to_owned(),
            Ok(groups) => {
                let groups =
                    groups.iter().map(|g| format!("{}: {:?} {:?}", g.index, g.targets, g.labels));
                groups.collect::<Vec<_>>().join("\n")
            }
        }
    }

    fn meter() -> Meter {
        Meter::unlimited(LONGEST_LABEL)
    }

    fn json(text: &str, expected: &Expect) {
        expected.assert_eq(&show(from_json(text.as_bytes(), &mut meter())));
    }

    fn yaml(text: &str, expected: &Expect) {
        expected.assert_eq(&show(from_yaml(text.as_bytes(), &mut meter())));
    }

    #[test]
    fn json_lists() {
        json(
            r#"[{"targets":["a:1","b:2"],"labels":{"x":"1","e":""}},{"targets":["c"]}]"#,
            &expect![[r#"
                0: [{__address__="a:1"}, {__address__="b:2"}] {x="1"}
                1: [{__address__="c"}] {}"#]],
        );
        json(
            r#"[{"Targets":["a:1"],"LABELS":{"x":"1"}}]"#,
            &expect![[r#"0: [{__address__="a:1"}] {x="1"}"#]],
        );
        json(r#"[{"targets":null,"labels":null},{}]"#, &expect!["no group"]);
        json(r#"[{"targets":[null],"labels":{"x":null}}]"#, &expect!["0: [{}] {}"]);
        json("[]", &expect!["no group"]);
        json("null", &expect!["no group"]);
    }

    #[test]
    fn json_refusals() {
        json("", &expect!["error: EOF while parsing a value at line 1 column 0"]);
        json("[null]", &expect!["error: nil target group item found"]);
        json(
            r#"[{"targets":["a"]},{"target":["b"]}]"#,
            &expect![
                "error: unknown field `target`, expected `targets` or `labels` at line 1 column 28"
            ],
        );
        json(
            r#"[{"targets":[1]}]"#,
            &expect!["error: invalid type: integer `1`, expected a string at line 1 column 14"],
        );
        json(
            r#"[{"targets":"a"}]"#,
            &expect![[
                r#"error: invalid type: string "a", expected a sequence at line 1 column 15"#
            ]],
        );
        json(
            r#"[{"labels":{"x":1}}]"#,
            &expect!["error: invalid type: integer `1`, expected a string at line 1 column 17"],
        );
        json(
            r#"[{"labels":{"":"1"}}]"#,
            &expect![[r#"error: "" is not a valid label name at line 1 column 14"#]],
        );
        json(
            r#"{"targets":["a"]}"#,
            &expect!["error: invalid type: map, expected a sequence at line 1 column 0"],
        );
        json(
            r#"[{"targets":["a"]}] x"#,
            &expect!["error: trailing characters at line 1 column 21"],
        );
        json(
            r#"[{"targets":["a"]}"#,
            &expect!["error: EOF while parsing a list at line 1 column 18"],
        );
        json(
            &"[".repeat(100_000),
            &expect![
                "error: invalid type: sequence, expected a target group: targets and labels at line 1 column 1"
            ],
        );
        expect!["error: invalid unicode code point at line 1 column 16"]
            .assert_eq(&show(from_json(b"[{\"targets\":[\"a\xff\"]}]", &mut meter())));
    }

    #[test]
    fn yaml_lists() {
        yaml(
            "- targets: [a:1, 'b:2']\n  labels: {x: 1.0, y: yes, z: 0x10, n: ~, o: 010}",
            &expect![[
                r#"0: [{__address__="a:1"}, {__address__="b:2"}] {o="010", x="1.0", y="yes", z="0x10"}"#
            ]],
        );
        yaml(
            "- targets:\n  - 127.0.0.1:80\n  - 8080\n  -\n  labels:\n",
            &expect![[r#"0: [{__address__="127.0.0.1:80"}, {__address__="8080"}, {}] {}"#]],
        );
        yaml(
            "- &a\n  targets: [x]\n- *a\n- <<: *a\n  labels: {b: c}\n",
            &expect![[r#"
                0: [{__address__="x"}] {}
                1: [{__address__="x"}] {}
                2: [{__address__="x"}] {b="c"}"#]],
        );
        yaml("", &expect!["no group"]);
        yaml("# nothing\n", &expect!["no group"]);
        yaml("---\n...\n", &expect!["no group"]);
        yaml("- targets: [a]\n---\n- targets: [b]\n", &expect![[r#"0: [{__address__="a"}] {}"#]]);
        yaml(
            r#"[{"targets": ["a:1"], "labels": {"x": "1"}}]"#,
            &expect![[r#"0: [{__address__="a:1"}] {x="1"}"#]],
        );
    }

    #[test]
    fn yaml_refusals() {
        yaml("-\n", &expect!["error: line 1, column 1: nil target group item found"]);
        yaml(
            "- Targets: [a]\n",
            &expect![
                "error: line 1, column 3: field Targets not found: a target group has targets and labels"
            ],
        );
        yaml(
            "- targets: [a]\n  targets: [b]\n",
            &expect!["error: line 2, column 3: field targets already set: keep one of them"],
        );
        yaml(
            "- labels: {a: 1, a: 2}\n",
            &expect![[r#"error: line 1, column 18: "a" is already set: keep one of them"#]],
        );
        yaml(
            "- labels: {'': 1}\n",
            &expect![[r#"error: line 1, column 12: "" is not a valid label name"#]],
        );
        yaml(
            "- targets: a\n",
            &expect![
                "error: line 1, column 12: cannot unmarshal !!str into a list of targets: write each with a dash, or all in [ ]"
            ],
        );
        yaml(
            "targets: [a]\n",
            &expect![
                "error: line 1, column 1: cannot unmarshal !!map into a list of target groups: write each with a dash"
            ],
        );
        yaml(
            "- targets: [a\n",
            &expect![
                "error: line 1, column 12: did not find expected ',' or ']': the bracket is not closed"
            ],
        );
        let targets = "x, ".repeat(2000);
        let bomb = format!("- targets: &a [{targets}]\n{}", "- targets: *a\n".repeat(2000));
        yaml(
            &bomb,
            &expect!["error: line 1, column 1: more than 234017 values, with aliases written out"],
        );
    }

    /// Values in YAML are charged before they are read.
    #[test]
    fn yaml_is_charged_before_it_is_read() {
        let lines = |line: &str| line.repeat(20_000);
        for text in
            [lines("- a: b\n"), lines("- targets: [a]\n"), lines(&("- ".repeat(50) + "a\n"))]
        {
            let mut meter = Meter::new(&Budget::new(Bytes(4 << 20)), LONGEST_LABEL);
            let error = from_yaml(text.as_bytes(), &mut meter).unwrap_err();
            assert!(matches!(error, Unreadable::Excess(Excess::Memory(_))), "{error}");
        }
    }

    /// Reading stops at the limit: the error after it is never reached.
    #[test]
    fn lists_end_where_they_become_too_much() {
        let list = |element: &str, times: usize, tail: &str| element.repeat(times) + tail;
        let too_many = "error: more than 2000000 targets and groups: divide them among several \
                        sources";
        for (text, expected) in [
            // Empty groups count, too: five bytes each.
            (format!("[{}", list("{},", MOST_TARGETS + 1, "x")), too_many.to_owned()),
            (format!("[{}", list("null,", MOST_TARGETS + 1, "x")), too_many.to_owned()),
            (
                format!(r#"[{{"targets":[{}"#, list(r#""a","#, MOST_TARGETS + 1, "x")),
                too_many.to_owned(),
            ),
            (
                format!(r#"[{{}},{{"labels":{{"x":"{}"}},x"#, "v".repeat(1_000_000)),
                r#"error: label "x" of group 1 has 1000000 bytes, at most 65536 are allowed"#
                    .to_owned(),
            ),
            (
                format!(r#"[{{"labels":{{"{}":"v"}},x"#, "n".repeat(1_000_000)),
                format!(
                    "error: label name {:?}… of group 0 has 1000000 bytes, at most 65536 are \
                     allowed",
                    "n".repeat(64)
                ),
            ),
            (
                format!(r#"[{{"targets":["{}"],x"#, "a".repeat(1_000_000)),
                r#"error: label "__address__" of a target of group 0 has 1000000 bytes, at most 65536 are allowed"#
                    .to_owned(),
            ),
            (
                format!(
                    r#"[{{"labels":{{{}x"#,
                    (0..=MOST_LABELS).map(|i| format!(r#""l{i}":"v","#)).collect::<Vec<_>>().concat()
                ),
                "error: group 0 has more than 10000 labels".to_owned(),
            ),
        ] {
            assert_eq!(show(from_json(text.as_bytes(), &mut meter())), expected);
        }
        let yaml =
            format!("- targets: [a]\n- targets: [b]\n  labels:\n    x: {}\n", "v".repeat(100_000));
        assert_eq!(
            show(from_yaml(yaml.as_bytes(), &mut meter())),
            r#"error: label "x" of group 1 has 100000 bytes, at most 65536 are allowed"#
        );
    }

    /// A group is charged with all that it becomes before the next one is read: what follows is not
    /// JSON, and that is not reached.
    #[test]
    fn tiny_groups_are_charged_one_by_one() {
        let json = "[".to_owned() + &r#"{"targets":["a"]},"#.repeat(50_000) + "x";
        let budget = Budget::new(Bytes(8 << 20));
        let mut meter = Meter::new(&budget, LONGEST_LABEL);
        let error = from_json(json.as_bytes(), &mut meter).unwrap_err();
        assert!(matches!(error, Unreadable::Excess(Excess::Memory(_))), "{error}");
        // Targets and groups count.
        let json = "[".to_owned() + &r#"{"targets":["a"]},"#.repeat(MOST_TARGETS / 2 + 1) + "x";
        let error = from_json(json.as_bytes(), &mut self::meter()).unwrap_err();
        assert_eq!(error, Unreadable::Excess(Excess::Targets));
    }

    #[test]
    fn groups_that_did_not_change_are_the_known_ones() {
        let read = |json: &str| {
            let groups = from_json(json.as_bytes(), &mut meter()).unwrap();
            named(groups, "l", "p", &mut LabelsBuilder::new(), &mut meter()).unwrap()
        };
        let known = read(r#"[{"targets":["a"]},{"targets":["b"]},{},{"targets":["c"]}]"#);
        let mut groups = read(r#"[{"targets":["a"]},{},{"targets":["d"]},{"targets":["c"]}]"#);
        let other = Arc::clone(&groups[1]);
        reuse(&known, &mut groups);
        assert!(Arc::ptr_eq(&groups[0], &known[0]) && Arc::ptr_eq(&groups[2], &known[2]));
        assert!(Arc::ptr_eq(&groups[1], &other));
    }

    /// 20,000 targets of 50,000 bytes each are 1 GB, made of an answer of 200 kB.
    #[test]
    fn groups_are_not_made_of_what_would_not_fit() {
        let targets: Vec<_> = (0..20_000).map(|i| format!("\"a:{i}\"")).collect();
        let label = "v".repeat(50_000);
        let json = format!(r#"[{{"labels":{{"x":"{label}"}},"targets":[{}]}}]"#, targets.join(","));
        let budget = Budget::new(Bytes(512 << 20));
        let mut meter = Meter::new(&budget, LONGEST_LABEL);
        let groups = from_json(json.as_bytes(), &mut meter).unwrap();
        let mut builder = LabelsBuilder::new();
        let error = named(groups, "__meta_url", "http://h", &mut builder, &mut meter).unwrap_err();
        let Excess::Memory(error) = error else { panic!("{error}") };
        assert_eq!(error.limit, 512 << 20);
        assert!((1_000_000_000..1_100_000_000).contains(&error.needed), "{error}");
    }
}
