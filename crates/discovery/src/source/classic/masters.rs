//! What is known of a classic Swarm beside its targets, for state metrics: the rows of its nodes, and
//! how its masters are.
//!
//! A refresh asks one master. The others are asked by a task of its own, rarely: for state metrics
//! alone, and no list waits for their answers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use swarmscout_docker::classic::{ClassicInfo, ClassicMaster, ClassicSnapshot};
use swarmscout_model::CanonicalGroups;
use swarmscout_net::Host;
use swarmscout_refresh::supervisor::LastGood;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{Classic, ClassicConfig, info};
use crate::Error;
use crate::config::BuildContext;
use crate::source::SourceConfig as _;

/// A master that no refresh asked for this long is asked whether it is up, and whether it leads. Swarm
/// itself asks its Engines as often.
const ASK_AFTER: Duration = Duration::from_secs(30);

/// What refreshes and the task learn.
#[derive(Clone, Debug)]
struct Known {
    snapshot: Option<Arc<ClassicSnapshot>>,
    masters: Vec<(ClassicMaster, Option<Instant>)>,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Observer(watch::Sender<Known>);

/// A classic Swarm that is read, as long as this is kept.
#[derive(Debug)]
pub(crate) struct ClassicReplica {
    name: Arc<str>,
    observer: Observer,
    _task: Option<AbortOnDropHandle<()>>,
}

/// The state of a classic Swarm, as long as some source reads it.
#[derive(Clone, Debug)]
pub struct ClassicSwarm {
    /// Its display name: its masters.
    pub name: Arc<str>,
    /// The health of its refreshes.
    pub refreshes: watch::Receiver<LastGood<CanonicalGroups>>,
    known: watch::Receiver<Known>,
}

impl ClassicSwarm {
    /// What is known of it: nodes, from the first answer on, and masters. `None` once no source reads
    /// it.
    pub fn known(&self) -> Option<(Option<Arc<ClassicSnapshot>>, Vec<ClassicMaster>)> {
        self.known.has_changed().ok()?;
        let known = self.known.borrow();
        let masters = known.masters.iter().map(|(master, _)| master.clone()).collect();
        Some((known.snapshot.clone(), masters))
    }
}

impl ClassicReplica {
    /// A Swarm that has not answered yet. Starts to ask its masters, if there are several.
    pub(crate) fn start(config: &ClassicConfig, context: &BuildContext) -> Self {
        // A URL that cannot be used is an error of each refresh.
        let hosts = config.masters.iter().filter_map(|url| Host::parse(url).ok());
        let master = |host: Host| ClassicMaster {
            name: host.address().into(),
            is_up: None,
            is_primary: false,
        };
        let masters: Vec<_> = hosts.map(|host| (master(host), None)).collect();
        let has_others = masters.len() > 1;
        let observer = Observer(watch::Sender::new(Known { snapshot: None, masters }));
        let ask = || observer.clone().ask_others(config.clone(), context.clone());
        let task = has_others.then(|| AbortOnDropHandle::new(context.refresh.tasks.spawn(ask())));
        Self { name: config.describe().into(), observer, _task: task }
    }

    /// Where refreshes report.
    pub(crate) fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Its state, with the health of these refreshes.
    pub(crate) fn state(
        &self,
        refreshes: watch::Receiver<LastGood<CanonicalGroups>>,
    ) -> ClassicSwarm {
        ClassicSwarm { name: Arc::clone(&self.name), refreshes, known: self.observer.0.subscribe() }
    }
}

impl Observer {
    /// Notes what a master answered.
    pub(super) fn note_answer(
        &self,
        index: usize,
        is_replica: bool,
        mut snapshot: ClassicSnapshot,
    ) {
        self.note(index, true, !is_replica);
        self.0.send_modify(|known| {
            if !is_replica && let Some((master, _)) = known.masters.get(index) {
                (*master.name).clone_into(&mut snapshot.primary);
            }
            if !known.snapshot.as_ref().is_some_and(|known| known.is_same(&snapshot)) {
                known.snapshot = Some(Arc::new(snapshot));
            }
        });
    }

    /// Notes how a master is.
    pub(super) fn note(&self, index: usize, is_up: bool, is_primary: bool) {
        self.0.send_modify(|known| {
            if let Some((master, asked)) = known.masters.get_mut(index) {
                (master.is_up, master.is_primary) = (Some(is_up), is_primary);
                *asked = Some(Instant::now());
            }
        });
    }

    /// Asks the masters that no refresh asked lately, again and again.
    async fn ask_others(self, config: ClassicConfig, context: BuildContext) {
        // A refresh asks one of them at once.
        let mut known = self.0.subscribe();
        let is_asked = |known: &Known| known.masters.iter().any(|(_, asked)| asked.is_some());
        if known.wait_for(is_asked).await.is_err() {
            return;
        }
        drop(known);
        let mut built = None;
        loop {
            if built.is_none() {
                built = Classic::new(&config, &context).ok();
            }
            if let Some(classic) = &built {
                let due = self.due();
                let masters = classic.masters.iter().enumerate();
                let due = masters.filter(|(index, _)| due.contains(index));
                join_all(due.map(async |(index, master)| match classic.is_replica(master).await {
                    Ok(is_replica) => self.note(index, true, !is_replica),
                    Err(_) => self.note(index, false, false),
                }))
                .await;
            }
            sleep(ASK_AFTER).await;
        }
    }

    fn due(&self) -> Vec<usize> {
        let known = self.0.borrow();
        let is_due = |asked: Option<Instant>| asked.is_none_or(|at| at.elapsed() >= ASK_AFTER);
        let masters = known.masters.iter().enumerate();
        masters.filter(|(_, (_, asked))| is_due(*asked)).map(|(index, _)| index).collect()
    }
}

impl Classic {
    /// Whether a master is a replica.
    async fn is_replica(&self, master: &Host) -> Result<bool, Error> {
        let deadline = self.deadlines.of_attempt(0);
        let (url, answer) =
            info(&self.client, master, deadline, self.max_answer, &self.budget).await?;
        let read = self.decoding.run(answer.bytes.len(), move |_| {
            ClassicInfo::read(&answer.bytes, 0).map(|info| info.is_replica)
        });
        read.await.map_err(|reason| Error::Answer { url, reason })
    }
}
