//! What can go wrong with a control socket, on demand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::swarm::{Network, Node, Service, Swarm, Task};

/// Something that goes wrong with the watch, or with lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Open watches say nothing more, for good, and stay open.
    Stall,
    /// Open watches end with this gRPC status and message. 0 is an end in order.
    End(u32, String),
    /// The streams of open watches are reset.
    Reset,
    /// A change is not reported.
    Lose,
    /// One of this many changes is not reported.
    LoseEach(u64),
    /// A change is reported twice.
    Duplicate,
    /// A change is reported after the one that follows it.
    Swap,
    /// Removals are reported only when this fault is over.
    HoldRemovals,
    /// Lists are as they would have been when this fault began: what was removed since is reported
    /// as removed before it has left the list.
    OldLists,
    /// Every second list lacks every second object.
    HalfLists,
    /// Lists, and `GetNode`, are never answered.
    HangLists,
    /// Lists, and `GetNode`, are refused with this gRPC status and message.
    Refuse(u32, String),
}

impl Fault {
    fn is_of_lists(&self) -> bool {
        matches!(self, Self::OldLists | Self::HalfLists | Self::HangLists | Self::Refuse(..))
    }
}

/// All objects at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) services: Vec<Arc<Service>>,
    pub(super) tasks: Vec<Arc<Task>>,
    pub(super) networks: Vec<Arc<Network>>,
}

impl Objects {
    pub(super) fn of(swarm: &Swarm) -> Self {
        let state = swarm.lock();
        Self {
            nodes: state.nodes.values().map(|node| Arc::clone(node.shared())).collect(),
            services: state.services.values().map(|s| Arc::clone(s.shared())).collect(),
            tasks: state.tasks.values().map(|task| Arc::clone(task.shared())).collect(),
            networks: state.networks.values().map(|n| Arc::clone(n.shared())).collect(),
        }
    }
}

/// The faults of a control socket. They hold from now on.
#[derive(Debug)]
pub struct ControlFaults {
    swarm: Swarm,
    rules: Mutex<Rules>,
    /// Grows with every change of the rules.
    changed: watch::Sender<u64>,
    struck: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Rules {
    all: Vec<Rule>,
    old: Objects,
    lists: BTreeSet<&'static str>,
}

#[derive(Debug)]
struct Rule {
    /// How many times it still strikes; `None`: always.
    left: Option<u64>,
    /// How many changes it saw.
    seen: u64,
    fault: Fault,
}

impl ControlFaults {
    pub(super) fn new(swarm: &Swarm) -> Self {
        Self {
            swarm: swarm.clone(),
            rules: Mutex::default(),
            changed: watch::Sender::default(),
            struck: watch::Sender::default(),
        }
    }

    /// This fault and no other, until [`clear`](Self::clear).
    pub fn set(&self, fault: Fault) {
        self.replace(vec![Rule { left: None, seen: 0, fault }]);
    }

    /// The next `count` changes, streams or lists that it can strike meet this fault, and no other.
    /// A change counts once for each open watch that is notified of it.
    pub fn next(&self, count: u64, fault: Fault) {
        self.replace(vec![Rule { left: Some(count), seen: 0, fault }]);
    }

    /// Ends all faults. What was held back is reported now; a stalled watch stays so.
    pub fn clear(&self) {
        self.replace(Vec::new());
    }

    /// How often a fault struck so far.
    pub fn struck(&self) -> u64 {
        *self.struck.borrow()
    }

    /// Waits until faults struck so often.
    pub async fn struck_times(&self, count: u64) {
        let reached = self.struck.subscribe().wait_for(|struck| *struck >= count).await.map(drop);
        debug_assert!(reached.is_ok(), "the sender is part of these faults");
    }

    fn replace(&self, rules: Vec<Rule>) {
        let old = if rules.iter().any(|rule| rule.fault == Fault::OldLists) {
            Objects::of(&self.swarm)
        } else {
            Objects::default()
        };
        *self.lock() = Rules { all: rules, old, lists: BTreeSet::new() };
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What strikes an open watch as a whole.
    pub(super) fn stream(&self) -> Option<Fault> {
        self.strike(|fault| matches!(fault, Fault::Stall | Fault::End(..) | Fault::Reset))
    }

    /// What strikes a change.
    pub(super) fn change(&self, removal: bool) -> Option<Fault> {
        self.strike(|fault| match fault {
            Fault::Lose | Fault::LoseEach(_) | Fault::Duplicate | Fault::Swap => true,
            Fault::HoldRemovals => removal,
            _ => false,
        })
    }

    /// Whether this fault is not over, though it no longer strikes: what it holds back stays so.
    pub(super) fn holds(&self, fault: &Fault) -> bool {
        self.lock().all.iter().any(|rule| rule.fault == *fault)
    }

    /// What strikes a list of this kind. `HalfLists` is given for each second one alone.
    pub(super) fn list(&self, kind: &'static str) -> Option<Fault> {
        let fault = self.strike(Fault::is_of_lists)?;
        if fault == Fault::HalfLists {
            let mut rules = self.lock();
            if rules.lists.remove(kind) {
                return None;
            }
            rules.lists.insert(kind);
        }
        Some(fault)
    }

    pub(super) fn old(&self) -> Objects {
        self.lock().old.clone()
    }

    fn strike(&self, can: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut rules = self.lock();
        let rule = rules.all.iter_mut().find(|rule| can(&rule.fault) && rule.left != Some(0))?;
        rule.seen += 1;
        let fault = match rule.fault {
            Fault::LoseEach(each) if rule.seen % each.max(1) != 0 => return None,
            Fault::LoseEach(_) => Fault::Lose,
            ref fault => fault.clone(),
        };
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        drop(rules);
        self.struck.send_modify(|struck| *struck += 1);
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
