//! The way in for the fuzz target of `crates/fuzz`. No part of this crate's interface.

use crate::wire::{self, HEAD, Packet, Sender};

/// A packet is what its parts say: written again from them, it is the same. An answer is as long as its
/// probe, and repeats its nonce and its padding.
///
/// # Panics
///
/// If one of them is not so.
pub fn packet(bytes: &[u8]) {
    match wire::read(bytes) {
        None => {}
        Some(Packet::Probe(sender)) => {
            let nonce = bytes[12..28].try_into().expect("a probe has a head");
            let mut written = bytes.to_vec();
            wire::write_probe(&mut written, nonce, sender);
            assert_eq!(written, bytes, "a probe that is written again");
            let name = "\u{fc}".repeat(40);
            let own = Sender { id: "an own ID", name: &name };
            wire::answer(&mut written, own);
            assert_eq!(written.len(), bytes.len());
            for length in [written.len(), HEAD] {
                let Some(Packet::Answer(answer)) = wire::read(&written[..length]) else {
                    panic!("an answer of {length} bytes is not read");
                };
                assert_eq!((answer.nonce, answer.length), (nonce, bytes.len()));
                assert_eq!(answer.padding, &bytes[HEAD..length]);
                assert_eq!(answer.sender.id, own.id);
                assert!(own.name.starts_with(answer.sender.name));
            }
        }
        Some(Packet::Answer(answer)) => {
            let mut written = vec![0; answer.length];
            wire::write_probe(&mut written, answer.nonce, answer.sender);
            wire::answer(&mut written, answer.sender);
            written.truncate(bytes.len());
            written[HEAD..].copy_from_slice(answer.padding);
            assert_eq!(written, bytes, "an answer that is written again");
        }
    }
}

/// Packets for a corpus: a probe, and its answer.
pub fn packets(length: usize) -> [Vec<u8>; 2] {
    let mut probe = vec![0xa5; length.clamp(HEAD, wire::LONGEST)];
    wire::write_probe(&mut probe, [7; 16], Sender { id: "id1", name: "worker-1" });
    let mut answer = probe.clone();
    wire::answer(&mut answer, Sender { id: "id2", name: "worker-2" });
    [probe, answer]
}
