//! A simulated manager with both of its sockets, and a follower of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swarmscout_discovery::config::{
    BuildContext, DockerSwarmConfig, EngineConfig, Events, Filter, OverlayPort, Role,
};
use swarmscout_discovery::source::dockerswarm::{DockerSwarm, Finder, Options};
use swarmscout_discovery::{Discoverer, Groups, JobConfig, Problem, Refreshed, SdConfig};
use swarmscout_model::{PromDuration, TargetGroup, TargetSet};
use swarmscout_net::HttpConfig;
use swarmscout_refresh::RefreshScope;
use swarmscout_refresh::supervisor::Partial;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
use swarmscout_simulator::swarmkit::ControlSocket;
use swarmscout_swarm::{Error, Feed, Filters, ListScope, Snapshot, SwarmFollower};
use tokio::sync::watch;

/// Far more than anything here takes.
const GUARD: Duration = Duration::from_secs(20);

pub(crate) const ROLES: [Role; 3] = [Role::Nodes, Role::Services, Role::Tasks];

/// Fails the test if what should come does not.
#[track_caller]
pub(crate) fn guarded<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let what = what.to_owned();
    async move {
        let outcome = tokio::time::timeout(GUARD, future).await;
        outcome.unwrap_or_else(|_| panic!("it never came: {what}"))
    }
}

/// A folder of its own, which goes with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("follow-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("docker/swarm")).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One manager: its Engine's socket and, beside it, SwarmKit's.
pub(crate) struct Manager {
    folder: Folder,
    pub(crate) node: String,
    pub(crate) engine: Engine,
    pub(crate) control: ControlSocket,
}

impl Manager {
    pub(crate) fn new(swarm: &Swarm, node: &str) -> Self {
        let folder = Folder::new();
        let listen = Listen::Unix(folder.0.join("docker.sock"));
        let engine = Engine::start(listen, swarm, node).unwrap();
        let control = folder.0.join("docker/swarm/control.sock");
        let control = ControlSocket::start(control, swarm, node).unwrap();
        Self { folder, node: node.to_owned(), engine, control }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.0.join("docker/swarm/control.sock")
    }

    pub(crate) fn url(&self) -> String {
        self.engine.server.url().to_owned()
    }

    /// The text without the names of folders.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        text.replace(&self.folder.0.display().to_string(), "…")
    }
}

/// A Swarm of one manager and two workers, with two services on a network.
pub(crate) struct Site {
    pub(crate) swarm: Swarm,
    pub(crate) manager: Manager,
    pub(crate) workers: [String; 2],
    pub(crate) network: String,
    pub(crate) web: String,
    pub(crate) agent: String,
}

impl Site {
    pub(crate) fn new(seed: u64) -> Self {
        let swarm = Swarm::new(seed);
        let node = swarm.add_manager("manager-1");
        let workers = [swarm.add_worker("worker-1"), swarm.add_worker("worker-2")];
        let network = swarm.create_network("front");
        let web = ServiceSpec::new("web", "demo:1").replicas(3).network(&network);
        let web = swarm.create_service(web.publish(8080, 80));
        let agent = swarm.create_service(ServiceSpec::new("agent", "demo:1").global());
        let manager = Manager::new(&swarm, &node);
        Self { swarm, manager, workers, network, web, agent }
    }

    /// What a new source finds by polling.
    pub(crate) async fn fresh(&self, role: Role) -> String {
        let config = DockerSwarmConfig { events: Events::Poll, ..config(&[&self.manager], role) };
        let mut source = DockerSwarm::new(&config, &context()).unwrap();
        shown(&guarded("a new source", source.fetch(RefreshScope::Full)).await.unwrap().value)
    }

    pub(crate) fn config(&self, role: Role, events: Events) -> DockerSwarmConfig {
        DockerSwarmConfig { events, ..config(&[&self.manager], role) }
    }

    /// Follows everything.
    pub(crate) fn follow(&self, events: Events) -> Followed {
        Followed::new(&self.config(Role::Tasks, events), &context())
    }
}

/// The configuration of a source that reads these managers.
pub(crate) fn config(managers: &[&Manager], role: Role) -> DockerSwarmConfig {
    DockerSwarmConfig {
        engine: EngineConfig {
            hosts: managers.iter().map(|manager| manager.url()).collect(),
            port: 80,
            filters: Vec::new(),
            refresh_interval: PromDuration::from_secs(3600),
            http: HttpConfig::default(),
        },
        role,
        match_first_network: false,
        overlay_port: OverlayPort::Published,
        events: Events::Auto,
        swarmkit_socket: None,
    }
}

pub(crate) fn filtered(config: DockerSwarmConfig, filters: &[(&str, &str)]) -> DockerSwarmConfig {
    let filters = filters
        .iter()
        .map(|(name, value)| Filter { name: (*name).into(), values: vec![(*value).into()] });
    let engine = EngineConfig { filters: filters.collect(), ..config.engine };
    DockerSwarmConfig { engine, ..config }
}

pub(crate) fn job(name: &str, config: &DockerSwarmConfig) -> JobConfig {
    JobConfig::new(name, vec![SdConfig::DockerSwarm(config.clone())])
}

/// A context in which a closed stream is reopened after a moment. No watch is closed for being
/// slow, however busy the machine is.
pub(crate) fn context() -> BuildContext {
    let mut context = BuildContext::new("test");
    context.refresh.patience = GUARD;
    context.following.reopen_after = Duration::from_millis(20);
    context.following.confirmed_within = GUARD;
    context
}

/// The same, but a watch that does not report what a listing showed is closed soon.
pub(crate) fn impatient() -> BuildContext {
    let mut context = context();
    context.following.confirmed_within = Duration::from_millis(50);
    context
}

/// Groups with their targets, without an order.
pub(crate) fn shown<'a>(groups: impl IntoIterator<Item = &'a Arc<TargetGroup>>) -> String {
    let mut lines: Vec<_> = groups
        .into_iter()
        .map(|group| {
            let mut text = String::new();
            writeln!(text, "{} {:?}", group.source, group.labels).unwrap();
            group.targets.iter().for_each(|target| writeln!(text, "  {target:?}").unwrap());
            text
        })
        .collect();
    lines.sort();
    lines.concat()
}

pub(crate) fn shown_set(set: &TargetSet) -> String {
    shown(set.groups.iter().map(|group| &group.relabelled.group))
}

/// A Swarm that is followed step by step, as a supervisor does it, with one finder for each role.
pub(crate) struct Followed {
    follower: SwarmFollower,
    /// What was published before the end of a refresh.
    partial: Arc<Mutex<Vec<Refreshed<Snapshot>>>>,
    finders: Vec<Finder>,
    groups: Vec<Groups>,
    demand: watch::Sender<ListScope>,
    pub(crate) snapshot: Snapshot,
    /// Why the last refresh failed.
    pub(crate) error: Option<Error>,
    /// Full refreshes, and incremental ones.
    pub(crate) refreshes: [u32; 2],
    /// What the last refresh left out.
    pub(crate) problems: Vec<Problem>,
    /// Refreshes that failed.
    pub(crate) failures: u32,
    /// All that was ever in use.
    pub(crate) kinds: BTreeSet<&'static str>,
    /// Whether at some moment since the first refresh one of the roles had no target.
    pub was_empty: bool,
}

impl Followed {
    pub(crate) fn new(config: &DockerSwarmConfig, context: &BuildContext) -> Self {
        let (demand, demanded) = watch::channel(ListScope::everything());
        let follower = {
            let BuildContext { refresh, following, .. } = context;
            SwarmFollower::new(&config.swarm(), "swarm".into(), demanded, *following, refresh)
                .unwrap()
        };
        let partial = Arc::<Mutex<Vec<_>>>::default();
        let taken = Arc::clone(&partial);
        let follower =
            follower.publishing(Partial::new(move |part| taken.lock().unwrap().push(part)));
        let finder = |role| {
            let options = Options { role, ..Options::from(config) };
            Finder::new(options, Filters::new(role, &[]))
        };
        Self {
            follower,
            partial,
            finders: ROLES.map(finder).into(),
            groups: vec![Groups::new(); 3],
            demand,
            snapshot: Snapshot::default(),
            error: None,
            refreshes: [0; 2],
            problems: Vec::new(),
            failures: 0,
            kinds: BTreeSet::new(),
            was_empty: false,
        }
    }

    /// A full refresh.
    pub(crate) async fn refresh(&mut self) {
        self.refreshes[0] += 1;
        self.partial.lock().unwrap().clear();
        let refreshed = guarded("a refresh", self.follower.fetch(RefreshScope::Full)).await;
        let partial = std::mem::take(&mut *self.partial.lock().unwrap());
        for part in partial {
            self.take(Ok(part));
        }
        self.take(refreshed);
    }

    /// Waits for a change and refreshes.
    pub(crate) async fn step(&mut self) {
        match self.follower.changed().await {
            RefreshScope::Full => self.refresh().await,
            RefreshScope::Incremental => {
                self.refreshes[1] += 1;
                let refreshed = self.follower.fetch(RefreshScope::Incremental).await;
                self.take(refreshed);
            }
        }
    }

    /// Waits for a change, and does nothing about it.
    pub(crate) async fn is_notified(&mut self) {
        self.follower.changed().await;
    }

    /// Follows changes until `is` holds.
    #[track_caller]
    pub(crate) fn until(&mut self, is: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        guarded("what is followed", async move {
            while !is(self) {
                self.step().await;
            }
        })
    }

    fn take(&mut self, refreshed: Result<Refreshed<Snapshot>, Error>) {
        self.error = match refreshed {
            Ok(refreshed) => {
                self.snapshot = refreshed.value;
                self.problems = refreshed.problems;
                self.kinds.insert(self.feed().kind.as_str());
                for (finder, groups) in self.finders.iter_mut().zip(&mut self.groups) {
                    *groups = finder.find(&self.snapshot).unwrap().0;
                }
                self.was_empty |= self.groups.iter().any(Vec::is_empty);
                None
            }
            Err(error) => {
                self.failures += 1;
                Some(error)
            }
        };
    }

    pub(crate) fn groups(&self, role: Role) -> &Groups {
        &self.groups[ROLES.iter().position(|known| *known == role).unwrap()]
    }

    pub(crate) fn shown(&self, role: Role) -> String {
        shown(self.groups(role))
    }

    pub(crate) fn feed(&self) -> &Feed {
        self.snapshot.feed.as_ref().unwrap()
    }

    /// Follows changes until all roles have what a new source finds.
    #[track_caller]
    pub(crate) fn until_right(&mut self, site: &Site) -> impl Future<Output = ()> {
        guarded("the right set", async move {
            let mut fresh = Vec::new();
            for role in ROLES {
                fresh.push(site.fresh(role).await);
            }
            while ROLES.iter().zip(&fresh).any(|(role, fresh)| self.shown(*role) != *fresh) {
                self.step().await;
            }
        })
    }

    #[track_caller]
    pub(crate) fn check_right(&self, role: Role, fresh: &str) {
        assert_eq!(self.shown(role), fresh);
    }
}

impl Followed {
    /// Starts a full refresh and cancels it when `moment` comes.
    pub(crate) async fn cut_off(&mut self, moment: impl Future<Output = ()>) {
        let refresh = self.follower.fetch(RefreshScope::Full);
        guarded("the moment", async {
            tokio::select! {
                _ = refresh => panic!("the refresh ended"),
                () = moment => {}
            }
        })
        .await;
    }

    /// A full refresh during which, at `moment`, the demand changes.
    pub(crate) async fn refresh_while(
        &mut self,
        moment: impl Future<Output = ()>,
        demand: ListScope,
    ) {
        self.refreshes[0] += 1;
        let mut refresh = self.follower.fetch(RefreshScope::Full);
        let outcome = async {
            tokio::select! {
                biased;
                () = moment => {}
                _ = &mut refresh => panic!("the refresh ended"),
            }
            self.demand.send_replace(demand);
            refresh.await
        };
        let refreshed = guarded("a refresh", outcome).await;
        self.take(refreshed);
    }

    /// Asks for something else.
    pub(crate) fn ask_for(&self, demand: ListScope) {
        self.demand.send_replace(demand);
    }
}
