//! DNS messages as they stand on the wire (RFC 1035, RFC 6891), read and written by hand: apart
//! from the library that Swarmscout reads them with, on purpose.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// Types of records.
pub mod kind {
    #![expect(missing_docs, reason = "their names are those of the RFCs")]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
}

/// Response codes.
pub mod code {
    #![expect(missing_docs, reason = "their names are those of the RFCs")]
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const BADVERS: u16 = 16;
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Where a service is.
    Srv {
        /// Lower ones are to be used first.
        priority: u16,
        /// Among those of one priority.
        weight: u16,
        /// Port of the service.
        port: u16,
        /// Host of the service.
        target: String,
    },
    /// A mail server.
    Mx {
        /// Lower ones are to be used first.
        preference: u16,
        /// Host of the server.
        exchange: String,
    },
    /// A name server.
    Ns(String),
    /// The name that this one stands for.
    Cname(String),
    /// A record of any type, its data as they are.
    Other(u16, Vec<u8>),
}

impl Data {
    /// The type.
    pub fn kind(&self) -> u16 {
        match self {
            Self::A(_) => kind::A,
            Self::Aaaa(_) => kind::AAAA,
            Self::Srv { .. } => kind::SRV,
            Self::Mx { .. } => kind::MX,
            Self::Ns(_) => kind::NS,
            Self::Cname(_) => kind::CNAME,
            Self::Other(kind, _) => *kind,
        }
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is, with or without its final dot. `\.` and `\DDD` are as in a zone file.
    pub name: String,
    /// What it says.
    pub data: Data,
}

impl Record {
    /// A record of `name`.
    pub fn new(name: &str, data: Data) -> Self {
        Self { name: name.to_owned(), data }
    }
}

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Query {
    /// When.
    pub at: Instant,
    /// Over TCP, not UDP.
    pub tcp: bool,
    /// Whatever the client took.
    pub id: u16,
    /// Whether the server is asked to ask others.
    pub recursion: bool,
    /// With its final dot, as it was written; a dot or backslash within a label after a backslash.
    pub name: String,
    /// The type that is wanted.
    pub kind: u16,
    /// The largest answer over UDP, where the client reports it (EDNS).
    pub udp_size: Option<u16>,
    /// The question's own bytes.
    pub(super) question: Vec<u8>,
}

impl Query {
    /// Reads a message. `None` for anything but one question.
    pub(super) fn read(message: &[u8], tcp: bool) -> Option<Self> {
        let half = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let (flags, questions) = (half(2)?, half(4)?);
        if flags & 0xf800 != 0 || questions != 1 {
            return None;
        }
        let mut at = 12;
        let mut name = String::new();
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            let label = message.get(at..at + length)?;
            at += length;
            if length == 0 {
                break;
            }
            let label = String::from_utf8_lossy(label);
            name.push_str(&label.replace('\\', "\\\\").replace('.', "\\."));
            name.push('.');
        }
        if name.is_empty() {
            name.push('.');
        }
        let kind = half(at)?;
        let end = at + 4;
        let question = message.get(12..end)?.to_vec();
        // The only additional record that a client sends is OPT: the root name, its type, the size.
        let udp_size = (half(10)? > 0 && half(end + 1)? == kind::OPT).then(|| half(end + 3));
        Some(Self {
            at: Instant::now(),
            tcp,
            id: half(0)?,
            recursion: flags & 0x0100 != 0,
            name,
            kind,
            udp_size: udp_size.flatten(),
            question,
        })
    }

    /// The largest answer that the client takes.
    pub(super) fn limit(&self) -> usize {
        if self.tcp { usize::from(u16::MAX) } else { self.udp_size.unwrap_or(0).max(512).into() }
    }
}

/// The answer to `query`. Of records that are more than it may hold those that fit are left, and it
/// says that it is truncated.
pub fn answer(query: &Query, code: u16, records: &[Record]) -> Vec<u8> {
    // No client takes the OPT record for a part of what it asked for: it has room of its own.
    let opt = query.udp_size.map(|_| opt(code));
    let limit = query.limit() - opt.as_ref().map_or(0, Vec::len);
    let mut writer = Writer::new(query);
    let mut count = 0_u16;
    for record in records {
        let fits = writer.bytes.len();
        writer.record(record);
        if writer.bytes.len() > limit {
            writer.bytes.truncate(fits);
            writer.bytes[2] |= TRUNCATED;
            break;
        }
        count += 1;
    }
    writer.bytes[3] |= u8::try_from(code & 0xf).unwrap_or(0);
    writer.bytes[6..8].copy_from_slice(&count.to_be_bytes());
    if let Some(opt) = opt {
        writer.bytes[11] = 1;
        writer.bytes.extend(opt);
    }
    writer.bytes
}

/// In the third byte of a message.
pub(super) const TRUNCATED: u8 = 0b10;

/// An OPT record: the root's name, the type, what we take, the upper bits of the code.
fn opt(code: u16) -> Vec<u8> {
    let mut opt = vec![0];
    opt.extend(kind::OPT.to_be_bytes());
    opt.extend(1232_u16.to_be_bytes());
    opt.push(u8::try_from(code >> 4).unwrap_or(u8::MAX));
    opt.extend([0; 5]);
    opt
}

/// Writes an answer, with names compressed as real servers do it.
struct Writer {
    bytes: Vec<u8>,
    /// Where each name, and each end of one, stands.
    names: HashMap<Vec<u8>, u16>,
}

impl Writer {
    /// The header and the question.
    fn new(query: &Query) -> Self {
        let mut bytes = query.id.to_be_bytes().to_vec();
        // An answer, with authority; recursion as it was wished for.
        let flags = 0x8480 | (u16::from(query.recursion) << 8);
        bytes.extend(flags.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        let mut writer = Self { bytes, names: HashMap::new() };
        writer.note(&query.question[..query.question.len() - 4], 12);
        writer.bytes.extend(&query.question);
        writer
    }

    fn record(&mut self, record: &Record) {
        self.name(&wire_name(&record.name), true);
        self.bytes.extend(record.data.kind().to_be_bytes());
        // Class IN, no time to live: it is reported again each time.
        self.bytes.extend([0, 1, 0, 0, 0, 0]);
        let length = self.bytes.len();
        self.bytes.extend([0, 0]);
        match &record.data {
            Data::A(address) => self.bytes.extend(address.octets()),
            Data::Aaaa(address) => self.bytes.extend(address.octets()),
            Data::Srv { priority, weight, port, target } => {
                for number in [priority, weight, port] {
                    self.bytes.extend(number.to_be_bytes());
                }
                // RFC 2782 forbids to compress this one.
                self.name(&wire_name(target), false);
            }
            Data::Mx { preference, exchange } => {
                self.bytes.extend(preference.to_be_bytes());
                self.name(&wire_name(exchange), true);
            }
            Data::Ns(name) | Data::Cname(name) => self.name(&wire_name(name), true),
            Data::Other(_, data) => self.bytes.extend(data),
        }
        let data = u16::try_from(self.bytes.len() - length - 2).unwrap_or(u16::MAX);
        self.bytes[length..length + 2].copy_from_slice(&data.to_be_bytes());
    }

    fn name(&mut self, name: &[u8], compress: bool) {
        let start = self.bytes.len();
        let mut at = 0;
        while name[at] != 0 {
            if let Some(known) = self.names.get(&name[at..]).filter(|_| compress) {
                self.bytes.extend(&name[..at]);
                self.bytes.extend((0xc000 | known).to_be_bytes());
                self.note(&name[..at], start);
                return;
            }
            at += 1 + usize::from(name[at]);
        }
        self.bytes.extend(name);
        self.note(name, start);
    }

    /// Remembers where the labels of a name stand, as far as a pointer reaches. A beginning of a
    /// name is not noted: what follows is elsewhere.
    fn note(&mut self, name: &[u8], start: usize) {
        let mut at = 0;
        while name.last() == Some(&0) && name[at] != 0 {
            if let Some(place) = u16::try_from(start + at).ok().filter(|place| *place < 0x4000) {
                self.names.entry(name[at..].to_vec()).or_insert(place);
            }
            at += 1 + usize::from(name[at]);
        }
    }
}

/// A name as it stands in a message: each label after its length, a zero at the end.
pub fn wire_name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut label = Vec::new();
    let mut bytes = text.trim_end_matches('.').bytes();
    let mut end = |label: &mut Vec<u8>| {
        if !label.is_empty() {
            wire.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
            wire.append(label);
        }
    };
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => end(&mut label),
            b'\\' => {
                let escaped = bytes.next().unwrap_or(b'\\');
                if escaped.is_ascii_digit() {
                    let digits =
                        [escaped, bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                    let number = digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'));
                    label.push(u8::try_from(number).unwrap_or(u8::MAX));
                } else {
                    label.push(escaped);
                }
            }
            byte => label.push(byte),
        }
    }
    end(&mut label);
    wire.push(0);
    wire
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// A question for MX of `a.bc`, with EDNS.
    fn query(size: Option<u16>) -> Query {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(b"\x01a\x02bc\x00\x00\x0f\x00\x01");
        if let Some(size) = size {
            message[11] = 1;
            message.extend([0, 0, 41]);
            message.extend(size.to_be_bytes());
            message.extend([0; 6]);
        }
        Query::read(&message, false).unwrap()
    }

    #[test]
    fn reads_a_question() {
        let Query { id, recursion, name, kind, udp_size, .. } = query(Some(4096));
        assert_eq!((id, recursion, &*name, kind), (0xabcd, true, "a.bc.", kind::MX));
        assert_eq!(udp_size, Some(4096));
        assert_eq!(query(None).udp_size, None);
        for wrong in
            [&b""[..], &[0; 12], b"\0\0\x80\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01", &[0xff; 40]]
        {
            assert!(Query::read(wrong, false).is_none(), "{wrong:?}");
        }
    }

    /// Byte for byte what a real server sends: names of before are pointers.
    #[test]
    fn writes_an_answer() {
        let mx = |exchange: &str| Data::Mx { preference: 10, exchange: exchange.to_owned() };
        let records = [
            Record::new("a.bc", mx("m.a.bc.")),
            Record::new("a.bc", mx("m.a.bc")),
            Record::new("x.bc", Data::A([1, 2, 3, 4].into())),
        ];
        let shown = answer(&query(Some(4096)), code::NOERROR, &records).escape_ascii().to_string();
        expect![[r"\xab\xcd\x85\x80\x00\x01\x00\x03\x00\x00\x00\x01\x01a\x02bc\x00\x00\x0f\x00\x01\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x00\x00\x06\x00\n\x01m\xc0\x0c\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x00\x00\x06\x00\n\x01m\xc0\x0c\x01x\xc0\x0e\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x01\x02\x03\x04\x00\x00)\x04\xd0\x00\x00\x00\x00\x00\x00"]]
            .assert_eq(&shown);
        let shown = answer(&query(Some(512)), code::BADVERS, &[]).escape_ascii().to_string();
        expect![[r"\xab\xcd\x85\x80\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x02bc\x00\x00\x0f\x00\x01\x00\x00)\x04\xd0\x01\x00\x00\x00\x00\x00"]]
            .assert_eq(&shown);
    }

    #[test]
    fn cuts_what_is_too_large() {
        let record = Record::new("a.bc", Data::A([1, 2, 3, 4].into()));
        let cut = answer(&query(None), code::NOERROR, &vec![record.clone(); 40]);
        // Header, question and 30 records of 16 bytes.
        assert_eq!((cut.len(), cut[2] & TRUNCATED, cut[7]), (12 + 10 + 30 * 16, TRUNCATED, 30));
        let whole = answer(&query(None), code::NOERROR, &vec![record; 30]);
        assert_eq!((whole.len(), whole[2] & TRUNCATED), (cut.len(), 0));
    }

    #[test]
    fn names() {
        for (text, wire) in [
            ("", &b"\0"[..]),
            (".", b"\0"),
            ("a.bc", b"\x01a\x02bc\0"),
            (r"a\.b.c.", b"\x03a.b\x01c\0"),
            (r"\000\255\\", b"\x03\x00\xff\\\0"),
        ] {
            assert_eq!(wire_name(text), wire, "{text}");
        }
    }
}
