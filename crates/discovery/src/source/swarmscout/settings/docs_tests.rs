//! The tables of `docs/labels.md` say what the code does.

use std::fmt::Write as _;

use super::dialects::DIALECTS;
use super::keys::{KEYS, Setting};
use super::*;

/// The cells of the table between the comments of this name, without its head.
fn table(name: &str) -> Vec<Vec<&'static str>> {
    let text = include_str!("../../../../../../docs/labels.md");
    let (_, table) = text.split_once(&format!("<!-- {name}")).expect("the table has a beginning");
    let (table, _) = table.split_once(&format!("<!-- end of {name}")).expect("and an end");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.skip(1).map(|row| row.split(" | ").collect()).collect()
}

/// The texts in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn map(labels: &[(String, &str)]) -> LabelMap {
    let owned = labels.iter().map(|(key, value)| (key.clone(), (*value).to_owned()));
    LabelMap::new(owned.collect())
}

fn rules() -> Rules {
    Rules::new("prometheus.io/", &DIALECTS)
}

#[test]
fn every_key_is_documented_with_a_good_example_and_its_inheritance() {
    let rows = table("label keys");
    let name = |(key, setting): &(&str, Setting)| match setting {
        Setting::Param | Setting::Label => format!("{key}.<name>"),
        _ => (*key).to_owned(),
    };
    let documented: Vec<_> = rows.iter().map(|row| quoted(row[0])[0]).collect();
    assert_eq!(documented, KEYS.iter().map(name).collect::<Vec<_>>());

    let none = LabelMap::default();
    let of_named = |labels: &[(String, &str)]| {
        let labels = map(labels);
        let of_labels = declared(&rules(), &labels, &none);
        let endpoint = of_labels.endpoints.iter().find(|endpoint| endpoint.name == "a");
        format!("{endpoint:?}")
    };
    for row in rows {
        let key = format!("prometheus.io/{}", quoted(row[0])[0].replace("<name>", "x"));
        let labels =
            map(&[("prometheus.io/port".to_owned(), "1"), (key.clone(), quoted(row[1])[0])]);
        for refusal in declared(&rules(), &labels, &none).refusals {
            assert_eq!(refusal.reason, Reason::NoEffect, "{refusal:?}");
        }
        let named = ("prometheus.io/a.port".to_owned(), "1");
        let is_inherited =
            of_named(std::slice::from_ref(&named)) != of_named(&[named, (key, quoted(row[1])[0])]);
        assert_eq!(row[3], if is_inherited { "yes" } else { "no" }, "{row:?}");
    }
}

#[test]
fn every_label_of_a_dialect_is_documented() {
    let mut expected: Vec<(String, String, &str)> = Vec::new();
    let styles = DIALECTS.chunk_by(|a, b| a.keys == b.keys);
    for same in styles {
        let mut names: Vec<_> = same.iter().map(|dialect| format!("`{}`", dialect.name)).collect();
        for (pattern, setting) in same[0].keys {
            let (first, words) = pattern.split_once('.').unwrap_or((pattern, ""));
            let is_label = matches!(setting, Setting::Param | Setting::Label);
            let words = words.replace(['*', '+'], "<name>");
            let mut labels = Vec::new();
            for dialect in same {
                for first in first.split('|') {
                    let dot = if words.is_empty() { "" } else { "." };
                    labels.push(format!("`{}{first}{dot}{words}`", dialect.prefix));
                }
            }
            let counts_as = match setting {
                Setting::Enable => "`scrape` of the service; must be true",
                Setting::Ignore => "the opposite of `scrape`",
                Setting::Networks => "`network`: the first",
                Setting::Unsupported => "refused",
                Setting::Unneeded => "not needed",
                Setting::Param => "`param.<name>`",
                Setting::Label => "`label.<name>`",
                Setting::Port => "`port`",
                Setting::Path => "`path`",
                Setting::Scheme => "`scheme`",
                Setting::Job => "`job`",
                Setting::Interval => "`interval`",
                Setting::Timeout => "`timeout`",
                Setting::Scrape => "`scrape`",
                other => panic!("no dialect has {other:?}"),
            };
            assert_eq!(is_label, counts_as.ends_with(".<name>`"));
            expected.push((names.join(", "), labels.join(", "), counts_as));
            names.clear();
        }
    }
    let show = |rows: &mut dyn Iterator<Item = [&str; 3]>| {
        let mut text = String::new();
        rows.for_each(|row| writeln!(text, "{}", row.join(" | ").trim_start()).unwrap());
        text
    };
    let rows = table("dialects");
    let rows = rows.iter().map(|row| match row[..] {
        [name, label, counts_as] => [name, label, counts_as],
        // A row without a name begins with its bar.
        [label, counts_as] => ["", label.trim_start_matches("| "), counts_as],
        _ => panic!("{row:?}"),
    });
    let mut expected = expected.iter().map(|(name, label, of)| [&**name, &**label, *of]);
    assert_eq!(show(&mut rows.into_iter()), show(&mut expected));
}

#[test]
fn every_reason_is_documented_with_an_example() {
    let rows = table("reasons");
    let mut reasons = Reason::ALL.map(Reason::as_str);
    reasons.sort_unstable_by_key(|reason| reason.to_ascii_lowercase());
    let documented: Vec<_> = rows.iter().map(|row| quoted(row[0])[0]).collect();
    assert_eq!(documented, reasons);
    for row in rows {
        let labels = quoted(row[1]);
        let pair = |label: &&'static str| {
            let (key, value) = label.split_once('=').expect("an example is a label");
            (key.to_owned(), value.trim_matches('"'))
        };
        let labels = map(&labels.iter().map(pair).collect::<Vec<_>>());
        let refusals = declared(&rules(), &labels, &LabelMap::default()).refusals;
        if labels == LabelMap::default() {
            continue;
        }
        let [refusal] = &refusals[..] else { panic!("{row:?}: {refusals:?}") };
        assert_eq!(refusal.reason.as_str(), quoted(row[0])[0]);
        assert_eq!(refusal.endpoint_lost, row[2] == "the endpoint", "{row:?}");
    }
}
