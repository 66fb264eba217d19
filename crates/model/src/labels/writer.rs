//! Writing label sets whose order is known.

use super::{Labels, LabelsBuilder, push_piece, split_piece};

/// Writes label sets from pieces that are sorted by label name, such as finished sets that do not
/// overlap. Each piece costs one comparison and one copy, whereas a [`LabelsBuilder`] searches and
/// shifts for each label.
///
/// Labels in another order are accepted; the set is then sorted. Empty values are left out. If a
/// name is given twice, the last value counts. A writer keeps its memory, for reuse.
#[derive(Clone, Debug, Default)]
pub struct LabelsWriter {
    encoded: String,
    /// Where in `encoded` the greatest name so far stands.
    last: (usize, usize),
    /// Whether some name did not come after all others.
    unsorted: bool,
    builder: LabelsBuilder,
}

impl LabelsWriter {
    /// A writer without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a label.
    pub fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.check_order(name);
        push_piece(&mut self.encoded, name);
        let end = self.encoded.len();
        self.last = (end - name.len(), end);
        push_piece(&mut self.encoded, value);
    }

    /// Appends all labels of a set.
    pub fn extend(&mut self, labels: &Labels) {
        let Some((first, _)) = labels.iter().next() else { return };
        self.check_order(first);
        let base = self.encoded.len();
        self.encoded.push_str(&labels.0);
        let mut rest = &*labels.0;
        while !rest.is_empty() {
            let (name, tail) = split_piece(rest);
            let end = base + (labels.0.len() - tail.len());
            self.last = (end - name.len(), end);
            rest = split_piece(tail).1;
        }
    }

    /// The set of what was appended. The writer is empty afterwards.
    pub fn build(&mut self) -> Labels {
        let labels = Labels(self.encoded.as_str().into());
        self.encoded.clear();
        self.last = (0, 0);
        if !std::mem::take(&mut self.unsorted) {
            return labels;
        }
        self.builder.clear();
        for (name, value) in &labels {
            self.builder.set(name, value);
        }
        self.builder.build()
    }

    fn check_order(&mut self, name: &str) {
        let (from, to) = self.last;
        self.unsorted |= !self.encoded.is_empty() && self.encoded[from..to] >= *name;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn writes_what_a_builder_builds(
            parts in prop::collection::vec(
                prop::collection::vec(("[a-e]{0,2}", ".{0,70}"), 0..4), 0..5),
        ) {
            let mut writer = LabelsWriter::new();
            let mut builder = LabelsBuilder::new();
            for (i, part) in parts.iter().enumerate() {
                if i % 2 == 0 {
                    let part: Labels = part.iter().map(|(n, v)| (n, v)).collect();
                    writer.extend(&part);
                    for (name, value) in &part {
                        builder.set(name, value);
                    }
                } else {
                    for (name, value) in part.iter().filter(|(_, value)| !value.is_empty()) {
                        writer.push(name, value);
                        builder.set(name, value);
                    }
                }
            }
            prop_assert_eq!(writer.build(), builder.build());
            prop_assert_eq!(writer.build(), Labels::empty());
        }
    }
}
