//! Objects with a name and numbers, such as devices: kept from one scrape to the next, so that an
//! object that is there again costs no allocation.

use swarmscout_exposition::pieces::SeriesLabels;

/// One object, and its numbers of the last scrape.
#[derive(Debug)]
pub(super) struct Row<const N: usize> {
    pub(super) name: String,
    pub(super) labels: SeriesLabels,
    pub(super) values: [u64; N],
    /// How many of them the kernel has.
    pub(super) count: usize,
}

/// Objects in the order of their file.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    /// The name of the label that has the name.
    label: &'static str,
    rows: Vec<Row<N>>,
    /// How many rows belong to the scrape in progress. Those behind are from the one before.
    used: usize,
}

impl<const N: usize> Table<N> {
    pub(super) const fn new(label: &'static str) -> Self {
        Self { label, rows: Vec::new(), used: 0 }
    }

    /// Rows come again from the start.
    pub(super) fn begin(&mut self) {
        self.used = 0;
    }

    /// The row of `name`; `None` if this scrape has one already. Two names may become one where
    /// they are not UTF-8. Without a name there is none.
    pub(super) fn row(&mut self, name: &[u8]) -> Option<&mut Row<N>> {
        if name.is_empty() {
            return None;
        }
        let used = self.used;
        let is_next = self.rows.get(used).is_some_and(|row| row.name.as_bytes() == name);
        if !is_next {
            let name = String::from_utf8_lossy(name);
            match self.rows.iter().position(|row| row.name == name) {
                Some(at) if at < used => return None,
                Some(at) => self.rows[used..=at].rotate_right(1),
                None => {
                    let mut labels = SeriesLabels::default();
                    labels.push(self.label, &name);
                    let name = name.into_owned();
                    self.rows.insert(used, Row { name, labels, values: [0; N], count: 0 });
                }
            }
        }
        self.used += 1;
        Some(&mut self.rows[used])
    }

    /// Drops what is no longer there.
    pub(super) fn end(&mut self) {
        self.rows.truncate(self.used);
    }

    pub(super) fn rows(&self) -> &[Row<N>] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_file() {
        let mut table = Table::<1>::new("device");
        let mut round = |names: &[&[u8]]| {
            table.begin();
            for (n, name) in names.iter().enumerate() {
                if let Some(row) = table.row(name) {
                    row.values = [n as u64];
                }
            }
            table.end();
            let rows = table.rows().iter();
            rows.map(|row| format!("{}={}", row.name, row.values[0])).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(round(&[b"a", b"b", b"c"]), "a=0 b=1 c=2");
        assert_eq!(round(&[b"c", b"x", b"a"]), "c=0 x=1 a=2");
        assert_eq!(round(&[b"x", b"x", b"\xff", b"\xfe"]), "x=0 \u{fffd}=2");
        assert_eq!(round(&[]), "");
    }
}
