//! Holds the dialect against what Go answered: see `tests/go/README.md`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const ANSWERS: &str = include_str!("../tests/go/answers.jsonl");

/// The texts that every pattern was tried on, and the answers.
fn answers() -> (Vec<String>, Vec<Value>) {
    let mut lines = ANSWERS.lines();
    let texts = serde_json::from_str(lines.next().unwrap()).unwrap();
    (texts, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The bounds of all groups in the way Go gives them.
fn bounds(regex: &Regex, text: &str, slots: &mut Slots) -> Option<Vec<i64>> {
    if !regex.find(text, slots) {
        return None;
    }
    let bound = |i: usize| match slots.get(i) {
        Some(Some(at)) => i64::try_from(at.get()).unwrap(),
        _ => -1,
    };
    Some((0..2 * regex.names.len()).map(bound).collect())
}

#[test]
fn agrees_with_go() {
    let (texts, answers) = answers();
    let mut slots = Slots::new();
    let mut wrong = Vec::new();
    for answer in &answers {
        let pattern = answer["pattern"].as_str().unwrap();
        let regex = match (Regex::new(pattern), answer["error"].as_str()) {
            (Ok(regex), None) => regex,
            (Err(error), Some(expected)) if error.to_string() == expected => continue,
            (got, expected) => {
                wrong.push(format!("{pattern:.60}: got {got:.60?}, Go says {expected:.60?}"));
                continue;
            }
        };
        let found = answer["found"].as_array().map_or(&[][..], Vec::as_slice);
        let mut found = found.iter().peekable();
        for (i, text) in texts.iter().enumerate() {
            let expected = found.next_if(|found| found[0] == i).map(|found| {
                found.as_array().unwrap()[1..].iter().map(|n| n.as_i64().unwrap()).collect()
            });
            let got = bounds(&regex, text, &mut slots);
            if got != expected {
                wrong.push(format!("{pattern:.60} on {text:?}: got {got:?}, Go says {expected:?}"));
            }
            assert_eq!(regex.is_match(text), got.is_some(), "{pattern} on {text:?}");
        }
        let expansions = answer["expand"].as_array().map_or(&[][..], Vec::as_slice);
        for expansion in expansions {
            let [template, text, expanded, replaced] = [0, 1, 2, 3].map(|i| expansion[i].as_str());
            let text = text.unwrap();
            let template = Template::new(template.unwrap().to_owned(), &regex);
            let matches = regex.find(text, &mut slots);
            let got = matches.then(|| {
                let mut out = String::new();
                template.expand(text, &slots, &mut out);
                out
            });
            if got.as_deref() != expanded {
                let template = template.text();
                wrong.push(format!("{pattern} {template} {text}: {got:?}, Go says {expanded:?}"));
            }
            let mut got = String::new();
            if !template.replace_all(&regex, text, &mut slots, &mut got) {
                got.push_str(text);
            }
            if Some(got.as_str()) != replaced {
                let template = template.text();
                wrong.push(format!("all {pattern} {template} {text}: {got}, not {replaced:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Pieces of patterns that come near the shapes that need no engine.
const PIECES: [&str; 28] = [
    "a", "b", "ab", "é", "(", ")", "(?:", "(?i)", "|", ".*", ".+", ".*?", "(.*)", "(.+)", "(.+?)",
    "?", "*", "{2}", "[ab]", "[^a]", "(a|b)", "(a)", "()", "^", "$", r"\b", r"\d", ".",
];

fn pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..7).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// The shortcuts taken for a pattern agree with the engine.
    #[test]
    fn shapes_agree_with_the_engine(
        pattern in pattern(),
        texts in prop::collection::vec("[abé\n1]{0,5}", 1..20),
    ) {
        let found = both_ways::find(&pattern, texts.iter().map(String::as_str));
        for (found, text) in found.iter().flatten().zip(&texts) {
            prop_assert_eq!(&found.quick, &found.slow, "{} on {}", &pattern, text);
            prop_assert_eq!(found.is_match, found.slow.is_some());
            prop_assert!(found.has_prefix || !found.is_match);
        }
    }

    #[test]
    fn any_pattern_is_read_or_refused(
        pattern in r"([\\\[\](){}?*+|^$.:<>PpQExziUms,0-9-]|\PC){0,20}",
        text in ".{0,10}",
        template in r"([${}0-9n]|.){0,8}",
    ) {
        if let Ok(regex) = Regex::new(&pattern) {
            let (mut slots, mut out) = (Slots::new(), String::new());
            Template::new(template, &regex).replace_all(&regex, &text, &mut slots, &mut out);
        }
    }
}

#[test]
fn shapes_are_seen() {
    let check = |pattern: &str, body: bool, groups: bool| {
        let shape = Regex::new(pattern).unwrap().shape;
        let seen = shape.map_or((false, false), |s| (s.body.is_some(), s.groups.is_some()));
        assert_eq!(seen, (body, groups), "{pattern}");
    };
    for pattern in ["", "(.*)", "foo", "foo|bar", "(foo|bar)", "foo.+", "__meta_(.+)", "a(.*?)b"] {
        check(pattern, true, true);
    }
    for pattern in ["(https?)", "[0-3]", "(?i)ab", "((a|b)c)"] {
        check(pattern, true, true);
    }
    check("(a|ab)(c|bcd)", true, false);
    check("([^:]+):9100", false, true);
    check(r"(\w+)", false, true);
    check(r"([^:]+)(?::\d+)?", false, false);
    check("a|b)|(?:c", false, false);
}
