//! One host: which version of the API it speaks, and what it lists.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use swarmscout_net::{Body, ENOUGH, Host, ReadClient, Request, Response};
use tokio::time::Instant;

use super::decode::Object;
use super::events::{EventStream, FILTERS, NoEvents};
use super::host_status::HostInfo;
use super::info::Info;
use super::memo::{Listed, Memo};
use super::network_status::NetworkStatus;
use super::read::Fault;
use super::refusal;
use super::version::ApiVersion;
use crate::Error;

/// The largest list that is read. 100,000 tasks have some 300 MB.
pub(crate) const MAX_ANSWER: u64 = 1 << 30;

/// The most objects of a list: as many empty ones as fit into the largest answer would take many
/// times its size.
pub(crate) const MAX_OBJECTS: usize = 1_000_000;

/// The largest `/info`; a usual one has 10 kB.
const MAX_INFO: u64 = 4 << 20;

/// The largest answer about one container, and of `/system/df`.
const MAX_CONTAINER: u64 = 4 << 20;
const MAX_DISK_USAGE: u64 = 64 << 20;

/// The largest answer about one network. A task has some 200 bytes there.
const MAX_NETWORK: u64 = 32 << 20;

/// All that is ever asked of an Engine, by GET or HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Which version it speaks.
    Ping,
    /// Which Swarm it is in, and as what.
    Info,
    /// One of its lists.
    List(List),
    /// The addresses in use on a network.
    Network,
    /// What changes from now on.
    Events,
    /// One container of the Engine.
    Container,
    /// What takes room on the disk of the Engine.
    DiskUsage,
}

/// A list that an Engine keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum List {
    /// Nodes of the Swarm.
    Nodes,
    /// Services of the Swarm.
    Services,
    /// Tasks of the Swarm.
    Tasks,
    /// Networks of the Engine and of its Swarm.
    Networks,
    /// Configs of the Swarm, without their content.
    Configs,
    /// Secrets of the Swarm. An Engine does not hand out their content.
    Secrets,
    /// Running containers of the Engine.
    Containers,
}

impl Resource {
    /// What discovery and state metrics ask for.
    pub const ALL: [Self; 11] = [
        Self::Ping,
        Self::Info,
        Self::List(List::Nodes),
        Self::List(List::Services),
        Self::List(List::Tasks),
        Self::List(List::Networks),
        Self::Network,
        Self::List(List::Configs),
        Self::List(List::Secrets),
        Self::List(List::Containers),
        Self::Events,
    ];

    /// What a node asks of its own Engine.
    pub const OF_A_NODE: [Self; 7] = [
        Self::Ping,
        Self::Info,
        Self::List(List::Containers),
        Self::Container,
        Self::List(List::Networks),
        Self::Events,
        Self::DiskUsage,
    ];

    /// Its path, after the version. `ID` stands for that of a network or a container.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Ping => "/_ping",
            Self::Info => "/info",
            Self::List(List::Nodes) => "/nodes",
            Self::List(List::Services) => "/services",
            Self::List(List::Tasks) => "/tasks",
            Self::List(List::Networks) => "/networks",
            Self::Network => "/networks/ID",
            Self::List(List::Configs) => "/configs",
            Self::List(List::Secrets) => "/secrets",
            Self::List(List::Containers) => "/containers/json",
            Self::Events => "/events",
            Self::Container => "/containers/ID/json",
            Self::DiskUsage => "/system/df",
        }
    }
}

/// Why an attempt ended.
#[derive(Debug)]
pub(super) enum Failed {
    /// The host wants to be asked with another version.
    Version(ApiVersion),
    /// The host is not a manager; its `/info` says more.
    NotAManager(Error),
    /// Nothing more is to be had of this host.
    Host(Error),
    /// This one resource is not to be had; others may be.
    Resource(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        use swarmscout_net::Error as Net;
        match error {
            Error::Http(
                Net::Deadline { .. }
                | Net::Silent { .. }
                | Net::TooLarge { .. }
                | Net::Exchange { .. },
            ) => Self::Resource(error),
            Error::Http(_) => Self::Host(error),
            error => Self::Resource(error),
        }
    }
}

impl From<swarmscout_net::Error> for Failed {
    fn from(error: swarmscout_net::Error) -> Self {
        Error::from(error).into()
    }
}

/// A host, for one attempt, with the version that it speaks.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) client: &'a ReadClient,
    pub(super) host: &'a Host,
    pub(super) version: ApiVersion,
    /// When the attempt must be over.
    pub(super) deadline: Instant,
    /// The largest list that is read, in bytes.
    pub(super) max_answer: u64,
}

impl Session<'_> {
    /// Asks for a resource; `filters` is the JSON of the query parameter, or empty. Fails unless
    /// the answer is a good one, with the reason in words.
    pub(super) async fn open(&self, resource: Resource, filters: &str) -> Result<Response, Failed> {
        let path = self.path(resource, filters);
        let response = self.ask(resource, &path, None).await?;
        if response.status.is_success() {
            return Ok(response);
        }
        Err(self.refused(resource, &path, response).await)
    }

    /// Asks for a resource at its path. The answer may be a refusal. One that has no end is over
    /// after such a silence.
    pub(super) async fn ask(
        &self,
        resource: Resource,
        path: &str,
        quiet: Option<Duration>,
    ) -> Result<Response, Error> {
        let request = request(self.host, path, self.deadline)?;
        let request = match resource {
            Resource::Info => request.max_body(MAX_INFO),
            Resource::Network => request.max_body(MAX_NETWORK.min(self.max_answer)),
            Resource::Container => request.max_body(MAX_CONTAINER),
            Resource::DiskUsage => request.max_body(MAX_DISK_USAGE),
            Resource::Events => request.max_body(u64::MAX),
            Resource::Ping | Resource::List(_) => request.max_body(self.max_answer),
        };
        let request = match quiet {
            Some(quiet) => request.open_ended(quiet),
            None => request,
        };
        Ok(self.client.get(request).await?)
    }

    /// What a refusal says.
    pub(super) async fn refused(&self, resource: Resource, path: &str, answer: Response) -> Failed {
        let status = answer.status;
        let is_engine = is_engine(&answer.headers);
        let message = refusal::message(&start_of(answer.body).await, self.client.secrets());
        if status == StatusCode::BAD_REQUEST
            && let Some(version) = ApiVersion::asked_for(&message)
            && version != self.version
        {
            return Failed::Version(version);
        }
        refusal::failed(self.host, resource, path, status, is_engine, message)
    }

    /// Reads the list that was asked for, with what is known of its objects.
    pub(super) async fn list<T: Object>(
        &self,
        list: List,
        mut body: Body,
        memo: &mut Memo<T>,
    ) -> Result<Listed<T>, Failed> {
        let mut reader = memo.reader();
        let bad = |reason: String| Error::Answer {
            url: format!("{}{}", self.host, Resource::List(list).path()),
            reason,
        };
        while let Some(piece) = body.chunk().await? {
            reader.push(&piece).map_err(|error| bad(error.to_string()))?;
            if reader.found() > MAX_OBJECTS {
                return Err(bad(format!("more than {MAX_OBJECTS} objects")).into());
            }
        }
        reader.finish().map_err(|error| bad(error.to_string()).into())
    }

    /// Requests what is known of the addresses of a network.
    pub(super) async fn network_status(&self, id: &str) -> Result<NetworkStatus, Failed> {
        // By the whole ID an Engine counts only the addresses on its own node. By the beginning of it, the
        // leader's counts are added (moby daemon/server/router/network).
        let mut beginning = id.to_owned();
        beginning.pop();
        let beginning = percent_encoding::utf8_percent_encode(&beginning, QUERY);
        let path = format!("/v{}/networks/{beginning}?verbose=true", self.version);
        let response = self.ask(Resource::Network, &path, None).await?;
        if !response.status.is_success() {
            return Err(self.refused(Resource::Network, &path, response).await);
        }
        let bad = |fault: Fault| Error::Answer {
            url: format!("{}{path}", self.host),
            reason: fault.to_string(),
        };
        NetworkStatus::read(&response.body.bytes().await?).map_err(|fault| bad(fault).into())
    }

    /// Requests `/info`. `None` without an answer: a socket proxy may withhold it, which costs a
    /// feature, never the targets.
    pub(super) async fn info(&self) -> Option<Info> {
        // Whatever it takes, lists must still fit into the attempt.
        let left = self.deadline.saturating_duration_since(Instant::now());
        let info = async {
            let response = self.open(Resource::Info, "").await.ok()?;
            Info::read(&response.body.bytes().await.ok()?).ok()
        };
        tokio::time::timeout(left / 2, info).await.ok()?
    }

    /// Requests `/info`, and says why it is not to be had.
    pub(super) async fn host_info(&self) -> Result<HostInfo, Failed> {
        let path = self.path(Resource::Info, "");
        let response = self.ask(Resource::Info, &path, None).await?;
        let status = response.status;
        if status.is_success() {
            let info = Info::read(&response.body.bytes().await?);
            let bad = |reason| Error::Answer { url: format!("{}{path}", self.host), reason };
            let mut info = info.map_err(|fault| bad(fault.to_string()))?;
            for text in
                [&mut info.error, &mut info.engine_version].into_iter().chain(&mut info.managers)
            {
                *text = self.client.secrets().clean(text).into_owned();
            }
            if !info.is_engine {
                return Err(bad("the answer is not that of a Docker Engine".to_owned()).into());
            }
            return Ok(HostInfo::Read(Box::new(info)));
        }
        match self.refused(Resource::Info, &path, response).await {
            Failed::Resource(error)
                if matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) =>
            {
                Ok(HostInfo::Withheld(error.to_string()))
            }
            failed => Err(failed),
        }
    }

    /// Opens the stream of events of the Swarm and of the containers of this Engine. The deadline
    /// of the attempt holds until the stream is open. The stream ends after `quiet` without an event.
    pub(super) async fn events(&self, quiet: Duration) -> Result<EventStream, NoEvents> {
        let path = self.path(Resource::Events, FILTERS);
        let answer = self.ask(Resource::Events, &path, Some(quiet)).await;
        let answer = answer.map_err(NoEvents::Failed)?;
        let status = answer.status;
        if status.is_success() {
            let url = format!("{}{}", self.host, Resource::Events.path());
            return Ok(EventStream::new(answer.body, url, self.client.secrets().clone()));
        }
        let refused = self.refused(Resource::Events, &path, answer);
        let refused = tokio::time::timeout_at(self.deadline, refused).await.unwrap_or_else(|_| {
            let reason = format!("server returned HTTP status {status}, and no complete answer");
            Failed::Resource(Error::Answer { url: self.host.to_string(), reason })
        });
        let error = match refused {
            Failed::NotAManager(error) | Failed::Host(error) | Failed::Resource(error) => error,
            Failed::Version(wanted) => {
                let Self { host, version, .. } = self;
                let reason = format!("it refuses API version {version} and asks for {wanted}");
                return Err(NoEvents::Failed(Error::Version { url: host.to_string(), reason }));
            }
        };
        Err(match status {
            StatusCode::FORBIDDEN => NoEvents::Withheld(error.to_string()),
            // Every Engine has them.
            StatusCode::NOT_FOUND => NoEvents::Withheld(format!(
                "{}: there is no /events here (HTTP status {}): a proxy in front of the Engine must \
                 allow GET of it",
                self.host,
                status.as_u16()
            )),
            _ => NoEvents::Failed(error),
        })
    }

    fn path(&self, resource: Resource, filters: &str) -> String {
        let path = format!("/v{}{}", self.version, resource.path());
        if filters.is_empty() {
            return path;
        }
        let encoded = percent_encoding::utf8_percent_encode(filters, QUERY);
        format!("{path}?filters={encoded}")
    }
}

/// What Go's `url.QueryEscape` leaves as it is.
pub(super) const QUERY: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Asks which version a host speaks, as Docker's own client does: by HEAD, and by GET where that
/// does not work. Where a proxy withholds the answer, the newest is tried.
pub(super) async fn negotiate(
    client: &ReadClient,
    host: &Host,
    deadline: Instant,
) -> Result<ApiVersion, Error> {
    let path = Resource::Ping.path();
    let answer = match client.head(request(host, path, deadline)?).await {
        Ok(answer) if answer.status == StatusCode::OK => answer,
        Err(
            error
            @ (swarmscout_net::Error::Connect { .. } | swarmscout_net::Error::Deadline { .. }),
        ) => {
            return Err(error.into());
        }
        _ => client.get(request(host, path, deadline)?).await?,
    };
    let spoken = answer.headers.get("api-version").and_then(|value| value.to_str().ok());
    match spoken.and_then(ApiVersion::parse) {
        Some(version) if version < ApiVersion::OLDEST => Err(Error::Version {
            url: host.to_string(),
            reason: format!(
                "the Engine speaks API version {version}, swarm mode begins with {} (Docker 1.12)",
                ApiVersion::OLDEST
            ),
        }),
        Some(version) => Ok(version.min(ApiVersion::NEWEST)),
        None if answer.status.is_success() || answer.status.is_client_error() => {
            Ok(ApiVersion::NEWEST)
        }
        None => {
            let status = answer.status;
            let message = refusal::message(&start_of(answer.body).await, client.secrets());
            match refusal::failed(host, Resource::Ping, path, status, false, message) {
                Failed::NotAManager(error) | Failed::Host(error) | Failed::Resource(error) => {
                    Err(error)
                }
                Failed::Version(_) => unreachable!("a refusal in words is an error"),
            }
        }
    }
}

fn request(host: &Host, path: &str, deadline: Instant) -> Result<Request, swarmscout_net::Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    Ok(Request::to(host, path)?.timeout(left.max(Duration::from_millis(1))).compressed(false))
}

/// Whether an Engine answered, and not something in its place.
fn is_engine(headers: &HeaderMap) -> bool {
    headers.contains_key("api-version")
}

/// The beginning of a body; what cannot be read is missing.
async fn start_of(mut body: Body) -> Vec<u8> {
    let mut start = Vec::new();
    while start.len() < ENOUGH {
        let Ok(Some(piece)) = body.chunk().await else { break };
        let piece: Bytes = piece;
        start.extend_from_slice(&piece[..piece.len().min(ENOUGH - start.len())]);
    }
    start
}
