//! What one look asks of an Engine, and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::{BoxFuture, try_join_all};
use swarmscout_net::Response;

use super::client::{Failed, List, Resource, Session};
use super::objects::{Container, Network, Node, Service, Task};
use crate::Problem;
use crate::config::Filter;

/// What one look needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The list that says what there is. It is asked for first, and filtered.
    main: List,
    /// The lists that explain what it refers to.
    also: &'static [List],
    /// The JSON of the filters, or empty.
    filters: String,
}

/// What the lists of one look hold; one that was not asked for is empty.
///
/// Objects are shared: whoever keeps one, keeps no more than that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// `/nodes`.
    pub nodes: Vec<Arc<Node>>,
    /// `/services`.
    pub services: Vec<Arc<Service>>,
    /// `/tasks`.
    pub tasks: Vec<Arc<Task>>,
    /// `/networks`.
    pub networks: Vec<Arc<Network>>,
    /// `/containers/json`.
    pub containers: Vec<Arc<Container>>,
}

impl Query {
    /// Asks for `main`, filtered, and then for all of `also`.
    pub fn new(main: List, also: &'static [List], filters: &[Filter]) -> Self {
        Self { main, also, filters: encode(filters) }
    }

    /// Reads all lists from one host.
    ///
    /// An Engine has made its list when it begins to answer. The others are therefore asked for,
    /// all at once, when the answer to the first begins: they are newer than it, and the service of
    /// a task that was just made is never missing.
    pub(super) async fn read(
        &self,
        session: &Session<'_>,
    ) -> Result<(Lists, Vec<Problem>), Failed> {
        let main = session.open(Resource::List(self.main), &self.filters).await?;
        let main = read_list(session, self.main, Some(main));
        let also = self.also.iter().map(|list| read_list(session, *list, None));
        let parts = try_join_all(std::iter::once(main).chain(also)).await?;
        let mut lists = Lists::default();
        let mut problems = Vec::new();
        for (part, skipped) in parts {
            problems.extend(skipped);
            match part {
                Part::Nodes(nodes) => lists.nodes = nodes,
                Part::Services(services) => lists.services = services,
                Part::Tasks(tasks) => lists.tasks = tasks,
                Part::Networks(networks) => lists.networks = networks,
                Part::Containers(containers) => lists.containers = containers,
            }
        }
        Ok((lists, problems))
    }
}

/// One list.
enum Part {
    Nodes(Vec<Arc<Node>>),
    Services(Vec<Arc<Service>>),
    Tasks(Vec<Arc<Task>>),
    Networks(Vec<Arc<Network>>),
    Containers(Vec<Arc<Container>>),
}

fn read_list<'a>(
    session: &'a Session<'a>,
    list: List,
    answer: Option<Response>,
) -> BoxFuture<'a, Result<(Part, Vec<Problem>), Failed>> {
    Box::pin(async move {
        let answer = match answer {
            Some(answer) => answer,
            None => session.open(Resource::List(list), "").await?,
        };
        let body = answer.body;
        macro_rules! objects {
            ($part:expr) => {
                session.list(list, body).await.map(|(objects, skipped)| ($part(objects), skipped))
            };
        }
        match list {
            List::Nodes => objects!(Part::Nodes),
            List::Services => objects!(Part::Services),
            List::Tasks => objects!(Part::Tasks),
            List::Networks => objects!(Part::Networks),
            List::Containers => objects!(Part::Containers),
        }
    })
}

/// The filters as the Engine reads them: `{"label":{"a=b":true}}`, keys in order. A filter without
/// values is none.
fn encode(filters: &[Filter]) -> String {
    let mut terms = BTreeMap::<&str, BTreeSet<&str>>::new();
    for filter in filters {
        for value in &filter.values {
            terms.entry(&filter.name).or_default().insert(value);
        }
    }
    if terms.is_empty() {
        return String::new();
    }
    let values = |values: BTreeSet<&str>| -> serde_json::Map<String, serde_json::Value> {
        values.into_iter().map(|value| (value.to_owned(), true.into())).collect()
    };
    let terms = terms.into_iter().map(|(name, of)| (name.to_owned(), values(of).into()));
    serde_json::Value::Object(terms.collect()).to_string()
}
