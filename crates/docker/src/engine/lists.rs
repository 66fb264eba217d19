//! What one refresh asks of an Engine, and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarmscout_net::Response;
use swarmscout_refresh::{BoxFuture, Problem};
use tokio::time::Instant;
use tokio::try_join;

use super::client::{Failed, List, Resource, Session};
use super::decode::Object;
use super::memo::{Listed, Memo, Memos};
use super::objects::{Container, Network, Node, Service, SwarmConfig, SwarmSecret, Task};
use crate::Error;
use crate::Filter;

/// What one refresh needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The lists, each with the JSON of its filters, or with nothing. The first says what there is
    /// and is asked for first; the others explain what it refers to.
    lists: Vec<(List, String)>,
    /// Whether it is of use which Swarm answers, and which node of it.
    pub(super) with_info: bool,
    /// Whether some of the lists are of use without the others.
    is_separable: bool,
}

/// What one host answered to a query.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) lists: Lists,
    /// Lists that are missing, and why.
    pub(super) failed: Vec<(List, Error)>,
    pub(super) problems: Vec<Problem>,
}

/// What the lists of one refresh hold; one that was not asked for is empty.
///
/// Objects are shared: the holder that keeps one, keeps no more than that.
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
    /// `/configs`.
    pub configs: Vec<Arc<SwarmConfig>>,
    /// `/secrets`.
    pub secrets: Vec<Arc<SwarmSecret>>,
    /// `/containers/json`.
    pub containers: Vec<Arc<Container>>,
}

impl Query {
    /// Asks for `main`, filtered, and then for all of `also`.
    pub fn new(main: List, also: &[List], filters: &[Filter]) -> Self {
        let also = also.iter().map(|list| (*list, String::new()));
        let lists = std::iter::once((main, encode(filters))).chain(also).collect();
        Self { lists, with_info: false, is_separable: false }
    }

    /// Also asks for what the Engine says of itself.
    #[must_use]
    pub fn with_info(self) -> Self {
        Self { with_info: true, ..self }
    }

    /// Asks for these lists, each with the JSON of its filters, and for what the Engine says of
    /// itself. First the list that speaks of the others. One that fails takes no other with it.
    pub fn of_swarm<'a>(lists: impl IntoIterator<Item = (List, &'a str)>) -> Self {
        let lists = lists.into_iter().map(|(list, filters)| (list, filters.to_owned()));
        Self { lists: lists.collect(), with_info: true, is_separable: true }
    }

    /// Asks for these lists as a whole. One that fails takes no other with it.
    pub(super) fn of_files(lists: impl IntoIterator<Item = List>) -> Self {
        let lists = lists.into_iter().map(|list| (list, String::new())).collect();
        Self { lists, with_info: false, is_separable: true }
    }

    /// Asks for parts of lists, and for nothing else.
    pub fn of_parts(lists: impl IntoIterator<Item = (List, String)>) -> Self {
        Self { lists: lists.into_iter().collect(), with_info: false, is_separable: false }
    }

    /// Reads all lists from one host, with what is known of their objects.
    ///
    /// An Engine has made its list when it begins to answer. The others are therefore asked for,
    /// all at once, when the answer to the first begins: they are newer than it, and the service of
    /// a task that was just made is never missing.
    ///
    /// Fails where none of the lists can be read, or one that the others are of no use without.
    pub(super) async fn read(
        &self,
        session: &Session<'_>,
        memos: &mut Memos,
    ) -> Result<Answered, Failed> {
        let Some((main, filters)) = self.lists.first() else { return Ok(Answered::default()) };
        let first = session.open(Resource::List(*main), filters).await;
        // The others would fail in the same way.
        let is_all = self.lists.len() == 1 || Instant::now() >= session.deadline;
        let first = match self.one(first) {
            Ok(Err(error)) if is_all => return Err(Failed::Resource(error)),
            first => first?,
        };
        let mut first = Some(first);
        let mut answer = |list| first.take_if(|_| list == *main);
        let (nodes, services, tasks, networks, configs, secrets, containers) = try_join!(
            self.list(session, List::Nodes, answer(List::Nodes), &mut memos.nodes),
            self.list(session, List::Services, answer(List::Services), &mut memos.services),
            self.list(session, List::Tasks, answer(List::Tasks), &mut memos.tasks),
            self.list(session, List::Networks, answer(List::Networks), &mut memos.networks),
            self.list(session, List::Configs, answer(List::Configs), &mut memos.configs),
            self.list(session, List::Secrets, answer(List::Secrets), &mut memos.secrets),
            self.list(session, List::Containers, answer(List::Containers), &mut memos.containers),
        )?;
        let mut answered = Answered::default();
        let Answered { lists, failed, problems } = &mut answered;
        take(List::Nodes, nodes, &mut lists.nodes, failed, problems);
        take(List::Services, services, &mut lists.services, failed, problems);
        take(List::Tasks, tasks, &mut lists.tasks, failed, problems);
        take(List::Networks, networks, &mut lists.networks, failed, problems);
        take(List::Configs, configs, &mut lists.configs, failed, problems);
        take(List::Secrets, secrets, &mut lists.secrets, failed, problems);
        take(List::Containers, containers, &mut lists.containers, failed, problems);
        if failed.len() < self.lists.len() {
            return Ok(answered);
        }
        let place = failed.iter().position(|(list, _)| list == main).unwrap_or_default();
        Err(Failed::Resource(failed.swap_remove(place).1))
    }

    /// Distinguishes what ends everything from what ends one list alone.
    fn one<T>(&self, outcome: Result<T, Failed>) -> Result<Result<T, Error>, Failed> {
        match outcome {
            Ok(answer) => Ok(Ok(answer)),
            Err(Failed::Resource(error)) if self.is_separable => Ok(Err(error)),
            Err(failed) => Err(failed),
        }
    }

    /// Reads one list, if it is among those that are needed; `answer` is what the host answers, if
    /// it was asked already.
    fn list<'a, T: Object>(
        &'a self,
        session: &'a Session<'_>,
        list: List,
        answer: Option<Result<Response, Error>>,
        memo: &'a mut Memo<T>,
    ) -> BoxFuture<'a, Result<Result<Listed<T>, Error>, Failed>> {
        Box::pin(async move {
            let answer = match answer {
                Some(answer) => answer,
                None => match self.lists.iter().find(|(wanted, _)| *wanted == list) {
                    Some((_, filters)) => {
                        self.one(session.open(Resource::List(list), filters).await)?
                    }
                    None => return Ok(Ok((Vec::new(), Vec::new()))),
                },
            };
            match answer {
                Ok(answer) => self.one(session.list(list, answer.body, memo).await),
                Err(error) => Ok(Err(error)),
            }
        })
    }
}

/// Takes over one list, or why it is missing.
fn take<T>(
    list: List,
    listed: Result<Listed<T>, Error>,
    objects: &mut Vec<Arc<T>>,
    failed: &mut Vec<(List, Error)>,
    problems: &mut Vec<Problem>,
) {
    match listed {
        Ok((listed, skipped)) => {
            *objects = listed;
            problems.extend(skipped);
        }
        Err(error) => failed.push((list, error)),
    }
}

/// The filters as the Engine reads them: `{"label":{"a=b":true}}`, keys in order. A filter without
/// values is not valid.
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
