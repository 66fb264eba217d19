//! Finds the rows of a master's `/info`.
//!
//! A master describes itself and its nodes by pairs of texts, meant for the terminal of
//! `docker info`:
//!
//! | | up to 1.0.1 (`DriverStatus`) | from 1.1.0 (`SystemStatus`) |
//! |---|---|---|
//! | of the master | `\bNodes`, a backspace before the key | `Nodes` |
//! | a node | `node-1` | ` node-1` |
//! | of that node | ` └ Status` | `  └ Status` |
//!
//! Masters 1.1.0 to 1.2.5 use the old form, too, when the path has an API version below 1.22. No
//! row has a fixed place: rows differ between versions, and a replica has one more.

use std::borrow::Cow;

use swarmscout_refresh::problems::Problems;

use crate::engine::{Fault, Reader};

/// The longest row about the master that is decoded, in bytes. What it says becomes labels, which are
/// shorter even if each character of the row is escaped.
const LONGEST_ROW: usize = 8 << 20;

/// The content of a master's answer, which it borrows from.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClassicInfo<'a> {
    /// Whether the master is a replica. Before 0.3.0 each was on its own.
    pub is_replica: bool,
    /// The scheduling strategy: `spread`.
    pub strategy: Cow<'a, str>,
    /// The advertised address of the primary. Only a replica reports it; empty without a primary.
    pub primary: Cow<'a, str>,
    /// The ID of the container that the master runs in, if it calls itself by that, as Docker names
    /// containers: no other has it.
    pub container: Option<Cow<'a, str>>,
    /// The number of nodes that the master reports.
    pub count: u64,
    /// The rows of each node, commas included: `[" node-1","10.0.0.1:2375"],["  └ Status",…],…`.
    pub nodes: Vec<&'a [u8]>,
    /// Malformed rows.
    pub problems: Problems,
}

impl<'a> ClassicInfo<'a> {
    /// Reads the body of `/info`, and at most one more node than `most`.
    ///
    /// # Errors
    ///
    /// If it is not the body of a classic master.
    pub fn read(json: &'a [u8], most: usize) -> Result<Self, String> {
        let (mut system, mut driver) = (Rows::default(), Rows::default());
        let mut name = None;
        let mut reader = Reader::new(json);
        let read = reader.object(|reader, key| {
            let rows = match key {
                b"SystemStatus" => &mut system,
                b"DriverStatus" => &mut driver,
                b"Name" => {
                    name = reader.attempt(Reader::string)?.ok();
                    return Ok(());
                }
                _ => return reader.skip().map(drop),
            };
            // A value of another type has no rows.
            let read = reader.attempt(|reader| Rows::read(reader, json, most))?;
            *rows = read.unwrap_or_default();
            Ok(())
        });
        read.and_then(|()| reader.end()).map_err(|fault| explain(fault, json.len()))?;
        if let Some(bytes) = system.too_long.or(driver.too_long) {
            return Err(format!(
                "a row about the master has {bytes} bytes, at most {LONGEST_ROW} are allowed"
            ));
        }
        let rows = if system.count.is_some() { system } else { driver };
        let Some(count) = rows.count else {
            return Err(
                "there is no Nodes row in the answer, so this is not a classic Swarm master \
                        (for swarm mode use dockerswarm_sd_configs)"
                    .to_owned(),
            );
        };
        let mut info = rows.info;
        info.container = name.filter(|name| is_container_id(name));
        let number = count.trim().parse();
        info.count = number.map_err(|_| format!("its Nodes row is not a number:  {count:?}"))?;
        if info.count > 0 && info.nodes.is_empty() {
            return Err(format!("it says that there are {count} nodes and lists none"));
        }
        Ok(info)
    }
}

/// The rows read so far.
#[derive(Default)]
struct Rows<'a> {
    info: ClassicInfo<'a>,
    /// The most nodes that are kept, but for one.
    most: usize,
    /// The value of the row `Nodes`.
    count: Option<Cow<'a, str>>,
    /// Whether a key began with a backspace.
    old: bool,
    /// The bytes of a row that was not decoded.
    too_long: Option<usize>,
    /// Where the rows of the current node start in the answer, and where they end so far.
    node: Option<(usize, usize)>,
}

impl<'a> Rows<'a> {
    fn read(reader: &mut Reader<'a>, json: &'a [u8], most: usize) -> Result<Self, Fault> {
        let mut rows = Self { most, ..Self::default() };
        reader.array(|reader| {
            let row = reader.skip()?;
            let start = row.as_ptr() as usize - json.as_ptr() as usize;
            rows.push(json, row, start);
            Ok(())
        })?;
        rows.end_node(json);
        Ok(rows)
    }

    fn push(&mut self, json: &'a [u8], row: &'a [u8], start: usize) {
        match Row::of(row, self.old) {
            Row::Attribute => {}
            Row::Node => {
                self.end_node(json);
                self.node = Some((start, start));
            }
            Row::Master { .. } if row.len() > LONGEST_ROW => self.too_long = Some(row.len()),
            Row::Master { backspace } => {
                self.old |= backspace;
                match pair(row) {
                    Ok((key, value)) => match key.trim_start_matches(['\u{8}', ' ']) {
                        "Role" => self.info.is_replica = value == "replica",
                        "Strategy" => self.info.strategy = value,
                        "Primary" => self.info.primary = value,
                        "Nodes" => self.count = Some(value),
                        _ => {}
                    },
                    // A bad row among those of a node is reported with that node.
                    Err(_) if self.node.is_none() => bad_row(row, &mut self.info.problems),
                    Err(_) => {}
                }
            }
        }
        if let Some((_, end)) = &mut self.node {
            *end = start + row.len();
        }
    }

    fn end_node(&mut self, json: &'a [u8]) {
        if let Some((start, end)) = self.node.take() {
            // One more than the limit is enough to detect that there are too many.
            if self.info.nodes.len() <= self.most {
                self.info.nodes.push(&json[start..end]);
            }
        }
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

/// Whether a name is one that Docker gave: the first twelve digits of the container's ID.
fn is_container_id(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Key and value of a row. The row's end is known, but it may not be valid JSON.
pub(super) fn pair(row: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), Fault> {
    let mut texts = [Cow::Borrowed(""), Cow::Borrowed("")];
    let mut count = 0;
    Reader::new(row).array(|reader| {
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

/// Reports a skipped row.
pub(super) fn bad_row(row: &[u8], problems: &mut Problems) {
    let text = String::from_utf8_lossy(row);
    let detail = text.chars().take(100).collect();
    problems.push("node", "", "row that is not two texts", detail);
}

fn explain(fault: Fault, length: usize) -> String {
    match fault {
        Fault::Syntax { at } if at >= length => "the answer ends early".to_owned(),
        Fault::Syntax { at } => format!("the answer is not JSON at byte {at}"),
        Fault::Type { at, expected } => format!("expected {expected} at byte {at} of the answer"),
    }
}
