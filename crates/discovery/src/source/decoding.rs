//! Large answers are decoded off the threads of the runtime, one at a time for each source.
//!
//! A refresh that is given up, at its deadline or because nobody needs it any more, ends its
//! decoding at the next thing that it counts. The next refresh waits for that and does not begin
//! another beside it: however often a source is refreshed, one answer of it is being decoded.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use swarmscout_model::{Budget, Charge};
use swarmscout_net::Body;
use swarmscout_net::cpu::{self, Cancel};
use tokio::sync::Mutex;

use crate::Error;
use crate::limits::Excess;

/// Larger answers are decoded on a thread of their own.
const LARGE: usize = 64 << 10;

/// The place where answers of one source are decoded. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoding(Arc<Mutex<()>>);

impl Decoding {
    /// What `decode` makes of an answer of so many bytes.
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

/// An answer, and the charge for its bytes while it is there.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    pub(super) charge: Option<Charge>,
}

/// Reads a body, as far as its bytes fit into the budget. `what` was asked for.
pub(super) async fn whole(mut body: Body, budget: &Budget, what: &str) -> Result<Whole, Error> {
    let too_much = |excess| {
        let excess = Excess::Memory(excess);
        Error::Excess { what: what.to_owned(), excess }
    };
    let mut charge = budget.nothing();
    let Some(first) = body.chunk().await? else {
        return Ok(Whole { bytes: Bytes::new(), charge: None });
    };
    charge.grow(first.len() as u64).map_err(too_much)?;
    let Some(second) = body.chunk().await? else {
        return Ok(Whole { bytes: first, charge: Some(charge) });
    };
    let mut all = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if all.capacity() - all.len() < piece.len() {
            // As a growing buffer does, but not before its bytes are known to fit.
            let more = piece.len().max(all.len());
            charge.grow(more as u64).map_err(too_much)?;
            // Room for the copy that growing makes, and as much for what the bytes become: without it
            // there is no use in reading on.
            let mut room = budget.nothing();
            room.grow((all.len() + more) as u64).map_err(too_much)?;
            all.reserve(more);
            drop(room);
        }
        all.extend_from_slice(&piece);
        next = body.chunk().await?;
    }
    Ok(Whole { bytes: all.freeze(), charge: Some(charge) })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::limits::{LONGEST_LABEL, Meter};

    /// A decoding that was given up is told to end, and the next one begins after it has.
    #[tokio::test]
    async fn one_at_a_time_and_none_beyond_its_refresh() {
        let decoding = Decoding::default();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (events, seen) = mpsc::channel();
        let first = events.clone();
        let endless = move |cancel| {
            let mut meter = Meter::unlimited(LONGEST_LABEL).until(cancel);
            begun.send(()).unwrap();
            while meter.reserve(0).is_ok() {
                std::thread::yield_now();
            }
            assert_eq!(meter.unit(), Err(Excess::Stopped));
            first.send("the first has ended").unwrap();
        };
        tokio::select! {
            biased;
            () = decoding.run(LARGE + 1, endless) => unreachable!("it ends only when it is cancelled"),
            begun = has_begun => begun.unwrap(),
        }
        decoding.run(LARGE + 1, move |_| events.send("the second has started").unwrap()).await;
        assert_eq!(
            seen.iter().collect::<Vec<_>>(),
            ["the first has ended", "the second has started"]
        );
    }
}
