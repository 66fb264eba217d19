//! One gzip file, made of parts that were compressed separately.
//!
//! **Invariant: the file is what gzip makes of all parts together, however they were cut.** It depends on
//! no other crate.
//!
//! A gzip file is a header, a stream of deflate blocks, and a trailer with checksum and length. A
//! stream may be cut after any block that ends on a byte boundary, and blocks that refer to nothing
//! before themselves may follow any others. So each part of a large answer is compressed once, by
//! itself, and kept ([`Blocks`]). An answer consists of header, parts and trailer; its checksum is
//! combined from those of the parts ([`Join`]). Concatenated gzip files would not do: gzip reads
//! them, but curl and browsers stop after the first.

pub use flate2::Crc;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Trades size for time: targets differ little, so even the fastest level leaves a tenth.
pub const LEVEL: Compression = Compression::new(1);

/// What starts every gzip file here: no name, no date, so that equal content has equal bytes.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty block that says it is the last.
const END: [u8; 2] = [3, 0];

/// Deflate blocks that stand on their own: they end on a byte boundary, none is the last, and none
/// refers to what may stand before them.
#[derive(Debug, Default)]
pub struct Blocks {
    /// The blocks.
    pub bytes: Vec<u8>,
    /// Checksum and length of what they hold.
    pub crc: Crc,
}

/// Makes [`Blocks`]. Made to be reused: it keeps its memory.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        Self(Compress::new(LEVEL, false))
    }
}

impl Deflater {
    /// Compresses nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `content`, compressed, to `blocks`.
    ///
    /// # Panics
    ///
    /// Never: compression without a dictionary does not fail.
    pub fn push(&mut self, blocks: &mut Blocks, content: &[u8]) {
        blocks.crc.update(content);
        self.0.reset();
        loop {
            blocks.bytes.reserve(content.len() / 8 + 64);
            let consumed = usize::try_from(self.0.total_in()).expect("less than memory");
            let status = self
                .0
                .compress_vec(&content[consumed..], &mut blocks.bytes, FlushCompress::Sync)
                .expect("compression without a dictionary never fails");
            // The flush is complete once there is room left behind it.
            if status == Status::BufError || blocks.bytes.len() < blocks.bytes.capacity() {
                break;
            }
        }
    }
}

impl Blocks {
    /// Appends `content` as it is. For a few bytes.
    ///
    /// # Panics
    ///
    /// If `content` has more than 65,535 bytes.
    pub fn push_stored(&mut self, content: &[u8]) {
        let length = u16::try_from(content.len()).expect("a stored block has at most 65,535 bytes");
        self.crc.update(content);
        self.bytes.push(0);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend((!length).to_le_bytes());
        self.bytes.extend(content);
    }
}

/// Computes what goes around [`Blocks`] that are sent one after the other.
#[derive(Debug, Default)]
pub struct Join(Crc);

impl Join {
    /// What is sent first.
    pub const fn header() -> &'static [u8] {
        &HEADER
    }

    /// Takes note of blocks that are sent next, by the checksum of what they hold.
    pub fn push(&mut self, crc: &Crc) {
        self.0.combine(crc);
    }

    /// What is sent last.
    pub fn trailer(&self) -> [u8; 10] {
        let mut trailer = [0; 10];
        trailer[..2].copy_from_slice(&END);
        trailer[2..6].copy_from_slice(&self.0.sum().to_le_bytes());
        trailer[6..].copy_from_slice(&self.0.amount().to_le_bytes());
        trailer
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn parts_make_one_file() {
        let mut deflater = Deflater::new();
        let mut join = Join::default();
        let mut file = Join::header().to_vec();
        let mut expected: Vec<u8> = Vec::new();
        let noise: Vec<u8> =
            (0..20_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for content in [&b"a"[..], &b"abc".repeat(20_000), b"", &noise, b"end"] {
            let mut blocks = Blocks::default();
            blocks.push_stored(b",\n");
            deflater.push(&mut blocks, content);
            join.push(&blocks.crc);
            file.extend(&blocks.bytes);
            expected.extend(b",\n");
            expected.extend(content);
        }
        file.extend(join.trailer());
        let mut got: Vec<u8> = Vec::new();
        // This reader stops after the first file, and checks sum and length.
        let mut decoder = GzDecoder::new(&file[..]);
        decoder.read_to_end(&mut got).unwrap();
        assert!(got == expected);
        assert!(decoder.into_inner().is_empty());
    }
}
