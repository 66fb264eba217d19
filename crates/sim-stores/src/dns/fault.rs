//! What can go wrong with a DNS server, on demand.

use std::time::Duration;

use super::message::{self, Query, Record, answer, code};

/// What goes wrong instead of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is sent.
    Silence,
    /// The answer comes so much later.
    Late(Duration),
    /// This response code, and no records.
    Code(u16),
    /// This response code in a header without the question.
    BareCode(u16),
    /// These records, whatever was asked for.
    Records(Vec<Record>),
    /// The answer to another question of the same client: another ID.
    WrongId,
    /// An answer with the right ID to a question that was not asked.
    WrongQuestion,
    /// First an answer with a wrong ID, then bytes that are not a message, then the answer.
    Strays,
    /// These bytes after the ID. None at all, and nothing is sent.
    Raw {
        /// Over UDP.
        udp: Vec<u8>,
        /// Over TCP.
        tcp: Vec<u8>,
    },
    /// The first half of the answer.
    CutShort,
    /// The answer, and behind it bytes that nothing announces.
    Trailing,
    /// A record whose name is a pointer to itself.
    Loop,
    /// The answer says that it is truncated, over TCP too.
    Truncated,
    /// Over UDP the answer says that it is truncated; over TCP the connection ends without one.
    TcpCloses,
    /// Over UDP the answer says that it is truncated; over TCP nothing is sent.
    TcpSilence,
    /// Over UDP the answer says that it is truncated; over TCP half of it comes.
    TcpCutShort,
    /// FORMERR to clients that use EDNS.
    NoEdns,
    /// Nothing to clients that use EDNS.
    EdnsSilence,
}

impl Fault {
    /// The messages that are left of a good answer, one after the other.
    pub(super) fn spoil(&self, query: &Query, good: Vec<u8>) -> Vec<Vec<u8>> {
        let without_records = |query: &Query| answer(query, code::NOERROR, &[]);
        let of_another = || without_records(&Query { id: query.id ^ 1, ..query.clone() });
        let with_id = |rest: &[u8]| [&query.id.to_be_bytes()[..], rest].concat();
        let has_edns = query.udp_size.is_some();
        let answer = match self {
            Self::Silence => return Vec::new(),
            Self::EdnsSilence if has_edns => return Vec::new(),
            Self::NoEdns if has_edns => {
                answer(&Query { udp_size: None, ..query.clone() }, code::FORMERR, &[])
            }
            Self::Code(code) => answer(query, *code, &[]),
            Self::BareCode(code) => {
                let code = u8::try_from(*code).unwrap_or(0);
                with_id(&[0x84, 0x80 | code, 0, 0, 0, 0, 0, 0, 0, 0])
            }
            Self::Records(records) => answer(query, code::NOERROR, records),
            Self::WrongId => of_another(),
            Self::WrongQuestion => {
                let mut answer = without_records(query);
                // The first letter of the name.
                answer[13] ^= 1;
                answer
            }
            Self::Strays => return vec![of_another(), b"no message".to_vec(), Vec::new(), good],
            Self::Raw { udp, tcp } => match if query.tcp { tcp } else { udp } {
                nothing if nothing.is_empty() => return Vec::new(),
                bytes => with_id(bytes),
            },
            Self::CutShort => good[..good.len() / 2].to_vec(),
            Self::Trailing => [&good[..], b"more"].concat(),
            Self::Loop => {
                let mut answer = without_records(&Query { udp_size: None, ..query.clone() });
                let here = u16::try_from(answer.len()).unwrap_or(u16::MAX);
                answer[7] = 1;
                answer.extend((0xc000 | here).to_be_bytes());
                answer.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
                answer
            }
            Self::Truncated => truncated(good),
            Self::TcpCloses | Self::TcpSilence | Self::TcpCutShort if !query.tcp => truncated(good),
            // The server of the connection decides what happens there.
            Self::TcpCloses
            | Self::TcpSilence
            | Self::TcpCutShort
            | Self::Late(_)
            | Self::NoEdns
            | Self::EdnsSilence => good,
        };
        vec![answer]
    }
}

fn truncated(mut answer: Vec<u8>) -> Vec<u8> {
    answer[2] |= message::TRUNCATED;
    answer
}
