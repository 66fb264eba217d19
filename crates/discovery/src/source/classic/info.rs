//! Finds the rows of a master's `/info`.
//!
//! A master tells of itself and of its nodes in pairs of texts, meant for the terminal of
//! `docker info`:
//!
//! | | up to 1.0.1 (`DriverStatus`) | from 1.1.0 (`SystemStatus`) |
//! |---|---|---|
//! | of the master | `\bNodes`, a backspace before the key | `Nodes` |
//! | a node | `node-1` | ` node-1` |
//! | of that node | ` └ Status` | `  └ Status` |
//!
//! Masters 1.1.0 to 1.2.5 use the old form too when the path asks for an API version below 1.22. No
//! row has a fixed place: rows came and went from version to version, and a replica has one more.

use std::borrow::Cow;

use crate::Problem;
use crate::engine::{Fault, Reader};

/// What a master tells. Borrows from its answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Info<'a> {
    /// How it places containers: `spread`.
    pub(super) strategy: Cow<'a, str>,
    /// The advertised address of the primary, told by replicas only; empty while nobody leads.
    pub(super) primary: Cow<'a, str>,
    /// How many nodes there are, as the master says.
    pub(super) count: u64,
    /// The rows of each node, commas included: `[" node-1","10.0.0.1:2375"],["  └ Status",…],…`.
    pub(super) nodes: Vec<&'a [u8]>,
    /// Rows that are not of the form of a row.
    pub(super) problems: Vec<Problem>,
}

impl<'a> Info<'a> {
    /// Reads the body of `/info`. Fails where it is not that of a classic master.
    pub(super) fn read(json: &'a [u8]) -> Result<Self, String> {
        let (mut system, mut driver) = (None, None);
        let mut reader = Reader::new(json);
        let read = reader.object(|reader, key| {
            match key {
                b"SystemStatus" => system = Some(reader.skip()?),
                b"DriverStatus" => driver = Some(reader.skip()?),
                _ => drop(reader.skip()?),
            }
            Ok(())
        });
        read.and_then(|()| reader.end()).map_err(|fault| explain(fault, json.len()))?;
        for rows in [system, driver].into_iter().flatten() {
            if let Some(info) = Self::read_rows(rows)? {
                return Ok(info);
            }
        }
        Err("there is no Nodes row in the answer, so this is no classic Swarm master (for swarm \
             mode use dockerswarm_sd_configs)"
            .to_owned())
    }

    /// `None` where no row says how many nodes there are.
    fn read_rows(rows: &'a [u8]) -> Result<Option<Self>, String> {
        let mut info = Self::default();
        let mut count = None;
        let mut old = false;
        // Where the rows of the present node begin.
        let mut start = None;
        let mut end = 0;
        let mut reader = Reader::new(rows);
        let read = reader.array(|reader| {
            let row = reader.skip()?;
            let to = row.as_ptr() as usize - rows.as_ptr() as usize + row.len();
            match Row::of(row, old) {
                Row::Attribute => {}
                Row::Node => {
                    info.nodes.extend(start.map(|start| &rows[start..end]));
                    start = Some(to - row.len());
                }
                Row::Master { backspace } => {
                    old |= backspace;
                    match pair(&mut Reader::new(row)) {
                        Ok((key, value)) => match key.trim_start_matches(['\u{8}', ' ']) {
                            "Strategy" => info.strategy = value,
                            "Primary" => info.primary = value,
                            "Nodes" => count = Some(value),
                            _ => {}
                        },
                        // Between the rows of a node it is told with that node.
                        Err(_) if start.is_none() => info.problems.push(bad_row(row)),
                        Err(_) => {}
                    }
                }
            }
            end = to;
            Ok(())
        });
        read.map_err(|fault| explain(fault, rows.len()))?;
        info.nodes.extend(start.map(|start| &rows[start..end]));
        let Some(count) = count else { return Ok(None) };
        let number = count.trim().parse();
        info.count = number.map_err(|_| format!("its Nodes row is no number: {count:?}"))?;
        if info.count > 0 && info.nodes.is_empty() {
            return Err(format!("it says that there are {count} nodes and lists none"));
        }
        Ok(Some(info))
    }
}

/// What a row is about.
enum Row {
    Master { backspace: bool },
    Node,
    Attribute,
}

impl Row {
    /// `old`: whether a row with a backspace came before.
    fn of(row: &[u8], old: bool) -> Self {
        let quote = row.iter().position(|byte| *byte == b'"');
        let key = quote.map_or(row, |quote| &row[quote + 1..]);
        let text = key.trim_ascii_start();
        if text.starts_with("└".as_bytes()) || text.starts_with(br"\u2514") {
            Self::Attribute
        } else if key.starts_with(br"\u0008") || key.starts_with(br"\b") {
            Self::Master { backspace: true }
        } else if old || text.len() < key.len() {
            Self::Node
        } else {
            Self::Master { backspace: false }
        }
    }
}

/// Key and value of a row.
pub(super) fn pair<'a>(reader: &mut Reader<'a>) -> Result<(Cow<'a, str>, Cow<'a, str>), Fault> {
    let mut texts = [Cow::Borrowed(""), Cow::Borrowed("")];
    let mut count = 0;
    reader.array(|reader| {
        match texts.get_mut(count) {
            Some(text) => *text = reader.string()?,
            None => drop(reader.skip()?),
        }
        count += 1;
        Ok(())
    })?;
    let [key, value] = texts;
    if count == 2 { Ok((key, value)) } else { Err(Fault::Type { at: 0, expected: "two texts" }) }
}

/// A row that is skipped.
pub(super) fn bad_row(row: &[u8]) -> Problem {
    let text = String::from_utf8_lossy(row);
    Problem {
        kind: "node",
        object: String::new(),
        reason: "row that is not two texts",
        detail: text.chars().take(100).collect(),
    }
}

fn explain(fault: Fault, length: usize) -> String {
    match fault {
        Fault::Syntax { at } if at >= length => "the answer ends early".to_owned(),
        Fault::Syntax { at } => format!("the answer is not JSON at byte {at}"),
        Fault::Type { at, expected } => format!("expected {expected} at byte {at} of the answer"),
    }
}
