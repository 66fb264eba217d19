//! Inflating piece by piece, so that a bomb costs the memory of one piece at most.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

/// The most bytes that one step yields.
const PIECE: usize = 64 << 10;
/// The largest window that deflate knows, as a power of two.
const WINDOW_BITS: u8 = 15;

/// A gzip stream of one or more members that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Inflater {
    stream: Decompress,
    input: Bytes,
    /// Whether the last piece was full, so that more may come without input.
    full: bool,
    /// Whether the stream may end here: before it began, and between two members.
    whole: bool,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self {
            stream: Decompress::new_gzip(WINDOW_BITS),
            input: Bytes::new(),
            full: false,
            whole: true,
        }
    }

    /// Takes the next compressed piece. The one before must be used up.
    pub(crate) fn feed(&mut self, input: Bytes) {
        debug_assert!(self.input.is_empty(), "a piece is fed after the one before is used up");
        self.input = input;
    }

    /// The next inflated bytes, or `None` when more input is needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, &'static str> {
        if self.input.is_empty() && !self.full {
            return Ok(None);
        }
        let mut output = Vec::with_capacity(PIECE);
        loop {
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress_vec(&self.input, &mut output, FlushDecompress::None)
                .map_err(|_| "broken gzip data")?;
            let consumed = usize::try_from(self.stream.total_in() - read)
                .expect("the input holds all that is consumed");
            self.input.advance(consumed);
            let ended = status == Status::StreamEnd;
            let advanced = consumed > 0 || self.stream.total_out() > written;
            if ended {
                self.stream.reset(true);
                self.whole = true;
            } else if advanced {
                self.whole = false;
            }
            let full = output.len() == output.capacity();
            self.full = full && !ended;
            if full || self.input.is_empty() {
                return Ok((!output.is_empty()).then(|| output.into()));
            }
            if !advanced && !ended {
                return Err("broken gzip data");
            }
        }
    }

    /// Whether the input ended where a gzip stream may end.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(compressed: &[u8], step: usize) -> Result<Vec<u8>, &'static str> {
        let mut inflater = Inflater::new();
        let mut text = Vec::new();
        for piece in compressed.chunks(step) {
            inflater.feed(Bytes::copy_from_slice(piece));
            while let Some(bytes) = inflater.next()? {
                assert!(bytes.len() <= PIECE);
                text.extend_from_slice(&bytes);
            }
        }
        if inflater.is_whole() { Ok(text) } else { Err("truncated") }
    }

    #[test]
    fn members_arrive_in_any_pieces() {
        let zeros = vec![0; 300_000];
        let text = [b"first".as_slice(), &zeros, b"last"].concat();
        let stream = [gzip(b"first"), gzip(&zeros), gzip(b""), gzip(b"last")].concat();
        for step in [1, 2, 7, 100, 4096, stream.len()] {
            assert_eq!(inflate(&stream, step).unwrap(), text, "{step}");
        }
        assert_eq!(inflate(b"", 1), Ok(Vec::new()));
    }

    #[test]
    fn broken_streams_are_reported() {
        let stream = gzip(b"some text that is long enough to be cut");
        for end in 1..stream.len() {
            assert!(inflate(&stream[..end], 5).is_err(), "cut at {end}");
        }
        let mut wrong_sum = stream.clone();
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        assert!(inflate(&wrong_sum, 100).is_err());
        assert!(inflate(&[&stream[..], b"garbage"].concat(), 100).is_err());
        assert!(inflate(b"not gzip at all", 100).is_err());
    }
}
