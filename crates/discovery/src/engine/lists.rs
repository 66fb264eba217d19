//! What one look asks of an Engine, and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarmscout_net::Response;
use tokio::try_join;

use super::client::{Failed, List, Resource, Session};
use super::decode::Object;
use super::memo::{Listed, Memo, Memos};
use super::objects::{Container, Network, Node, Service, Task};
use crate::config::Filter;
use crate::{BoxFuture, Problem};

/// What one look needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The lists, each with the JSON of its filters, or with nothing. The first says what there is
    /// and is asked for first; the others explain what it refers to.
    lists: Vec<(List, String)>,
    /// Whether it is of use which Swarm answers, and which node of it.
    pub(super) with_info: bool,
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
    pub fn new(main: List, also: &[List], filters: &[Filter]) -> Self {
        let also = also.iter().map(|list| (*list, String::new()));
        let lists = std::iter::once((main, encode(filters))).chain(also).collect();
        Self { lists, with_info: false }
    }

    /// Asks for these lists, each with the JSON of its filters, and for what the Engine says of
    /// itself. First the list that speaks of the others.
    pub fn of_swarm<'a>(lists: impl IntoIterator<Item = (List, &'a str)>) -> Self {
        let lists = lists.into_iter().map(|(list, filters)| (list, filters.to_owned()));
        Self { lists: lists.collect(), with_info: true }
    }

    /// Asks for parts of lists, and for nothing else.
    pub fn of_parts(lists: impl IntoIterator<Item = (List, String)>) -> Self {
        Self { lists: lists.into_iter().collect(), with_info: false }
    }

    /// Reads all lists from one host, with what is known of their objects.
    ///
    /// An Engine has made its list when it begins to answer. The others are therefore asked for,
    /// all at once, when the answer to the first begins: they are newer than it, and the service of
    /// a task that was just made is never missing.
    pub(super) async fn read(
        &self,
        session: &Session<'_>,
        memos: &mut Memos,
    ) -> Result<(Lists, Vec<Problem>), Failed> {
        let Some((main, filters)) = self.lists.first() else { return Ok(Default::default()) };
        let mut answered = Some(session.open(Resource::List(*main), filters).await?);
        let mut answer = |list| answered.take_if(|_| list == *main);
        let (nodes, services, tasks, networks, containers) = try_join!(
            self.list(session, List::Nodes, answer(List::Nodes), &mut memos.nodes),
            self.list(session, List::Services, answer(List::Services), &mut memos.services),
            self.list(session, List::Tasks, answer(List::Tasks), &mut memos.tasks),
            self.list(session, List::Networks, answer(List::Networks), &mut memos.networks),
            self.list(session, List::Containers, answer(List::Containers), &mut memos.containers),
        )?;
        let problems = [nodes.1, services.1, tasks.1, networks.1, containers.1].concat();
        let lists = Lists {
            nodes: nodes.0,
            services: services.0,
            tasks: tasks.0,
            networks: networks.0,
            containers: containers.0,
        };
        Ok((lists, problems))
    }

    /// Reads one list, if it is among those that are needed; `answer` is what the host answers, if
    /// it was asked already.
    fn list<'a, T: Object>(
        &'a self,
        session: &'a Session<'_>,
        list: List,
        answer: Option<Response>,
        memo: &'a mut Memo<T>,
    ) -> BoxFuture<'a, Result<Listed<T>, Failed>> {
        Box::pin(async move {
            let answer = match answer {
                Some(answer) => answer,
                None => match self.lists.iter().find(|(wanted, _)| *wanted == list) {
                    Some((_, filters)) => session.open(Resource::List(list), filters).await?,
                    None => return Ok((Vec::new(), Vec::new())),
                },
            };
            session.list(list, answer.body, memo).await
        })
    }
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
