//! What happens to a Swarm, reported as it happens.
//!
//! Each change goes to all who listen, in the order of the changes, with the object as it stood
//! right after it and right before it. Objects are shared, not copied; while there is no listener,
//! nothing is made.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::objects::{Meta, Node, Service, Task};
use super::{Network, State, Stored};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is new.
    Create,
    /// It is another than before.
    Update,
    /// It is gone.
    Remove,
}

/// An object at one moment.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Object {
    Node(Arc<Node>),
    Service(Arc<Service>),
    Task(Arc<Task>),
    Network(Arc<Network>),
}

impl Object {
    /// As SwarmKit's watch calls it: `node`, `service`, `task` or `network`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Node(_) => "node",
            Self::Service(_) => "service",
            Self::Task(_) => "task",
            Self::Network(_) => "network",
        }
    }

    /// ID, index and times.
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Node(node) => &node.meta,
            Self::Service(service) => &service.meta,
            Self::Task(task) => &task.meta,
            Self::Network(network) => &network.meta,
        }
    }
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened.
    pub action: Action,
    /// The object after it; of one that is gone, as it was last.
    pub object: Object,
    /// The object before an update.
    pub old: Option<Object>,
}

/// The changes of a Swarm from some moment on.
///
/// The queue has no limit, as that of SwarmKit's own watches has none: who does not read makes it
/// grow. It ends with the Swarm.
#[derive(Debug)]
pub struct Changes(mpsc::UnboundedReceiver<Change>);

impl Changes {
    /// The next change, when there is one. `None`: the Swarm is gone.
    pub async fn next(&mut self) -> Option<Change> {
        self.0.recv().await
    }

    /// The next change, if there is one.
    pub fn try_next(&mut self) -> Option<Change> {
        self.0.try_recv().ok()
    }

    /// How many changes wait to be read.
    pub fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// Those who listen.
#[derive(Debug, Default)]
pub(super) struct Listeners(Vec<mpsc::UnboundedSender<Change>>);

impl Listeners {
    #[expect(clippy::disallowed_methods, reason = "SwarmKit's queues have no limit either")]
    pub(super) fn add(&mut self) -> Changes {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.push(sender);
        Changes(receiver)
    }

    /// Whether somebody does. Forgets those who have gone.
    pub(super) fn any(&mut self) -> bool {
        self.0.retain(|listener| !listener.is_closed());
        !self.0.is_empty()
    }

    pub(super) fn notify<T: Kept>(&self, action: Action, object: &Arc<T>, old: Option<Arc<T>>) {
        if let Some((last, others)) = self.0.split_last() {
            let object = T::object(Arc::clone(object));
            let change = Change { action, object, old: old.map(T::object) };
            for listener in others {
                // Who has just gone wants to know nothing.
                let _ = listener.send(change.clone());
            }
            let _ = last.send(change);
        }
    }
}

/// An object that a Swarm keeps, with a version.
pub(crate) trait Kept: Clone {
    fn meta(&mut self) -> &mut Meta;
    fn object(this: Arc<Self>) -> Object;
}

macro_rules! kept {
    ($($kind:ident),*) => {$(
        impl Kept for $kind {
            fn meta(&mut self) -> &mut Meta {
                &mut self.meta
            }

            fn object(this: Arc<Self>) -> Object {
                Object::$kind(this)
            }
        }
    )*};
}

kept!(Node, Service, Task, Network);

impl State {
    /// Says that an object is new, or gone.
    pub(super) fn notify<T: Kept>(&self, action: Action, stored: &Stored<T>) {
        self.listeners.notify(action, stored.shared(), None);
    }
}
