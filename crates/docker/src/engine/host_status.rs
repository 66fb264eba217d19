//! What one host says of itself. A diagnosis asks each host: failover hides one that is broken.

use std::time::Duration;

use swarmscout_net::{ClientOptions, Host, ReadClient};
use tokio::time::Instant;

use super::client::{Failed, MAX_ANSWER, Session, negotiate};
use super::info::Info;
use super::version::ApiVersion;
use crate::{EngineConfig, Error};

/// What a host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// The version of the API that it is asked with.
    pub version: ApiVersion,
    /// What it says of itself.
    pub info: HostInfo,
}

/// The answer to `/info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostInfo {
    /// What it says.
    Read(Box<Info>),
    /// A proxy in front of the Engine does not let it pass, and why.
    Withheld(String),
}

/// Asks one of the hosts of an Engine for its version and for `/info`, and for nothing else.
///
/// # Errors
///
/// If the host is not an Engine that can be asked, or does not answer within this time.
pub async fn host_status(
    config: &EngineConfig,
    host: &str,
    options: ClientOptions,
    within: Duration,
) -> Result<HostStatus, Error> {
    let host = Host::parse(host)?;
    let client = ReadClient::new(&config.http, options)?;
    let deadline = Instant::now() + within;
    let mut version = negotiate(&client, &host, deadline).await?;
    let mut refused = false;
    loop {
        let session =
            Session { client: &client, host: &host, version, deadline, max_answer: MAX_ANSWER };
        match session.host_info().await {
            Ok(info) => return Ok(HostStatus { version, info }),
            // A proxy hides which versions the Engine speaks.
            Err(Failed::Version(wanted)) if !refused && wanted >= ApiVersion::OLDEST => {
                refused = true;
                version = wanted;
            }
            Err(Failed::Version(wanted)) => {
                let reason = format!("it refuses API version {version} and asks for {wanted}");
                return Err(Error::Version { url: host.to_string(), reason });
            }
            Err(Failed::NotAManager(error) | Failed::Host(error) | Failed::Resource(error)) => {
                return Err(error);
            }
        }
    }
}
