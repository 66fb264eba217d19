//! What goes wrong.

use std::time::Duration;

use swarmscout_simulator::Fault;
use swarmscout_simulator::engine::{LOCKED, NO_LEADER};

use crate::edits::Edit;
use crate::sources::Source;

/// How it goes wrong for one source.
#[derive(Clone, Debug)]
pub(crate) enum Spoil {
    /// The port is closed.
    Refuse,
    /// Whatever is asked for.
    All(Fault),
    /// What is asked for at paths that end so; for a file its content.
    Path(&'static str, Fault),
}

impl Spoil {
    /// Whether nothing but a deadline ends the look.
    pub(crate) fn is_silent(&self) -> bool {
        use Fault::{Drip, HangBeforeHeader, HangInBody, HangInHeader};
        match self {
            Self::Refuse => false,
            Self::All(fault) | Self::Path(_, fault) => {
                matches!(fault, HangBeforeHeader | HangInHeader | HangInBody | Drip { .. })
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
}

/// White space that comes as fast as it is taken.
const GIGABYTE: u64 = 1 << 30;

impl Row {
    pub(crate) const ALL: &'static [Self] = &[
        Self::new("the port is closed", Kind::Refuse),
        Self::new("nothing is answered", Kind::Server(|| Fault::HangBeforeHeader)),
        Self::new("silence within the header", Kind::Server(|| Fault::HangInHeader)),
        Self::new("silence within the body", Kind::Server(|| Fault::HangInBody)),
        Self::new("a byte every 20 ms", Kind::Server(slow)),
        Self::new("connection reset", Kind::Server(|| Fault::Reset)),
        Self::new("connection closed without an answer", Kind::Server(|| Fault::Close)),
        Self::new("connection closed within the body", Kind::Server(|| Fault::Truncate)),
        Self::new("more bytes announced than come", Kind::List(|| Fault::WrongLength(7))),
        Self::new("fewer bytes announced than come", Kind::List(|| Fault::WrongLength(-7))),
        Self::new("500: no leader", Kind::Server(|| Fault::Status(500, NO_LEADER.to_owned()))),
        Self::new("503: locked", Kind::Server(|| Fault::Status(503, LOCKED.to_owned()))),
        Self::new("no HTTP", Kind::Server(|| Fault::Raw("SSH-2.0-OpenSSH_9.2\r\n".into()))),
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
        Self::new("a word that nobody knows", Kind::Object(Edit::UnknownWord)),
        Self::new("an ID twice", Kind::Object(Edit::IdTwice)),
        Self::new("an address twice", Kind::Object(Edit::AddressTwice)),
        Self::new("the address 0.0.0.0", Kind::Object(Edit::Unspecified)),
    ];

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    /// Whether nothing but a deadline ends the look.
    pub(crate) fn is_silent(self) -> bool {
        matches!(self.kind, Kind::Server(fault) if Spoil::All(fault()).is_silent())
    }

    /// What goes wrong with `source`; `None` where it has no such fault.
    pub(crate) fn spoil(self, source: Source) -> Option<Spoil> {
        let list = source.list();
        Some(match self.kind {
            Kind::Refuse if source.is_server() => Spoil::Refuse,
            // Everything but this list is well.
            Kind::Server(fault) if source == Source::OtherLists => Spoil::Path(list, fault()),
            Kind::Server(fault) if source.is_server() => Spoil::All(fault()),
            Kind::Refuse | Kind::Server(_) => return None,
            Kind::List(fault) => match fault() {
                // A file is as long as it is, and what it holds is not unpacked.
                Fault::WrongLength(_) | Fault::GzipBomb | Fault::Endless { .. }
                    if !source.is_server() =>
                {
                    return None;
                }
                fault => Spoil::Path(list, fault),
            },
            Kind::Object(edit) => {
                let (path, body) = source.edit(edit)?;
                Spoil::Path(path, Fault::Body(body.into()))
            }
        })
    }
}

fn slow() -> Fault {
    Fault::Drip { piece: 1, pause: Duration::from_millis(20) }
}

fn blanks() -> Fault {
    Fault::Endless { start: "[".into(), repeat: vec![b' '; 64 << 10].into() }
}
