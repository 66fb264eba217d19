//! For fuzz targets and tests. No part of this crate's interface.

use crate::engine::{ApiVersion, refusal};
pub use crate::swarmkit::Listing;

/// What an Engine says in the body of a refusal, and which version it asks for.
pub fn read_refusal(body: &[u8]) -> (String, Option<ApiVersion>) {
    let message = refusal::message(body, &swarmscout_net::Secrets::default());
    let version = ApiVersion::asked_for(&message);
    (message, version)
}
