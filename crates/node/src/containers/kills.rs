//! Kills for want of memory by service, by the counts of the kernel. cgroup version 2 only: there an
//! Engine may not report a kill of a container's first process, since its cgroup is gone with it.
//!
//! A container that is killed takes its count with it, but the kernel adds all counts up: `memory.events`
//! of the cgroup above has those of children that are gone. What has been added there since the last
//! scrape, and does not show in a living child, was in containers that have ended. The manager or the
//! Engine knows which ones ended then with the code of a killed process (137).
//!
//! - A container for which an Engine reported a kill then has one.
//! - As many other kills as such tasks, or more: each task has one. What is left belongs to their service, if
//!   they have one in common.
//! - Fewer: they belong to that common service. With tasks of several services, they cannot be attributed.
//! - A kill that has no such task, or cannot be attributed, is counted without a service. So is one of a
//!   unit of systemd that ended, where its units are beside the containers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use crate::ends::{Killed, Service};

/// The longest time from a kill to the end of its task. And how long the tasks of an interval may take
/// to be known here.
const LATE: Duration = Duration::from_secs(10);

/// The most intervals whose tasks are not known yet. Beyond it, the oldest are counted without a service.
const MOST_INTERVALS: usize = 100;

/// One cgroup that has containers in it, as it was read before them.
#[derive(Clone, Debug, Default)]
pub(super) struct ParentReading {
    /// Its kills, those in all cgroups below it included.
    pub(super) total: u64,
    /// The cgroups in it. Without counts, as long as the total is the last one; and not at all, if
    /// [`Kills::is_shared`] says so as well.
    pub(super) children: Vec<ChildReading>,
}

/// A cgroup in it.
#[derive(Clone, Debug)]
pub(super) struct ChildReading {
    pub(super) name: Box<str>,
    /// Another one with the same name has another number.
    pub(super) inode: u64,
    pub(super) kills: u64,
    pub(super) kind: ChildKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChildKind {
    /// Without a service if it is not known.
    Container(Option<Service>),
    /// A unit of systemd, and the like.
    Other,
}

/// What was found: whose, and how many.
pub(super) type Found = Vec<(Option<Service>, u64)>;

/// Follows the counts of the kernel from scrape to scrape.
#[derive(Debug, Default)]
pub(super) struct Kills {
    parents: BTreeMap<Box<str>, Parent>,
    /// When they were read last.
    last: Option<SystemTime>,
    intervals: VecDeque<Interval>,
    killed: Vec<Killed>,
}

#[derive(Debug, Default)]
struct Parent {
    /// At the last scrape.
    total: u64,
    /// Kills that are added to the total later than to a child: a child is read after its parent.
    ahead: u64,
    /// The inode and the kills of each child, and whether it is a container.
    children: HashMap<Box<str>, (u64, u64, bool)>,
}

/// Kills between two scrapes in cgroups that are gone.
#[derive(Debug)]
struct Interval {
    from: SystemTime,
    to: SystemTime,
    kills: u64,
    /// Whether other cgroups than containers ended as well, and may have had them.
    is_mixed: bool,
    /// IDs of the containers that there were at its end.
    living: HashSet<Box<str>>,
}

impl Interval {
    /// Whether one of the kills may have been in this container, which has ended.
    fn may_have(&self, killed: &Killed) -> bool {
        let until = self.to.checked_add(LATE).unwrap_or(self.to);
        let is_then = self.from <= killed.at && killed.at <= until;
        let ended_later = killed.at > self.to && self.living.contains(&killed.container);
        is_then && !ended_later && (killed.by_signal || self.has_reported(killed))
    }

    /// Whether an Engine reported a kill in it.
    fn has_reported(&self, killed: &Killed) -> bool {
        killed.reported.is_some_and(|at| at >= self.from)
    }
}

impl Kills {
    /// The cgroups that were read at the last scrape.
    pub(super) fn parents(&self) -> impl Iterator<Item = &str> {
        self.parents.keys().map(|path| &**path)
    }

    /// Whether this is the total of the last scrape: nothing was killed.
    pub(super) fn is_same(&self, path: &str, total: u64) -> bool {
        self.parents.get(path).is_some_and(|known| known.total == total)
    }

    /// Whether other cgroups are in it beside containers.
    pub(super) fn is_shared(&self, path: &str) -> bool {
        let children = self.parents.get(path).map(|parent| parent.children.values());
        children.is_some_and(|mut all| all.any(|(_, _, is_container)| !is_container))
    }

    /// Takes the readings of a scrape, and the tasks that were killed since the last one. What the manager
    /// says is of the moment `as_of`. `living` are the IDs of the containers that there are.
    pub(super) fn observe<'a>(
        &mut self,
        (now, as_of): (SystemTime, Option<SystemTime>),
        readings: BTreeMap<Box<str>, ParentReading>,
        killed: impl IntoIterator<Item = Killed>,
        living: impl IntoIterator<Item = &'a str>,
    ) -> Found {
        let mut found = Found::new();
        self.killed.extend(killed);
        let from = self.last.unwrap_or(now);
        let living_at_end = HashSet::new();
        let mut interval =
            Interval { from, to: now, kills: 0, is_mixed: false, living: living_at_end };
        self.last = Some(now);
        self.parents.retain(|path, _| readings.contains_key(path));
        for (path, reading) in readings {
            match self.parents.get_mut(&path).filter(|known| known.total <= reading.total) {
                Some(parent) if parent.total == reading.total => parent.list(reading.children),
                Some(parent) => parent.follow(reading, &mut interval, &mut found),
                // Nothing can be said of the time before.
                None => drop(self.parents.insert(path, Parent::new(reading))),
            }
        }
        if interval.kills > 0 {
            interval.living = living.into_iter().map(Box::from).collect();
            self.intervals.push_back(interval);
        }
        self.resolve(now, as_of, &mut found);
        found
    }

    /// Finds whose the kills are, as soon as that can be known.
    fn resolve(&mut self, now: SystemTime, as_of: Option<SystemTime>, found: &mut Found) {
        let has_passed = |at: SystemTime, now| at.checked_add(LATE).is_some_and(|at| at <= now);
        let mut waiting = VecDeque::new();
        let too_many = self.intervals.len().saturating_sub(MOST_INTERVALS);
        for (place, interval) in std::mem::take(&mut self.intervals).into_iter().enumerate() {
            let tasks = self.killed.iter().filter(|killed| interval.may_have(killed));
            let (reported, others): (Vec<_>, Vec<_>) =
                tasks.partition(|killed| interval.has_reported(killed));
            let services = reported.iter().chain(&others).map(|task| &task.service);
            let services: BTreeSet<_> = services.collect();
            let mut left = interval.kills.saturating_sub(reported.len() as u64);
            let is_clear = match services.len() {
                0 => false,
                1 => true,
                _ => others.len() as u64 <= left,
            };
            let is_known = as_of.is_some_and(|as_of| has_passed(interval.to, as_of));
            let may_wait = !(is_known || (is_clear && has_passed(interval.to, now)));
            if may_wait && place >= too_many {
                waiting.push_back(interval);
                continue;
            }
            let reported = reported.iter().zip(0..interval.kills);
            found.extend(reported.map(|(task, _)| (Some(task.service.clone()), 1)));
            if is_clear && !interval.is_mixed {
                for task in &others {
                    if left > 0 {
                        found.push((Some(task.service.clone()), 1));
                        left -= 1;
                    }
                }
                if services.len() == 1 && left > 0 {
                    let service = services.first().map(|service| (*service).clone());
                    found.push((service, left));
                    left = 0;
                }
            }
            if left > 0 {
                found.push((None, left));
            }
            self.killed.retain(|killed| !interval.may_have(killed));
        }
        // A later interval begins now. The end of a task may be reported before its kill is read.
        let oldest = waiting.front().map_or(now, |interval| interval.from);
        self.killed.retain(|killed| killed.at >= oldest);
        self.intervals = waiting;
    }
}

impl Parent {
    /// Begins with what there is now.
    fn new(ParentReading { total, children }: ParentReading) -> Self {
        let children = children.into_iter().map(ChildReading::known);
        Self { total, ahead: 0, children: children.collect() }
    }

    /// Takes the children that there are while nothing is killed.
    fn list(&mut self, children: Vec<ChildReading>) {
        if children.is_empty() {
            return;
        }
        let mut before = std::mem::take(&mut self.children);
        for child in children {
            let known = before.remove(&child.name).filter(|(inode, ..)| *inode == child.inode);
            let (name, new) = ChildReading { kills: 0, ..child }.known();
            self.children.insert(name, known.unwrap_or(new));
        }
    }

    /// Adds the kills in children that are gone to the interval, and those of living containers to
    /// `found`.
    fn follow(
        &mut self,
        ParentReading { total, children }: ParentReading,
        interval: &mut Interval,
        found: &mut Found,
    ) {
        let mut of_living = 0;
        let mut before = std::mem::take(&mut self.children);
        for child in children {
            let known = before.remove(&child.name);
            let same =
                known.filter(|(inode, kills, _)| *inode == child.inode && *kills <= child.kills);
            if known.is_some() && same.is_none() && child.kind == ChildKind::Other {
                interval.is_mixed = true;
            }
            let kills = child.kills - same.map_or(0, |(_, kills, _)| kills);
            of_living += kills;
            if let ChildKind::Container(service) = &child.kind
                && kills > 0
            {
                found.push((service.clone(), kills));
            }
            let (name, known) = child.known();
            self.children.insert(name, known);
        }
        interval.is_mixed |= before.values().any(|(_, _, is_container)| !is_container);
        let explained = of_living + self.ahead;
        let added = total - self.total;
        interval.kills += added.saturating_sub(explained);
        self.ahead = explained.saturating_sub(added);
        self.total = total;
    }
}

impl ChildReading {
    fn known(self) -> (Box<str>, (u64, u64, bool)) {
        (self.name, (self.inode, self.kills, self.kind != ChildKind::Other))
    }
}

#[cfg(test)]
#[path = "kills_tests.rs"]
mod tests;
