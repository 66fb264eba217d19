//! What can go wrong with a server, on demand.
//!
//! Faults are switched while the server runs, for all requests or for some paths, for good or for
//! the next few requests; how often one struck is counted. A request meets a fault after it was
//! read whole and logged; what then goes over the wire is written to the socket by hand, since no
//! well-behaved HTTP server would send it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::http::Response;

/// Something that goes wrong instead of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is sent, ever; the connection stays open.
    HangBeforeHeader,
    /// Half a header, then nothing more.
    HangInHeader,
    /// The header and half of the body, then nothing more.
    HangInBody,
    /// The connection is reset without an answer.
    Reset,
    /// The connection ends in order without an answer.
    Close,
    /// The header promises the whole body, half of it comes, and the connection ends.
    Truncate,
    /// `Content-Length` says this many bytes more (or fewer) than come before the connection ends.
    WrongLength(i64),
    /// A well-formed answer whose body is the first half of the real one.
    CutJson,
    /// The real answer, this many bytes at a time with such a pause after each.
    Drip {
        /// Bytes of each piece.
        piece: usize,
        /// Pause after each piece.
        pause: Duration,
    },
    /// This status with a body in the Engine's form, `{"message":"…"}`.
    Status(u16, String),
    /// This body in place of the real one, with the real status and headers.
    Body(Bytes),
    /// Any answer in place of the real one.
    Answer(Response),
    /// These bytes in place of the whole answer, header included, and the connection ends.
    Raw(Bytes),
    /// `start`, then `repeat` without end.
    Endless {
        /// How the body begins.
        start: Bytes,
        /// What then comes again and again.
        repeat: Bytes,
    },
    /// `Content-Encoding: gzip`, whose few bytes unpack to spaces without end.
    GzipBomb,
    /// This many bytes of white space, which the header announces.
    Huge(u64),
}

impl Fault {
    /// A body of `levels` arrays in one another.
    pub fn nested(levels: usize) -> Self {
        let mut body = vec![b'['; levels];
        body.resize(2 * levels, b']');
        Self::Body(body.into())
    }

    /// An array without end of objects like this one.
    pub fn endless_array(object: &str) -> Self {
        let next = format!(",{object}");
        Self::Endless {
            start: Bytes::from(format!("[{object}")),
            // Written one by one, small ones would cost the machine more than who reads them.
            repeat: Bytes::from(next.repeat(1 + AT_A_TIME / next.len())),
        }
    }

    /// A JSON string that is not UTF-8.
    pub fn invalid_utf8() -> Self {
        Self::Body(Bytes::from_static(b"[{\"ID\":\"\xff\xfe\",\"Name\":\"\xc3\x28\"}]\n"))
    }

    /// Status 500 in the words of a manager whose Swarm lost its quorum.
    pub fn no_leader() -> Self {
        Self::Status(500, crate::engine::NO_LEADER.to_owned())
    }
}

/// The faults of a server. They hold for requests that come from now on.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    struck: watch::Sender<u64>,
    sent: AtomicU64,
}

#[derive(Debug)]
struct Rule {
    /// Only for paths that end so.
    path: Option<String>,
    /// How many requests it is still for; `None`: all.
    left: Option<u64>,
    fault: Fault,
}

impl Faults {
    /// Every request meets this fault and no other.
    pub fn set(&self, fault: Fault) {
        *self.lock() = vec![Rule { path: None, left: None, fault }];
    }

    /// Every request for a path that ends in `path` meets this fault, before all others.
    pub fn set_for(&self, path: &str, fault: Fault) {
        self.lock().insert(0, Rule { path: Some(path.to_owned()), left: None, fault });
    }

    /// The next `count` requests meet this fault, before all others.
    pub fn next(&self, count: u64, fault: Fault) {
        self.lock().insert(0, Rule { path: None, left: Some(count), fault });
    }

    /// Ends all faults. Connections that hang already hang on.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How many requests met a fault so far.
    pub fn struck(&self) -> u64 {
        *self.struck.borrow()
    }

    /// Waits until this many requests met a fault.
    pub async fn struck_times(&self, count: u64) {
        let reached = self.struck.subscribe().wait_for(|struck| *struck >= count).await.map(drop);
        debug_assert!(reached.is_ok(), "the sender is part of these faults");
    }

    /// How many bytes of answers that are written by hand went into sockets. That is what clients
    /// took, and what the kernel still holds for them.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The fault that a request for `path` meets now.
    pub(crate) fn strike(&self, path: &str) -> Option<Fault> {
        let mut rules = self.lock();
        let place = rules
            .iter()
            .position(|rule| rule.path.as_deref().is_none_or(|end| path.ends_with(end)))?;
        let rule = &mut rules[place];
        let fault = rule.fault.clone();
        if let Some(left) = &mut rule.left {
            *left -= 1;
            if *left == 0 {
                rules.remove(place);
            }
        }
        self.struck.send_modify(|struck| *struck += 1);
        Some(fault)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes over the wire in place of an answer, byte for byte.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) bytes: Vec<u8>,
    /// Comes after `bytes` again and again.
    pub(crate) repeat: Option<Bytes>,
    /// How many bytes of `repeat` come in all.
    pub(crate) most: u64,
    /// Bytes at a time, and the pause after each piece.
    pub(crate) pace: Option<(usize, Duration)>,
    pub(crate) end: End,
}

impl Script {
    /// Bytes, and how the connection then ends.
    fn new(bytes: Vec<u8>, end: End) -> Self {
        Self { bytes, repeat: None, most: u64::MAX, pace: None, end }
    }
}

/// What is written at a time of something that goes on and on, in bytes.
const AT_A_TIME: usize = 64 << 10;

/// How a connection ends after a [`Script`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Close,
    Reset,
    Hang,
}

/// What a fault makes of an answer: another answer, or something that is not one.
pub(crate) enum Spoiled {
    Answer(Response),
    Script(Script),
}

impl Fault {
    pub(crate) fn spoil(self, response: Response) -> Spoiled {
        let script = |bytes: Vec<u8>, end| Spoiled::Script(Script::new(bytes, end));
        let half = response.body.len() / 2;
        let whole = response.body.len() as u64;
        match self {
            Self::HangBeforeHeader => script(Vec::new(), End::Hang),
            Self::HangInHeader => {
                let mut bytes = head(&response, Some(whole));
                bytes.truncate(bytes.len() / 2);
                script(bytes, End::Hang)
            }
            Self::HangInBody => {
                let mut bytes = head(&response, Some(whole));
                bytes.extend(&response.body[..half]);
                script(bytes, End::Hang)
            }
            Self::Reset => script(Vec::new(), End::Reset),
            Self::Close => script(Vec::new(), End::Close),
            Self::Truncate => {
                let mut bytes = head(&response, Some(whole));
                bytes.extend(&response.body[..half]);
                script(bytes, End::Close)
            }
            Self::WrongLength(difference) => {
                let mut bytes = head(&response, Some(whole.saturating_add_signed(difference)));
                bytes.extend(&response.body);
                script(bytes, End::Close)
            }
            Self::CutJson => {
                Spoiled::Answer(Response { body: response.body.slice(..half), ..response })
            }
            Self::Drip { piece, pause } => {
                let mut bytes = head(&response, Some(whole));
                bytes.extend(&response.body);
                let pace = Some((piece.max(1), pause));
                Spoiled::Script(Script { pace, ..Script::new(bytes, End::Close) })
            }
            Self::Status(status, message) => Spoiled::Answer(Response::message(status, &message)),
            Self::Body(body) => Spoiled::Answer(Response { body, ..response }),
            Self::Answer(answer) => Spoiled::Answer(answer),
            Self::Raw(bytes) => script(bytes.to_vec(), End::Close),
            Self::Endless { start, repeat } => {
                let mut bytes = head(&response, None);
                bytes.extend(&start);
                let repeat = Some(repeat);
                Spoiled::Script(Script { repeat, ..Script::new(bytes, End::Close) })
            }
            Self::GzipBomb => {
                let bytes = head(&response.with("Content-Encoding", "gzip"), None);
                let repeat = Some(spaces_packed());
                Spoiled::Script(Script { repeat, ..Script::new(bytes, End::Close) })
            }
            Self::Huge(length) => {
                let bytes = head(&response, Some(length));
                let repeat = Some(Bytes::from(vec![b' '; AT_A_TIME]));
                Spoiled::Script(Script { repeat, most: length, ..Script::new(bytes, End::Close) })
            }
        }
    }
}

/// The header of an answer as it stands on the wire. Without a length the body ends with the
/// connection.
fn head(response: &Response, length: Option<u64>) -> Vec<u8> {
    let status = http::StatusCode::from_u16(response.status).unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_str(), reason(status));
    for (name, value) in &response.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if let Some(length) = length {
        head.extend(["Content-Length: ", &length.to_string(), "\r\n"]);
    }
    head += "Connection: close\r\n\r\n";
    head.into_bytes()
}

fn reason(status: http::StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Unknown")
}

/// A gzip member of one kilobyte that unpacks to a megabyte of spaces.
fn spaces_packed() -> Bytes {
    // Packing takes a debug build longer than a whole answer should.
    static PACKED: LazyLock<Bytes> = LazyLock::new(|| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![b' '; 1 << 20])
            .and_then(|()| encoder.finish())
            .expect("writing to memory does not fail")
            .into()
    });
    PACKED.clone()
}
