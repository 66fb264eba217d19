//! Facts by the Engine of this node: one list when it starts, one request for each change of a
//! container, and none at a scrape.
//!
//! The stream of events is opened before the list, so that nothing is missed between them. When it
//! ends, the next one begins where the last event was seen: an Engine keeps the last 256. A container
//! that starts and dies in between is still counted by its events, which carry its labels. An event that
//! is too large to be read costs a list.

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use swarmscout_docker::Error;
use swarmscout_docker::engine::{
    ContainerAction, ContainerDetail, ContainerEvent, LocalEngine, NoEvents, StreamEnd,
};
use swarmscout_refresh::Backoff;
use tokio::sync::watch;
use tokio::time::Instant;

pub use disk::Disk;

use crate::ends::{End, Ends, Service};
use crate::facts::{ContainerState, Facts, FactsSet, FactsSource, Health, NetworkMode};
use crate::unavailable::Unavailable;

/// The longest pause after an Engine did not answer.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A stream that is silent for so long is opened again, since a proxy may have lost it.
const QUIET: Duration = Duration::from_hours(1);

/// How often containers are listed where a proxy withholds the events, and at most where some are too
/// large to be read.
const LIST_EVERY: Duration = Duration::from_mins(1);

/// What [`Unavailable`] calls the facts of this module, some of them, and the events alone.
pub(crate) const ENGINE: &str = "engine";
const CONTAINERS: &str = "engine containers";
const EVENTS: &str = "engine events";

/// The attribute of an event with the name of the container.
const NAME: &str = "name";

/// Follows an Engine.
#[derive(Debug)]
pub struct EngineFollower {
    engine: LocalEngine,
    /// Names of the labels that are kept.
    labels: Arc<[String]>,
    facts: watch::Sender<Arc<FactsSet>>,
    ends: Arc<Ends>,
    unavailable: Arc<Unavailable>,
    known: BTreeMap<String, Arc<Facts>>,
    /// When the last kill for want of memory was reported, of containers that have not ended since.
    out_of_memory: BTreeMap<String, SystemTime>,
    /// The time of the newest event, by the Engine's clock.
    last_event: Option<i64>,
    /// What that was when the stream was opened, which may begin with events up to then.
    seen_before: Option<i64>,
    relist: Relist,
}

impl EngineFollower {
    /// Publishes the facts of all containers, with these labels of them, and counts their ends.
    pub fn new(
        engine: LocalEngine,
        labels: Arc<[String]>,
        facts: watch::Sender<Arc<FactsSet>>,
        ends: Arc<Ends>,
        unavailable: Arc<Unavailable>,
    ) -> Self {
        Self {
            engine,
            labels,
            facts,
            ends,
            unavailable,
            known: BTreeMap::new(),
            out_of_memory: BTreeMap::new(),
            last_event: None,
            seen_before: None,
            relist: Relist::default(),
        }
    }

    /// Runs for ever. What was published last stays while the Engine does not answer.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            match self.follow(&mut backoff).await {
                // It is normal that a stream ends.
                Ok(()) => {}
                Err(error) => {
                    self.unavailable.set(ENGINE, &error);
                    tokio::time::sleep(backoff.failed(LONGEST_PAUSE)).await;
                }
            }
        }
    }

    /// Lists, and follows the events until the stream ends.
    async fn follow(&mut self, backoff: &mut Backoff) -> Result<(), Error> {
        let keeps = |key: &str| key == NAME || Service::has_label(key);
        self.seen_before = self.last_event;
        let mut events = match self.engine.events(self.last_event, QUIET, keeps).await {
            Ok(events) => Some(events),
            Err(NoEvents::Withheld(reason)) => {
                self.unavailable.set(EVENTS, reason);
                None
            }
            Err(NoEvents::Failed(error)) => return Err(error),
        };
        self.list().await?;
        self.unavailable.clear(ENGINE);
        backoff.succeeded();
        let Some(events) = &mut events else {
            tokio::time::sleep(LIST_EVERY).await;
            return Ok(());
        };
        self.unavailable.clear(EVENTS);
        loop {
            // One request for all events of a container that have come by now.
            let mut changed = BTreeSet::new();
            let mut next = tokio::select! {
                next = events.next() => Some(next),
                () = self.relist.is_due() => None,
            };
            let end = loop {
                match next {
                    Some(Ok(Some(event))) => self.take(&event, &mut changed),
                    Some(Ok(None)) => {
                        let reason = "an event of a container with more than 1 MiB of labels was not \
                                      read: if it died, this is not counted";
                        self.unavailable.set(EVENTS, reason);
                        self.relist.request(Instant::now());
                    }
                    Some(Err(StreamEnd::Closed(_))) => break Some(Ok(())),
                    Some(Err(StreamEnd::Broken(error))) => break Some(Err(error)),
                    None => break None,
                }
                next = events.next().now_or_never();
            };
            for id in changed {
                self.read(&id).await?;
                // A change of its limits does not show in the facts. A new `Arc` reports it.
                if let Some(known) = self.known.get_mut(&id) {
                    *known = Arc::new(Facts::clone(known));
                }
            }
            self.publish();
            if self.relist.take(Instant::now()) {
                self.list().await?;
            }
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Counts an end, and notes which container to read.
    fn take(&mut self, event: &ContainerEvent, changed: &mut BTreeSet<String>) {
        if self.seen_before.is_some_and(|last| event.time_nano <= last) {
            return;
        }
        // Not each is newer than the one before: an Engine takes the time of an event, and then sends it,
        // with many at one time.
        self.last_event = self.last_event.max(Some(event.time_nano));
        let at = moment(event.time_nano / 1000).unwrap_or(SystemTime::UNIX_EPOCH);
        match event.action {
            ContainerAction::Died { exit_code } => {
                let out_of_memory = self.out_of_memory.remove(&event.id);
                let end = End { container: &event.id, exit_code, at, out_of_memory };
                self.ends.ended(service_of(event), &end);
            }
            ContainerAction::OutOfMemory => {
                self.out_of_memory.insert(event.id.clone(), at);
                self.ends.reported_out_of_memory(service_of(event));
            }
            ContainerAction::Removed | ContainerAction::Changed => {}
        }
        if event.action == ContainerAction::Removed {
            changed.remove(&event.id);
            self.known.remove(&event.id);
            // A report may come after the end.
            self.out_of_memory.remove(&event.id);
        } else {
            changed.insert(event.id.clone());
        }
    }

    /// Lists all containers, and reads those that are new or in another state.
    async fn list(&mut self) -> Result<(), Error> {
        let listed = self.engine.containers().await?;
        self.unavailable.clear(CONTAINERS);
        let ids: BTreeSet<&str> = listed.iter().map(|container| &*container.id).collect();
        self.known.retain(|id, _| ids.contains(&**id));
        self.out_of_memory.retain(|id, _| ids.contains(&**id));
        for container in &listed {
            let state = ContainerState::parse(&container.state);
            let known = self.known.get(&container.id);
            // One that runs may have been started again.
            let is_same = known.is_some_and(|known| known.state == state)
                && state != Some(ContainerState::Running);
            if !is_same {
                self.read(&container.id).await?;
            }
        }
        self.publish();
        Ok(())
    }

    async fn read(&mut self, id: &str) -> Result<(), Error> {
        let keeps = |key: &str| Service::has_label(key) || self.labels.iter().any(|it| it == key);
        match self.engine.container(id, keeps).await {
            Ok(Some(detail)) => {
                let name = Some(&*detail.name).filter(|name| !name.is_empty());
                self.ends.add_service(Service::of(|key| detail.labels.get(key), name));
                let facts = facts(detail, &self.labels);
                if self.known.get(id).is_none_or(|known| **known != facts) {
                    self.known.insert(facts.id.clone(), Arc::new(facts));
                }
            }
            Ok(None) => drop(self.known.remove(id)),
            // The others are read.
            Err(error) if error.is_too_large() => {
                let reason = format!("the container {id} is not read: {error}");
                self.unavailable.set(CONTAINERS, reason);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn publish(&self) {
        let containers = self.known.iter().map(|(id, facts)| (id.clone(), Arc::clone(facts)));
        let facts = FactsSet {
            containers: containers.collect(),
            source: Some(FactsSource::Engine),
            as_of: Some(SystemTime::now()),
        };
        self.ends.set_present(&facts);
        self.facts.send_replace(Arc::new(facts));
    }
}

/// When to list because an event could not be read: at once, unless that was done within [`LIST_EVERY`].
#[derive(Debug, Default)]
struct Relist {
    due: Option<Instant>,
    /// Before then there is no other one.
    earliest: Option<Instant>,
}

impl Relist {
    /// Asks for one, however often.
    fn request(&mut self, now: Instant) {
        let at = self.earliest.map_or(now, |earliest| earliest.max(now));
        self.due.get_or_insert(at);
    }

    /// Whether to list now.
    fn take(&mut self, now: Instant) -> bool {
        let is_due = self.due.take_if(|due| *due <= now).is_some();
        if is_due {
            self.earliest = Some(now + LIST_EVERY);
        }
        is_due
    }

    /// Waits until it is to be taken.
    async fn is_due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

fn service_of(event: &ContainerEvent) -> Service {
    Service::of(|key| event.attribute(key), event.attribute(NAME))
}

fn facts(detail: ContainerDetail, allowed: &[String]) -> Facts {
    let labels = allowed.iter().filter_map(|name| {
        let value = detail.labels.get(name)?;
        (!value.is_empty()).then(|| (name.clone(), value.to_owned()))
    });
    let state = ContainerState::parse(&detail.state);
    Facts {
        labels: labels.collect(),
        pid: (detail.pid > 0).then_some(detail.pid),
        created: moment(detail.created),
        started: moment(detail.started),
        network: Some(match &*detail.network_mode {
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            mode if mode.starts_with("container:") => NetworkMode::Shared,
            _ => NetworkMode::Own,
        }),
        networks: detail.networks,
        state,
        health: Some(match &*detail.health {
            "starting" => Health::Starting,
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            _ => Health::Unchecked,
        }),
        last_exit_code: detail.end.map(|end| end.exit_code),
        id: detail.id,
        name: Some(detail.name).filter(|name| !name.is_empty()),
        image: Some(detail.image).filter(|image| !image.is_empty()),
    }
}

/// Microseconds since 1970 as a moment; 0 means unknown.
fn moment(micros: i64) -> Option<SystemTime> {
    let micros = u64::try_from(micros).ok().filter(|micros| *micros > 0)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests;
