//! The target manager: runs the sources that the jobs name, and gives every job its targets.
//!
//! Invariants:
//! - All sources that read one Swarm in swarm mode share its refreshes.
//! - A source runs once, as long as any job names it. A reload that still names it does not disturb
//!   it.
//! - A job whose configuration is equal after a reload keeps its set and its channel.
//! - A job whose configuration changed first serves the old targets, kept fresh by the old sources.
//!   It turns to the new ones when every new source has answered, or when
//!   [the time for that](BuildContext::startup_timeout) is over and one of them has.
//! - Nothing here waits for a refresh: [`Manager::apply`] returns at once.

mod index;
mod job;
mod layers;
mod pool;

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::select;
use swarmscout_model::{CanonicalGroups, PromDuration, TargetSet, canonicalize};
use swarmscout_refresh::supervisor::{Build, RefreshSpec, Supervised, start};
use swarmscout_swarm::{Filters, Reader, SharedSwarm, Source, Subscription, Swarm};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::index::Index;
use self::job::{Plan, PlannedSource, Published};
pub use self::layers::{JobSet, LayeredJob, ShadowedJob};
use crate::config::{BuildContext, ClassicConfig, DockerSwarmConfig, Events, SdConfig};
use crate::source::classic::{Classic, ClassicReplica, ClassicSwarm, Observer};
use crate::source::replica::Details;
use crate::source::{dockerswarm, swarmscout};
use crate::stats::DiscoveryStats;
#[cfg(test)]
use crate::storage::Storage;
use crate::{BoxDiscoverer, Error, Groups, JobConfig, JobStatus};

/// Owns all sources and jobs. Dropping it stops them.
#[derive(Debug)]
pub struct Manager {
    context: BuildContext,
    running: BTreeMap<Arc<str>, Running>,
    /// The sources that some job names, or recently named.
    sources: Index<Arc<SdConfig>, RunningSource>,
    /// The Swarms that some source reads, or recently read.
    swarms: Index<SwarmKey, SharedSwarm>,
    published_swarms: watch::Sender<Arc<[Swarm]>>,
    published_classic_swarms: watch::Sender<Arc<[ClassicSwarm]>>,
    jobs: watch::Sender<Arc<[Job]>>,
    sets: watch::Sender<Arc<[watch::Receiver<Arc<TargetSet>>]>>,
    /// When the sources of the jobs that are being started must have answered. `None`: any time.
    answers_due: Option<Instant>,
    /// Whether a configuration was applied before.
    is_configured: bool,
}

/// A source that some job names.
#[derive(Debug)]
struct RunningSource {
    supervised: Supervised<CanonicalGroups>,
    /// What only a source of swarm mode reports.
    details: watch::Receiver<Details>,
    /// Its Swarm as a whole, if it reads only what the Engine selects: for state metrics.
    _whole: Option<Subscription>,
    /// What only a source that asks masters reports, for state metrics.
    classic: Option<ClassicReplica>,
}

impl RunningSource {
    fn classic_swarm(&self) -> Option<ClassicSwarm> {
        self.classic.as_ref().map(|classic| classic.state(self.supervised.last_good()))
    }
}

/// Identifies the Swarm that a source reads, as far as its configuration shows it.
#[derive(Debug)]
struct SwarmKey {
    source: Source,
    /// Filters that only the Engine can apply. Sources with other filters cannot share its
    /// listings.
    apart: Option<Filters>,
}

/// A running job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its configuration. During a reload it is newer than that of the set.
    pub config: Arc<JobConfig>,
    /// See [`LayeredJob::yaml`].
    pub yaml: Option<Arc<str>>,
    /// Its newest targets. Wakes when the targets or the missing sources change.
    pub set: watch::Receiver<Arc<TargetSet>>,
    /// The state of its sources. Wakes when a source answers, fails or has other problems, but not
    /// for ages and counters.
    pub status: watch::Receiver<Arc<JobStatus>>,
}

/// What a job publishes, at one moment.
#[derive(Clone, Debug)]
pub struct JobState {
    /// Its targets.
    pub set: Arc<TargetSet>,
    /// The state of its sources.
    pub status: Arc<JobStatus>,
}

impl Job {
    /// The present state.
    pub fn state(&self) -> JobState {
        // Both are published under the lock of the set, so they agree.
        let set = self.set.borrow();
        JobState { set: set.clone(), status: self.status.borrow().clone() }
    }

    /// Waits until its state satisfies `is`. `None` if the job ends before.
    pub async fn wait_for(&mut self, mut is: impl FnMut(&JobState) -> bool) -> Option<JobState> {
        loop {
            self.set.mark_unchanged();
            self.status.mark_unchanged();
            let state = self.state();
            if is(&state) {
                return Some(state);
            }
            let (set, status) = (pin!(self.set.changed()), pin!(self.status.changed()));
            select(set, status).await.factor_first().0.ok()?;
        }
    }
}

#[derive(Debug)]
struct Running {
    config: Arc<JobConfig>,
    yaml: Option<Arc<str>>,
    plan: watch::Sender<Plan>,
    published: Published,
    _task: AbortOnDropHandle<()>,
}

impl Running {
    fn job(&self) -> Job {
        let Published { set, status } = self.published.clone();
        Job { config: self.config.clone(), yaml: self.yaml.clone(), set, status }
    }
}

impl Manager {
    /// A manager without jobs.
    pub fn new(context: BuildContext) -> Self {
        Self {
            answers_due: Instant::now().checked_add(context.startup_timeout),
            is_configured: false,
            context,
            running: BTreeMap::new(),
            sources: Index::default(),
            swarms: Index::default(),
            published_swarms: watch::Sender::new(Arc::from([])),
            published_classic_swarms: watch::Sender::new(Arc::from([])),
            jobs: watch::Sender::new(Arc::from([])),
            sets: watch::Sender::new(Arc::from([])),
        }
    }

    /// The counters of all jobs together.
    pub fn stats(&self) -> &Arc<DiscoveryStats> {
        &self.context.stats
    }

    /// Makes these the jobs, and returns those that do not run because another layer has a job of
    /// their name. A job whose configuration is equal to that of a running one is left alone; so is
    /// every source that some job still names.
    ///
    /// Must be called within a tokio runtime.
    pub fn apply(&mut self, jobs: impl Into<JobSet>) -> Vec<ShadowedJob> {
        let (jobs, shadowed) = jobs.into().merge();
        // The time of the first configuration started with the program.
        if std::mem::replace(&mut self.is_configured, true) {
            self.answers_due = Instant::now().checked_add(self.context.startup_timeout);
        }
        if let Some(storage) = &self.context.storage {
            storage.expect(jobs.values().flat_map(|job| &job.config.sources));
        }
        let mut before = std::mem::take(&mut self.running);
        for (name, LayeredJob { mut config, yaml }) in jobs {
            config.pool.defaults.common_labels = self.context.common_labels.clone();
            let mut running = match before.remove(&name) {
                Some(running) if *running.config == config => running,
                Some(mut running) => {
                    running.config = Arc::new(config);
                    running.plan.send_replace(self.plan(&running.config));
                    running
                }
                None => self.start_job(Arc::new(config)),
            };
            running.yaml = yaml;
            self.running.insert(name, running);
        }
        self.sources.forget_ended();
        self.swarms.forget_ended();
        // Only now are the needs of all sources known.
        let swarms = self.swarms.running().into_iter();
        let swarms = swarms.inspect(|swarm| swarm.publish()).map(|swarm| Swarm::of(&swarm));
        self.published_swarms.send_replace(swarms.collect());
        let sources = self.sources.running().into_iter();
        let classic = sources.filter_map(|source| source.classic_swarm()).collect();
        self.published_classic_swarms.send_replace(classic);
        let jobs: Arc<[_]> = self.running.values().map(Running::job).collect();
        self.sets.send_replace(jobs.iter().map(|job| job.set.clone()).collect());
        self.jobs.send_replace(jobs);
        shadowed
    }

    /// The running jobs, sorted by name.
    pub fn jobs(&self) -> watch::Receiver<Arc<[Job]>> {
        self.jobs.subscribe()
    }

    /// The targets of the running jobs, sorted by the jobs' names, for readers that need only them.
    pub fn sets(&self) -> watch::Receiver<Arc<[watch::Receiver<Arc<TargetSet>>]>> {
        self.sets.subscribe()
    }

    /// The Swarms that some source reads, in the order in which they were started. A Swarm without
    /// readers may still be among them; it reports nothing.
    pub fn swarms(&self) -> watch::Receiver<Arc<[Swarm]>> {
        self.published_swarms.subscribe()
    }

    /// The classic Swarms whose masters some source asks, in the order in which they were started, if
    /// there are state metrics.
    pub fn classic_swarms(&self) -> watch::Receiver<Arc<[ClassicSwarm]>> {
        self.published_classic_swarms.subscribe()
    }

    /// Stores the targets of sources, stops all sources and jobs, and waits for them.
    pub async fn shutdown(self) {
        let Self { context, running, jobs, .. } = self;
        if let Some(storage) = &context.storage {
            storage.finish().await;
        }
        drop(running);
        jobs.send_replace(Arc::from([]));
        context.refresh.tasks.close();
        context.refresh.tasks.wait().await;
    }

    #[cfg(test)]
    pub(crate) fn context_storage(&self) -> Storage {
        self.context.storage.clone().expect("this test has one")
    }

    fn start_job(&mut self, config: Arc<JobConfig>) -> Running {
        let plan = watch::Sender::new(self.plan(&config));
        let (published, run) = job::run(plan.subscribe(), self.context.clone());
        let task = AbortOnDropHandle::new(self.context.refresh.tasks.spawn(run));
        Running { config, yaml: None, plan, published, _task: task }
    }

    /// The sources of a job. Starts those that do not run yet.
    fn plan(&mut self, job: &Arc<JobConfig>) -> Plan {
        let mut sources = Vec::<PlannedSource>::new();
        let mut different = HashSet::new();
        let mut of_mechanism = BTreeMap::<_, usize>::new();
        for config in &job.sources {
            let number = of_mechanism.entry(config.source().mechanism()).or_default();
            let name = format!("{}/{number}", config.source().mechanism());
            *number += 1;
            let (config, running) = self.source(config, job.name());
            // Equal configurations are one source.
            if different.insert(Arc::as_ptr(&running)) {
                sources.push(PlannedSource { name: name.into(), config, running });
            }
        }
        Plan { job: job.clone(), sources, answers_due: self.answers_due }
    }

    fn source(&mut self, config: &SdConfig, job: &Arc<str>) -> (Arc<SdConfig>, Arc<RunningSource>) {
        let hash = self.sources.hash(config);
        if let Some((known, running)) = self.sources.find(hash, |known| **known == *config) {
            return (known.clone(), running);
        }
        let config = Arc::new(config.clone());
        let mut whole = None;
        let mut classic = None;
        let (supervised, details) = match &*config {
            SdConfig::DockerSwarm(config) => {
                let swarm;
                (swarm, whole) = self.subscribe_role(config, job);
                dockerswarm::start(config, job, swarm, &self.context)
            }
            SdConfig::Swarmscout(config) => {
                let interval = config.engine.refresh_interval;
                let (swarm, reader) = (config.swarm(), swarmscout::reader());
                let swarm = self.subscribe(swarm, None, reader, interval, job);
                swarmscout::start(config, job, swarm, &self.context)
            }
            SdConfig::Classic(of) if self.context.state_metrics => {
                let replica = ClassicReplica::start(of, &self.context);
                let supervised = self.start_classic(of, &config, job, replica.observer());
                classic = Some(replica);
                (supervised, watch::channel(Details::default()).1)
            }
            _ => (self.start_source(&config, job), watch::channel(Details::default()).1),
        };
        if let Some(storage) = &self.context.storage {
            storage.attach(&config, &supervised);
        }
        let running = Arc::new(RunningSource { supervised, details, _whole: whole, classic });
        self.sources.add(hash, config.clone(), &running);
        (config, running)
    }

    /// Starts a source that sends its own requests.
    fn start_source(&self, config: &Arc<SdConfig>, job: &Arc<str>) -> Supervised<CanonicalGroups> {
        let (of, context) = (config.clone(), self.context.clone());
        self.supervise(config, job, Box::new(move |_| of.source().build(&context)))
    }

    /// Starts a source that asks masters and reports what it learns.
    fn start_classic(
        &self,
        of: &ClassicConfig,
        config: &SdConfig,
        job: &Arc<str>,
        observer: Observer,
    ) -> Supervised<CanonicalGroups> {
        let (of, context) = (of.clone(), self.context.clone());
        let build = move |_: &_| {
            let classic = Classic::new(&of, &context)?.observed_by(observer.clone());
            Ok(Box::new(classic) as BoxDiscoverer)
        };
        self.supervise(config, job, Box::new(build))
    }

    fn supervise(
        &self,
        config: &SdConfig,
        job: &Arc<str>,
        build: Build<Groups, Error>,
    ) -> Supervised<CanonicalGroups> {
        let spec = RefreshSpec {
            mechanism: config.source().mechanism(),
            job: job.clone(),
            what: config.source().describe().into(),
            pace: config.source().pace(&self.context.refresh).fixed(),
            build,
            canonicalize,
        };
        start(spec, &self.context.refresh)
    }

    /// What a role reads, and its Swarm as a whole where state metrics need it in addition.
    fn subscribe_role(
        &mut self,
        config: &DockerSwarmConfig,
        job: &Arc<str>,
    ) -> (Subscription, Option<Subscription>) {
        let filters = Filters::new(config.role, &config.engine.filters);
        let interval = config.engine.refresh_interval;
        let reader = Reader::of_role(filters.clone());
        if filters.can_be_local() {
            return (self.subscribe(config.swarm(), None, reader, interval, job), None);
        }
        let everything = self.context.state_metrics.then(Reader::of_everything);
        let whole = everything.map(|all| self.subscribe(config.swarm(), None, all, interval, job));
        // No change feed reports which objects these filters select.
        let config = DockerSwarmConfig { events: Events::Poll, ..config.clone() };
        (self.subscribe(config.swarm(), Some(filters), reader, interval, job), whole)
    }

    /// Subscribes a source to its Swarm. Starts the Swarm unless another source already reads it.
    fn subscribe(
        &mut self,
        source: Source,
        apart: Option<Filters>,
        reader: Reader,
        interval: PromDuration,
        job: &Arc<str>,
    ) -> Subscription {
        let same = |swarm: &SwarmKey| swarm.source.is_same(&source) && swarm.apart == apart;
        let hash = self.swarms.hash(&(source.describe(), &apart));
        let known = self.swarms.find(hash, same).map(|(_, swarm)| swarm);
        let shared = known.unwrap_or_else(|| {
            let mut what = source.describe();
            if let Some(filters) = &apart {
                let role = filters.role().as_str();
                what = format!("{what} role {role} filters {}", filters.for_engine(true));
            }
            let BuildContext { refresh, following, state_metrics, network_status, .. } =
                &self.context;
            // What the Engine selects is not a whole Swarm.
            let is_shown = *state_metrics && apart.is_none();
            let companion =
                is_shown.then(|| Reader::of_everything().with_network_status(*network_status));
            let (source_of, what) = (source.clone(), what.into());
            let shared = SharedSwarm::start(source_of, what, job, *following, companion, refresh);
            self.swarms.add(hash, SwarmKey { source, apart }, &shared);
            shared
        });
        shared.read(reader, interval)
    }
}

#[cfg(test)]
mod tests;
