//! The task that stores one source: it restores the groups of its file, then writes what it finds.

use std::sync::{Arc, Weak};
use std::time::SystemTime;

use swarmscout_model::{Charge, TargetGroup};
use swarmscout_refresh::supervisor::{LastGood, Supervised};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::folder::{Folder, age};
use super::format::Stored;
use super::{Key, Storage, Timing};
use crate::config::SdConfig;
use crate::limits::{LONGEST_ENGINE_LABEL, Meter};
use swarmscout_model::{CanonicalGroups, canonicalize};

/// Keeps one source.
pub(super) struct Keeper {
    storage: Storage,
    key: Key,
    mechanism: &'static str,
    /// What the source queries, for the log.
    what: Arc<str>,
    known: watch::Receiver<LastGood<CanonicalGroups>>,
    schedule: Schedule,
    /// The memory of the restored groups, until the source answers.
    held: Option<Charge>,
}

/// When to write next.
struct Schedule {
    timing: Timing,
    /// `None` while the content of the file is unknown.
    stored: Option<OnDisk>,
    /// Not before: after a write and after a failure.
    not_before: Instant,
    /// Failures in a row.
    failures: u32,
}

/// What the file holds.
struct OnDisk {
    /// The groups that were written. The same `Arc` is the same content.
    groups: Weak<[Arc<TargetGroup>]>,
    as_of: std::time::Instant,
    /// When it was written or read.
    since: Instant,
}

impl Keeper {
    pub(super) fn new(
        storage: Storage,
        key: Key,
        config: &SdConfig,
        running: &Supervised<CanonicalGroups>,
    ) -> Self {
        let schedule = Schedule {
            timing: storage.0.timing,
            stored: None,
            not_before: Instant::now(),
            failures: 0,
        };
        let (mechanism, what) = (config.source().mechanism(), config.source().describe().into());
        Self { storage, key, mechanism, what, known: running.last_good(), schedule, held: None }
    }

    /// Runs until the source is removed or the program ends.
    pub(super) async fn run(mut self, publish: watch::Sender<LastGood<CanonicalGroups>>) {
        let stop = self.storage.0.stop.clone();
        if stop.run_until_cancelled(self.restore(publish)).await.is_some() {
            stop.run_until_cancelled(self.keep()).await;
        }
        // The final write has no pause, not even if only the age changed.
        if self.is_outdated() {
            self.write(false).await;
        }
        self.storage.leave(self.key);
    }

    /// Publishes the stored groups, unless the source has already answered.
    async fn restore(&mut self, publish: watch::Sender<LastGood<CanonicalGroups>>) {
        let key = self.key;
        let mut meter = Meter::new(&self.storage.0.budget, LONGEST_ENGINE_LABEL);
        let read = move |folder: &mut Folder| {
            folder.read(key, &mut meter).map(|stored| stored.map(|stored| (stored, meter.finish())))
        };
        let read = self.storage.in_folder(read).await;
        let (stored, held) = match read {
            Ok(Ok(None)) => return,
            Ok(Ok(Some(stored))) => stored,
            Ok(Err(error)) => return self.note_unreadable(&error.to_string()),
            Err(error) => return self.note_unreadable(&error),
        };
        let Stored { as_of, groups, .. } = stored;
        let now = Instant::now();
        let Some(as_of) = now.into_std().checked_sub(age(as_of, SystemTime::now())) else {
            return self.note_unreadable("older than this machine\u{2019}s clock can say");
        };
        let groups = canonicalize(None, groups).expect("nothing was known before");
        self.schedule.stored = Some(OnDisk { groups: Arc::downgrade(&groups), as_of, since: now });
        let restored = publish.send_if_modified(|known| {
            let is_first = known.value.is_none() && known.health.as_of.is_none();
            if is_first {
                known.value = Some(groups);
                known.health.as_of = Some(as_of);
                known.health.restored = true;
            }
            is_first
        });
        if restored {
            self.held = Some(held);
            self.storage.0.stats.storage.restored.add(1);
        }
    }

    fn note_unreadable(&self, error: &str) {
        self.storage.0.stats.storage.unreadable.add(1);
        tracing::warn!(
            discovery = self.mechanism,
            asked = %self.what,
            file = %self.storage.0.path.join(self.key.file()).display(),
            err = error,
            "What was stored of a source is not used"
        );
    }

    /// Writes when it is time to, until the source is gone.
    async fn keep(&mut self) {
        loop {
            let due = self.due();
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = is_due => self.write(true).await,
                changed = self.known.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    fn due(&mut self) -> Option<Instant> {
        let known = self.known.borrow_and_update();
        if !known.health.restored {
            self.held = None;
        }
        let (groups, as_of) = confirmed(&known)?;
        self.schedule.due(groups, as_of)
    }

    fn is_outdated(&self) -> bool {
        let known = self.known.borrow();
        confirmed(&known).is_some_and(|(groups, as_of)| !self.schedule.holds(groups, as_of))
    }

    /// Writes what is known now.
    async fn write(&mut self, sync: bool) {
        let known = self.known.borrow().clone();
        let Some((groups, as_of)) = confirmed(&known) else { return };
        let age = Instant::now().into_std().saturating_duration_since(as_of);
        let now = SystemTime::now();
        let date = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let (key, content) = (self.key, Arc::clone(groups));
        let written =
            self.storage.in_folder(move |folder| folder.replace(key, date, &content, sync));
        let written = written.await.and_then(|written| written.map_err(|error| error.to_string()));
        self.storage.note(key, written.as_ref().map(|_| ()).map_err(String::as_str));
        match written {
            Ok(bytes) => self.schedule.written(groups, as_of, bytes),
            Err(_) => self.schedule.failed(),
        }
    }
}

/// The groups that the source itself found, and when they were last confirmed.
fn confirmed(known: &LastGood<CanonicalGroups>) -> Option<(&CanonicalGroups, std::time::Instant)> {
    let groups = known.value.as_ref().filter(|_| !known.health.restored)?;
    Some((groups, known.health.as_of?))
}

impl Schedule {
    /// When to write these groups, if they are to be written at all.
    fn due(&self, groups: &CanonicalGroups, as_of: std::time::Instant) -> Option<Instant> {
        match &self.stored {
            Some(stored) if stored.is(groups) => {
                let confirm = stored.since + self.timing.confirm;
                (as_of > stored.as_of).then(|| confirm.max(self.not_before))
            }
            _ => Some(self.not_before),
        }
    }

    /// Whether exactly this is stored.
    fn holds(&self, groups: &CanonicalGroups, as_of: std::time::Instant) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.is(groups) && stored.as_of >= as_of)
    }

    fn written(&mut self, groups: &CanonicalGroups, as_of: std::time::Instant, bytes: u64) {
        let since = Instant::now();
        self.stored = Some(OnDisk { groups: Arc::downgrade(groups), as_of, since });
        self.not_before = since + self.timing.pause(bytes);
        self.failures = 0;
    }

    fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now() + self.timing.pause_after(self.failures);
    }
}

impl OnDisk {
    fn is(&self, groups: &CanonicalGroups) -> bool {
        std::ptr::addr_eq(self.groups.as_ptr(), Arc::as_ptr(groups))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scripted::group;

    /// When the next write is due, in seconds from now.
    fn due(schedule: &Schedule, groups: &CanonicalGroups, as_of: Instant) -> Option<u64> {
        let due = schedule.due(groups, as_of.into_std())?;
        Some(due.saturating_duration_since(Instant::now()).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn writes_are_few() {
        let now = Instant::now();
        let timing = Timing::default();
        let mut schedule = Schedule { timing, stored: None, not_before: now, failures: 0 };
        let set = |address| canonicalize(None, vec![group("g", &[address])]).unwrap();
        let (first, second) = (set("a"), set("b"));
        assert_eq!(due(&schedule, &first, now), Some(0));
        schedule.written(&first, now.into_std(), 100);
        // Nothing is newer; the age; other groups; the same groups as another value.
        let later = now + Duration::from_secs(1);
        assert_eq!(due(&schedule, &first, now), None);
        assert_eq!(due(&schedule, &first, later), Some(30 * 60));
        assert_eq!(due(&schedule, &second, later), Some(30));
        assert!(schedule.holds(&first, now.into_std()));
        assert!(!schedule.holds(&first, later.into_std()));
        assert!(!schedule.holds(&second, now.into_std()));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(due(&schedule, &second, later), Some(0));
        schedule.written(&second, later.into_std(), 5 << 20);
        assert_eq!(due(&schedule, &first, later), Some(320));
        for expected in [30, 60, 120] {
            schedule.failed();
            assert_eq!(due(&schedule, &first, later), Some(expected));
        }
    }
}
