//! Several hosts that stand for one Swarm, asked one after the other until one answers.
//!
//! Invariants:
//! - The host that answered last is asked first the next time.
//! - After any failure (no connection, no answer in time, a refusal, half an answer, another Swarm)
//!   the next host is tried within the same refresh. The rotation advances before each attempt, so
//!   a canceled refresh does not start again at the host that hung.
//! - A host that answers only some of the lists is used if no host answers all of them.
//! - A host that does not list a part is [set aside](Hosts::set_aside): the next refresh starts with
//!   the next host and skips this one.
//! - With several hosts, the ID of the Swarm is remembered. A host that answers for another one is
//!   skipped, by name, as long as some host of the list was last seen in the right one.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join;
use futures_util::{StreamExt as _, stream};
use swarmscout_model::PromDuration;
use swarmscout_net::{Host, ReadClient};
use swarmscout_refresh::RefreshContext;
use swarmscout_refresh::problems;
use swarmscout_refresh::rotation::{Rotation, Round};
use swarmscout_refresh::{Problem, Refreshed};
use tokio::time::{Instant, timeout_at};

use super::client::{Failed, List, MAX_ANSWER, Resource, Session, negotiate};
use super::events::{EventStream, NoEvents};
use super::info::Info;
use super::lists::{Answered, Lists, Query};
use super::memo::Memos;
use super::network_status::NetworkStatus;
use super::objects::{SwarmConfig, SwarmSecret};
use super::refusal;
use super::version::ApiVersion;
use crate::EngineConfig;
use crate::Error;

/// The hosts of one source.
#[derive(Debug)]
pub struct Hosts {
    client: ReadClient,
    known: Vec<HostState>,
    /// The objects of their last lists.
    memos: Memos,
    /// Which of them is next.
    rotation: Rotation,
    /// The host that the next refresh skips, and why.
    aside: Option<(usize, Error)>,
    /// The ID of the Swarm that is read, once a host reported it.
    cluster: Option<String>,
    refresh_interval: PromDuration,
    context: RefreshContext,
}

/// A host, and what is known of it.
#[derive(Debug)]
struct HostState {
    host: Host,
    /// `None` before the first attempt and after one that failed: versions change where an Engine
    /// goes down and comes back.
    version: Option<ApiVersion>,
    /// The Swarm that it last answered for.
    cluster: Option<String>,
    /// What it last said of itself, and when.
    info: Option<(Arc<Info>, Instant)>,
}

/// `/info` changes rarely, and is expensive for an old Engine.
const INFO_LASTS: Duration = Duration::from_mins(5);

/// How long opening the stream of events may take at most. Every refresh waits for it, and a proxy
/// that holds back answers until they are complete never opens it.
pub const EVENTS_WITHIN: Duration = Duration::from_secs(1);

/// The most networks that are asked for at a time.
const NETWORKS_AT_ONCE: usize = 8;

/// What is known of the addresses of networks, by their IDs.
pub type NetworkStatuses = BTreeMap<Arc<str>, NetworkStatus>;

/// How much of the lists is asked for.
#[derive(Clone, Copy, Debug)]
enum Extent {
    /// All that is ever asked for, so that what is not listed can be forgotten.
    Whole,
    /// A part: what is known of the whole lists stays.
    Part,
}

/// What a host answered.
#[derive(Debug)]
struct Answer {
    lists: Lists,
    /// What is missing of them, and why.
    failed: Vec<(List, Error)>,
    problems: Vec<Problem>,
    as_of: Instant,
}

/// The lists of one refresh, and the host that answered.
#[derive(Clone, Debug, Default)]
pub struct HostLists {
    /// The lists that were asked for.
    pub lists: Lists,
    /// Those that could not be read, and why. They are empty in `lists`.
    pub failed: Vec<(List, Arc<str>)>,
    /// Which host answered, by its place in the configuration.
    pub host: usize,
    /// Its `/info`, at most some minutes old. `None` if it was not requested, or not answered.
    pub info: Option<Arc<Info>>,
}

/// The configs and secrets of a Swarm, without their content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// `/configs`.
    pub configs: Vec<Arc<SwarmConfig>>,
    /// `/secrets`.
    pub secrets: Vec<Arc<SwarmSecret>>,
    /// The lists that could not be read, and why.
    pub failed: Vec<(List, Arc<str>)>,
}

fn text_of(error: &Error) -> Arc<str> {
    error.to_string().into()
}

impl Hosts {
    /// Does not connect yet. Fails if a host is not valid, or its TLS options cannot be used.
    pub fn new(config: &EngineConfig, context: &RefreshContext) -> Result<Self, Error> {
        let hosts = config.hosts.iter().map(|text| {
            Ok(HostState { host: Host::parse(text)?, version: None, cluster: None, info: None })
        });
        let hosts: Vec<_> = hosts.collect::<Result<_, swarmscout_net::Error>>()?;
        if hosts.is_empty() {
            return Err(Error::NoHost);
        }
        let options = context.client_options(context.attempt_deadline(config.refresh_interval, 1));
        let client = ReadClient::new(&config.http, options)?;
        let refresh_interval = config.refresh_interval;
        let context = context.clone();
        let memos = Memos::new(&context.budget);
        Ok(Self {
            client,
            rotation: Rotation::new(hosts.len()),
            known: hosts,
            memos,
            aside: None,
            cluster: None,
            refresh_interval,
            context,
        })
    }

    /// Asks the hosts for lists, starting with the one that answered last, until one answers.
    pub async fn list(&mut self, query: &Query) -> Result<Refreshed<HostLists>, Error> {
        let mut round = self.rotation.round();
        if let Some((index, error)) = self.aside.take() {
            round.skip(index, error);
        }
        // The first host that answered for another Swarm.
        let mut stranger = None;
        // The host that answered most of the lists, if none answered all.
        let mut partial: Option<(usize, Answer)> = None;
        while let Some(turn) = self.rotation.next(&mut round) {
            let index = turn.index;
            match self.attempt(index, turn.others_left, query, Extent::Whole).await {
                Ok(answer) if self.is_another_swarm(index) => {
                    round.failed(turn, self.another_swarm(index));
                    stranger.get_or_insert((index, answer));
                }
                Ok(answer) if answer.failed.is_empty() => {
                    return Ok(self.accept(index, answer, round));
                }
                Ok(answer) => {
                    let reasons = answer.failed.iter().map(|(_, error)| error.to_string());
                    round.failed(turn, Error::Lists(reasons.collect()));
                    let missing = answer.failed.len();
                    if partial.as_ref().is_none_or(|(_, best)| missing < best.failed.len()) {
                        partial = Some((index, answer));
                    }
                }
                Err(error) => {
                    self.known[index].forget();
                    round.failed(turn, error);
                }
            }
        }
        if let Some((index, answer)) = partial {
            return Ok(self.accept(index, answer, round));
        }
        if let Some((index, answer)) = stranger
            && !self.known.iter().any(|host| host.cluster == self.cluster)
        {
            return Ok(self.accept(index, answer, round));
        }
        Err(self.rotation.exhausted(round))
    }

    /// Opens the stream of events of the host that answered last. That may take a quarter of an
    /// attempt, and never more than [`EVENTS_WITHIN`]: lists do not need it. The stream ends after
    /// `quiet` without an event.
    pub async fn events(&mut self, quiet: Duration) -> Result<EventStream, NoEvents> {
        let attempt = self.context.attempt_deadline(self.refresh_interval, 0);
        let within = (attempt / 4).min(EVENTS_WITHIN);
        let deadline = Instant::now() + within;
        let HostState { host, version, .. } = &mut self.known[self.rotation.current()];
        let failed = |error| {
            NoEvents::Failed(in_words(error, format!("{host}{}", Resource::Events.path()), within))
        };
        let version = match *version {
            Some(version) => version,
            None => *version.insert(negotiate(&self.client, host, deadline).await.map_err(failed)?),
        };
        let client = &self.client;
        let session = Session { client, host, version, deadline, max_answer: MAX_ANSWER };
        session.events(quiet).await.map_err(|none| match none {
            NoEvents::Failed(error) => failed(error),
            withheld @ NoEvents::Withheld(_) => withheld,
        })
    }

    /// The host that is asked first the next time.
    pub fn current(&self) -> &Host {
        &self.known[self.rotation.current()].host
    }

    /// Its place in the configuration.
    pub fn place(&self) -> usize {
        self.rotation.current()
    }

    /// Requests `/info` of the host that answered last again in the next refresh.
    pub fn ask_for_info(&mut self) {
        self.known[self.rotation.current()].info = None;
    }

    /// Reads parts of lists from the host that answered last, within the time that an attempt has
    /// while others are left.
    pub async fn list_parts(&mut self, query: &Query) -> Result<Lists, Error> {
        let (at, others_left) = (self.rotation.current(), self.known.len() - 1);
        let answer = self.attempt(at, others_left, query, Extent::Part).await;
        match answer {
            Ok(_) if self.is_another_swarm(at) => Err(self.another_swarm(at)),
            Ok(answer) => Ok(answer.lists),
            Err(error) => {
                self.known[self.rotation.current()].forget();
                Err(error)
            }
        }
    }

    /// Reads configs and secrets from the host that answered last. What cannot be read is missing: it
    /// costs no other list, and the host stays in use.
    pub async fn list_files(&mut self) -> HostFiles {
        let lists = [List::Configs, List::Secrets];
        let query = Query::of_files(lists);
        let (at, others_left) = (self.rotation.current(), self.known.len() - 1);
        match self.attempt(at, others_left, &query, Extent::Whole).await {
            Ok(Answer { lists: Lists { configs, secrets, .. }, failed, .. }) => HostFiles {
                configs,
                secrets,
                failed: failed.into_iter().map(|(list, error)| (list, text_of(&error))).collect(),
            },
            Err(error) => {
                let failed = lists.map(|list| (list, text_of(&error))).into();
                HostFiles { failed, ..HostFiles::default() }
            }
        }
    }

    /// Reads what the host that answered last knows of the addresses of these networks: eight at a time,
    /// within this time. A network whose answer is late or an error is missing.
    pub async fn network_status(
        &self,
        networks: impl IntoIterator<Item = Arc<str>>,
        within: Duration,
    ) -> NetworkStatuses {
        let mut known = NetworkStatuses::default();
        let HostState { host, version: Some(version), .. } = &self.known[self.rotation.current()]
        else {
            return known;
        };
        let deadline = Instant::now() + within;
        let session = Session {
            client: &self.client,
            host,
            version: *version,
            deadline,
            max_answer: MAX_ANSWER.min(self.context.max_answer),
        };
        let session = &session;
        let mut answers = stream::iter(networks)
            .map(async |id| (session.network_status(&id).await, id))
            .buffer_unordered(NETWORKS_AT_ONCE);
        while let Ok(Some((answer, id))) = timeout_at(deadline, answers.next()).await {
            known.extend(answer.ok().map(|status| (id, status)));
        }
        drop(answers);
        known
    }

    /// Skips the host that answered last in the next refresh, which reports the reason. Returns the
    /// error if there is no other host.
    pub fn set_aside(&mut self, error: Error) -> Result<(), Error> {
        if self.known.len() == 1 {
            return Err(error);
        }
        self.known[self.rotation.current()].forget();
        self.aside = Some((self.rotation.current(), error));
        self.rotation.advance();
        Ok(())
    }

    /// Whether a host has answered for another Swarm than the one that is read.
    fn is_another_swarm(&self, index: usize) -> bool {
        matches!(
            (&self.cluster, &self.known[index].cluster),
            (Some(known), Some(answered)) if known != answered
        )
    }

    fn another_swarm(&self, index: usize) -> Error {
        let cluster = self.known[index].cluster.as_deref().unwrap_or_default();
        let expected = self.cluster.as_deref().unwrap_or_default();
        let reason = format!("is in another Swarm: {cluster}, not {expected}");
        let reason = self.client.secrets().clean(&reason).into_owned();
        Error::Answer { url: self.known[index].host.to_string(), reason }
    }

    fn accept(
        &mut self,
        index: usize,
        answer: Answer,
        round: Round<Error>,
    ) -> Refreshed<HostLists> {
        let host = &self.known[index];
        if host.cluster.is_some() {
            self.cluster.clone_from(&host.cluster);
        }
        let info = host.info.as_ref().map(|(info, _)| Arc::clone(info));
        let mut problems = answer.problems;
        problems::clean(&mut problems, self.client.secrets());
        let name = |failed: usize| self.known[failed].host.to_string();
        problems.extend(self.rotation.answered(round, index, name));
        // The Engine lists its objects in any order.
        problems.sort();
        let failed = answer.failed.into_iter();
        let failed = failed.map(|(list, error)| (list, error.to_string().into())).collect();
        let listed = HostLists { lists: answer.lists, failed, host: index, info };
        Refreshed { value: listed, as_of: answer.as_of.into_std(), problems }
    }

    /// Asks one host.
    async fn attempt(
        &mut self,
        index: usize,
        others_left: usize,
        query: &Query,
        extent: Extent,
    ) -> Result<Answer, Error> {
        let mut of_part = Memos::new(&self.context.budget);
        let memos = match extent {
            Extent::Whole => &mut self.memos,
            Extent::Part => &mut of_part,
        };
        let as_of = Instant::now();
        let within = self.context.attempt_deadline(self.refresh_interval, others_left);
        let deadline = as_of + within;
        let several = self.known.len() > 1;
        let HostState { host, version, cluster, info } = &mut self.known[index];
        let is_fresh = |(_, asked): &(_, Instant)| query.with_info && asked.elapsed() < INFO_LASTS;
        let with_info = several || (query.with_info && !info.as_ref().is_some_and(is_fresh));
        let mut refused = false;
        loop {
            let spoken = match *version {
                Some(version) => version,
                None => match negotiate(&self.client, host, deadline).await {
                    Ok(spoken) => *version.insert(spoken),
                    Err(error) => return Err(in_words(error, host, within)),
                },
            };
            let session = Session {
                client: &self.client,
                host,
                version: spoken,
                deadline,
                max_answer: MAX_ANSWER.min(self.context.max_answer),
            };
            match read(&session, query, memos, with_info).await {
                Ok((Answered { lists, failed, problems }, answered)) => {
                    if let Some(answered) = answered {
                        if !answered.cluster.is_empty() {
                            *cluster = Some(answered.cluster.clone());
                        }
                        *info = Some((Arc::new(answered), as_of));
                    }
                    let failed = failed.into_iter().map(|(list, error)| {
                        let url = format!("{host}{}", Resource::List(list).path());
                        (list, in_words(error, url, within))
                    });
                    let failed = failed.collect();
                    return Ok(Answer { lists, failed, problems, as_of });
                }
                // The Engine was replaced by another version, or hides what it speaks.
                Err(Failed::Version(wanted)) if !refused && wanted >= ApiVersion::OLDEST => {
                    refused = true;
                    *version = Some(wanted);
                }
                Err(Failed::Version(wanted)) => {
                    let reason = format!("it refuses API version {spoken} and asks for {wanted}");
                    return Err(Error::Version { url: host.to_string(), reason });
                }
                Err(Failed::NotAManager(error)) => {
                    return Err(match session.info().await {
                        Some(info) => refusal::explain(error, &info, self.client.secrets()),
                        None => error,
                    });
                }
                Err(Failed::Host(error) | Failed::Resource(error)) => {
                    return Err(in_words(error, host, within));
                }
            }
        }
    }
}

impl HostState {
    /// Forgets the version that it spoke, and its `/info`.
    fn forget(&mut self) {
        self.version = None;
        self.info = None;
    }
}

/// Names the deadline of the attempt, not the time that a single request had left.
fn in_words(error: Error, asked: impl Display, within: Duration) -> Error {
    match error {
        Error::Http(swarmscout_net::Error::Deadline { .. }) => Error::Answer {
            url: asked.to_string(),
            reason: format!("no complete answer within {within:?}"),
        },
        error => error,
    }
}

/// Reads all lists of a query from one host and, where it is asked for, its `/info`.
async fn read(
    session: &Session<'_>,
    query: &Query,
    memos: &mut Memos,
    with_info: bool,
) -> Result<(Answered, Option<Info>), Failed> {
    let info = async { Ok(if with_info { session.info().await } else { None }) };
    try_join(Box::pin(query.read(session, memos)), info).await
}
