//! Decodes large answers off the threads of the runtime, one at a time for each source.
//!
//! When a refresh is dropped, at its deadline or with its source, its decoding stops at the next
//! object that it counts. The next refresh waits for that. So each source decodes at most one
//! answer at a time.

use std::sync::Arc;

use bytes::Bytes;
use swarmscout_model::{Budget, Charge};
use swarmscout_net::Body;
use swarmscout_net::cpu::{self, Cancel};
use tokio::sync::Mutex;

use crate::Error;
use crate::limits::Excess;

/// Larger answers are decoded on a thread of their own.
const LARGE: usize = 64 << 10;

/// Decodes the answers of one source. Clones share its turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoding(Arc<Mutex<()>>);

impl Decoding {
    /// Runs `decode` for an answer of `bytes`, when it is its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        decode: impl FnOnce(Cancel) -> T + Send + 'static,
    ) -> T {
        let turn = Arc::clone(&self.0).lock_owned().await;
        if bytes <= LARGE {
            return decode(Cancel::default());
        }
        let decode = move |cancel: &Cancel| {
            let decoded = decode(cancel.clone());
            drop(turn);
            decoded
        };
        cpu::DISCOVERY.run(decode).await
    }
}

/// A whole answer, and the charge for its bytes.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    pub(super) charge: Charge,
}

/// Up to this size, in bytes, the buffer of a body grows by doubling.
const DOUBLED: usize = 4 << 20;

/// Reads a whole body, or fails if its bytes do not fit into the budget. `what` names the request.
pub(super) async fn whole(mut body: Body, budget: &Budget, what: &str) -> Result<Whole, Error> {
    let mut charge = budget.nothing();
    let mut all = Vec::new();
    while let Some(piece) = body.chunk().await? {
        charge.grow(piece.len() as u64).map_err(|excess| {
            let excess = Excess::Memory(excess);
            Error::Excess { what: what.to_owned(), excess }
        })?;
        if all.is_empty() {
            // The first chunk is mostly the only one, and need not be copied.
            all = piece.into();
            continue;
        }
        reserve(&mut all, piece.len(), body.most_to_come());
        all.extend_from_slice(&piece);
    }
    Ok(Whole { bytes: all.into(), charge })
}

/// Makes room for `piece` bytes, after which at most `rest` bytes follow. Copying a large buffer into
/// a larger one takes the memory of both. So beyond [`DOUBLED`] this reserves all that may follow:
/// pages that are not written take addresses, but no memory. 32-bit machines have too few addresses.
fn reserve(all: &mut Vec<u8>, piece: usize, rest: u64) {
    let is_full = all.capacity() - all.len() < piece;
    if is_full && all.len() >= DOUBLED && cfg!(target_pointer_width = "64") {
        let rest = usize::try_from(rest).unwrap_or(usize::MAX);
        // If the system does not have that many addresses, the buffer is doubled below.
        let _ = all.try_reserve_exact(rest.saturating_add(piece));
    }
    all.reserve(piece);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::limits::{LONGEST_LABEL, Meter};

    #[test]
    fn a_large_buffer_is_copied_once() {
        let mut all = vec![b'a'; DOUBLED - 1];
        reserve(&mut all, 2, 256 << 20);
        assert!(all.capacity() <= 2 * DOUBLED, "{}", all.capacity());
        all.resize(all.capacity(), b'b');
        reserve(&mut all, 2, 100 << 20);
        assert_eq!(all.capacity(), all.len() + 2 + (100 << 20));
        // No machine has that many addresses.
        all.resize(all.capacity(), b'c');
        reserve(&mut all, 2, u64::MAX);
        assert_eq!(all.capacity(), 2 * all.len());
    }

    /// A dropped decoding is cancelled, and the next one starts after it has ended.
    #[tokio::test]
    async fn one_at_a_time_and_none_beyond_its_refresh() {
        let decoding = Decoding::default();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (events, seen) = mpsc::channel();
        let first = events.clone();
        let endless = move |cancel| {
            let mut meter = Meter::unlimited(LONGEST_LABEL).until(cancel);
            started.send(()).unwrap();
            while meter.reserve(0).is_ok() {
                std::thread::yield_now();
            }
            assert_eq!(meter.unit(), Err(Excess::Stopped));
            first.send("the first has ended").unwrap();
        };
        tokio::select! {
            biased;
            () = decoding.run(LARGE + 1, endless) => unreachable!("it ends only when it is cancelled"),
            started = has_started => started.unwrap(),
        }
        decoding.run(LARGE + 1, move |_| events.send("the second has started").unwrap()).await;
        assert_eq!(
            seen.iter().collect::<Vec<_>>(),
            ["the first has ended", "the second has started"]
        );
    }
}
