//! The reference of all keys, made from the tables that the file is read with.

use std::fmt::Write as _;

use crate::{KeyInfo, Section, State, Value};

/// The sections of the file, as they are found on the way from its top.
#[derive(Debug, Default)]
pub struct Reference {
    sections: Vec<Entry>,
    /// What this version makes of the key that leads on.
    state: State,
    /// The first pass goes by what works, so that it comes first; the second goes everywhere.
    pass: u8,
}

#[derive(Debug)]
struct Entry {
    title: &'static str,
    about: &'static str,
    keys: Vec<KeyInfo>,
    /// The best that this version makes of a key that leads here.
    state: State,
    /// The last pass that came here.
    pass: u8,
}

impl Reference {
    /// Adds a section; false where this pass came by already.
    pub fn begin<S: Section>(&mut self, about: &'static str) -> bool {
        if let Some(entry) = self.sections.iter_mut().find(|entry| entry.title == S::TITLE) {
            let again = std::mem::replace(&mut entry.pass, self.pass) == self.pass;
            return !again;
        }
        let mut keys = Vec::new();
        S::keys(&mut keys);
        let (title, about, state, pass) = (S::TITLE, about.trim(), self.state, self.pass);
        self.sections.push(Entry { title, about, keys, state, pass });
        true
    }

    /// Adds the sections of a key that has `state`.
    pub fn below<V: Value>(&mut self, state: State) {
        let above = self.state;
        self.state = below(above, state);
        if self.state == State::Works || self.pass > 0 {
            V::refer(self);
        }
        self.state = above;
    }
}

/// The state of a key with state `own`, below a key with state `above`.
fn below(above: State, own: State) -> State {
    match above {
        State::Works => own,
        _ if own == State::Refused => own,
        _ => above,
    }
}

/// The reference of a file that is a `F`, in Markdown.
pub fn reference_of<F: Value>() -> String {
    let mut reference = Reference::default();
    F::refer(&mut reference);
    reference.pass += 1;
    F::refer(&mut reference);
    let mut text = String::new();
    for Entry { title, about, keys, state: above, .. } in &reference.sections {
        let _ = writeln!(text, "### {title}\n\n{about}\n");
        text.push_str(
            "| key | type | default | in this version | meaning |\n|---|---|---|---|---|\n",
        );
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
            let state = match below(*above, key.marks.state) {
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
