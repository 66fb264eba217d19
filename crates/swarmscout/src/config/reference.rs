//! The reference of all keys, made from the tables that the file is read with.

use std::fmt::Write as _;

use super::decode::{KeyInfo, Section, State, Value};
use super::raw;

/// Sections in the order in which they are first named.
#[derive(Debug, Default)]
pub(super) struct Reference(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    title: &'static str,
    about: &'static str,
    keys: Vec<KeyInfo>,
}

impl Reference {
    /// Adds a section; false where it is there already.
    pub(super) fn begin<S: Section>(&mut self, about: &'static str) -> bool {
        if self.0.iter().any(|entry| entry.title == S::TITLE) {
            return false;
        }
        let mut keys = Vec::new();
        S::keys(&mut keys);
        self.0.push(Entry { title: S::TITLE, about: about.trim(), keys });
        true
    }
}

/// Every section of the file with every key: type, default, and what this version makes of it.
/// Markdown; `docs/configuration.md` holds it word for word.
pub fn reference() -> String {
    let mut reference = Reference::default();
    raw::File::refer(&mut reference);
    let mut text = String::new();
    for Entry { title, about, keys } in &reference.0 {
        let _ = writeln!(text, "### {title}\n\n{about}\n");
        text.push_str("| key | type | default | in this version | |\n|---|---|---|---|---|\n");
        let mut inlined = "";
        for key in keys {
            if key.of != *title {
                // Another section's keys stand here among this one's: one row for all of them.
                if key.of != inlined {
                    inlined = key.of;
                    let _ = writeln!(text, "| *all keys of [{inlined}](#{inlined})* | | | | |");
                }
                continue;
            }
            let state = match key.marks.state {
                State::Works => "works",
                State::Kept => "checked, no effect yet",
                State::Ignored => "checked, no effect",
                State::Refused => "refused",
            };
            let ours = if key.marks.ours { " *(ours)*" } else { "" };
            let default = match key.default.as_str() {
                "" => String::new(),
                text if text.contains(' ') => text.to_owned(),
                text => format!("`{text}`"),
            };
            let (name, value, doc) = (key.name, &key.value, key.doc.trim());
            let _ = writeln!(text, "| `{name}`{ours} | {value} | {default} | {state} | {doc} |");
        }
        text.push('\n');
    }
    text
}
