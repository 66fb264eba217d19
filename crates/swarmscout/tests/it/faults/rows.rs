//! The faults of the table.

use std::time::Duration;

use swarmscout_sim_stores::dns::{Data, code, kind};
use swarmscout_sim_stores::{dns, zookeeper};
use swarmscout_simulator::Fault;
use swarmscout_simulator::engine::{LOCKED, NO_LEADER};

use super::edits::Edit;
use super::lists;
use super::origin::service;
use super::sources::Source;

/// A fault, as one source meets it.
#[derive(Clone, Debug)]
pub(crate) enum Spoil {
    /// The port is closed.
    Refuse,
    /// For every request.
    All(Fault),
    /// For requests of paths that end so; for a file, its content.
    Path(&'static str, Fault),
    /// For every request to a server of ZooKeeper.
    ZooKeeper(zookeeper::Fault),
    /// For the content of one of its nodes.
    ZNode(&'static [u8]),
    /// For every query of a name.
    Dns(dns::Fault),
    /// The records of a name.
    Records(Vec<Data>),
}

impl Spoil {
    /// Whether nothing but a deadline ends the refresh.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Refuse | Self::ZNode(_) | Self::Records(_) => false,
            Self::All(fault) | Self::Path(_, fault) => {
                use Fault::{Drip, HangBeforeHeader, HangInBody, HangInHeader};
                matches!(fault, HangBeforeHeader | HangInHeader | HangInBody | Drip { .. })
            }
            Self::ZooKeeper(fault) => {
                use zookeeper::Fault::{Drip, Mute, Stall};
                matches!(fault, Mute | Stall | Drip(_))
            }
            Self::Dns(fault) => {
                use dns::Fault::{Raw, Silence, TcpSilence, WrongQuestion};
                matches!(fault, Silence | TcpSilence | WrongQuestion | Raw { .. })
            }
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Refuse,
    /// Of everything that a server is asked for; no file has it.
    Server(fn() -> Fault),
    /// Of the list that says what there is.
    List(fn() -> Fault),
    /// Of one object in it.
    Object(Edit),
    /// Of what only ZooKeeper, or only the DNS, or both of them have.
    Own(Option<fn() -> zookeeper::Fault>, Option<fn() -> dns::Fault>),
}

/// White space that comes as fast as it is taken.
const GIGABYTE: u64 = 1 << 30;

impl Row {
    pub(crate) const ALL: &'static [Self] = &[
        Self::new("the port is closed", Kind::Refuse),
        Self::new("no answer", Kind::Server(|| Fault::HangBeforeHeader)),
        Self::new("silence within the header", Kind::Server(|| Fault::HangInHeader)),
        Self::new("silence within the body", Kind::Server(|| Fault::HangInBody)),
        Self::new("a byte every 100 ms", Kind::Server(slow)),
        Self::new("connection reset", Kind::Server(|| Fault::Reset)),
        Self::new("connection closed without an answer", Kind::Server(|| Fault::Close)),
        Self::new("connection closed within the body", Kind::Server(|| Fault::Truncate)),
        Self::new("more bytes announced than come", Kind::List(|| Fault::WrongLength(7))),
        Self::new("fewer bytes announced than come", Kind::List(|| Fault::WrongLength(-7))),
        Self::new("500: no leader", Kind::Server(|| Fault::Status(500, NO_LEADER.to_owned()))),
        Self::new("503: locked", Kind::Server(|| Fault::Status(503, LOCKED.to_owned()))),
        Self::new("another protocol", Kind::Server(|| Fault::Raw(BANNER.into()))),
        Self::new("HTML", Kind::List(|| Fault::Body("<!DOCTYPE html><html></html>".into()))),
        Self::new("JSON that ends early", Kind::List(|| Fault::CutJson)),
        Self::new("a gzip bomb", Kind::List(|| Fault::GzipBomb)),
        Self::new("a gigabyte, announced", Kind::List(|| Fault::Huge(GIGABYTE))),
        Self::new("a gigabyte, not announced", Kind::List(blanks)),
        Self::new("an array without end", Kind::List(|| Fault::endless_array("{}"))),
        Self::new("100,000 levels", Kind::List(|| Fault::nested(100_000))),
        Self::new("a text that is not UTF-8", Kind::Object(Edit::NotUtf8)),
        Self::new("NaN", Kind::Object(Edit::NotANumber)),
        Self::new("a number too large", Kind::Object(Edit::HugeNumber)),
        Self::new("a member is missing", Kind::Object(Edit::Missing)),
        Self::new("a member is null", Kind::Object(Edit::Null)),
        Self::new("a member of another type", Kind::Object(Edit::OtherType)),
        Self::new("an unknown word", Kind::Object(Edit::UnknownWord)),
        Self::new("an ID twice", Kind::Object(Edit::IdTwice)),
        Self::new("an address twice", Kind::Object(Edit::AddressTwice)),
        Self::new("the address 0.0.0.0", Kind::Object(Edit::Unspecified)),
        Self::new("no quorum", Kind::Own(Some(|| zookeeper::Fault::NoQuorum), None)),
        Self::new(
            "an error instead of an answer",
            Kind::Own(
                Some(|| zookeeper::Fault::Code(NO_AUTH)),
                Some(|| dns::Fault::Code(code::SERVFAIL)),
            ),
        ),
        Self::new(
            "the answer to another question",
            Kind::Own(Some(|| zookeeper::Fault::OtherQuestion), Some(|| dns::Fault::WrongQuestion)),
        ),
        Self::new("truncated, also over TCP", Kind::Own(None, Some(|| dns::Fault::Truncated))),
        Self::new("a name that points to itself", Kind::Own(None, Some(|| dns::Fault::Loop))),
        Self::new(
            "the name does not exist",
            Kind::Own(None, Some(|| dns::Fault::Code(code::NXDOMAIN))),
        ),
    ];

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    /// Whether nothing but a deadline ends the refresh of `source`.
    pub(crate) fn is_silent(self, source: Source) -> bool {
        self.spoil(source).is_some_and(|spoil| spoil.is_silent())
    }

    /// The fault as `source` meets it; `None` where it has no such fault.
    pub(crate) fn spoil(self, source: Source) -> Option<Spoil> {
        let list = source.list();
        match source {
            Source::ZooKeeper => return self.of_zookeeper(),
            Source::Dns => return self.of_dns(),
            _ => {}
        }
        Some(match self.kind {
            Kind::Refuse if source.is_http() => Spoil::Refuse,
            // Only this list has the fault.
            Kind::Server(fault) if source == Source::OtherLists => Spoil::Path(list, fault()),
            Kind::Server(fault) if source.is_http() => Spoil::All(fault()),
            Kind::Refuse | Kind::Server(_) | Kind::Own(..) => return None,
            Kind::List(fault) => match fault() {
                // A file is as long as it is, and what it holds is not unpacked.
                Fault::WrongLength(_) | Fault::GzipBomb | Fault::Endless { .. }
                    if !source.is_http() =>
                {
                    return None;
                }
                // Half of it is a shorter list, or a bad address.
                Fault::CutJson if source == Source::ListFile => return None,
                fault => Spoil::Path(list, fault),
            },
            Kind::Object(edit) => {
                let (path, body) = source.edit(edit)?;
                Spoil::Path(path, Fault::Body(body.into()))
            }
        })
    }

    fn of_zookeeper(self) -> Option<Spoil> {
        use zookeeper::Fault::{Close, Cut, Drip, Length, Mute, Raw, Stall};
        Some(Spoil::ZooKeeper(match self.kind {
            Kind::Refuse => return Some(Spoil::Refuse),
            Kind::Object(edit) => return lists::edit_zookeeper(edit).map(Spoil::ZNode),
            Kind::Server(fault) => match fault() {
                Fault::HangBeforeHeader => Mute,
                Fault::HangInBody => Stall,
                Fault::Drip { pause, .. } => Drip(pause),
                Fault::Close => Close,
                Fault::Truncate => Cut,
                Fault::Raw(bytes) => Raw(bytes),
                _ => return None,
            },
            Kind::List(fault) => match fault() {
                Fault::Huge(length) => Length(i32::try_from(length).unwrap()),
                _ => return None,
            },
            Kind::Own(fault, _) => fault?(),
        }))
    }

    fn of_dns(self) -> Option<Spoil> {
        use dns::Fault::{Raw, Silence, TcpCloses, TcpCutShort, TcpSilence};
        Some(Spoil::Dns(match self.kind {
            Kind::Server(fault) => match fault() {
                Fault::HangBeforeHeader => Silence,
                Fault::HangInBody => TcpSilence,
                Fault::Close => TcpCloses,
                Fault::Truncate => TcpCutShort,
                Fault::Raw(bytes) => Raw { udp: bytes.to_vec(), tcp: bytes.to_vec() },
                _ => return None,
            },
            Kind::Object(edit) => {
                return Some(Spoil::Records(match edit {
                    Edit::Missing => vec![],
                    Edit::OtherType => vec![service(1), Data::Other(kind::SRV, vec![1, 2, 3])],
                    Edit::AddressTwice => vec![service(1), service(1)],
                    _ => return None,
                }));
            }
            Kind::Own(_, fault) => fault?(),
            // A closed port is every name's: see the tests of the source.
            Kind::Refuse | Kind::List(_) => return None,
        }))
    }
}

/// The answer of a server of another kind.
const BANNER: &str = "SSH-2.0-OpenSSH_9.2\r\n";

/// ZooKeeper's number for an ACL that lets only others read.
const NO_AUTH: i32 = -102;

/// The shortest answer takes longer than the deadline of silent rows, however fast the machine is.
fn slow() -> Fault {
    Fault::Drip { piece: 1, pause: Duration::from_millis(100) }
}

fn blanks() -> Fault {
    Fault::Endless { start: "[".into(), repeat: vec![b' '; 64 << 10].into() }
}
