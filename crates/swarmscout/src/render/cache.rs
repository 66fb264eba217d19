//! Keeps what was rendered while somebody asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use swarmscout_discovery::TargetSet;
use tokio::sync::watch;

use super::{Encoding, Form, Rendered};

/// A list that nobody asked for that long is forgotten.
pub(crate) const IDLE: Duration = Duration::from_mins(10);

/// With more targets to render than this, a thread for blocking work does it: a few milliseconds.
const INLINE: usize = 500;

/// Which list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) job: Arc<str>,
    pub(crate) form: Form,
    pub(crate) encoding: Encoding,
}

/// The lists that were handed out lately.
#[derive(Debug, Default)]
pub struct Cache {
    slots: Mutex<HashMap<Key, Slot>>,
}

#[derive(Debug)]
struct Slot {
    /// Locked while it is rendered: who else wants it waits for it.
    rendered: Arc<tokio::sync::Mutex<Option<Arc<Rendered>>>>,
    used: Instant,
}

impl Cache {
    /// The list of the newest set, or for one that was the newest after this was called. However
    /// many ask at one time, it is rendered once. `None` where rendering failed, which is logged.
    pub(crate) async fn get(
        &self,
        key: Key,
        newest: &watch::Receiver<Arc<TargetSet>>,
    ) -> Option<Arc<Rendered>> {
        let asked = Instant::now();
        let slot = self.slot(key.clone(), asked);
        let mut slot = slot.lock_owned().await;
        // In this order: what is read after `at` is at least as new as what was there at `at`.
        let at = Instant::now();
        let set = Arc::clone(&newest.borrow());
        let previous = slot.clone();
        if let Some(rendered) = &previous
            && (rendered.is_of(&set) || rendered.at >= asked)
        {
            return previous;
        }
        let is_small = Rendered::work(&set, key.form, previous.as_deref()) <= INLINE;
        // The slot goes along: what was begun is finished and kept, whoever hangs up meanwhile.
        let mut render = move || {
            let rendered = Rendered::new(&set, at, key.form, key.encoding, previous.as_deref());
            Arc::clone(slot.insert(Arc::new(rendered)))
        };
        if is_small {
            return Some(render());
        }
        let rendered = tokio::task::spawn_blocking(render).await;
        rendered.inspect_err(|error| tracing::error!(%error, "Rendering of targets failed")).ok()
    }

    /// Forgets what nobody asked for since `now` less [`IDLE`].
    pub(crate) fn forget_idle(&self, now: Instant) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| now.saturating_duration_since(slot.used) < IDLE);
    }

    fn slot(&self, key: Key, now: Instant) -> Arc<tokio::sync::Mutex<Option<Arc<Rendered>>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key).or_insert_with(|| Slot { rendered: Arc::default(), used: now });
        slot.used = now;
        Arc::clone(&slot.rendered)
    }
}
