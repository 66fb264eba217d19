//! ZooKeeper's wire format ("jute"), the part that reads a tree.
//!
//! Every message is a frame: a length of four bytes, then that many bytes. Integers are big-endian.
//! A string or a buffer is its length and its bytes; length -1 means null. The formats are those of
//! ZooKeeper's `zookeeper.jute`. All values of an answer are validated, its lengths first. This
//! module uses no socket and no clock.

use std::time::Duration;

/// Bytes of a frame's length.
pub(super) const PREFIX: usize = 4;

/// The largest answer that is read, in bytes. ZooKeeper's own clients stop at 4 MiB by default
/// (`jute.maxbuffer`).
pub(super) const MAX_ANSWER: usize = 16 << 20;

/// `xid` of an event: a watched node changed.
pub(super) const EVENT: i32 = -1;
/// `xid` of a ping and of its answer.
pub(super) const PONG: i32 = -2;
/// `xid` of the authentication, and of its answer.
pub(super) const WELCOME: i32 = -4;

/// Bytes of a `Stat`, which follows data and children.
const STAT: usize = 68;

/// The operations that we use. None of them writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Whether a node exists. Its watch is set even if it does not.
    Exists,
    /// The data of a node.
    Data,
    /// The names below a node.
    Children,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) op: Op,
    pub(super) path: &'a str,
    /// Requests one event for the next change.
    pub(super) watch: bool,
}

impl Ask<'_> {
    /// Appends the frame that asks.
    pub(super) fn write(self, xid: i32, out: &mut Vec<u8>) {
        let op = match self.op {
            Op::Exists => 3,
            Op::Data => 4,
            Op::Children => 12,
        };
        frame(out, |out| {
            int(out, xid);
            int(out, op);
            buffer(out, self.path.as_bytes());
            out.push(self.watch.into());
        });
    }
}

/// The frame that opens a session. `seen` is the last transaction seen in an earlier session: a
/// server that is behind it refuses.
pub(super) fn connect(timeout: Duration, seen: i64) -> Vec<u8> {
    let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut out = Vec::new();
    frame(&mut out, |out| {
        int(out, 0); // Version of the protocol.
        long(out, seen);
        int(out, timeout);
        long(out, 0); // A new session …
        buffer(out, &[0; 16]); // … which has no password yet.
        out.push(0); // A server that is cut off from the others may not answer.
    });
    out
}

/// The frame that authenticates.
pub(super) fn authenticate(user: &str, password: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, |out| {
        int(out, WELCOME);
        int(out, 100);
        int(out, 0); // Nothing but 0 was ever used.
        buffer(out, b"digest");
        buffer(out, format!("{user}:{password}").as_bytes());
    });
    out
}

/// The frame that keeps a session alive.
pub(super) fn ping() -> Vec<u8> {
    bare(PONG, 11)
}

/// The frame that ends a session.
pub(super) fn close() -> Vec<u8> {
    bare(0, -11)
}

/// A frame that is a header alone.
fn bare(xid: i32, op: i32) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, |out| {
        int(out, xid);
        int(out, op);
    });
    out
}

/// Appends a frame with what `write` appends, which is far from 2 GiB: paths come from the
/// configuration or from answers.
fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; PREFIX]);
    write(out);
    let length = out.len() - start - PREFIX;
    out[start..start + PREFIX].copy_from_slice(&length_of(length).to_be_bytes());
}

fn int(out: &mut Vec<u8>, value: i32) {
    out.extend(value.to_be_bytes());
}

fn long(out: &mut Vec<u8>, value: i64) {
    out.extend(value.to_be_bytes());
}

fn buffer(out: &mut Vec<u8>, value: &[u8]) {
    int(out, length_of(value.len()));
    out.extend(value);
}

fn length_of(length: usize) -> i32 {
    i32::try_from(length).expect("what we ask for is shorter than 2 GiB")
}

/// The length of a frame, from its first bytes.
pub(super) fn length(prefix: [u8; PREFIX]) -> Result<usize, String> {
    let length = i32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(length) if length <= MAX_ANSWER => Ok(length),
        // A web server, or one that wants TLS, makes a huge number of its first bytes.
        _ => Err(format!(
            "an answer of {length} bytes is announced, {MAX_ANSWER} at most are read: \
             is this ZooKeeper's client port?"
        )),
    }
}

/// Reads the answer to [`connect`]: how long the server keeps the session without hearing of us.
pub(super) fn connected(frame: &[u8]) -> Result<Duration, String> {
    let mut reader = Reader(frame);
    reader.int()?; // Version of the protocol.
    let timeout = reader.int()?;
    let session = reader.long()?;
    // The rest is for those who come back to a session.
    match u64::try_from(timeout) {
        Ok(timeout @ 1..) if session != 0 => Ok(Duration::from_millis(timeout)),
        _ => Err("the server refuses a session".to_owned()),
    }
}

/// What a server sends during a session.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// Which question it answers, or one of [`EVENT`], [`PONG`] and [`WELCOME`].
    pub(super) xid: i32,
    /// The last transaction that the server had seen.
    pub(super) zxid: i64,
    /// The body, or the server's number for what went wrong.
    pub(super) body: Result<Reader<'a>, i32>,
}

impl<'a> Answer<'a> {
    pub(super) fn read(frame: &'a [u8]) -> Result<Self, String> {
        let mut reader = Reader(frame);
        let (xid, zxid, code) = (reader.int()?, reader.long()?, reader.int()?);
        let body = if code == 0 { Ok(reader) } else { Err(code) };
        Ok(Self { xid, zxid, body })
    }
}

/// A server's number for "there is no such node".
pub(super) const NO_NODE: i32 = -101;

/// What a server's number for a failure means, and what to do.
pub(super) fn failure(code: i32) -> String {
    let words = match code {
        NO_NODE => "no such node",
        -4 => "connection loss",
        -5 => "marshalling error: is this ZooKeeper's client port?",
        -6 => "unimplemented: ZooKeeper before 3.4 is not supported",
        -7 => "operation timeout",
        -8 => "bad arguments: is the path one that ZooKeeper allows?",
        -102 => "not permitted: an ACL lets only others read",
        -112 => "session expired",
        -115 => "authentication failed",
        -118 => "session moved",
        -124 => "the server demands authentication with SASL, which is not supported",
        -127 => "the server is overloaded and throttles requests",
        _ => return format!("error {code}"),
    };
    format!("{words} (error {code})")
}

/// Reads values one after the other.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The body of an answer to [`Op::Data`].
    pub(super) fn data(mut self) -> Result<&'a [u8], String> {
        let data = self.buffer()?;
        self.take(STAT)?;
        Ok(data)
    }

    /// The body of an answer to [`Op::Children`].
    pub(super) fn children(mut self) -> Result<Vec<&'a [u8]>, String> {
        let count = self.length()?;
        // Each has at least its length.
        if count > self.0.len() / PREFIX {
            return Err(cut_short());
        }
        let children = (0..count).map(|_| self.buffer()).collect::<Result<_, _>>()?;
        self.take(STAT)?;
        Ok(children)
    }

    fn int(&mut self) -> Result<i32, String> {
        self.array().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Result<i64, String> {
        self.array().map(i64::from_be_bytes)
    }

    /// A string or a buffer; null is an empty one.
    fn buffer(&mut self) -> Result<&'a [u8], String> {
        let length = self.length()?;
        self.take(length)
    }

    fn length(&mut self) -> Result<usize, String> {
        match self.int()? {
            -1 => Ok(0),
            length => {
                usize::try_from(length).map_err(|_| format!("a length of {length} in an answer"))
            }
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn cut_short() -> String {
    "an answer ends before its time".to_owned()
}
