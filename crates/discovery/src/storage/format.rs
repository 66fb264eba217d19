//! The format of the files that groups are stored in.
//!
//! ```text
//!  header    magic, version, key of the source, when it was last confirmed, counts
//!  body      the groups, deflated
//!  checksum  xxh3 of all before it
//! ```
//!
//! Numbers of the header are little-endian. In the body each is LEB128; a text is its length and
//! its bytes; a label set is a count and that many names and values; a group is its source key, its
//! labels, a count and that many sets.
//!
//! A file may hold anything, since another program may have written it. So the number and size of
//! objects are bounded while they are read, whatever the header says. Nothing is used before the
//! whole file was read and its checksum verified.

use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use swarmscout_model::{Labels, LabelsWriter, TargetGroup};
use xxhash_rust::xxh3::Xxh3;

use super::Key;
use crate::Groups;
use crate::limits::{Excess, Meter};

const MAGIC: [u8; 8] = *b"swsgroup";

/// Changes with every change of the format.
const VERSION: u32 = 1;

const HEADER: usize = 48;

const CHECKSUM: usize = 8;

/// The largest file that is read.
pub(super) const MOST_BYTES: u64 = 256 << 20;

/// The most groups, and the most targets, of a source.
const MOST_TARGETS: u32 = 2_000_000;

/// The longest name, value or source key.
const LONGEST_TEXT: u64 = 1 << 20;

/// The most bytes of one label set.
const LARGEST_SET: usize = 16 << 20;

/// The most bytes of all texts together.
const MOST_TEXT: usize = 1 << 30;

/// A little less compression, in a third of the time of the default level.
const LEVEL: Compression = Compression::new(2);

/// The groups of a source, and when they were last confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The key of the source.
    pub key: Key,
    /// When the source last confirmed the groups, by the system clock, in whole milliseconds.
    pub as_of: SystemTime,
    /// Its groups.
    pub groups: Groups,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It was not written by this program.
    #[error("not a file of Swarmscout's storage")]
    Foreign,
    /// Written by a newer or a much older program.
    #[error("format {0} is not known to this version, which reads {VERSION}")]
    Version(u32),
    /// It was renamed, or copied from another storage.
    #[error("it is of another source than its name says")]
    OtherSource,
    /// It was cut or changed.
    #[error("damaged")]
    Damaged,
    /// More than a source may have.
    #[error("too large")]
    TooLarge,
    /// More than a source may take in memory.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a file. `groups` are of one source.
pub(super) fn write(
    out: impl Write,
    key: Key,
    as_of: SystemTime,
    groups: &[Arc<TargetGroup>],
) -> io::Result<()> {
    let count = |n: usize| u32::try_from(n).map_err(|_| io::Error::other("too many targets"));
    let targets = count(groups.iter().map(|group| group.targets.len()).sum())?;
    let mut out = Hashing::new(BufWriter::new(out));
    out.write_all(&header(key, as_of, count(groups.len())?, targets))?;
    let mut body = BufWriter::new(DeflateEncoder::new(out, LEVEL));
    for group in groups {
        write_text(&mut body, &group.source)?;
        write_labels(&mut body, &group.labels)?;
        write_number(&mut body, group.targets.len())?;
        group.targets.iter().try_for_each(|target| write_labels(&mut body, target))?;
    }
    let encoder = body.into_inner().map_err(io::IntoInnerError::into_error)?;
    let Hashing { mut inner, hash } = encoder.finish()?;
    inner.write_all(&hash.digest().to_le_bytes())?;
    inner.flush()
}

pub(super) fn header(key: Key, as_of: SystemTime, groups: u32, targets: u32) -> [u8; HEADER] {
    let since = as_of.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let mut header = [0; HEADER];
    let mut rest = &mut header[..];
    for field in [
        &MAGIC[..],
        &VERSION.to_le_bytes(),
        &key.0,
        &millis.to_le_bytes(),
        &groups.to_le_bytes(),
        &targets.to_le_bytes(),
    ] {
        let (place, left) = rest.split_at_mut(field.len());
        place.copy_from_slice(field);
        rest = left;
    }
    header
}

fn write_number(out: &mut impl Write, number: usize) -> io::Result<()> {
    let mut left = number;
    loop {
        let digit = left.to_le_bytes()[0] & 0x7f;
        left >>= 7;
        if left == 0 {
            return out.write_all(&[digit]);
        }
        out.write_all(&[digit | 0x80])?;
    }
}

fn write_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    write_number(out, text.len())?;
    out.write_all(text.as_bytes())
}

fn write_labels(out: &mut impl Write, labels: &Labels) -> io::Result<()> {
    write_number(out, labels.len())?;
    labels.iter().try_for_each(|(name, value)| {
        write_text(out, name)?;
        write_text(out, value)
    })
}

/// Reads a file of `length` bytes. `meter` counts the memory of its groups.
pub(crate) fn read(file: impl Read, length: u64, meter: &mut Meter) -> Result<Stored, Unreadable> {
    let Some(body) = length.checked_sub((HEADER + CHECKSUM) as u64) else {
        return Err(Unreadable::Foreign);
    };
    if length > MOST_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let mut file = Hashing::new(file);
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(cut)?;
    let mut rest = &header[..];
    if take(&mut rest) != MAGIC {
        return Err(Unreadable::Foreign);
    }
    let version = u32::from_le_bytes(take(&mut rest));
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let key = Key(take(&mut rest));
    let as_of = Duration::from_millis(u64::from_le_bytes(take(&mut rest)));
    let as_of = SystemTime::UNIX_EPOCH.checked_add(as_of).ok_or(Unreadable::Damaged)?;
    let groups = u32::from_le_bytes(take(&mut rest));
    let targets = u32::from_le_bytes(take(&mut rest));
    if groups > MOST_TARGETS || targets > MOST_TARGETS {
        return Err(Unreadable::TooLarge);
    }

    let body = DeflateDecoder::new((&mut file).take(body));
    let mut body = Body::new(BufReader::new(body), targets, meter);
    let groups = (0..groups).map(|_| body.group()).collect::<Result<Groups, _>>()?;
    let mut rest = body.finish()?;
    // Bytes after the end of the deflated body are part of the checksum.
    io::copy(&mut rest, &mut io::sink()).map_err(cut)?;
    let Hashing { inner: mut file, hash } = file;
    let mut checksum = [0; CHECKSUM];
    file.read_exact(&mut checksum).map_err(cut)?;
    if hash.digest().to_le_bytes() != checksum {
        return Err(Unreadable::Damaged);
    }
    Ok(Stored { key, as_of, groups })
}

/// The first bytes of a header.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, left) = rest.split_first_chunk().expect("the header has all its fields");
    *rest = left;
    *taken
}

/// A premature end and bad deflate data mean damage; other errors come from the file system.
fn cut(error: io::Error) -> Unreadable {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            Unreadable::Damaged
        }
        _ => Unreadable::Io(error),
    }
}

/// The groups, as they come out of the decoder.
struct Body<'a, R> {
    inflated: R,
    meter: &'a mut Meter,
    /// How many more targets may follow.
    targets: u32,
    text: usize,
    name: Vec<u8>,
    value: Vec<u8>,
    writer: LabelsWriter,
}

impl<'a, R: Read> Body<'a, BufReader<DeflateDecoder<R>>> {
    fn new(inflated: BufReader<DeflateDecoder<R>>, targets: u32, meter: &'a mut Meter) -> Self {
        let (name, value, writer) = (Vec::new(), Vec::new(), LabelsWriter::new());
        Self { inflated, meter, targets, text: 0, name, value, writer }
    }

    /// Returns the rest of the file. An error if another group follows.
    fn finish(mut self) -> Result<R, Unreadable> {
        let is_end = self.inflated.read(&mut [0]).map_err(cut)? == 0;
        if !is_end || self.targets > 0 {
            return Err(Unreadable::Damaged);
        }
        Ok(self.inflated.into_inner().into_inner())
    }
}

impl<R: Read> Body<'_, R> {
    fn group(&mut self) -> Result<Arc<TargetGroup>, Unreadable> {
        self.text(|body| &mut body.name)?;
        let source: Arc<str> = Arc::from(utf8(&self.name)?);
        let of = || format!("group {source:.64}");
        let labels = self.labels()?;
        let count = u32::try_from(self.number()?).map_err(|_| Unreadable::Damaged)?;
        self.targets = self.targets.checked_sub(count).ok_or(Unreadable::Damaged)?;
        let mut targets = Vec::new();
        for _ in 0..count {
            let target = self.labels()?;
            self.meter.target(&target, of)?;
            targets.push(target);
        }
        self.meter.group(source.len(), targets.len(), &labels, of)?;
        Ok(Arc::new(TargetGroup { source, targets, labels }))
    }

    fn labels(&mut self) -> Result<Labels, Unreadable> {
        let count = self.number()?;
        let before = self.text;
        for _ in 0..count {
            self.text(|body| &mut body.name)?;
            self.text(|body| &mut body.value)?;
            if self.text - before > LARGEST_SET {
                return Err(Unreadable::TooLarge);
            }
            self.writer.push(utf8(&self.name)?, utf8(&self.value)?);
        }
        Ok(self.writer.build())
    }

    fn text(&mut self, buffer: fn(&mut Self) -> &mut Vec<u8>) -> Result<(), Unreadable> {
        let length = self.number()?;
        if length > LONGEST_TEXT {
            return Err(Unreadable::TooLarge);
        }
        let length = usize::try_from(length).map_err(|_| Unreadable::TooLarge)?;
        // Counts empty texts, too, since each takes memory.
        self.text += length + 1;
        if self.text > MOST_TEXT {
            return Err(Unreadable::TooLarge);
        }
        let mut text = std::mem::take(buffer(self));
        text.resize(length, 0);
        self.inflated.read_exact(&mut text).map_err(cut)?;
        *buffer(self) = text;
        Ok(())
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let mut digit = [0];
            self.inflated.read_exact(&mut digit).map_err(cut)?;
            number |= u64::from(digit[0] & 0x7f) << shift;
            if digit[0] & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable::Damaged)
    }
}

fn utf8(text: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(text).map_err(|_| Unreadable::Damaged)
}

/// Hashes all that goes through it.
struct Hashing<T> {
    inner: T,
    hash: Xxh3,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Xxh3::new() }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hash.update(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
