//! The format of a packet. A probe and its answer have the same length; an answer that cannot be sent
//! whole is cut to the head.
//!
//! | bytes | |
//! |---|---|
//! | 0–7 | `swrmpeer` |
//! | 8 | version, 1 |
//! | 9 | 1: probe, 2: answer |
//! | 10–11 | length of the probe, big-endian |
//! | 12–27 | nonce: an answer repeats it |
//! | 28–92 | length and bytes of the node's ID |
//! | 93–157 | length and bytes of the node's name |
//! | 158–159 | zero |
//! | 160– | padding: an answer repeats it |

use std::ops::Range;

/// Length of the head, which is that of a small packet.
pub(crate) const HEAD: usize = 160;

/// Length of the largest packet that is sent: a jumbo frame of 9216 bytes, without IPv4 and UDP headers.
pub(crate) const LONGEST: usize = 9216 - 28;

/// Longest ID and name.
pub(crate) const NAME: usize = 64;

pub(crate) type Nonce = [u8; 16];

const START: &[u8; 9] = b"swrmpeer\x01";
const PROBE: u8 = 1;
const ANSWER: u8 = 2;
const LENGTH: Range<usize> = 10..12;
const NONCE: Range<usize> = 12..28;
const NAMES: Range<usize> = 28..158;
const RESERVED: Range<usize> = 158..HEAD;

/// A packet that is well-formed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Probe(Sender<'a>),
    Answer(Answer<'a>),
}

/// The node that sends a packet, as the packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) nonce: Nonce,
    /// Of the probe. The answer is as long, or it is a head.
    pub(crate) length: usize,
    pub(crate) sender: Sender<'a>,
    /// What follows the head.
    pub(crate) padding: &'a [u8],
}

/// Writes the head of a probe. `packet` is all of it.
pub(crate) fn write_probe(packet: &mut [u8], nonce: Nonce, sender: Sender<'_>) {
    let length = u16::try_from(packet.len()).expect("a packet is shorter than LONGEST");
    packet[..HEAD].fill(0);
    packet[..START.len()].copy_from_slice(START);
    packet[9] = PROBE;
    packet[LENGTH].copy_from_slice(&length.to_be_bytes());
    packet[NONCE].copy_from_slice(&nonce);
    write_sender(packet, sender);
}

/// Makes the answer of a probe from it, in place.
pub(crate) fn answer(probe: &mut [u8], sender: Sender<'_>) {
    probe[9] = ANSWER;
    write_sender(probe, sender);
}

fn write_sender(packet: &mut [u8], sender: Sender<'_>) {
    packet[NAMES].fill(0);
    let mut at = NAMES.start;
    for text in [sender.id, sender.name] {
        let text = cut(text).as_bytes();
        packet[at] = u8::try_from(text.len()).expect("the text is cut to NAME");
        packet[at + 1..][..text.len()].copy_from_slice(text);
        at += 1 + NAME;
    }
}

/// Reads a packet; nothing if anything about it is wrong.
pub(crate) fn read(packet: &[u8]) -> Option<Packet<'_>> {
    let (head, padding) = packet.split_at_checked(HEAD)?;
    let length = usize::from(u16::from_be_bytes(head[LENGTH].try_into().ok()?));
    let is_sound = head.starts_with(START)
        && head[RESERVED].iter().all(|byte| *byte == 0)
        && (HEAD..=LONGEST).contains(&length);
    if !is_sound {
        return None;
    }
    let (id, name) = head[NAMES].split_at(1 + NAME);
    let sender = Sender { id: text(id)?, name: text(name)? };
    match head[9] {
        PROBE if length == packet.len() => Some(Packet::Probe(sender)),
        ANSWER if length == packet.len() || padding.is_empty() => {
            let nonce = head[NONCE].try_into().ok()?;
            Some(Packet::Answer(Answer { nonce, length, sender, padding }))
        }
        _ => None,
    }
}

fn text(field: &[u8]) -> Option<&str> {
    let (length, bytes) = field.split_first()?;
    let (text, rest) = bytes.split_at_checked(usize::from(*length))?;
    let is_rest_zero = rest.iter().all(|byte| *byte == 0);
    if is_rest_zero { std::str::from_utf8(text).ok() } else { None }
}

/// The start of a text, as long as fits into a packet.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME)]
}

/// A name of another node as it may be shown: cut, without characters that control a terminal.
pub(crate) fn clean(text: &str) -> String {
    let is_shown = |c: &char| {
        !c.is_control() && !matches!(c, '\u{200e}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    cut(text).chars().filter(is_shown).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROBER: Sender<'_> = Sender { id: "a long ID", name: "a longer name" };
    const SENDER: Sender<'_> = Sender { id: "id1", name: "worker-1" };

    fn probe(length: usize) -> Vec<u8> {
        let mut packet = vec![7; length];
        write_probe(&mut packet, [9; 16], PROBER);
        packet
    }

    fn answered(length: usize) -> Vec<u8> {
        let mut packet = probe(length);
        answer(&mut packet, SENDER);
        packet
    }

    #[test]
    fn an_answer_repeats_nonce_and_padding() {
        assert_eq!(read(&probe(1472)), Some(Packet::Probe(PROBER)));
        let expected =
            Answer { nonce: [9; 16], length: 1472, sender: SENDER, padding: &[7; 1472 - HEAD] };
        let packet = answered(1472);
        assert_eq!(read(&packet), Some(Packet::Answer(expected)));
        // Cut to the head, it names the length of the probe.
        let Some(Packet::Answer(cut)) = read(&packet[..HEAD]) else { panic!("not an answer") };
        assert_eq!((cut.length, cut.padding), (1472, &[][..]));
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let mut packet = probe(HEAD);
        let name = "ü".repeat(40);
        let (id, name) = ("i".repeat(100), format!("x{name}"));
        answer(&mut packet, Sender { id: &id, name: &name });
        let Some(Packet::Answer(answer)) = read(&packet) else { panic!("not an answer") };
        assert_eq!(answer.sender.id, "i".repeat(64));
        assert_eq!(answer.sender.name, format!("x{}", "ü".repeat(31)));
        assert_eq!(clean("a\u{1b}[0m\u{202e}b\n"), "a[0mb");
    }

    #[test]
    fn malformed_packets_are_no_packets() {
        let changed = |packet: &[u8], at: usize, byte: u8| {
            let mut packet = packet.to_vec();
            packet[at] = byte;
            packet
        };
        let (probe, answer) = (probe(300), answered(300));
        for (what, packet) in [
            ("empty", vec![]),
            ("one byte short of a head", probe[..HEAD - 1].to_vec()),
            ("another program's", changed(&probe, 0, b'x')),
            ("another version", changed(&probe, 8, 2)),
            ("another kind", changed(&probe, 9, 0)),
            ("a probe that claims to be longer", changed(&probe, 10, 2)),
            ("a probe that claims to be shorter", changed(&probe, 11, 0)),
            ("a cut probe", probe[..HEAD].to_vec()),
            ("bytes after the ID of a probe", changed(&probe, 28, 1)),
            ("bytes after the name of a probe", changed(&probe, 157, 1)),
            ("a reserved byte", changed(&probe, 159, 1)),
            ("an answer cut elsewhere", answer[..=HEAD].to_vec()),
            ("an ID beyond its field", changed(&answer, 28, 65)),
            ("an ID that is not UTF-8", changed(&answer, 29, 0xff)),
            ("bytes after the ID", changed(&answer, 28 + 1 + 3, b'x')),
            ("a name beyond its field", changed(&answer, 93, 255)),
            ("an answer to a probe longer than any", changed(&answer[..HEAD], 10, 0xff)),
            ("an answer to a probe shorter than any", changed(&answer[..HEAD], 10, 0)),
        ] {
            assert_eq!(read(&packet), None, "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), is_sound in any::<bool>()) {
            if is_sound && bytes.len() >= HEAD {
                bytes[..9].copy_from_slice(START);
                bytes[9] %= 4;
                bytes[LENGTH].copy_from_slice(&400_u16.to_be_bytes());
                bytes[RESERVED].fill(0);
            }
            let _ = read(&bytes);
        }

        #[test]
        fn any_name_is_cut_and_comes_back(id in ".{0,80}", name in ".{0,80}") {
            let mut packet = probe(HEAD);
            answer(&mut packet, Sender { id: &id, name: &name });
            let Some(Packet::Answer(answer)) = read(&packet) else { panic!("not an answer") };
            prop_assert!(id.starts_with(answer.sender.id) && name.starts_with(answer.sender.name));
            prop_assert!(clean(&name).len() <= NAME);
        }
    }
}
