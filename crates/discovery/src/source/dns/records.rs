//! Converts configured names to their wire format, and records to targets.

use std::fmt::Write as _;
use std::net::IpAddr;

use domain::base::wire::ParseError;
use domain::base::{Message, Name, ParsedName, Rtype};
use domain::rdata::{A, Aaaa, Mx, Ns, Srv};
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Labels, LabelsWriter};

use crate::source::moby::AddressWriter;

/// The records of an answer, sorted: servers rotate their order from answer to answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// Each once.
    pub(super) found: Vec<Found>,
    /// Types of records that make no target.
    pub(super) others: Vec<Rtype>,
}

/// A record that makes a target. Names are written as in a zone file, with their final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Address(IpAddr),
    Service { target: String, port: u16 },
    Mail(String),
    NameServer(String),
}

impl Records {
    /// Reads the records of an answer, whatever type was asked for, as Prometheus does. An answer
    /// with fewer records than it announces is refused: targets would be lost.
    pub(super) fn read(answer: &Message<Vec<u8>>) -> Result<Self, ParseError> {
        let mut records = Self::default();
        for record in answer.answer()? {
            let record = record?;
            let found = match record.rtype() {
                Rtype::A => {
                    record.to_record::<A>()?.map(|a| Found::Address(a.data().addr().into()))
                }
                Rtype::AAAA => {
                    let aaaa = record.to_record::<Aaaa>()?;
                    // Go writes an IPv4 address within an IPv6 one as the IPv4 address.
                    aaaa.map(|aaaa| Found::Address(IpAddr::V6(aaaa.data().addr()).to_canonical()))
                }
                Rtype::SRV => record.to_record::<Srv<_>>()?.map(|srv| {
                    let target = as_text(srv.data().target());
                    Found::Service { target, port: srv.data().port() }
                }),
                Rtype::MX => record
                    .to_record::<Mx<_>>()?
                    .map(|mx| Found::Mail(as_text(mx.data().exchange()))),
                Rtype::NS => record
                    .to_record::<Ns<_>>()?
                    .map(|ns| Found::NameServer(as_text(ns.data().nsdname()))),
                // The records of the name that it stands for follow it.
                Rtype::CNAME => None,
                other => {
                    records.others.push(other);
                    None
                }
            };
            records.found.extend(found);
        }
        records.found.sort_unstable();
        records.found.dedup();
        records.others.sort_unstable();
        records.others.dedup();
        Ok(records)
    }
}

impl Found {
    /// The labels of the target, but for the name that was looked up. `port` is that of targets
    /// whose record has none.
    pub(super) fn labels(
        &self,
        port: u16,
        address: &mut AddressWriter,
        writer: &mut LabelsWriter,
    ) -> Labels {
        let host = |name: &'_ str| name.trim_end_matches('.').to_owned();
        match self {
            Self::Address(ip) => writer.push(ADDRESS, address.ip(*ip, port)),
            Self::Service { target, port } => {
                writer.push(ADDRESS, address.host(&host(target), port));
                writer.push("__meta_dns_srv_record_port", &port.to_string());
                writer.push("__meta_dns_srv_record_target", target);
            }
            Self::Mail(exchange) => {
                writer.push(ADDRESS, address.host(&host(exchange), port));
                writer.push("__meta_dns_mx_record_target", exchange);
            }
            Self::NameServer(name) => {
                writer.push(ADDRESS, address.host(&host(name), port));
                writer.push("__meta_dns_ns_record_target", name);
            }
        }
        writer.build()
    }
}

/// A name as miekg/dns writes it: in a zone file's way, with its final dot.
fn as_text(name: &ParsedName<&[u8]>) -> String {
    let mut text = String::new();
    for label in name.iter().filter(|label| !label.is_root()) {
        for byte in label.as_slice() {
            match byte {
                b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => {
                    text.push('\\');
                    text.push(char::from(*byte));
                }
                b'!'..=b'~' => text.push(char::from(*byte)),
                // Writing to a string does not fail.
                other => drop(write!(text, "\\{other:03}")),
            }
        }
        text.push('.');
    }
    if text.is_empty() {
        text.push('.');
    }
    text
}

/// The name of the wire for one as it is written in a zone file, with its final dot. `\DDD` is a
/// byte by its number, any other character after a backslash is that character.
pub(super) fn to_wire(text: &str) -> Result<Name<Vec<u8>>, String> {
    let not_a_name = |reason: &str| format!("not a domain name: {reason}");
    let mut wire = Vec::with_capacity(text.len() + 1);
    if text != "." {
        let mut label = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'.' if label.is_empty() => return Err(not_a_name("a part of it is empty")),
                b'.' => {
                    let length = u8::try_from(label.len()).ok().filter(|length| *length < 64);
                    wire.push(length.ok_or_else(|| not_a_name("a part of it is too long"))?);
                    wire.append(&mut label);
                }
                b'\\' => {
                    let escaped = by_number(after).map(|byte| (byte, 3));
                    let escaped = escaped.or_else(|| Some((*after.first()?, 1)));
                    if let Some((byte, length)) = escaped {
                        label.push(byte);
                        rest = &after[length..];
                    }
                }
                byte => label.push(*byte),
            }
        }
        if !label.is_empty() {
            return Err(not_a_name("its last dot is escaped"));
        }
    }
    wire.push(0);
    Name::from_octets(wire).map_err(|_| not_a_name("too long"))
}

/// The byte that three digits name.
fn by_number(digits: &[u8]) -> Option<u8> {
    let digits = digits.get(..3)?;
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    });
    u8::try_from(number?).ok()
}
