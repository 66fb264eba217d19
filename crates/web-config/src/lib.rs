//! The web configuration file (`--web.config.file`): who may connect to the web server, and how.
//!
//! The file is exporter-toolkit's, key for key, with one section more: `authorization`.
//!
//! ```text
//! bytes ─yaml→ raw: what was written ─check→ WebConfig ─with the files that it names→ Doors
//! ```
//!
//! A [`Doors`] is one version of the file, ready for use. Each listener holds a [`DoorsHandle`], which
//! shows the version in use.
//!
//! **Invariant: a version is used as a whole, or the one before stays.** No error and no text of this
//! crate shows a secret.
//!
//! It may use `config-decoder`, `model` and `net`. It holds no HTTP server.

mod certificate;
mod check;
mod doors;
mod keeper;
mod load;
mod rate;
mod raw;
mod rights;
mod slips;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod users;

use std::collections::BTreeMap;
use std::path::Path;

use http::{HeaderName, HeaderValue};
use swarmscout_config_decoder::{
    Advice, ConfigError, Cx, Errors, Findings, Options, Warning, reference_of, yaml,
};

pub use certificate::ClientCertificate;
pub use doors::{Doors, DoorsHandle, DoorsStatus};
pub use keeper::{Keeper, open};
pub use load::{LoadedDoors, load};
pub use rate::{RateLimit, RateLimiter};
pub use rights::{Authorization, Identity, Principal, Right, Rights};
pub use tls::{Accepted, Refusal, RefusalKind, TlsDoor};
pub use users::{PasswordHash, PasswordQueue, Users, Verdict, client_network};

/// How many scalars and collections a file may hold, counting each as often as aliases repeat it.
const MAX_NODES: usize = 200_000;

/// Other programs have no keys of their own in this file.
static ADVICE: Advice = Advice { on_key: |_, _| None, on_text: |_| None };

/// A web configuration file, checked, without the files that it names.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// `tls_server_config`; `None`: plain HTTP.
    tls: Option<tls::TlsSettings>,
    /// `http_server_config.http2`.
    pub http2: bool,
    /// `http_server_config.headers`, those that are not empty.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `basic_auth_users`: the bcrypt hash of each user's password.
    pub users: BTreeMap<String, PasswordHash>,
    /// `rate_limit`, if it limits anything.
    pub rate_limit: Option<RateLimit>,
    /// `authorization`.
    pub authorization: Option<Authorization>,
}

/// Checks the text of a web configuration file that is, or would be, at `path`. An empty text is one
/// without TLS and users. Reads no other file.
pub fn parse(text: &[u8], path: &Path) -> Result<(WebConfig, Vec<Warning>), Errors> {
    let first = yaml::parse_first(text, MAX_NODES);
    let first = first.map_err(|error| ConfigError::not_yaml(path, &error))?;
    let mut cx = Cx::new(path, first.root.clone(), Options::default(), &ADVICE);
    let mut file = raw::File::default();
    slips::refuse_more(first.more, &mut cx);
    if let Some(root) = first.root.filter(|root| !root.is_null()) {
        slips::refuse(&root, &mut cx);
        cx.read(&root, &mut file);
    }
    let config = check::check(&file, &mut cx);
    let mut findings = Findings::default();
    findings.add(cx);
    match Errors::new(findings.errors) {
        Some(errors) => Err(errors),
        None => Ok((config, findings.warnings)),
    }
}

/// Every section of the file with every key. Markdown; `docs/web-config.md` holds it word for word.
pub fn reference() -> String {
    reference_of::<raw::File>()
}
