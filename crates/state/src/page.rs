//! Series as text, by family, and the answer that is made of them.

use std::sync::{LazyLock, OnceLock};

use bytes::Bytes;
use swarmscout_exposition::pieces::{self, SeriesLabels};
use swarmscout_gzip_parts::{Blocks, Crc, Deflater, Join};

use crate::families::Family;

/// The series of some objects, by family.
#[derive(Debug)]
pub(crate) struct Page {
    /// In the order of [`Family::ALL`].
    texts: Vec<String>,
}

impl Default for Page {
    fn default() -> Self {
        Self { texts: vec![String::new(); Family::ALL.len()] }
    }
}

impl Page {
    /// Adds a series.
    pub(crate) fn series(&mut self, family: Family, labels: &SeriesLabels, value: f64) {
        pieces::series(&mut self.texts[family as usize], family.name(), labels, value);
    }

    /// Adds a series with one more label.
    pub(crate) fn series_with(
        &mut self,
        family: Family,
        labels: &SeriesLabels,
        more: (&str, &str),
        value: f64,
    ) {
        pieces::series_with(&mut self.texts[family as usize], family.name(), labels, more, value);
    }

    /// Adds a series if the time is known: microseconds since 1970 become whole seconds.
    pub(crate) fn time(&mut self, family: Family, labels: &SeriesLabels, micros: i64) {
        if micros > 0 {
            self.series(family, labels, seconds(micros));
        }
    }

    /// As it is kept.
    pub(crate) fn finish(self) -> Vec<(Family, Piece)> {
        let texts = Family::ALL.iter().copied().zip(self.texts);
        let written = texts.filter(|(_, text)| !text.is_empty());
        written.map(|(family, text)| (family, Piece::new(text))).collect()
    }
}

/// Whole seconds.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
pub(crate) fn seconds(micros: i64) -> f64 {
    (micros / 1_000_000) as f64
}

/// A number of things.
pub(crate) fn count(count: usize) -> f64 {
    count as f64
}

/// `1` for what holds.
pub(crate) fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

/// A text, with its compressed form once that was asked for.
#[derive(Debug)]
pub(crate) struct Piece {
    text: Bytes,
    gzip: OnceLock<Compressed>,
}

#[derive(Debug)]
struct Compressed {
    blocks: Bytes,
    crc: Crc,
}

impl Piece {
    pub(crate) fn new(text: String) -> Self {
        Self { text: text.into(), gzip: OnceLock::new() }
    }

    /// Where its text is.
    #[cfg(test)]
    pub(crate) fn address(&self) -> *const u8 {
        self.text.as_ptr()
    }

    fn gzip(&self, deflater: &mut Deflater) -> &Compressed {
        self.gzip.get_or_init(|| {
            let mut blocks = Blocks::default();
            deflater.push(&mut blocks, &self.text);
            let Blocks { bytes, crc } = blocks;
            Compressed { blocks: Bytes::from(bytes.into_boxed_slice()), crc }
        })
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Text,
    /// Compressed.
    Gzip,
}

/// A complete answer: immutable, in parts that are shared with what is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// All of it, in order.
    pub pieces: Vec<Bytes>,
    /// Bytes of all pieces.
    pub size: u64,
}

/// Joins pieces family by family. `of` has the pieces of each kept page.
pub(crate) fn join(of: &[&[(Family, Piece)]], encoding: Encoding) -> Body {
    let mut pages: Vec<_> = of.iter().map(|page| page.iter().peekable()).collect();
    let mut out = Joiner::new(encoding);
    for (family, head) in Family::ALL.iter().zip(&*HEADS) {
        let mut is_first = true;
        for page in &mut pages {
            if let Some((_, piece)) = page.next_if(|(of, _)| of == family) {
                if std::mem::take(&mut is_first) {
                    out.push(head);
                }
                out.push(piece);
            }
        }
    }
    out.finish()
}

/// The new pieces, but for those whose text is that of an old one: this one may be compressed. Both
/// are in the order of families.
pub(crate) fn keep_equal(
    old: Vec<(Family, Piece)>,
    new: Vec<(Family, Piece)>,
) -> Vec<(Family, Piece)> {
    let mut old = old.into_iter().peekable();
    let keep = |(family, piece): (Family, Piece)| {
        while old.next_if(|(of, _)| *of < family).is_some() {}
        let same = old.next_if(|(of, known)| *of == family && known.text == piece.text);
        same.unwrap_or((family, piece))
    };
    new.into_iter().map(keep).collect()
}

/// The heads of all families.
static HEADS: LazyLock<Vec<Piece>> = LazyLock::new(|| {
    let head = |family: &Family| {
        let mut text = String::new();
        pieces::head(&mut text, family.name(), family.kind(), family.help());
        Piece::new(text)
    };
    Family::ALL.iter().map(head).collect()
});

struct Joiner {
    pieces: Vec<Bytes>,
    gzip: Option<(Deflater, Join)>,
}

impl Joiner {
    fn new(encoding: Encoding) -> Self {
        let gzip = (encoding == Encoding::Gzip).then(|| (Deflater::new(), Join::default()));
        let header = gzip.is_some().then(|| Bytes::from_static(Join::header()));
        Self { pieces: header.into_iter().collect(), gzip }
    }

    fn push(&mut self, piece: &Piece) {
        let bytes = match &mut self.gzip {
            None => piece.text.clone(),
            Some((deflater, join)) => {
                let compressed = piece.gzip(deflater);
                join.push(&compressed.crc);
                compressed.blocks.clone()
            }
        };
        self.pieces.push(bytes);
    }

    fn finish(mut self) -> Body {
        if let Some((_, join)) = &self.gzip {
            self.pieces.push(Bytes::copy_from_slice(&join.trailer()));
        }
        let size = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        Body { pieces: self.pieces, size }
    }
}
