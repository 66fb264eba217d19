//! A list of target groups as file SD and HTTP SD read it, in JSON or YAML (Prometheus
//! `discovery/targetgroup`):
//!
//! ```json
//! [{"targets": ["10.0.0.1:9100"], "labels": {"zone": "a"}}]
//! ```
//!
//! A member that is null is one that is not there, `null` is a list without groups, but a null
//! group is an error. Members of other names are refused. In JSON the case of member names does
//! not matter, as Go has it: a server written in Go may well say `Targets`.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use swarmscout_model::quote::Quoted;
use swarmscout_model::{Labels, LabelsBuilder, NameScheme, TargetGroup};

use super::fixed::address_only;

/// One group of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedGroup {
    targets: Vec<Labels>,
    labels: Labels,
}

/// Reads a JSON document. The error says where in it something is wrong.
pub(super) fn from_json(json: &[u8]) -> Result<Vec<ListedGroup>, String> {
    let Listing::<Json>(groups, _) =
        serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(groups)
}

/// Reads the first document of a YAML stream; no document is a list without groups.
pub(super) fn from_yaml(yaml: &str) -> Result<Vec<ListedGroup>, String> {
    // The limits are against small files that aliases make large; how large the file itself may be
    // was checked when it was read.
    let length = yaml.len();
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: None,
            max_events: length + 1_000_000,
            max_nodes: length + 1_000_000,
            max_total_scalar_bytes: length + (16 << 20),
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        // A snippet would show neighbouring lines, and with them whatever they hold.
        with_snippet: false,
    };
    let mut yaml = yaml.as_bytes();
    let mut documents = serde_saphyr::read_with_options::<_, Listing<Yaml>>(&mut yaml, options);
    match documents.next() {
        None => Ok(Vec::new()),
        Some(Ok(Listing(groups, _))) => Ok(groups),
        Some(Err(error)) => Err(error.render_with_formatter(&serde_saphyr::UserMessageFormatter)),
    }
}

impl ListedGroup {
    /// The group, named `source`, with one more label.
    pub(super) fn named(
        self,
        source: Arc<str>,
        (name, value): (&str, &str),
        builder: &mut LabelsBuilder,
    ) -> Arc<TargetGroup> {
        builder.reset(&self.labels);
        builder.set(name, value);
        Arc::new(TargetGroup { source, targets: self.targets, labels: builder.build() })
    }
}

/// How the two formats differ.
trait Format {
    /// Whether two names of members are the same.
    fn is(name: &str, expected: &str) -> bool;
}

struct Json;
struct Yaml;

impl Format for Json {
    fn is(name: &str, expected: &str) -> bool {
        name.eq_ignore_ascii_case(expected)
    }
}

impl Format for Yaml {
    fn is(name: &str, expected: &str) -> bool {
        name == expected
    }
}

struct Listing<F>(Vec<ListedGroup>, PhantomData<F>);

impl<'de, F: Format> Deserialize<'de> for Listing<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let groups = Option::<Vec<Option<Group<F>>>>::deserialize(deserializer)?;
        let groups = groups.unwrap_or_default().into_iter().map(|group| match group {
            Some(Group(group, _)) => Ok(group),
            None => Err(de::Error::custom("nil target group item found")),
        });
        Ok(Self(groups.collect::<Result<_, _>>()?, PhantomData))
    }
}

struct Group<F>(ListedGroup, PhantomData<F>);

impl<'de, F: Format> Deserialize<'de> for Group<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<F>(PhantomData<F>);

        impl<'de, F: Format> Visitor<'de> for Members<F> {
            type Value = ListedGroup;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a target group: targets and labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ListedGroup, A::Error> {
                let mut group = ListedGroup { targets: Vec::new(), labels: Labels::empty() };
                while let Some(Text(name)) = map.next_key()? {
                    if F::is(&name, "targets") {
                        let targets: Option<Vec<Address>> = map.next_value()?;
                        group.targets =
                            targets.into_iter().flatten().map(|Address(labels)| labels).collect();
                    } else if F::is(&name, "labels") {
                        let labels: Option<GroupLabels> = map.next_value()?;
                        group.labels = labels.map(|GroupLabels(l)| l).unwrap_or_default();
                    } else {
                        return Err(de::Error::unknown_field(&name, &["targets", "labels"]));
                    }
                }
                Ok(group)
            }
        }

        Ok(Self(deserializer.deserialize_map(Members::<F>(PhantomData))?, PhantomData))
    }
}

/// The labels of a target of which only the address is known; null is the empty address.
struct Address(Labels);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<Text>::deserialize(deserializer)?;
        Ok(Self(text.map_or_else(Labels::empty, |Text(address)| address_only(&address))))
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
                    labels.set(&name, value.as_ref().map_or("", |Text(value)| value));
                }
                Ok(labels.build())
            }
        }

        Ok(Self(deserializer.deserialize_map(Entries)?))
    }
}

/// A string; in YAML any scalar, as it was written.
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

    fn show(read: Result<Vec<ListedGroup>, String>) -> String {
        match read {
            Err(error) => format!("error: {error}"),
            Ok(groups) if groups.is_empty() => "no group".to_owned(),
            Ok(groups) => {
                let groups = groups.iter().map(|g| format!("{:?} {:?}", g.targets, g.labels));
                groups.collect::<Vec<_>>().join("\n")
            }
        }
    }

    fn json(text: &str, expected: &Expect) {
        expected.assert_eq(&show(from_json(text.as_bytes())));
    }

    fn yaml(text: &str, expected: &Expect) {
        expected.assert_eq(&show(from_yaml(text)));
    }

    #[test]
    fn json_lists() {
        json(
            r#"[{"targets":["a:1","b:2"],"labels":{"x":"1","e":""}},{"targets":["c"]}]"#,
            &expect![[r#"
                [{__address__="a:1"}, {__address__="b:2"}] {x="1"}
                [{__address__="c"}] {}"#]],
        );
        json(
            r#"[{"Targets":["a:1"],"LABELS":{"x":"1"}}]"#,
            &expect![[r#"[{__address__="a:1"}] {x="1"}"#]],
        );
        json(
            r#"[{"targets":null,"labels":null},{}]"#,
            &expect![[r#"
            [] {}
            [] {}"#]],
        );
        json(r#"[{"targets":[null],"labels":{"x":null}}]"#, &expect!["[{}] {}"]);
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
            .assert_eq(&show(from_json(b"[{\"targets\":[\"a\xff\"]}]")));
    }

    #[test]
    fn yaml_lists() {
        yaml(
            "- targets: [a:1, 'b:2']\n  labels: {x: 1.0, y: yes, z: 0x10, n: ~, o: 010}",
            &expect![[
                r#"[{__address__="a:1"}, {__address__="b:2"}] {o="010", x="1.0", y="yes", z="0x10"}"#
            ]],
        );
        yaml(
            "- targets:\n  - 127.0.0.1:80\n  - 8080\n  -\n  labels:\n",
            &expect![[r#"[{__address__="127.0.0.1:80"}, {__address__="8080"}, {}] {}"#]],
        );
        yaml(
            "- &a\n  targets: [x]\n- *a\n- <<: *a\n  labels: {b: c}\n",
            &expect![[r#"
            [{__address__="x"}] {}
            [{__address__="x"}] {}
            [{__address__="x"}] {b="c"}"#]],
        );
        yaml("", &expect!["no group"]);
        yaml("# nothing\n", &expect!["no group"]);
        yaml("---\n...\n", &expect!["no group"]);
        yaml("- targets: [a]\n---\n- targets: [b]\n", &expect![[r#"[{__address__="a"}] {}"#]]);
        yaml(
            r#"[{"targets": ["a:1"], "labels": {"x": "1"}}]"#,
            &expect![[r#"[{__address__="a:1"}] {x="1"}"#]],
        );
    }

    #[test]
    fn yaml_refusals() {
        yaml("-\n", &expect!["error: nil target group item found"]);
        yaml(
            "- Targets: [a]\n",
            &expect![
                "error: unknown field `Targets`, expected one of targets, labels at line 1, column 3"
            ],
        );
        yaml(
            "- targets: [a]\n  targets: [b]\n",
            &expect![
                "error: duplicate mapping key `targets` is not allowed here at line 2, column 3"
            ],
        );
        yaml(
            "- labels: {a: 1, a: 2}\n",
            &expect!["error: duplicate mapping key `a` is not allowed here at line 1, column 18"],
        );
        yaml(
            "- labels: {'': 1}\n",
            &expect![[r#"error: "" is not a valid label name at line 1, column 11"#]],
        );
        yaml("- targets: a\n", &expect!["error: expected sequence start at line 1, column 12"]);
        yaml("targets: [a]\n", &expect!["error: expected sequence start at line 1, column 1"]);
        yaml("- targets: [a\n", &expect!["error: unclosed bracket '[' at line 1, column 12"]);
        let targets = "x, ".repeat(2000);
        let bomb = format!("- targets: &a [{targets}]\n{}", "- targets: *a\n".repeat(2000));
        yaml(
            &bomb,
            &expect![
                "error: YAML document too large or too complex: total_replayed_events=100001 > 100000 at line 1, column 5719 (defined at line 1, column 15) (used at line 51, column 12)"
            ],
        );
    }
}
