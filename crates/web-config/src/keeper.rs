//! Follows a web configuration file: reads it and the files that it names again, and replaces the
//! version in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use swarmscout_config_decoder::{ConfigError, Errors};
use swarmscout_net::lane;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::doors::ReloadRequest;
use crate::load::{Attempt, Fingerprint, LoadedDoors, attempt, fingerprint};
use crate::tls::EXPIRED;
use crate::{Doors, DoorsHandle, DoorsStatus};

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long reading all of them may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The least time between two log lines about versions that cannot be used.
const QUIET: Duration = Duration::from_mins(1);

/// How often the certificates of the version in use are checked for their end.
const REVIEW: Duration = Duration::from_hours(1);

/// The least time between two log lines about the same warning.
const REMIND: Duration = Duration::from_hours(24);

/// Loads the web configuration at `path` for the first time.
pub async fn open(path: &Path) -> Result<(DoorsHandle, Keeper), Errors> {
    let own = path.to_owned();
    let read = lane::read(path, PATIENCE, move || attempt(&own)).await;
    let Attempt { loaded, files, fingerprint } = read.map_err(|stuck| hangs(path, &stuck))?;
    let LoadedDoors { doors, warnings } = loaded?;
    warn(path, &warnings);
    let (doors, doors_receiver) = watch::channel(Arc::new(doors));
    let (status, status_receiver) = watch::channel(DoorsStatus {
        error: None,
        loaded: SystemTime::now(),
        warnings: warnings.into(),
    });
    let (reload, requests) = mpsc::channel(1);
    let handle = DoorsHandle {
        file: Arc::new(path.to_owned()),
        doors: doors_receiver,
        status: status_receiver,
        reload,
    };
    let seen = Seen { files, fingerprint };
    let keeper = Keeper {
        path: path.to_owned(),
        doors,
        status,
        requests,
        seen,
        doubt: None,
        logged: None,
        reviewed: Instant::now(),
        warned: Instant::now(),
    };
    Ok((handle, keeper))
}

/// Follows a web configuration file as long as [`run`](Self::run) does.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    doors: watch::Sender<Arc<Doors>>,
    status: watch::Sender<DoorsStatus>,
    requests: mpsc::Receiver<ReloadRequest>,
    /// What the files held when the state was last decided.
    seen: Seen,
    /// A version that was seen once: it may be half written, or certificate and key may be replaced one
    /// after the other.
    doubt: Option<Doubt>,
    /// When a version that cannot be used was last logged.
    logged: Option<Instant>,
    /// When the warnings about the version in use were last made.
    reviewed: Instant,
    /// When they were last logged.
    warned: Instant,
}

/// A version that is not decided yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It can be used, and is if it stays as it is.
    Good(Fingerprint),
    /// It cannot be used, whatever exactly it holds.
    Bad,
}

/// What the files of a version held.
#[derive(Clone, Debug)]
struct Seen {
    /// The main file first.
    files: Vec<PathBuf>,
    fingerprint: Fingerprint,
}

impl Keeper {
    /// Reads the files every second, and when asked to. It ends when no handle is left.
    pub async fn run(mut self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.check().await,
                request = self.requests.recv() => {
                    let Some(request) = request else { return };
                    self.load_now().await;
                    let error = self.status.borrow().error.clone();
                    // The one who asked may have gone.
                    let _ = request.send(error.map_or(Ok(()), Err));
                }
            }
        }
    }

    /// Loads what has changed.
    async fn check(&mut self) {
        let (path, seen) = (self.path.clone(), self.seen.clone());
        let is_due = self.reviewed.elapsed() >= REVIEW;
        let known = seen.fingerprint;
        let read = move || {
            let changed = fingerprint(&seen.files) != seen.fingerprint;
            (changed || is_due).then(|| attempt(&path))
        };
        match lane::read(&self.path, PATIENCE, read).await {
            Ok(None) => {
                self.doubt = None;
                self.remind();
            }
            Ok(Some(Attempt { loaded, fingerprint, .. })) if fingerprint == known => {
                self.doubt = None;
                self.reviewed = Instant::now();
                // A version that cannot be used is reported each minute.
                if let Ok(loaded) = loaded {
                    self.review(loaded.warnings);
                }
            }
            Ok(Some(Attempt { loaded, files, fingerprint })) => {
                let doubt = match &loaded {
                    Ok(_) => Doubt::Good(fingerprint),
                    Err(_) => Doubt::Bad,
                };
                if self.doubt != Some(doubt) {
                    self.doubt = Some(doubt);
                    return;
                }
                let seen = Seen { files, fingerprint };
                match loaded {
                    Ok(loaded) if loaded.doors.opens(&self.doors.borrow()) => {
                        let message = "it takes away TLS, all users or authorization: if that is \
                            meant, reload by SIGHUP or /-/reload";
                        let error = ConfigError::whole_file(&self.path, None, message);
                        self.refuse(&error.into(), Some(seen));
                    }
                    Ok(loaded) => self.accept(loaded, seen),
                    Err(errors) => self.refuse(&errors, Some(seen)),
                }
            }
            Err(stuck) => self.refuse(&hangs(&self.path, &stuck), None),
        }
    }

    /// Loads all of it, changed or not.
    async fn load_now(&mut self) {
        let path = self.path.clone();
        match lane::read(&self.path, PATIENCE, move || attempt(&path)).await {
            Ok(Attempt { loaded: Ok(loaded), files, fingerprint }) => {
                let changed = fingerprint != self.seen.fingerprint;
                let seen = Seen { files, fingerprint };
                if changed || self.status.borrow().error.is_some() {
                    self.accept(loaded, seen);
                }
            }
            Ok(Attempt { loaded: Err(errors), files, fingerprint }) => {
                self.logged = None;
                self.refuse(&errors, Some(Seen { files, fingerprint }));
            }
            Err(stuck) => self.refuse(&hangs(&self.path, &stuck), None),
        }
    }

    fn accept(&mut self, loaded: LoadedDoors, seen: Seen) {
        let LoadedDoors { mut doors, warnings } = loaded;
        doors.users = doors.users.remembering(&self.doors.borrow().users);
        (self.seen, self.doubt, self.logged) = (seen, None, None);
        // Before the log says so.
        self.doors.send_replace(Arc::new(doors));
        tracing::info!(config = %self.path.display(), "Loaded the web configuration");
        warn(&self.path, &warnings);
        (self.reviewed, self.warned) = (Instant::now(), Instant::now());
        let loaded = SystemTime::now();
        self.status.send_replace(DoorsStatus { error: None, loaded, warnings: warnings.into() });
    }

    /// The version before stays. `seen` is `None` if the files could not be read in time.
    fn refuse(&mut self, errors: &Errors, seen: Option<Seen>) {
        self.doubt = None;
        match seen {
            Some(seen) => self.seen = seen,
            // To be read as a whole once it can be.
            None => self.seen.fingerprint = 0,
        }
        let error = errors.to_string();
        self.status.send_modify(|status| status.error = Some(error.into()));
        self.remind();
    }

    /// Logs why the file cannot be used, as long as it cannot, once a minute.
    fn remind(&mut self) {
        let status = self.status.borrow();
        if let Some(error) = &status.error
            && self.logged.is_none_or(|logged| logged.elapsed() >= QUIET)
        {
            self.logged = Some(Instant::now());
            tracing::error!(
                config = %self.path.display(),
                %error,
                "Cannot use the web configuration, the previous one stays in use"
            );
        }
    }

    /// Replaces the warnings about the version in use: its certificates come to their end while it
    /// is in use. Logs them once a day, and at once if they are more or an end has come.
    fn review(&mut self, warnings: Vec<String>) {
        let before = Arc::clone(&self.status.borrow().warnings);
        let expired = |warnings: &[String]| {
            warnings.iter().filter(|warning| warning.contains(EXPIRED)).count()
        };
        let is_new = warnings.len() > before.len() || expired(&warnings) > expired(&before);
        if is_new || self.warned.elapsed() >= REMIND {
            self.warned = Instant::now();
            warn(&self.path, &warnings);
        }
        self.status.send_modify(|status| status.warnings = warnings.into());
    }
}

fn warn(path: &Path, warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(config = %path.display(), warning, "Doubtful web configuration");
    }
}

fn hangs(path: &Path, stuck: &lane::Stuck) -> Errors {
    ConfigError::whole_file(path, None, &format!("cannot read {stuck}")).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::task::JoinSet;

    use super::*;
    use crate::tests::Scratch;
    use crate::tls::tests::{Authority, Pair};

    /// A file that is followed, with a certificate and its key.
    struct Followed {
        scratch: Scratch,
        handle: DoorsHandle,
        keeper: Keeper,
    }

    const TEXT: &str = "tls_server_config: {cert_file: c.pem, key_file: k.pem}\n";

    impl Followed {
        async fn new(name: &str) -> Self {
            let scratch = Scratch::new(name);
            let Pair { cert, key } = Authority::new("The authority").server();
            scratch.write("c.pem", &cert);
            scratch.write("k.pem", &key);
            let path = scratch.write("web.yml", TEXT);
            let (handle, keeper) = open(&path).await.unwrap();
            Self { scratch, handle, keeper }
        }

        /// What one more check makes of it: whether there is a new version, and the error.
        async fn check(&mut self) -> (bool, String) {
            let before = self.handle.current();
            self.keeper.check().await;
            let is_new = !Arc::ptr_eq(&before, &self.handle.current());
            let error = self.handle.status().error;
            let folder = format!("{}/", self.scratch.0.display());
            (is_new, error.as_deref().unwrap_or_default().replace(&folder, ""))
        }

        /// After the second of two checks.
        async fn check_twice(&mut self) -> (bool, String) {
            assert!(!self.check().await.0, "a version is taken at first sight");
            self.check().await
        }
    }

    const SAME: (bool, String) = (false, String::new());
    const NEW: (bool, String) = (true, String::new());

    #[tokio::test]
    async fn a_pair_that_is_replaced_in_two_steps_is_taken_once_it_matches() {
        let mut followed = Followed::new("two-steps").await;
        assert_eq!(followed.check().await, SAME);
        let Pair { cert, key } = Authority::new("The authority").server();
        followed.scratch.write("c.pem", &cert);
        // No error yet.
        assert_eq!(followed.check().await, SAME);
        followed.scratch.write("k.pem", &key);
        assert_eq!(followed.check_twice().await, NEW);
        assert_eq!(followed.check().await, SAME);
        // It is one if it stays.
        let Pair { cert, .. } = Authority::new("The authority").server();
        followed.scratch.write("c.pem", &cert);
        assert_eq!(followed.check().await, SAME);
        let error = "web.yml:1:39: tls_server_config.key_file: cannot use k.pem: the key does not \
            belong to the certificate";
        assert_eq!(followed.check().await, (false, error.to_owned()));
        assert_eq!(followed.check().await, (false, error.to_owned()));
    }

    #[tokio::test]
    async fn what_becomes_bad_leaves_the_version_before_in_use() {
        let mut followed = Followed::new("bad").await;
        let path = followed.scratch.0.join("web.yml");
        for (kind, error) in [
            (
                "text",
                "web.yml:1:1: field a not found in type web.Config: known keys are \
                tls_server_config, http_server_config, rate_limit, basic_auth_users, authorization",
            ),
            ("folder", "web.yml: cannot read the web configuration file: not a regular file"),
            ("fifo", "web.yml: cannot read the web configuration file: not a regular file"),
            ("gone", "web.yml: cannot read the web configuration file: no such file"),
        ] {
            fs::remove_file(&path).unwrap();
            match kind {
                "text" => fs::write(&path, "a: 1\n").unwrap(),
                "folder" => fs::create_dir(&path).unwrap(),
                "fifo" => {
                    rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
                }
                _ => {}
            }
            assert_eq!(followed.check().await, SAME, "{kind}");
            assert_eq!(followed.check().await, (false, error.to_owned()), "{kind}");
            // Loaded on request it is said at once.
            followed.keeper.load_now().await;
            assert!(followed.handle.current().tls.is_some());
            let _ = fs::remove_file(&path);
            let _ = fs::remove_dir(&path);
            fs::write(&path, TEXT).unwrap();
            assert_eq!(followed.check_twice().await, NEW, "{kind}");
        }
    }

    #[tokio::test]
    async fn a_version_that_protects_less_is_not_taken_by_itself() {
        let mut followed = Followed::new("opens").await;
        let user = "basic_auth_users:\n  a: $2a$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK\n";
        let rights = "authorization: {lists: [any]}\n";
        let all = [TEXT, user, rights].concat();
        followed.scratch.write("web.yml", &all);
        assert_eq!(followed.check_twice().await, NEW);
        let error = "web.yml: it takes away TLS, all users or authorization: if that is meant, reload \
            by SIGHUP or /-/reload";
        for less in ["", TEXT, user, &[TEXT, user].concat()] {
            followed.scratch.write("web.yml", less);
            assert_eq!(followed.check_twice().await, (false, error.to_owned()), "{less:?}");
            followed.scratch.write("web.yml", &all);
            assert_eq!(followed.check_twice().await, NEW);
        }
        followed.scratch.write("web.yml", "");
        followed.keeper.load_now().await;
        assert!(followed.handle.current().tls.is_none());
        assert_eq!(followed.check_twice().await, SAME);
    }

    /// A file is empty while it is written.
    #[tokio::test]
    async fn what_is_seen_once_is_not_taken() {
        let mut followed = Followed::new("half").await;
        for text in ["", "http_server_config: {http2: false}\n", "a: 1\n", TEXT] {
            followed.scratch.write("web.yml", text);
            assert_eq!(followed.check().await, SAME, "{text:?}");
        }
        assert_eq!(followed.check().await, SAME);
    }

    #[tokio::test]
    async fn a_version_that_is_bad_in_other_ways_each_time_is_refused() {
        let mut followed = Followed::new("changing").await;
        followed.scratch.write("web.yml", "a: 1\n");
        assert_eq!(followed.check().await, SAME);
        followed.scratch.write("web.yml", "b: 1\n");
        assert!(followed.check().await.1.contains("field b not found"));
    }

    /// Lets this much time pass, at once.
    async fn pass(time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn what_stays_bad_is_logged_once_a_minute() {
        let mut followed = Followed::new("stays-bad").await;
        followed.scratch.write("web.yml", "a: 1\n");
        followed.check().await;
        assert_eq!(followed.keeper.logged, None);
        followed.check().await;
        let first = followed.keeper.logged.unwrap();
        followed.check().await;
        assert_eq!(followed.keeper.logged, Some(first));
        pass(QUIET).await;
        followed.check().await;
        assert!(followed.keeper.logged.unwrap() >= first + QUIET);
        followed.scratch.write("web.yml", TEXT);
        assert_eq!(followed.check_twice().await, NEW);
        pass(QUIET).await;
        followed.check().await;
        assert_eq!(followed.keeper.logged, None);
    }

    /// Nothing changes but the time.
    #[tokio::test]
    async fn the_end_of_a_certificate_is_announced_while_it_is_in_use() {
        let mut followed = Followed::new("ends").await;
        let Pair { cert, key } = Authority::new("The authority").certificate("a", |params| {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        });
        followed.scratch.write("c.pem", &cert);
        followed.scratch.write("k.pem", &key);
        assert_eq!(followed.check_twice().await, NEW);
        let warning = Arc::clone(&followed.handle.status().warnings);
        assert!(warning[0].contains(EXPIRED), "{warning:?}");
        // As if it had been good when it was loaded.
        followed.keeper.status.send_modify(|status| status.warnings = Arc::from([]));
        let loaded = followed.keeper.warned;
        assert_eq!(followed.check().await, SAME);
        assert!(followed.handle.status().warnings.is_empty());

        pass(REVIEW).await;
        assert_eq!(followed.check().await, SAME);
        assert_eq!(followed.handle.status().warnings, warning);
        let first = followed.keeper.warned;
        assert!(first >= loaded + REVIEW);

        pass(REVIEW).await;
        assert_eq!(followed.check().await, SAME);
        assert_eq!(followed.keeper.warned, first);
        pass(REMIND).await;
        assert_eq!(followed.check().await, SAME);
        assert!(followed.keeper.warned >= first + REMIND);
    }

    #[tokio::test]
    async fn a_reload_is_answered_with_what_is_wrong() {
        let followed = Followed::new("reload").await;
        let Followed { scratch, handle, keeper } = followed;
        let mut following = JoinSet::new();
        following.spawn(keeper.run());
        assert_eq!(handle.reload().await, Ok(()));
        scratch.write("web.yml", "a: 1\n");
        let error = handle.reload().await.unwrap_err();
        assert!(error.contains("web.yml:1:1: field a not found"), "{error}");
        scratch.write("web.yml", TEXT);
        assert_eq!(handle.reload().await, Ok(()));
        drop(handle);
        following.join_next().await.unwrap().unwrap();
    }
}
