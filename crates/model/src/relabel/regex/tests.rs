//! Holds the dialect against what Go answered: see `tests/go-regexp/README.md`.

use serde_json::Value;

use super::*;
use crate::relabel::template::Template;

const ANSWERS: &str = include_str!("../../../tests/go-regexp/answers.jsonl");

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
            template.replace_all(&regex, text, &mut slots, &mut got);
            if Some(got.as_str()) != replaced {
                let template = template.text();
                wrong.push(format!("all {pattern} {template} {text}: {got}, not {replaced:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the answers differ:\n{}", wrong.len(), wrong.join("\n"));
}
