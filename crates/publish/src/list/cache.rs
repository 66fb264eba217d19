//! Keeps rendered lists while readers request them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use swarmscout_model::{Budget, OverBudget, TargetList, TargetSet};
use swarmscout_net::cpu;
use tokio::sync::watch;

use super::{Rendered, Selection, withheld};

/// A list without a request for this long is dropped.
pub const IDLE: Duration = Duration::from_mins(10);

/// With more targets to render than this, a thread for such work does it: a few milliseconds.
const INLINE: usize = 500;

/// Identifies a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The name of its job.
    pub job: Arc<str>,
    /// What it holds.
    pub selection: Selection,
}

/// Why there is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoList {
    /// The newest set can have none yet; the text says why.
    #[error("{0}")]
    Withheld(String),
    /// It does not fit into the budget. Its readers keep the targets that they have.
    #[error("cannot write the list of targets: it {0}")]
    Memory(#[from] OverBudget),
    /// Rendering failed, which is logged.
    #[error("cannot write the list of targets; see the log")]
    Failed,
}

/// The lists that were recently served.
///
/// They count towards the budget of the process. They are dropped first when something else needs
/// the memory, since the next request renders them again. A list that does not fit is refused.
#[derive(Debug)]
pub struct Cache {
    slots: Mutex<HashMap<Key, Slot>>,
    budget: Budget,
}

#[derive(Debug)]
struct Slot {
    /// Locked while it is rendered: concurrent requests wait for the one rendering.
    kept: Arc<tokio::sync::Mutex<Kept>>,
    used: Instant,
}

/// The result of the last rendering.
#[derive(Debug, Default)]
struct Kept {
    list: Option<Arc<Rendered>>,
    /// Why there was none, and when that was known.
    refused: Option<(Instant, OverBudget)>,
}

/// A cache without a limit.
impl Default for Cache {
    fn default() -> Self {
        Self { slots: Mutex::default(), budget: Budget::unlimited() }
    }
}

impl Cache {
    /// An empty cache. Its lists will count towards `budget`, and be dropped when it runs short.
    pub fn new(budget: Budget) -> Arc<Self> {
        let cache = Arc::new(Self { slots: Mutex::default(), budget });
        let lists = Arc::downgrade(&cache);
        cache.budget.on_pressure(move || {
            if let Some(lists) = lists.upgrade() {
                lists.drop_lists();
            }
        });
        cache
    }

    /// The budget that lists count towards.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The list of a set that was the newest at some moment after this call, and that set.
    /// Concurrent calls share one rendering.
    ///
    /// Whether the set can have a list is checked here, for the very set that is rendered: a newer
    /// one may arrive while this waits.
    pub async fn get(
        &self,
        key: Key,
        newest: &watch::Receiver<Arc<TargetSet>>,
    ) -> Result<(Arc<TargetSet>, Arc<Rendered>), NoList> {
        let asked = Instant::now();
        if let TargetList::Class(_) = key.selection.list {
            let set = Arc::clone(&newest.borrow());
            if !set.lists().contains_key(&key.selection.list) {
                // Readers may ask for any class: those that no group has take no memory.
                return Self::empty(&key.selection, set, asked);
            }
        }
        let slot = self.slot(key.clone(), asked);
        let mut slot = slot.lock_owned().await;
        // The order matters: a set that is read after `at` is at least as new as the one at `at`.
        let at = Instant::now();
        let set = Arc::clone(&newest.borrow());
        if let Some(why) = withheld(&set, key.selection.form) {
            return Err(NoList::Withheld(why));
        }
        let previous = slot.list.clone();
        if let Some(rendered) = &previous
            && (rendered.is_of(&set) || rendered.at >= asked)
        {
            // Once that set is dropped, the newest one describes the list as well.
            let set = rendered.set().unwrap_or(set);
            return Ok((set, Arc::clone(rendered)));
        }
        if let Some((at, refusal)) = slot.refused
            && at >= asked
        {
            return Err(NoList::Memory(refusal));
        }
        let is_small = Rendered::work(&set, &key.selection, previous.as_deref()) <= INLINE;
        // The slot moves into the task: a client that disconnects does not waste the rendering.
        let (of_set, budget) = (Arc::clone(&set), self.budget.clone());
        let mut render = move || {
            let previous = previous.as_deref();
            let rendered = Rendered::new(&of_set, at, &key.selection, previous, &budget);
            // An outdated list has no readers.
            *slot = Kept::default();
            match rendered {
                Ok(rendered) => Ok(Arc::clone(slot.list.insert(Arc::new(rendered)))),
                Err(refusal) => {
                    slot.refused = Some((Instant::now(), refusal));
                    Err(NoList::Memory(refusal))
                }
            }
        };
        if is_small {
            return render().map(|list| (set, list));
        }
        let render = move |_: &cpu::Cancel| catch_unwind(AssertUnwindSafe(render));
        let rendered = cpu::LISTS.run(render).await.map_err(|_| {
            tracing::error!("Internal error, please report it: rendering of targets failed");
            NoList::Failed
        })?;
        Ok((set, rendered?))
    }

    /// The list of a class that no group of `set` has.
    fn empty(
        selection: &Selection,
        set: Arc<TargetSet>,
        at: Instant,
    ) -> Result<(Arc<TargetSet>, Arc<Rendered>), NoList> {
        if let Some(why) = withheld(&set, selection.form) {
            return Err(NoList::Withheld(why));
        }
        let rendered = Rendered::new(&set, at, selection, None, &Budget::unlimited())?;
        Ok((set, Arc::new(rendered)))
    }

    /// Forgets all lists that are not being rendered. Readers keep what they read.
    fn drop_lists(&self) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let lists: Vec<_> = slots.values().map(|slot| Arc::clone(&slot.kept)).collect();
        drop(slots);
        for list in lists {
            if let Ok(mut kept) = list.try_lock() {
                kept.list = None;
            }
        }
    }

    /// Drops the lists without a request since `now` less [`IDLE`].
    pub fn forget_idle(&self, now: Instant) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| now.saturating_duration_since(slot.used) < IDLE);
    }

    fn slot(&self, key: Key, now: Instant) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key).or_insert_with(|| Slot { kept: Arc::default(), used: now });
        slot.used = now;
        Arc::clone(&slot.kept)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use swarmscout_model::PoolSpec;
    use swarmscout_model::size::Bytes;

    use super::super::{Encoding, Form};
    use super::*;
    use crate::testing::{group, set};

    /// A set with more targets than its limit comes while a list waits for its turn.
    #[tokio::test]
    async fn no_set_is_listed_that_must_not_be() {
        let pool = PoolSpec::new("web");
        let good = set(&pool, &[group("a", "", &["h:1"])]);
        let mut too_many = set(&pool, &[group("a", "", &["h:1", "h:2"])]);
        too_many.limit_error = Some(String::from("target_limit exceeded"));
        let sets = watch::Sender::new(Arc::new(good.clone()));
        let cache = Cache::default();
        let newest = sets.subscribe();
        for (form, refused) in [
            (Form::Full, Some("job \"web\": target_limit exceeded\n")),
            (Form::WithoutMeta, Some("job \"web\": target_limit exceeded\n")),
            // Those are never scraped as they are.
            (Form::Raw, None),
        ] {
            sets.send_replace(Arc::new(good.clone()));
            let selection = Selection { list: TargetList::Normal, form, encoding: Encoding::Json };
            let key = Key { job: Arc::clone(pool.name()), selection };
            let slot = cache.slot(key.clone(), Instant::now());
            let turn = slot.lock().await;
            let mut waiting = std::pin::pin!(cache.get(key.clone(), &newest));
            assert!(waiting.as_mut().now_or_never().is_none());
            sets.send_replace(Arc::new(too_many.clone()));
            drop(turn);
            let list = waiting.await.map(|(set, _)| set.counts.active);
            let expected =
                refused.map(str::to_owned).map_or(Ok(2), |why| Err(NoList::Withheld(why)));
            assert_eq!(list, expected, "{form:?}");
            // Nor is what was listed before.
            let list = cache.get(key, &newest).await.map(|(set, _)| set.counts.active);
            assert_eq!(list, expected, "{form:?}");
        }
    }

    /// A thousand readers that wait for a change do not try a thousand times.
    #[tokio::test]
    async fn concurrent_requests_share_a_refusal() {
        let tries = Arc::new(AtomicUsize::new(0));
        let budget = Budget::new(Bytes(100));
        let counted = Arc::clone(&tries);
        budget.on_pressure(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let cache = Cache::new(budget);
        let pool = PoolSpec::new("web");
        let sets = watch::Sender::new(Arc::new(set(&pool, &[group("a", "", &["h:1"])])));
        let newest = sets.subscribe();
        let selection =
            Selection { list: TargetList::Normal, form: Form::Full, encoding: Encoding::Json };
        let key = Key { job: Arc::clone(pool.name()), selection };
        let slot = cache.slot(key.clone(), Instant::now());
        let turn = slot.lock().await;
        let mut waiting: Vec<_> =
            (0..9).map(|_| Box::pin(cache.get(key.clone(), &newest))).collect();
        for request in &mut waiting {
            assert!(request.now_or_never().is_none());
        }
        drop(turn);
        for request in waiting {
            assert!(matches!(request.await, Err(NoList::Memory(_))));
        }
        let together = tries.load(Ordering::Relaxed);
        assert!(matches!(cache.get(key, &newest).await, Err(NoList::Memory(_))));
        assert_eq!(tries.load(Ordering::Relaxed), 2 * together, "a later one tries again");
    }

    /// A reader may invent names without end.
    #[tokio::test]
    async fn classes_that_no_target_has_take_no_memory() {
        let pool = PoolSpec::new("web");
        let groups = [group("a", "__meta_swarmscout_list=class/internal", &["h:1"])];
        let sets = watch::Sender::new(Arc::new(set(&pool, &groups)));
        let (cache, newest) = (Cache::default(), sets.subscribe());
        for (class, size) in [("internal", 1), ("x", 1), ("y", 1)] {
            let list = TargetList::Class(class.into());
            let selection = Selection { list, form: Form::Full, encoding: Encoding::Json };
            let key = Key { job: Arc::clone(pool.name()), selection };
            let (_, list) = cache.get(key, &newest).await.unwrap();
            assert_eq!(list.pieces.concat() == super::super::EMPTY, class != "internal");
            assert_eq!(cache.slots.lock().unwrap().len(), size, "{class}");
        }
    }
}
