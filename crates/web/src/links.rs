//! Addresses of our own pages.

use axum::Extension;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, header};
pub(super) use swarmscout_publish::links::sd;
use swarmscout_server::ServerOptions;

/// What stands before every path that is shown to people and programs: the external URL, else the
/// address by which the reader reached us.
pub(super) fn base(
    options: &ServerOptions,
    headers: &HeaderMap,
    scheme: Option<&Extension<Scheme>>,
) -> String {
    if let Some(url) = &options.external_url {
        return url.to_string();
    }
    let host = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let host = host.filter(|host| !host.as_str().contains('@'));
    match host {
        Some(host) => {
            let scheme = scheme.map_or("http", |Extension(scheme)| scheme.as_str());
            format!("{scheme}://{host}{}", options.route_prefix)
        }
        None => options.route_prefix.clone(),
    }
}

/// What stands before every path in a page: relative to the host, so that it holds behind a proxy.
pub(super) fn path_prefix(options: &ServerOptions) -> &str {
    options.external_url.as_ref().map_or(&options.route_prefix, |url| &url.path)
}
