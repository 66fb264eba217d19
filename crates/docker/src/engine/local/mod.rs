//! The containers of one Engine, one by one: what a node knows beyond the lists of a Swarm.
//!
//! Lists of services and tasks are read from any of several managers ([`Hosts`](super::Hosts)). This
//! here is about the one Engine of this machine: each container with its process and its last end,
//! every event of a container, and what takes room on the disk.
//!
//! Nothing of a container's command, environment or mounts is read: the answers have them, and they
//! are skipped where they stand.

mod detail;
mod disk;
mod events;

use std::time::Duration;

use http::StatusCode;
use swarmscout_net::{Host, ReadClient};
use swarmscout_refresh::RefreshContext;
use tokio::time::Instant;

pub use detail::{ContainerDetail, ContainerEnd, ListedContainer};
pub use disk::{BuildCache, DiskUsage, ImageUsage, VolumeUsage};
pub use events::{ContainerAction, ContainerEvent, ContainerEvents};

use super::client::{Failed, MAX_ANSWER, Resource, Session, negotiate};
use super::events::NoEvents;
use super::info::Info;
use super::read::Fault;
use super::version::ApiVersion;
use crate::{EngineConfig, Error};

/// How long a request may take. An Engine under load lists its containers slowly.
const WITHIN: Duration = Duration::from_secs(30);

/// How long `/system/df` may take: an Engine sums up the size of every volume.
const DISK_USAGE_WITHIN: Duration = Duration::from_mins(10);

/// The longest ID that is put into a path. Docker's have 64 digits.
const LONGEST_ID: usize = 64;

/// The Engine of this machine.
#[derive(Debug)]
pub struct LocalEngine {
    client: ReadClient,
    host: Host,
    /// `None` before the first answer, and after a failure.
    version: Option<ApiVersion>,
}

impl LocalEngine {
    /// Does not connect yet. Fails if there is no host, or it is not valid.
    pub fn new(config: &EngineConfig, context: &RefreshContext) -> Result<Self, Error> {
        let host = Host::parse(config.hosts.first().ok_or(Error::NoHost)?)?;
        let client = ReadClient::new(&config.http, context.client_options(WITHIN))?;
        Ok(Self { client, host, version: None })
    }

    /// Where it is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What it says of itself and its Swarm.
    pub async fn info(&mut self) -> Result<Info, Error> {
        let answer =
            self.get(Resource::Info, |version| format!("/v{version}/info"), WITHIN).await?;
        self.read(Resource::Info, &answer, Info::read)
    }

    /// All containers, those that have ended included, without anything but ID and state.
    pub async fn containers(&mut self) -> Result<Vec<ListedContainer>, Error> {
        let resource = Resource::List(super::List::Containers);
        let path = |version| format!("/v{version}/containers/json?all=true");
        let answer = self.get(resource, path, WITHIN).await?;
        self.read(resource, &answer, ListedContainer::read_all)
    }

    /// One container, with the labels that `keeps` says yes to; `None` if there is none with this ID.
    pub async fn container(
        &mut self,
        id: &str,
        keeps: impl Fn(&str) -> bool,
    ) -> Result<Option<ContainerDetail>, Error> {
        if !is_id(id) {
            return Ok(None);
        }
        let path = |version| format!("/v{version}/containers/{id}/json");
        match self.get(Resource::Container, path, WITHIN).await {
            Ok(answer) => {
                let read = |text: &_| ContainerDetail::read(text, keeps);
                self.read(Resource::Container, &answer, read).map(Some)
            }
            Err(Error::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What takes room: images, volumes and the build cache, not the layers of containers. The Engine
    /// reads all files of all volumes for it: never ask often.
    pub async fn disk_usage(&mut self) -> Result<DiskUsage, Error> {
        let path = |version: ApiVersion| {
            // A later version has sums only, unless asked in another way.
            let version = version.min(disk::NEWEST);
            format!("/v{version}/system/df?type=image&type=volume&type=build-cache")
        };
        let answer = self.get(Resource::DiskUsage, path, DISK_USAGE_WITHIN).await?;
        self.read(Resource::DiskUsage, &answer, DiskUsage::read)
    }

    /// Opens the stream of the events of containers, with the attributes that `keeps` says yes to. With
    /// `since`, a time of the Engine's clock in nanoseconds since 1970, it starts with the events from
    /// then on; an Engine keeps the last 256. The stream ends after `quiet` without an event.
    pub async fn events(
        &mut self,
        since: Option<i64>,
        quiet: Duration,
        keeps: fn(&str) -> bool,
    ) -> Result<ContainerEvents, NoEvents> {
        let filters = percent_encoding::utf8_percent_encode(events::FILTERS, super::client::QUERY);
        let since = since.map(|nanos| {
            format!(
                "&since={}.{:09}",
                nanos.div_euclid(1_000_000_000),
                nanos.rem_euclid(1_000_000_000)
            )
        });
        let since = since.unwrap_or_default();
        let path = |version| format!("/v{version}/events?filters={filters}{since}");
        match self.ask(Resource::Events, path, WITHIN, Some(quiet)).await {
            Ok(body) => {
                let url = format!("{}{}", self.host, Resource::Events.path());
                Ok(ContainerEvents::new(body, url, self.client.secrets().clone(), keeps))
            }
            Err(
                error @ Error::Status {
                    status: StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, ..
                },
            ) => Err(NoEvents::Withheld(error.to_string())),
            Err(error) => Err(NoEvents::Failed(error)),
        }
    }

    async fn get(
        &mut self,
        resource: Resource,
        path: impl Fn(ApiVersion) -> String,
        within: Duration,
    ) -> Result<bytes::Bytes, Error> {
        let body = self.ask(resource, path, within, None).await?;
        body.bytes().await.map_err(|error| {
            self.version = None;
            error.into()
        })
    }

    /// Requests the path, once more if the Engine asks for another version.
    async fn ask(
        &mut self,
        resource: Resource,
        path: impl Fn(ApiVersion) -> String,
        within: Duration,
        quiet: Option<Duration>,
    ) -> Result<swarmscout_net::Body, Error> {
        let deadline = Instant::now() + within;
        let Self { client, host, version } = self;
        let mut refused = false;
        loop {
            let spoken = match *version {
                Some(version) => version,
                None => *version.insert(negotiate(client, host, deadline).await?),
            };
            let session =
                Session { client, host, version: spoken, deadline, max_answer: MAX_ANSWER };
            let path = path(spoken);
            let answer = session.ask(resource, &path, quiet).await;
            let answer = answer.inspect_err(|_| *version = None)?;
            if answer.status.is_success() {
                return Ok(answer.body);
            }
            match session.refused(resource, &path, answer).await {
                Failed::Version(wanted) if !refused && wanted >= ApiVersion::OLDEST => {
                    refused = true;
                    *version = Some(wanted);
                }
                Failed::Version(wanted) => {
                    let reason = format!("it refuses API version {spoken} and asks for {wanted}");
                    return Err(Error::Version { url: host.to_string(), reason });
                }
                Failed::NotAManager(error) | Failed::Host(error) | Failed::Resource(error) => {
                    return Err(error);
                }
            }
        }
    }

    fn read<T>(
        &self,
        resource: Resource,
        answer: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        read(answer).map_err(|fault| Error::Answer {
            url: format!("{}{}", self.host, resource.path()),
            reason: fault.to_string(),
        })
    }
}

/// Whether it can be the ID of a container, and so stand in a path as it is.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
