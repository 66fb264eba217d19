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
    masters: Vec<KnownMaster>,
}

/// A master as it is configured.
#[derive(Clone, Debug)]
struct KnownMaster {
    shown: ClassicMaster,
    /// The container that it runs in, if it ever named one.
    container: Option<Arc<str>>,
    /// When it was last asked.
    asked: Option<Instant>,
}

impl KnownMaster {
    /// Whether both are one master: at one address, or in one container.
    fn is_same(&self, other: &Self) -> bool {
        self.shown.name.eq_ignore_ascii_case(&other.shown.name)
            || self.container.is_some() && self.container == other.container
    }
}

/// What a master says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MasterRole {
    is_replica: bool,
    container: Option<Arc<str>>,
}

impl MasterRole {
    pub(super) fn of(info: &ClassicInfo<'_>) -> Self {
        let container = info.container.as_deref().map(Arc::from);
        Self { is_replica: info.is_replica, container }
    }
}

/// The masters, each once, however often and with or without a slash at the end it is configured.
pub(super) fn hosts(config: &ClassicConfig) -> Result<Vec<Host>, Error> {
    let mut hosts = Vec::<Host>::new();
    let text = |host: &Host| host.to_string().trim_end_matches('/').to_owned();
    for url in &config.masters {
        let host = Host::parse(url)?;
        if !hosts.iter().any(|known| text(known) == text(&host)) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// Each master once: two names of one are shown by the first.
fn distinct(known: &[KnownMaster]) -> Vec<ClassicMaster> {
    let mut distinct = Vec::<KnownMaster>::new();
    for master in known {
        match distinct.iter_mut().find(|other| other.is_same(master)) {
            Some(KnownMaster { shown, .. }) => {
                shown.is_up = shown.is_up.max(master.shown.is_up);
                shown.is_primary |= master.shown.is_primary;
            }
            None => distinct.push(master.clone()),
        }
    }
    distinct.into_iter().map(|master| master.shown).collect()
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
        Some((known.snapshot.clone(), distinct(&known.masters)))
    }
}

impl ClassicReplica {
    /// A Swarm that has not answered yet. Starts to ask its masters, if there are several.
    pub(crate) fn start(config: &ClassicConfig, context: &BuildContext) -> Self {
        // A URL that cannot be used is an error of each refresh.
        let hosts = hosts(config).unwrap_or_default();
        let master = |host: Host| KnownMaster {
            shown: ClassicMaster { name: host.address().into(), is_up: None, is_primary: false },
            container: None,
            asked: None,
        };
        let masters: Vec<_> = hosts.into_iter().map(master).collect();
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
        role: MasterRole,
        mut snapshot: ClassicSnapshot,
    ) {
        let is_primary = !role.is_replica;
        self.note(index, Some(role));
        self.0.send_modify(|known| {
            if is_primary && let Some(master) = known.masters.get(index) {
                (*master.shown.name).clone_into(&mut snapshot.primary);
            }
            if !known.snapshot.as_ref().is_some_and(|known| known.is_same(&snapshot)) {
                known.snapshot = Some(Arc::new(snapshot));
            }
        });
    }

    /// Notes how a master is. `None`: it did not answer.
    pub(super) fn note(&self, index: usize, role: Option<MasterRole>) {
        self.0.send_modify(|known| {
            if let Some(master) = known.masters.get_mut(index) {
                master.shown.is_up = Some(role.is_some());
                master.shown.is_primary = role.as_ref().is_some_and(|role| !role.is_replica);
                if let Some(role) = role {
                    master.container = role.container;
                }
                master.asked = Some(Instant::now());
            }
        });
    }

    /// Asks the masters that no refresh asked lately, again and again.
    async fn ask_others(self, config: ClassicConfig, context: BuildContext) {
        // A refresh asks one of them at once.
        let mut known = self.0.subscribe();
        let is_asked = |known: &Known| known.masters.iter().any(|master| master.asked.is_some());
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
                join_all(due.map(async |(index, master)| {
                    self.note(index, classic.role(master).await.ok());
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
        masters.filter(|(_, master)| is_due(master.asked)).map(|(index, _)| index).collect()
    }
}

impl Classic {
    /// What a master says of itself.
    async fn role(&self, master: &Host) -> Result<MasterRole, Error> {
        let deadline = self.deadlines.of_attempt(0);
        let (url, answer) =
            info(&self.client, master, deadline, self.max_answer, &self.budget).await?;
        let read = self.decoding.run(answer.bytes.len(), move |_| {
            ClassicInfo::read(&answer.bytes, 0).map(|info| MasterRole::of(&info))
        });
        read.await.map_err(|reason| Error::Answer { url, reason })
    }
}

#[cfg(test)]
mod tests {
    use swarmscout_model::PromDuration;
    use swarmscout_net::HttpConfig;

    use super::*;

    #[test]
    fn a_master_that_is_configured_twice_is_one() {
        let masters = ["http://m1:2375", "http://m1:2375/", "http://m2:2375", "http://m1:2375"];
        let config = ClassicConfig {
            masters: masters.map(str::to_owned).into(),
            refresh_interval: PromDuration::from_secs(1),
            metrics_port: "8070".to_owned(),
            http: HttpConfig::default(),
        };
        let found: Vec<_> = hosts(&config).unwrap().iter().map(Host::address).collect();
        assert_eq!(found, ["m1:2375", "m2:2375"]);
    }

    #[test]
    fn names_of_one_container_or_address_are_one_master() {
        let master = |name: &str, container: &str, is_up| KnownMaster {
            shown: ClassicMaster { name: name.into(), is_up, is_primary: is_up == Some(true) },
            container: (!container.is_empty()).then(|| container.into()),
            asked: None,
        };
        let known = [
            master("m1:2375", "0123456789ab", Some(false)),
            master("10.0.0.1:2375", "0123456789ab", Some(true)),
            master("M1:2375", "", None),
            master("m2:2375", "", None),
            master("m3:2375", "", Some(false)),
        ];
        let found = distinct(&known);
        let found: Vec<_> =
            found.iter().map(|one| (&*one.name, one.is_up, one.is_primary)).collect();
        let expected = [
            ("m1:2375", Some(true), true),
            ("m2:2375", None, false),
            ("m3:2375", Some(false), false),
        ];
        assert_eq!(found, expected);
    }
}
