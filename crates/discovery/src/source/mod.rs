//! The sources of the configuration file.
//!
//! Each is one [`Discoverer`](crate::Discoverer) that is made from its part of [`SdConfig`]. A new one needs its file
//! here, its variant there, and its arm in [`build`].

pub mod classic;
mod decoding;
mod disk;
pub mod dns;
pub mod docker;
pub mod dockerswarm;
#[cfg(test)]
pub(crate) mod faults;
pub mod file;
pub mod fixed;
mod foreign;
pub mod http;
mod listing;
mod lossy;
mod moby;
pub mod nodelist;
mod partition;
mod rotation;

use ::http::StatusCode;
use swarmscout_net::Secrets;

use crate::config::{BuildContext, SdConfig};
use crate::{BoxDiscoverer, Error};

/// Makes the discoverer of one source. It asks nobody yet; it fails where files that it needs at
/// once (certificates) or addresses cannot be used.
pub fn build(config: &SdConfig, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
    Ok(match config {
        SdConfig::Static(config) => Box::new(fixed::Fixed::new(config, context)?),
        SdConfig::DockerSwarm(config) => Box::new(dockerswarm::DockerSwarm::new(config, context)?),
        SdConfig::Docker(config) => Box::new(docker::Docker::new(config, context)?),
        SdConfig::Dns(config) => Box::new(dns::Dns::new(config, context)),
        SdConfig::Custom(config) => {
            Box::new(foreign::Foreign::new((config.build)(context)?, config, context))
        }
        SdConfig::File(config) => Box::new(file::File::new(config.clone(), context)),
        SdConfig::Http(config) => Box::new(http::Http::new(config.clone(), context)?),
        SdConfig::Classic(config) => Box::new(classic::Classic::new(config, context)?),
        SdConfig::NodeList(config) => Box::new(nodelist::NodeList::new(config, context)?),
    })
}

/// So much of the body of a refusal is shown, in characters.
const SHOWN_OF_REFUSAL: usize = 200;

/// An answer whose status is not the one that was needed.
fn refused(url: String, status: StatusCode, body: &[u8], secrets: &Secrets) -> Error {
    let text = secrets.clean_bytes(body);
    let message = text.trim().chars().take(SHOWN_OF_REFUSAL).collect();
    Error::Status { url, status, message }
}
