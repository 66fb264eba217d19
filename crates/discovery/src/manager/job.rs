//! The task of one job: it reads the job's sources, updates its [`Pool`] and publishes its set.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::select_all;
use swarmscout_model::{
    Budget, CanonicalGroups, Completeness, MissingSource, PoolSpec, SetGroup, SyncStats,
    TargetCounts, TargetSet,
};
use swarmscout_net::{Secrets, cpu};
use swarmscout_refresh::supervisor::{Health, LastGood};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::RunningSource;
use super::pool::{Pool, Update};
use crate::config::{BuildContext, SdConfig};
use crate::limits::Excess;
use crate::source::replica::Details;
use crate::status::{JobStatus, RefreshStats, SourceStatus};
use crate::{BoxFuture, JobConfig};

/// The shortest time between two published sets. A first change is published at once.
pub(super) const SHORTEST_GAP: Duration = Duration::from_millis(50);

/// More targets than this are relabelled on a thread of their own. Each takes some 5 µs, during
/// which other tasks of the runtime's thread would wait.
const LARGE: usize = 1000;

/// The most sources without an answer that are named in the log.
const LOG_MISSING: usize = 10;

/// The configuration of a job, with its running sources.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub job: Arc<JobConfig>,
    /// The distinct sources of the job.
    pub sources: Vec<PlannedSource>,
    /// When the job is served without the sources that have not answered. `None`: never.
    pub answers_due: Option<Instant>,
}

/// A source of a job.
#[derive(Clone, Debug)]
pub(super) struct PlannedSource {
    /// See [`SourceStatus::name`].
    pub name: Arc<str>,
    pub config: Arc<SdConfig>,
    pub running: Arc<RunningSource>,
}

/// The channels of a job.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub set: watch::Receiver<Arc<TargetSet>>,
    pub status: watch::Receiver<Arc<JobStatus>>,
}

/// The set and the status of a new job, and the future that keeps them up to date.
pub(super) fn run(
    mut plan: watch::Receiver<Plan>,
    context: BuildContext,
) -> (Published, impl Future<Output = ()> + Send) {
    let current = Generation::new(plan.borrow_and_update().clone(), &context.refresh.budget);
    let syncs = SyncStats::default();
    let ended = Arc::default();
    let (set, set_of_job) = watch::channel(Arc::new(current.set(false, &syncs)));
    let (status, status_of_job) = watch::channel(Arc::new(status(&current, None, &ended)));
    let job = JobTask { plan, context, current, next: None, set, status, syncs, ended };
    (Published { set: set_of_job, status: status_of_job }, job.forever())
}

fn status(current: &Generation, next: Option<&Generation>, ended: &Ended) -> JobStatus {
    let statuses = |generation: &Generation| {
        generation.sources.iter().map(|source| source.status.clone()).collect()
    };
    JobStatus {
        sources: statuses(current),
        next_sources: next.map(statuses).unwrap_or_default(),
        ended: ended.clone(),
    }
}

struct JobTask {
    plan: watch::Receiver<Plan>,
    context: BuildContext,
    current: Generation,
    /// Takes the place of `current` as soon as it is ready.
    next: Option<Generation>,
    set: watch::Sender<Arc<TargetSet>>,
    status: watch::Sender<Arc<JobStatus>>,
    syncs: SyncStats,
    ended: Ended,
}

/// See [`JobStatus::ended`].
type Ended = Arc<BTreeMap<&'static str, RefreshStats>>;

/// The sources and targets of a job under one configuration, between two reloads that change it.
struct Generation {
    job: Arc<JobConfig>,
    spec: Arc<PoolSpec>,
    sources: Vec<Source>,
    answers_due: Option<Instant>,
    timed_out: bool,
    /// Whether missing sources were logged.
    is_noted: bool,
    /// `None` while it is updated on another thread, and after that panicked.
    pool: Option<Pool>,
    groups: Arc<[SetGroup]>,
    counts: TargetCounts,
    changed: SystemTime,
}

struct Source {
    /// Keeps the source running.
    running: Arc<RunningSource>,
    known: watch::Receiver<LastGood<CanonicalGroups>>,
    status: SourceStatus,
    /// Its newest groups, if they did not fit.
    refused: Option<RefusedGroups>,
}

/// Groups of a source whose targets in this job did not fit into the budget.
struct RefusedGroups {
    groups: CanonicalGroups,
    /// The number of refreshes of the source by then. After the next one the groups are tried
    /// again.
    refreshes: u64,
    error: Arc<str>,
}

/// What a sync changed, in ascending order of importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    /// At most ages and counters.
    Nothing,
    /// The health of a source: it answered, failed, or has other problems.
    Status,
    /// The targets or the configuration.
    Targets,
}

impl JobTask {
    async fn forever(mut self) {
        let mut earliest = Instant::now();
        loop {
            if self.sync().await == News::Targets {
                earliest = Instant::now() + SHORTEST_GAP;
            }
            self.wait().await;
            if Instant::now() < earliest && !self.has_first_answer() {
                self.context.stats.updates_delayed.add(1);
                sleep_until(earliest).await;
            }
        }
    }

    /// Updates everything and publishes it.
    async fn sync(&mut self) -> News {
        let mut news = self.adopt_plan();
        news = news.max(self.current.sync(&self.context, &mut self.syncs).await);
        if let Some(next) = &mut self.next {
            // Its targets are not published yet.
            let hidden = next.sync(&self.context, &mut self.syncs).await;
            news = news.max(hidden.min(News::Status));
        }
        if let Some(next) = self.next.take_if(|next| next.is_ready()) {
            self.replace_current(next);
            news = News::Targets;
        }
        self.current.note_missing();
        if news == News::Targets {
            self.context.stats.updates.add(1);
            let exceeded = self.current.limit_error().is_some();
            self.context.stats.limit_exceeded.add(exceeded.into());
        }
        self.publish(news);
        news
    }

    /// Publishes the state after a sync. The status is published under the lock of the set, so that
    /// in [`Job::state`](super::Job::state) they agree.
    fn publish(&self, news: News) {
        let status = Arc::new(status(&self.current, self.next.as_ref(), &self.ended));
        let is_news = news > News::Nothing;
        let set = is_news.then(|| self.current.set(self.next.is_some(), &self.syncs));
        self.set.send_if_modified(|published| {
            self.status.send_if_modified(|published| {
                *published = status;
                is_news
            });
            let Some(set) = set else { return false };
            let is_other = news == News::Targets
                || published.completeness != set.completeness
                || published.stale_config != set.stale_config;
            // A change of counters wakes no receiver.
            let is_counted = !Arc::ptr_eq(&published.syncs.durations, &set.syncs.durations);
            if is_other || is_counted {
                *published = Arc::new(set);
            }
            is_other
        });
    }

    /// Adopts a new configuration, if there is one. It replaces the present one at once if that has
    /// never been ready: then no targets are lost.
    fn adopt_plan(&mut self) -> News {
        let newest = self.next.as_ref().unwrap_or(&self.current);
        let plan = self.plan.borrow_and_update().clone();
        if Arc::ptr_eq(&plan.job, &newest.job) {
            return News::Nothing;
        }
        let generation = Generation::new(plan, &self.context.refresh.budget);
        if self.current.is_ready() {
            self.next = Some(generation);
        } else {
            self.next = None;
            self.replace_current(generation);
        }
        News::Status
    }

    /// Keeps the counters of sources that are not among those of `generation`.
    fn replace_current(&mut self, generation: Generation) {
        let before = std::mem::replace(&mut self.current, generation);
        let remain = |ended: &Source| {
            self.current.sources.iter().any(|now| Arc::ptr_eq(&now.running, &ended.running))
        };
        for ended in before.sources.iter().filter(|source| !remain(source)) {
            let all = Arc::make_mut(&mut self.ended);
            all.entry(ended.status.mechanism).or_default().add(&ended.status);
        }
    }

    /// Waits until a source was refreshed, the configuration changed, or the time for answers is
    /// over.
    async fn wait(&mut self) {
        let generations = std::iter::once(&self.current).chain(&self.next);
        let waiting = generations
            .filter(|generation| !generation.timed_out && generation.missing().next().is_some());
        let due = waiting.filter_map(|generation| generation.answers_due).min();
        let generations = std::iter::once(&mut self.current).chain(&mut self.next);
        let sources = generations.flat_map(|generation| &mut generation.sources);
        let mut changes: Vec<_> = sources.map(|source| changed(&mut source.known)).collect();
        changes.push(changed(&mut self.plan));
        changes.extend(due.map(|due| Box::pin(sleep_until(due)) as BoxFuture<'_, ()>));
        select_all(changes).await;
    }

    /// Whether a source has answered for the first time since the last sync.
    fn has_first_answer(&self) -> bool {
        let generations = std::iter::once(&self.current).chain(&self.next);
        generations.flat_map(|generation| &generation.sources).any(|source| {
            source.status.as_of.is_none() && source.known.borrow().health.as_of.is_some()
        })
    }
}

/// Resolves at the next change; never once the sender is dropped.
fn changed<T: Send + Sync>(receiver: &mut watch::Receiver<T>) -> BoxFuture<'_, ()> {
    Box::pin(async {
        if receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

impl Generation {
    fn new(Plan { job, sources, answers_due }: Plan, budget: &Budget) -> Self {
        let sources: Vec<_> = sources.into_iter().map(Source::new).collect();
        let spec = Arc::new(job.pool.clone());
        let pool = Some(Pool::new(spec.clone(), sources.len(), budget));
        let (groups, counts) = (Arc::default(), TargetCounts::default());
        Self {
            job,
            spec,
            sources,
            answers_due,
            timed_out: false,
            is_noted: false,
            pool,
            groups,
            counts,
            changed: SystemTime::now(),
        }
    }

    fn missing(&self) -> impl Iterator<Item = &SourceStatus> {
        self.sources.iter().map(|source| &source.status).filter(|status| status.as_of.is_none())
    }

    /// See [`TargetSet::is_ready`].
    fn is_ready(&self) -> bool {
        let missing = self.missing().count();
        missing == 0 || (self.timed_out && missing < self.sources.len())
    }

    fn completeness(&self) -> Completeness {
        let missing = self.missing().map(|source| MissingSource {
            name: source.name.clone(),
            display_name: source.display_name.clone(),
            error: source.error.clone(),
        });
        let (missing, sources): (Arc<[_]>, _) = (missing.collect(), self.sources.len());
        match (missing.is_empty(), self.is_ready()) {
            (true, _) => Completeness::Complete,
            (false, true) => Completeness::Partial { missing },
            (false, false) => Completeness::Pending { missing, sources },
        }
    }

    /// Whether the time for the sources to answer has passed. True once.
    fn has_timed_out(&mut self) -> bool {
        let passed = self.answers_due.is_some_and(|due| due <= Instant::now());
        passed && !std::mem::replace(&mut self.timed_out, true)
    }

    /// Logs the missing sources once, when targets are served without them.
    fn note_missing(&mut self) {
        if self.is_noted || !self.timed_out || !self.is_ready() {
            return;
        }
        self.is_noted = true;
        let mut missing = self.missing().peekable();
        if missing.peek().is_none() {
            return;
        }
        let name = |source: &SourceStatus| format!("{} ({})", source.name, source.display_name);
        let shown: Vec<_> = missing.by_ref().take(LOG_MISSING).map(name).collect();
        let further = missing.count();
        let hint = self.is_failover_by_entries().then_some(
            "to reach one Swarm through several managers, write one dockerswarm_sd_configs entry \
             with hosts: [manager-1, manager-2] in place of host",
        );
        tracing::warn!(
            config = %self.job.name(),
            missing = shown.join(", "),
            further_missing = (further > 0).then_some(further),
            hint,
            "Targets are served without sources that have not answered"
        );
    }

    /// Whether several entries name one manager each. With Prometheus that is the way to read a
    /// Swarm through any manager that is up.
    fn is_failover_by_entries(&self) -> bool {
        let one_host = |source: &&SdConfig| match source {
            SdConfig::DockerSwarm(config) => config.engine.hosts.len() == 1,
            _ => false,
        };
        self.job.sources.iter().filter(one_host).count() > 1
    }

    /// Takes over the newest groups and health of the sources.
    async fn sync(&mut self, context: &BuildContext, syncs: &mut SyncStats) -> News {
        let timed_out = self.has_timed_out() && self.missing().next().is_some();
        let mut news = if timed_out { News::Status } else { News::Nothing };
        let mut updates = Vec::new();
        let mut healths = Vec::new();
        for (index, source) in self.sources.iter_mut().enumerate() {
            let LastGood { value, health } = source.known.borrow_and_update().clone();
            let held = |groups: &CanonicalGroups| {
                self.pool.as_ref().is_some_and(|pool| pool.holds(index, groups))
            };
            let new = value.filter(|groups| !held(groups));
            if new.is_none() {
                source.refused = None;
            }
            if let Some(groups) = new
                && !source.has_refused(&groups, health.refreshes)
            {
                updates.push((index, groups));
                healths.push(health);
            } else {
                news = news.max(source.note(health));
            }
        }
        if updates.is_empty() {
            return news;
        }
        let started = std::time::Instant::now();
        let sources = self.sources.len();
        let pool = self.pool.take();
        let pool =
            pool.unwrap_or_else(|| Pool::new(self.spec.clone(), sources, &context.refresh.budget));
        let Some((pool, update, refused)) = relabel(pool, updates.clone()).await else {
            // The targets stay; after the next refresh of a source everything is tried again.
            context.refresh.stats.panics.add(1);
            tracing::error!(
                config = %self.job.name(),
                "Internal error, please report it: relabeling failed, targets stay as they were"
            );
            return news;
        };
        let mut taken = false;
        for (((index, groups), health), refused) in updates.into_iter().zip(healths).zip(refused) {
            let source = &mut self.sources[index];
            taken |= refused.is_none();
            match refused {
                None => {
                    source.refused = None;
                    let (groups, targets) = (groups.len(), pool.targets(index));
                    (source.status.groups, source.status.targets) = (groups, targets);
                }
                Some(excess) => {
                    let error = format!("its targets cannot be kept: {excess}").into();
                    if source.refused.is_none() {
                        let (config, source) = (self.job.name(), &*source.status.name);
                        tracing::error!(
                            %config,
                            source,
                            err = %error,
                            "Targets of a source stay as they were"
                        );
                    }
                    source.refused =
                        Some(RefusedGroups { groups, refreshes: health.refreshes, error });
                }
            }
            news = news.max(source.note(health));
        }
        if !taken {
            self.pool = Some(pool);
            return news;
        }
        self.groups = pool.groups();
        self.counts = pool.counts();
        self.changed = SystemTime::now();
        self.pool = Some(pool);
        self.log_refused(&update);
        syncs.refused += update.refused as u64;
        Arc::make_mut(&mut syncs.durations).observe(started.elapsed());
        News::Targets
    }

    fn log_refused(&self, update: &Update) {
        // A reason quotes what the source sent.
        let secrets = Secrets::default();
        if !update.refusals.is_empty() {
            self.job.sources.iter().for_each(|source| source.source().keep_secrets(&secrets));
        }
        for err in &update.refusals {
            let err = &*secrets.clean(err);
            tracing::error!(config = %self.job.name(), err, "Creating target failed");
        }
        let others = update.refused - update.refusals.len();
        if others > 0 {
            tracing::error!(
                config = %self.job.name(),
                targets = others,
                "Creating further targets failed"
            );
        }
    }

    fn limit_error(&self) -> Option<String> {
        let (number, limit) = (self.counts.active, self.spec.target_limit);
        (limit > 0 && number as u64 > limit)
            .then(|| format!("target_limit exceeded (number of targets: {number}, limit: {limit})"))
    }

    fn set(&self, stale_config: bool, syncs: &SyncStats) -> TargetSet {
        TargetSet {
            pool: self.spec.clone(),
            groups: self.groups.clone(),
            counts: self.counts,
            completeness: self.completeness(),
            limit_error: self.limit_error(),
            stale_config,
            changed: self.changed,
            syncs: syncs.clone(),
        }
    }
}

/// Applies `updates` to `pool`, large ones on a thread of their own. Returns for each the error
/// that prevented it. `None` after a panic.
async fn relabel(
    pool: Pool,
    updates: Vec<(usize, CanonicalGroups)>,
) -> Option<(Pool, Update, Vec<Option<Excess>>)> {
    let work: usize = updates.iter().map(|(source, groups)| pool.work(*source, groups)).sum();
    let apply = move || {
        let mut pool = pool;
        let mut done = Update::default();
        let apply = |(source, groups): &(_, _)| pool.update(*source, groups, &mut done).err();
        let refused = updates.iter().map(apply).collect();
        (pool, done, refused)
    };
    let apply = move || std::panic::catch_unwind(AssertUnwindSafe(apply)).ok();
    if work <= LARGE {
        return apply();
    }
    cpu::DISCOVERY.run(move |_| apply()).await
}

impl Source {
    fn new(plan: PlannedSource) -> Self {
        let PlannedSource { name, config, running } = &plan;
        let status = SourceStatus {
            mechanism: config.source().mechanism(),
            name: name.clone(),
            display_name: config.source().describe().into(),
            as_of: None,
            restored: false,
            is_refreshed: config.source().refresh_interval().is_some(),
            error: None,
            problems: Arc::default(),
            without_address: None,
            refreshes: 0,
            failures: 0,
            durations: Arc::default(),
            groups: 0,
            targets: 0,
            swarm: None,
        };
        let known = running.supervised.last_good();
        Self { running: plan.running, known, status, refused: None }
    }

    /// Whether these groups were already tried, and the source was not refreshed since.
    fn has_refused(&self, groups: &CanonicalGroups, refreshes: u64) -> bool {
        let same = |refused: &RefusedGroups| Arc::ptr_eq(&refused.groups, groups);
        self.refused.as_ref().is_some_and(|refused| same(refused) && refused.refreshes == refreshes)
    }

    fn note(&mut self, mut health: Health) -> News {
        let status = &mut self.status;
        if let Some(refused) = &self.refused {
            // The targets and their age are the previous ones.
            health.error = Some(Arc::clone(&refused.error));
            health.as_of = status.as_of;
        }
        let Details { without_address, swarm } = self.running.details.borrow().clone();
        let same = status.as_of.is_some() == health.as_of.is_some()
            && status.restored == health.restored
            && status.error == health.error
            && status.without_address == without_address
            && status.swarm == swarm
            && Arc::ptr_eq(&status.problems, &health.problems);
        let Health { as_of, restored, error, problems, refreshes, failures, durations } = health;
        status.as_of = as_of;
        status.restored = restored;
        status.error = error;
        status.problems = problems;
        status.without_address = without_address;
        status.refreshes = refreshes;
        status.failures = failures;
        status.durations = durations;
        status.swarm = swarm;
        if same { News::Nothing } else { News::Status }
    }
}
