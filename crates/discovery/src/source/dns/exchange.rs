//! One question to one server, over UDP or TCP, and its answer.
//!
//! Every question has its own port and ID. Messages that do not answer it are ignored: they may be
//! late or forged.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use domain::base::iana::{OptRcode, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use swarmscout_net::io_words;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// The largest answer over UDP that we ask for, in bytes: what no network splits (RFC 9715). More
/// comes over TCP.
const UDP_SIZE: u16 = 1232;

/// What we take over UDP, whatever was asked for.
const UDP_BUFFER: usize = 4096;

/// A message, whole.
pub(super) type Answer = Message<Vec<u8>>;

/// Why a server gave no answer that can be used.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It did not answer in time.
    Silent,
    /// It only answered other questions in time.
    Astray,
    /// It could not be reached.
    Io(io::Error),
    /// It answered with neither NOERROR nor NXDOMAIN.
    Code(OptRcode),
    /// Its answer is not a good message.
    Malformed(&'static str),
    /// Its answer over UDP was cut short, and over TCP there is none that can be used.
    Tcp(Box<Trouble>),
    /// There was no time left to ask it.
    NotAsked,
}

impl Trouble {
    /// Whether the question, or its answer, may just have been lost.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Silent | Self::Astray)
    }

    /// Whether the server could not be spoken to at all.
    pub(super) fn is_absence(&self) -> bool {
        self.is_silence() || matches!(self, Self::Io(_) | Self::NotAsked)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer in time"),
            Self::Astray => f.write_str("no answer in time but to other questions"),
            Self::Io(error) => f.write_str(&io_words(error)),
            Self::Code(code) => write!(f, "{code}"),
            Self::Malformed(reason) => write!(f, "cannot understand the answer: {reason}"),
            Self::Tcp(trouble) => {
                write!(f, "the answer is too long for UDP, and over TCP: {trouble}")
            }
            Self::NotAsked => f.write_str("not asked: the time for this refresh was over"),
        }
    }
}

/// A question for the records of a name. With `edns` it says how large an answer may be.
pub(super) fn question(name: &Name<Vec<u8>>, kind: Rtype, edns: bool) -> Message<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec();
    // Every `RandomState` has other keys, so an attacker cannot predict the next ID.
    let [a, b, ..] = RandomState::new().hash_one(()).to_ne_bytes();
    builder.header_mut().set_id(u16::from_ne_bytes([a, b]));
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((name, kind)).expect("a vector has room");
    let mut builder = builder.additional();
    if edns {
        builder
            .opt(|opt| {
                opt.set_udp_payload_size(UDP_SIZE);
                Ok(())
            })
            .expect("a vector has room");
    }
    builder.into_message()
}

/// Asks over UDP.
pub(super) async fn over_udp(
    server: SocketAddr,
    question: &Message<Vec<u8>>,
    wait: Duration,
) -> Result<Answer, Trouble> {
    let mut astray = false;
    let exchange = async {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        // A connected socket receives only what this server sends.
        socket.connect(server).await?;
        socket.send(question.as_slice()).await?;
        let mut buffer = vec![0; UDP_BUFFER];
        loop {
            let length = socket.recv(&mut buffer).await?;
            match Message::from_octets(buffer[..length].to_vec()) {
                Ok(answer) if answers(&answer, question) => return Ok(answer),
                _ => astray = true,
            }
        }
    };
    match timeout(wait, exchange).await {
        Ok(outcome) => outcome.map_err(Trouble::Io),
        Err(_) if astray => Err(Trouble::Astray),
        Err(_) => Err(Trouble::Silent),
    }
}

/// Asks over TCP.
pub(super) async fn over_tcp(
    server: SocketAddr,
    question: &Message<Vec<u8>>,
    wait: Duration,
) -> Result<Answer, Trouble> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        // A name has at most 255 bytes, so a question fits into a length of two bytes.
        let length = u16::try_from(question.as_slice().len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes(), question.as_slice()].concat()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; length.into()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    let answer = match timeout(wait, exchange).await {
        Ok(outcome) => outcome.map_err(Trouble::Io)?,
        Err(_) => return Err(Trouble::Silent),
    };
    let answer = Message::from_octets(answer)
        .map_err(|_| Trouble::Malformed("it is shorter than a header"))?;
    if !answers(&answer, question) {
        return Err(Trouble::Malformed("it answers another question"));
    }
    if answer.header().tc() {
        return Err(Trouble::Malformed("it is cut short"));
    }
    Ok(answer)
}

/// Whether this is an answer to that question. Some servers refuse without repeating it.
fn answers(answer: &Message<Vec<u8>>, question: &Message<Vec<u8>>) -> bool {
    let (header, counts) = (answer.header(), answer.header_counts());
    let refused = !matches!(header.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN);
    let bare = counts.qdcount() == 0 && header.qr() && header.id() == question.header().id();
    answer.is_answer(question) || refused && bare
}
