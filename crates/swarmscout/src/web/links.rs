//! Addresses of our own pages.

use http::uri::Authority;
use http::{HeaderMap, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use super::Options;

/// What does not stand as it is in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, SEGMENT)
}

/// Where the targets of a job are, below the base.
pub(super) fn sd(job: &str) -> String {
    format!("/sd/{}", segment(job))
}

/// What stands before every path that is shown to people and programs: the external URL, else the
/// address by which the reader reached us.
pub(super) fn base(options: &Options, headers: &HeaderMap) -> String {
    if let Some(url) = &options.external_url {
        return url.to_string();
    }
    let host = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let host = host.filter(|host| !host.as_str().contains('@'));
    match host {
        Some(host) => format!("http://{host}{}", options.route_prefix),
        None => options.route_prefix.clone(),
    }
}

/// What stands before every path in a page: relative to the host, so that it holds behind a proxy.
pub(super) fn path_prefix(options: &Options) -> &str {
    options.external_url.as_ref().map_or(&options.route_prefix, |url| &url.path)
}
