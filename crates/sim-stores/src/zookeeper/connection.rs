//! Serves the connections of one member.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use swarmscout_simulator::http::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::tree::{Watch, event, length};
use super::{Asked, Fault, Shared, lock};

/// The largest request that is read, as `jute.maxbuffer` has it.
const MAX_REQUEST: usize = 0xf_ffff;

/// Frames that wait to be written. Who leaves more of them unread loses the others.
const QUEUE: usize = 1 << 16;

/// In a queue of frames: the connection ends here.
pub(super) const END: Vec<u8> = Vec::new();

/// A server's numbers for failures.
const UNIMPLEMENTED: i32 = -6;
const NO_AUTH: i32 = -102;

/// Accepts connections and serves them, until it is dropped.
pub(super) async fn accept(shared: Arc<Shared>, member: usize) {
    let mut connections = JoinSet::new();
    let listener = &shared.members[member].listener;
    loop {
        tokio::select! {
            stream = listener.accept() => if let Ok(Stream::Tcp(stream)) = stream {
                let _ = stream.set_nodelay(true);
                let (shared, mut closed) = (Arc::clone(&shared), listener.closed());
                connections.spawn(async move {
                    tokio::select! {
                        // An error is the client's, or a fault's.
                        _ = serve(&shared, member, stream) => {}
                        _ = closed.changed() => {}
                    }
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection. Answers and events go through one queue, in the order in which they were
/// made under the tree's lock: an event is always sent before an answer that knows of its change.
async fn serve(shared: &Shared, member: usize, stream: TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let (queue, frames) = channel(QUEUE);
    let mut connection = Connection { shared, member, queue, session: 0, allowed: false };
    let read = async {
        loop {
            let request = read_frame(&mut reader).await?;
            if connection.handle(&request).await.is_none() {
                connection.send(END);
                // What is in the queue is still written.
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        outcome = read => outcome,
        outcome = write(frames, &mut writer) => outcome,
    }
}

async fn write(mut frames: Receiver<Vec<u8>>, writer: &mut OwnedWriteHalf) -> io::Result<()> {
    while let Some(frame) = frames.recv().await
        && frame != END
    {
        writer.write_all(&frame).await?;
    }
    writer.shutdown().await
}

async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = usize::try_from(reader.read_i32().await?).unwrap_or(usize::MAX);
    if length > MAX_REQUEST {
        return Err(io::Error::other("a request that no server would read"));
    }
    let mut request = vec![0; length];
    reader.read_exact(&mut request).await?;
    Ok(request)
}

struct Connection<'a> {
    shared: &'a Shared,
    member: usize,
    /// What is to be written. The session has it too, for events.
    queue: Sender<Vec<u8>>,
    /// 0 before the session begins.
    session: i64,
    /// Has said the user and password that the tree is protected by.
    allowed: bool,
}

impl Connection<'_> {
    /// `None` ends the connection.
    async fn handle(&mut self, request: &[u8]) -> Option<()> {
        let fault = lock(&self.shared.members[self.member].fault).clone();
        let mut fields = Fields(request);
        match fault {
            Some(Fault::Mute) => std::future::pending().await,
            Some(Fault::NoQuorum) => return None,
            Some(Fault::Raw(bytes)) => {
                self.send(bytes.to_vec());
                return Some(());
            }
            _ => {}
        }
        if self.session == 0 {
            return self.begin(&mut fields);
        }
        let (xid, op) = (fields.int()?, fields.int()?);
        let (what, watch) = match op {
            -11 => {
                let mut tree = lock(&self.shared.tree);
                // The end of the session, which ends the queue, is a transaction too.
                self.send(frame(xid, tree.zxid() + 1, 0, &[]));
                tree.end_session(self.session);
                self.shared.count("close");
                return None;
            }
            11 => {
                if fault == Some(Fault::Hang) {
                    return Some(());
                }
                self.send(frame(xid, lock(&self.shared.tree).zxid(), 0, &[]));
                self.shared.count("ping");
                return Some(());
            }
            100 => {
                let (_, _, said) = (fields.int()?, fields.string()?, fields.string()?);
                self.allowed |= lock(&self.shared.log).credentials == Some(said);
                // Whatever was said: it shows only where something is read.
                self.send(frame(xid, 0, 0, &[]));
                return Some(());
            }
            3 => ("exists", Watch::Data),
            4 => ("data", Watch::Data),
            12 => ("children", Watch::Children),
            _ => {
                self.send(frame(xid, lock(&self.shared.tree).zxid(), UNIMPLEMENTED, &[]));
                return Some(());
            }
        };
        let (path, watched) = (fields.string()?, fields.0.first() == Some(&1));
        self.shared.count(what);
        let protected = {
            let mut log = lock(&self.shared.log);
            log.asked.push(Asked { member: self.member, what, path: path.clone() });
            log.credentials.is_some() && !self.allowed && what != "exists"
        };
        let answer = {
            let mut tree = lock(&self.shared.tree);
            let body = match what {
                _ if protected => Err(NO_AUTH),
                "exists" => tree.exists(&path),
                "data" => tree.data(&path),
                _ => tree.names(&path),
            };
            // Only `exists` leaves a watch on what is not there.
            if watched && (body.is_ok() || what == "exists") {
                tree.watch(&path, watch, self.session);
            }
            let (code, body) = match &body {
                Ok(body) => (0, &body[..]),
                Err(code) => (*code, &[][..]),
            };
            let answer = frame(xid, tree.zxid(), code, body);
            if fault.is_none() {
                self.send(answer);
                return Some(());
            }
            answer
        };
        self.spoil(fault?, xid, answer).await
    }

    fn begin(&mut self, fields: &mut Fields<'_>) -> Option<()> {
        let (_, seen) = (fields.int()?, fields.long()?);
        let mut tree = lock(&self.shared.tree);
        if seen > tree.zxid() {
            // A client must not see older things than it saw before.
            return None;
        }
        self.session = tree.begin_session(self.queue.clone());
        let timeout = lock(&self.shared.log).session_timeout.as_millis();
        let mut body = Vec::new();
        body.extend(0_i32.to_be_bytes());
        body.extend(i32::try_from(timeout).unwrap_or(i32::MAX).to_be_bytes());
        body.extend(self.session.to_be_bytes());
        body.extend(length(16));
        body.extend([7; 16]);
        body.push(0);
        self.send([&length(body.len())[..], &body].concat());
        Some(())
    }

    /// Answers as the fault wants it.
    async fn spoil(&mut self, fault: Fault, xid: i32, mut answer: Vec<u8>) -> Option<()> {
        let zxid = lock(&self.shared.tree).zxid();
        match fault {
            Fault::Mute | Fault::NoQuorum | Fault::Raw(_) | Fault::Hang => {}
            Fault::Close => return None,
            Fault::Cut => {
                answer.truncate(answer.len() / 2);
                self.send(answer);
                return None;
            }
            Fault::Stall => {
                answer.truncate(answer.len() / 2);
                self.send(answer);
                std::future::pending::<()>().await;
            }
            Fault::Length(length) => {
                answer[..4].copy_from_slice(&length.to_be_bytes());
                self.send(answer);
            }
            Fault::OtherQuestion => {
                answer[4..8].copy_from_slice(&xid.wrapping_add(7).to_be_bytes());
                self.send(answer);
            }
            Fault::Code(code) => self.send(frame(xid, zxid, code, &[])),
            Fault::Body(body) => self.send(frame(xid, zxid, 0, &body)),
            Fault::Events => loop {
                let events = event(4, "/somewhere").repeat(1000);
                self.send(events);
                sleep(Duration::from_millis(1)).await;
            },
            Fault::Drip(pause) => {
                for byte in answer {
                    self.send(vec![byte]);
                    sleep(pause).await;
                }
            }
        }
        Some(())
    }

    fn send(&self, frame: Vec<u8>) {
        // The writer ends with the connection, and so do we.
        let _ = self.queue.try_send(frame);
    }
}

/// The session ends with its connection: none is resumed here.
impl Drop for Connection<'_> {
    fn drop(&mut self) {
        lock(&self.shared.tree).end_session(self.session);
    }
}

/// A frame of a session, its length included.
pub(super) fn frame(xid: i32, zxid: i64, code: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = length(16 + body.len()).to_vec();
    frame.extend(xid.to_be_bytes());
    frame.extend(zxid.to_be_bytes());
    frame.extend(code.to_be_bytes());
    frame.extend(body);
    frame
}

/// Reads the fields of a request.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn int(&mut self) -> Option<i32> {
        let (int, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*int))
    }

    fn long(&mut self) -> Option<i64> {
        let (long, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_be_bytes(*long))
    }

    fn string(&mut self) -> Option<String> {
        let length = usize::try_from(self.int()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(string.to_owned()).ok()
    }
}
