//! `--config.auto-reload`: says when the configuration's files hold something else than what was
//! last loaded (Prometheus `config.GenerateChecksum`).
//!
//! Contents are compared, again and again: a file may be replaced, linked to another or mounted, on
//! file systems that do not report it, and one that was written again with the same content is not
//! a reason to reload. What was tried and could not be used is not tried again before it changes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use swarmscout_config::{Fingerprint, fingerprint};
use swarmscout_discovery::BoxFuture;
use swarmscout_net::lane;
use tokio::time::{Instant, sleep_until};

/// The shortest interval, as in Prometheus.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Somebody may be about to write the files: they count as changed once they have been the same for
/// this long …
const SETTLE: Duration = Duration::from_millis(500);

/// … or after this number of checks of files that change all the time.
const MAX_CHECKS: u32 = 20;

/// How long the files may take to be read before that is called an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads what the files hold. The error says which one hangs.
type Read = fn(&Path) -> BoxFuture<'static, Result<Fingerprint, String>>;

/// Checks the files of a configuration for changes.
pub struct AutoReload {
    path: PathBuf,
    interval: Duration,
    next: Instant,
    /// What the files held when they were last loaded, well or not.
    loaded: Option<Fingerprint>,
    /// What the last check found that may still change, and after how many checks of that kind.
    unsettled: Option<(Fingerprint, u32)>,
    read: Read,
    /// A check that has not ended.
    checking: Option<BoxFuture<'static, Result<Fingerprint, String>>>,
    /// Why the last check failed, as it was logged.
    failed: Option<String>,
}

impl AutoReload {
    /// Checks the main file at `path` and the files that it names.
    pub fn new(path: PathBuf, interval: Duration) -> Self {
        Self::reading(path, interval, |path| {
            let path = path.to_owned();
            Box::pin(async move {
                let lane = path.clone();
                let read = lane::read(&lane, PATIENCE, move || fingerprint(&path)).await;
                read.map_err(|stuck| stuck.to_string())
            })
        })
    }

    fn reading(path: PathBuf, interval: Duration, read: Read) -> Self {
        let interval = interval.max(SHORTEST_INTERVAL);
        let next = Instant::now() + interval;
        let (loaded, unsettled, checking, failed) = (None, None, None, None);
        Self { path, interval, next, loaded, unsettled, read, checking, failed }
    }

    /// Notes that the files were loaded, well or not, when they held this, or somewhat later.
    /// `None` where that is not known: they are loaded once more then.
    pub fn note(&mut self, loaded: Option<Fingerprint>) {
        self.loaded = loaded;
    }

    /// Resolves when the files hold something else than what was last noted. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            sleep_until(self.next).await;
            let (read, path) = (self.read, &self.path);
            let found = self.checking.get_or_insert_with(|| read(path)).await;
            // From here on nothing waits: a cancelled caller loses nothing.
            self.checking = None;
            self.next = Instant::now() + self.interval;
            match found {
                Ok(found) if self.is_new(found) => return,
                Ok(_) => self.failed = None,
                Err(error) => self.note_failure(error),
            }
        }
    }

    fn note_failure(&mut self, error: String) {
        if self.failed.as_ref() != Some(&error) {
            tracing::error!(err = error, "Cannot check the configuration files for changes");
        }
        self.failed = Some(error);
    }

    /// Whether this is something new that stays. Where it may not stay the next check is soon.
    fn is_new(&mut self, found: Fingerprint) -> bool {
        let before = self.unsettled.take();
        if self.loaded == Some(found) {
            return false;
        }
        match before {
            Some((before, checks)) if before == found || checks == MAX_CHECKS => true,
            before => {
                let checks = before.map_or(0, |(_, checks)| checks);
                self.unsettled = Some((found, checks + 1));
                self.next = Instant::now() + SETTLE;
                false
            }
        }
    }
}

impl fmt::Debug for AutoReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoReload").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tokio::time::{sleep, timeout};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    /// A folder that goes with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("swarmscout-auto-reload-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// One that has just loaded what is there.
    fn watching(path: &Path) -> AutoReload {
        // Read here: the clock would not wait for another thread.
        let read: Read = |path| Box::pin(std::future::ready(Ok(fingerprint(path))));
        let mut watching = AutoReload::reading(path.to_owned(), INTERVAL, read);
        watching.note(Some(fingerprint(path)));
        watching
    }

    /// Whether it reports a change, within any time; the change is then loaded.
    async fn reports_change(watching: &mut AutoReload) -> bool {
        let reported = timeout(Duration::from_hours(1), watching.changed()).await.is_ok();
        if reported {
            watching.note(Some(fingerprint(&watching.path)));
        }
        reported
    }

    #[tokio::test(start_paused = true)]
    async fn reports_new_content_however_it_came_and_nothing_else() {
        let scratch = Scratch::new("content");
        scratch.write("prometheus.yml", "a: 1\n");
        let path = scratch.0.join("prometheus.yml");
        let mut watching = watching(&path);
        assert!(!reports_change(&mut watching).await);
        // Written in place.
        scratch.write("prometheus.yml", "a: 2\n");
        assert!(reports_change(&mut watching).await);
        // The same once more, and another file of the same content.
        scratch.write("prometheus.yml", "a: 2\n");
        assert!(!reports_change(&mut watching).await);
        scratch.write("new", "a: 2\n");
        fs::rename(scratch.0.join("new"), &path).unwrap();
        assert!(!reports_change(&mut watching).await);
        // Another file.
        scratch.write("new", "a: 3\n");
        fs::rename(scratch.0.join("new"), &path).unwrap();
        assert!(reports_change(&mut watching).await);
        // Away and back.
        fs::rename(&path, scratch.0.join("new")).unwrap();
        assert!(reports_change(&mut watching).await);
        assert!(!reports_change(&mut watching).await);
        fs::rename(scratch.0.join("new"), &path).unwrap();
        assert!(reports_change(&mut watching).await);
    }

    #[tokio::test(start_paused = true)]
    async fn follows_links_as_mounted_configurations_have_them() {
        let scratch = Scratch::new("links");
        for (version, text) in [("..1", "a: 1\n"), ("..2", "a: 2\n")] {
            fs::create_dir(scratch.0.join(version)).unwrap();
            scratch.write(&format!("{version}/prometheus.yml"), text);
        }
        let (data, path) = (scratch.0.join("..data"), scratch.0.join("prometheus.yml"));
        symlink("..1", &data).unwrap();
        symlink("..data/prometheus.yml", &path).unwrap();
        let mut watching = watching(&path);
        symlink("..2", scratch.0.join("..new")).unwrap();
        fs::rename(scratch.0.join("..new"), &data).unwrap();
        assert!(reports_change(&mut watching).await);
        assert!(!reports_change(&mut watching).await);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_who_is_writing_but_not_for_ever() {
        let scratch = Scratch::new("settle");
        scratch.write("prometheus.yml", "a: 1\n");
        let mut watching = watching(&scratch.0.join("prometheus.yml"));
        let began = Instant::now();
        let write = async {
            sleep(INTERVAL.saturating_sub(SETTLE / 2)).await;
            for i in 0..4 {
                scratch.write("prometheus.yml", &"a".repeat(i));
                sleep(SETTLE).await;
            }
        };
        tokio::join!(write, watching.changed());
        assert_eq!(began.elapsed(), INTERVAL + SETTLE * 4);

        let began = Instant::now();
        let write = async {
            // Never at the moment of a check.
            sleep(SETTLE / 4).await;
            for i in 0.. {
                scratch.write("prometheus.yml", &format!("a: {i}\n"));
                sleep(SETTLE / 2).await;
            }
        };
        tokio::select! {
            () = write => unreachable!("it has no end"),
            () = watching.changed() => {}
        }
        assert_eq!(began.elapsed(), INTERVAL + SETTLE * MAX_CHECKS);
    }
}
