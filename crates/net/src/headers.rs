//! `http_headers`: what is added to each request.

use std::path::PathBuf;

use http::header::{CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use swarmscout_model::Secret;
use tokio::time::Instant;

use crate::config::{Header, HeaderSource};
use crate::{Error, file};

impl Header {
    /// One of `values`.
    pub fn value(name: &str, value: &str) -> Result<Self, Error> {
        let value = HeaderSource::Value(header_value(name, value)?);
        Ok(Self { name: header_name(name)?, value })
    }

    /// One of `secrets`.
    pub fn secret(name: &str, value: &Secret) -> Result<Self, Error> {
        let mut secret = header_value(name, value.expose())?;
        secret.set_sensitive(true);
        Ok(Self { name: header_name(name)?, value: HeaderSource::Secret(secret) })
    }

    /// One of `files`.
    pub fn file(name: &str, path: impl Into<PathBuf>) -> Result<Self, Error> {
        Ok(Self { name: header_name(name)?, value: HeaderSource::File(path.into()) })
    }
}

/// Adds `headers` to what a request that ends at `deadline` has already, as Prometheus does, so
/// that a name may come twice. To `another_host`, which a redirect leads to, go only the values
/// that are not secrets. Prometheus sends all but cookies there.
pub(crate) async fn add(
    headers: &[Header],
    another_host: bool,
    to: &mut HeaderMap,
    deadline: Instant,
) -> Result<(), Error> {
    for Header { name, value } in headers {
        let value = match value {
            HeaderSource::Secret(_) | HeaderSource::File(_) if another_host => continue,
            HeaderSource::Value(value) | HeaderSource::Secret(value) => value.clone(),
            HeaderSource::File(path) => {
                let text = file::read_text("header", path, deadline).await?;
                let mut value = header_value(name.as_str(), text.expose())?;
                value.set_sensitive(true);
                value
            }
        };
        to.append(name, value);
    }
    Ok(())
}

/// Headers by which HTTP finds the end of a request, and its server: a second one would change what
/// is understood. Go leaves them out without a word.
const FRAMING: [HeaderName; 4] = [CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING];

pub(crate) fn header_name(name: &str) -> Result<HeaderName, Error> {
    let refused = |reason| Error::Header { what: format!("header {name:?}"), reason };
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| refused("it is not a name that a header can have"))?;
    if FRAMING.contains(&name) {
        return Err(refused("HTTP sets it itself"));
    }
    Ok(name)
}

/// A value of the header `name`, which is shown where the value cannot be sent.
pub(crate) fn header_value(name: &str, value: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| Error::Header {
        what: format!("header {name:?}"),
        reason: "its value holds a line break or another control character",
    })
}
