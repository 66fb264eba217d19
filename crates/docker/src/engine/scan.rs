//! Finds the elements of a JSON array in a stream of pieces.
//!
//! A list of the Engine may be 30 MB and more. Only the piece that just arrived is held, and the one
//! element that the piece cut in two. An element is handed over as soon as it is complete, as the
//! bytes that were sent, in one pass through brackets and strings. An unchanged element, which the cache
//! recognizes, is never parsed.
//!
//! Brackets must match and strings must end, here, for the stream as a whole; what stands between
//! them is checked when the element is read. Nesting, the size of an element and (by the
//! client) the size of the answer are limited.

use swarmscout_model::OverBudget;

use super::text::find_quote_or_backslash;

/// Brackets may stand this deep in each other. The Engine needs some ten.
pub const MAX_DEPTH: u32 = 64;

/// The largest element that is held. The Engine cannot store an object of more than some 4 MB
/// (SwarmKit's limit for a raft entry), and usual ones have 3 kB.
pub const MAX_ELEMENT: usize = 8 << 20;

/// So much of an element that is too large is kept, for its ID.
const HEAD: usize = 4096;

/// Splits a stream into the elements of the array that it is.
#[derive(Debug)]
pub struct ListScanner {
    place: Place,
    /// Where it is after an element.
    after: Place,
    /// The beginning of the element that the last piece cut in two.
    carry: Vec<u8>,
    /// Bytes of the present element, `carry` or not.
    size: usize,
    /// Bytes of the stream before the present piece.
    offset: u64,
    max_element: usize,
}

/// Where in the stream the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    /// Inside a top-level `null`, which Go writes for an empty list: the number of letters seen.
    Null(usize),
    /// After `[`.
    First,
    /// After a comma.
    Next,
    /// After an element.
    Between,
    /// Between the objects of a stream without a list.
    Free,
    /// Inside a number, `true`, `false` or `null`.
    Scalar,
    /// Inside an element that is an object, an array or a string.
    Nested(Nesting),
    End,
}

/// The open brackets of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nesting {
    /// One bit for each, the innermost lowest: whether it is an array.
    arrays: u64,
    depth: u32,
    string: Option<Escape>,
}

/// Inside a string: whether the byte before was a backslash that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    No,
    Yes,
}

/// An element of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// As it was sent, without surrounding white space. Only the beginning where it is too large.
    pub text: &'a [u8],
    /// Where in the stream it begins.
    pub offset: u64,
    /// Whether it is larger than what may be held.
    pub too_large: bool,
}

/// Why a stream is not a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Something else stands there.
    #[error("not JSON at byte {at}: expected {expected}, found {}", found.escape_ascii())]
    Unexpected {
        /// Offset in the stream.
        at: u64,
        /// What may stand there.
        expected: &'static str,
        /// What does.
        found: u8,
    },
    /// The stream ended too early.
    #[error("answer ends at byte {at}, in the middle of the list")]
    Truncated {
        /// Offset in the stream.
        at: u64,
    },
    /// Brackets in brackets in brackets.
    #[error("more than {MAX_DEPTH} brackets open at byte {at}")]
    TooDeep {
        /// Offset in the stream.
        at: u64,
    },
    /// What it holds does not fit into the memory budget.
    #[error(transparent)]
    Memory(#[from] OverBudget),
}

/// Takes the elements of a list as they are found.
pub(super) trait Visitor {
    type Error: From<ScanError>;

    /// Takes the object that `rest` begins with, if it is known byte for byte, and returns its
    /// length. `rest` ends where the piece does, or where the element would be too large.
    fn known(&mut self, rest: &[u8]) -> Option<usize>;

    /// Takes an element that the scanner found.
    fn element(&mut self, element: Element<'_>) -> Result<(), Self::Error>;
}

/// Leaves it to the scanner to find every element.
struct Each<F>(F);

impl<E: From<ScanError>, F: FnMut(Element<'_>) -> Result<(), E>> Visitor for Each<F> {
    type Error = E;

    fn known(&mut self, _: &[u8]) -> Option<usize> {
        None
    }

    fn element(&mut self, element: Element<'_>) -> Result<(), E> {
        self.0(element)
    }
}

impl Default for ListScanner {
    fn default() -> Self {
        Self::new(MAX_ELEMENT)
    }
}

impl ListScanner {
    /// A scanner that holds no element of more than `max_element` bytes.
    pub fn new(max_element: usize) -> Self {
        let (place, after) = (Place::Start, Place::Between);
        Self { place, after, carry: Vec::new(), size: 0, offset: 0, max_element }
    }

    /// A scanner for objects one after the other without a list: with line breaks or nothing
    /// between them, or each after a record separator (RFC 7464).
    pub(super) fn endless(max_element: usize) -> Self {
        Self { place: Place::Free, after: Place::Free, ..Self::new(max_element) }
    }

    /// Takes the next piece and hands over the elements that it completes, in their order.
    pub fn push<E: From<ScanError>>(
        &mut self,
        piece: &[u8],
        each: &mut impl FnMut(Element<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit(piece, &mut Each(each))
    }

    /// How many bytes are held of an element whose rest has not arrived.
    pub(super) fn held(&self) -> usize {
        self.carry.capacity()
    }

    /// Takes the next piece and lets the visitor take the elements that it completes, in their
    /// order.
    pub(super) fn visit<V: Visitor>(
        &mut self,
        piece: &[u8],
        visitor: &mut V,
    ) -> Result<(), V::Error> {
        let mut at = 0;
        // Where the present element begins in this piece: at its first byte, or at the piece's.
        let mut start = 0;
        while at < piece.len() {
            match self.place {
                Place::Nested(nesting) => match self.nested(nesting, piece, at)? {
                    Some(end) => {
                        at = end;
                        self.place = self.after;
                        self.element(&piece[start..end], end, visitor)?;
                    }
                    None => at = piece.len(),
                },
                Place::Scalar => {
                    let ends = |byte: &u8| matches!(byte, b',' | b']' | b' ' | b'\t'..=b'\r');
                    match piece[at..].iter().position(ends) {
                        Some(length) => {
                            at += length;
                            self.place = self.after;
                            self.element(&piece[start..at], at, visitor)?;
                        }
                        None => at = piece.len(),
                    }
                }
                _ => {
                    start = at;
                    self.between(piece[at], at)?;
                    match self.place {
                        Place::Nested(_) if piece[at] == b'{' => {
                            let most = self.max_element.min(piece.len() - at);
                            if let Some(length) = visitor.known(&piece[at..at + most]) {
                                at += length;
                                self.place = self.after;
                            }
                        }
                        // The first byte of an element is read again, as a part of it.
                        Place::Nested(_) | Place::Scalar => {}
                        _ => at += 1,
                    }
                }
            }
        }
        if matches!(self.place, Place::Nested(_) | Place::Scalar) {
            self.keep(&piece[start..]);
        }
        self.offset += piece.len() as u64;
        Ok(())
    }

    /// Ends the stream. Fails in the middle of a list.
    pub fn finish(self) -> Result<(), ScanError> {
        match self.place {
            Place::End | Place::Free => Ok(()),
            _ => Err(ScanError::Truncated { at: self.offset }),
        }
    }

    /// One byte outside of all elements.
    fn between(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        let place = match (self.place, byte) {
            (Place::Null(seen), _) if b"null".get(seen) == Some(&byte) => {
                if seen == 3 {
                    Place::End
                } else {
                    Place::Null(seen + 1)
                }
            }
            (Place::Null(_), _) => return Err(self.unexpected("null", byte, at)),
            (place, b' ' | b'\t' | b'\n' | b'\r') => place,
            (Place::Free, b'\x1e') => Place::Free,
            (Place::Start, b'[') => Place::First,
            (Place::Start, b'n') => Place::Null(1),
            (Place::Start, _) => return Err(self.unexpected("a list", byte, at)),
            (Place::First | Place::Between, b']') => Place::End,
            (Place::Between, b',') => Place::Next,
            (Place::First | Place::Next, b'{' | b'[' | b'"') | (Place::Free, b'{') => {
                Place::Nested(Nesting { arrays: 0, depth: 0, string: None })
            }
            (Place::First | Place::Next, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Place::Scalar,
            (Place::First | Place::Next | Place::Free, _) => {
                return Err(self.unexpected("an object", byte, at));
            }
            (Place::End, _) => return Err(self.unexpected("the end of the answer", byte, at)),
            _ => return Err(self.unexpected("a comma or the end of the list", byte, at)),
        };
        self.place = place;
        Ok(())
    }

    /// Goes on inside an element, from `at` of `piece`. Returns where the element ends, or `None`
    /// where the piece ends first.
    fn nested(
        &mut self,
        nesting: Nesting,
        piece: &[u8],
        mut at: usize,
    ) -> Result<Option<usize>, ScanError> {
        let Nesting { mut arrays, mut depth, mut string } = nesting;
        let end = loop {
            if let Some(escape) = string {
                if escape == Escape::Yes {
                    // Whatever was escaped is a part of the string.
                    if at == piece.len() {
                        break None;
                    }
                    at += 1;
                }
                let Some(found) = find_quote_or_backslash(piece, at) else {
                    string = Some(Escape::No);
                    break None;
                };
                at = found + 1;
                if piece[found] == b'\\' {
                    string = Some(Escape::Yes);
                    continue;
                }
                string = None;
                if depth == 0 {
                    break Some(at);
                }
            }
            let Some(byte) = piece.get(at) else { break None };
            match byte {
                b'"' => string = Some(Escape::No),
                b'{' | b'[' => {
                    if depth == MAX_DEPTH {
                        return Err(ScanError::TooDeep { at: self.offset + at as u64 });
                    }
                    depth += 1;
                    arrays = arrays << 1 | u64::from(*byte == b'[');
                }
                b'}' | b']' => {
                    if (arrays & 1 == 1) != (*byte == b']') {
                        let expected = if arrays & 1 == 1 { "]" } else { "}" };
                        return Err(self.unexpected(expected, *byte, at));
                    }
                    depth -= 1;
                    arrays >>= 1;
                    if depth == 0 {
                        break Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        };
        self.place = Place::Nested(Nesting { arrays, depth, string });
        Ok(end)
    }

    /// Hands over the element whose last part is `tail`, which ends at `end` of the piece.
    fn element<V: Visitor>(
        &mut self,
        tail: &[u8],
        end: usize,
        visitor: &mut V,
    ) -> Result<(), V::Error> {
        let whole = self.size == 0;
        let size = self.size + tail.len();
        let too_large = size > self.max_element;
        if !whole {
            self.keep(tail);
        }
        let text = match (whole, too_large) {
            (true, true) => &tail[..tail.len().min(HEAD)],
            (true, false) => tail,
            (false, _) => &self.carry,
        };
        let offset = self.offset + end as u64 - size as u64;
        let done = visitor.element(Element { text, offset, too_large });
        self.carry.clear();
        self.size = 0;
        done
    }

    /// Keeps a part of an element for when the rest arrives.
    fn keep(&mut self, part: &[u8]) {
        self.size += part.len();
        if self.size <= self.max_element {
            self.carry.extend_from_slice(part);
        } else {
            self.carry.extend_from_slice(&part[..part.len().min(HEAD)]);
            self.carry.truncate(HEAD);
            self.carry.shrink_to_fit();
        }
    }

    fn unexpected(&self, expected: &'static str, found: u8, at: usize) -> ScanError {
        ScanError::Unexpected { at: self.offset + at as u64, expected, found }
    }
}

#[cfg(test)]
mod tests;
