//! The table as people read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cell::{Cell, Seen};
use super::rows::Row;
use super::sources::Source;

/// The observations, by row and column.
pub(crate) type Cells = BTreeMap<(usize, usize), Option<Cell>>;

/// The tables of `docs/robustness.md`: files, HTTP and Docker, then node lists and the DNS.
pub(crate) fn markdown(cells: &Cells) -> String {
    let (lists, others): (Vec<_>, Vec<_>) =
        Source::ALL.iter().partition(|source| source.is_list_or_dns());
    format!("{}\n{}", part(cells, &others), part(cells, &lists))
}

/// These columns, with the rows that any of them has.
fn part(cells: &Cells, sources: &[Source]) -> String {
    let heads: Vec<_> = sources.iter().map(|source| source.name()).collect();
    let mut table =
        format!("| fault | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for (number, row) in Row::ALL.iter().enumerate() {
        let cell = |source: &Source| cells[&(number, *source as usize)].as_ref();
        if sources.iter().all(|source| cell(source).is_none()) {
            continue;
        }
        let words = sources.iter().map(|source| match cell(source) {
            None => "–".to_owned(),
            Some(Cell { first, later }) => match (word(*source, first), word(*source, later)) {
                (first, later) if first == later => first.to_owned(),
                (first, later) => format!("{first}, later {later}"),
            },
        });
        writeln!(table, "| {} | {} |", row.name, words.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    table
}

/// The effect, in a word that the documentation explains.
fn word(source: Source, seen: &Seen) -> &'static str {
    match seen {
        Seen { error: Some(_), .. } => "kept",
        // The refresh goes on with what the file held before.
        Seen { problems, .. } if !problems.is_empty() && source == Source::File => "kept",
        Seen { problems, .. } if !problems.is_empty() => "partially skipped",
        Seen { lost: 0, other: 0, .. } => "unchanged",
        _ => "passed through",
    }
}

/// Everything that was said, once for all sources that say it.
pub(crate) fn texts(cells: &Cells) -> String {
    let mut all = String::new();
    for (number, row) in Row::ALL.iter().enumerate() {
        writeln!(all, "=== {}", row.name).unwrap();
        let mut said: Vec<(String, Vec<String>)> = Vec::new();
        let mut say =
            |text: String, who: String| match said.iter_mut().find(|(known, _)| *known == text) {
                Some((_, by)) => by.push(who),
                None => said.push((text, vec![who])),
            };
        for &source in Source::ALL {
            let Some(Cell { first, later }) = &cells[&(number, source as usize)] else { continue };
            let (name, first, later) = (source.name(), text(first), text(later));
            if first == later {
                say(first, name.to_owned());
            } else {
                say(first, format!("{name} at first"));
                say(later, format!("{name} later"));
            }
        }
        for (text, by) in said {
            writeln!(all, "{}\n{text}", by.join(", ")).unwrap();
        }
    }
    all
}

fn text(seen: &Seen) -> String {
    let Seen { error, problems, same, lost, other } = seen;
    if let Some(error) = error {
        return format!("    error: {error}");
    }
    let mut lines: Vec<_> =
        problems.iter().map(|problem| format!("    left out: {problem}")).collect();
    lines.push(match (lost, other) {
        (0, 0) => "    targets: all as before".to_owned(),
        (lost, other) => format!("    targets: {same} as before, {lost} not, {other} others"),
    });
    lines.join("\n")
}
