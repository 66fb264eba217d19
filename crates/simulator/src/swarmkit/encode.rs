//! The wire format of protocol buffers, as far as SwarmKit's answers need it.
//!
//! Written apart from what Swarmscout reads messages with, on purpose: a member that both had in
//! the wrong place would go unseen.

use crate::swarm::Map;

/// A message that is being written, member by member. As in proto3 what is empty or 0 is left out,
/// except for messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// Any integer, enumeration or flag.
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    /// An integer that may be negative: then it takes ten bytes, as Go's does.
    pub(super) fn signed(self, field: u32, value: i64) -> Self {
        self.number(field, value.cast_unsigned())
    }

    pub(super) fn flag(self, field: u32, value: bool) -> Self {
        self.number(field, value.into())
    }

    pub(super) fn text(self, field: u32, value: &str) -> Self {
        if value.is_empty() { self } else { self.raw(field, value.as_bytes()) }
    }

    pub(super) fn texts<'a>(
        self,
        field: u32,
        values: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        values.into_iter().fold(self, |message, value| message.raw(field, value.as_bytes()))
    }

    pub(super) fn message(self, field: u32, message: &Self) -> Self {
        self.raw(field, &message.0)
    }

    pub(super) fn messages(self, field: u32, messages: impl IntoIterator<Item = Self>) -> Self {
        messages.into_iter().fold(self, |message, inner| message.message(field, &inner))
    }

    pub(super) fn map(self, field: u32, map: &Map) -> Self {
        let entry = |(key, value): (&String, &String)| {
            Self::new().raw(1, key.as_bytes()).raw(2, value.as_bytes())
        };
        self.messages(field, map.iter().map(entry))
    }

    fn raw(mut self, field: u32, bytes: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low & 0x7f);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

/// The members of a message that is read: number, and value. Nothing but the requests of Swarmscout
/// is read here, so what is not a message ends it.
pub(super) struct Members<'a>(pub(super) &'a [u8]);

/// A value that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Members<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }
}
