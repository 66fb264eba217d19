//! Credentials, made again for each request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use swarmscout_model::Secret;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::config::{Auth, SecretSource};
use crate::url::UserInfo;
use crate::{Error, file};

/// The value of `Authorization` for one request. Credentials written in the URL come before
/// configured ones, as Go's client sets them first and prometheus/common then leaves them. Tokens
/// of OAuth 2 are not of this kind: `oauth2` gets them, and they come before all others.
pub(crate) async fn authorization(
    configured: Option<&Auth>,
    in_url: Option<&UserInfo>,
    deadline: Instant,
) -> Result<Option<HeaderValue>, Error> {
    if let Some(user) = in_url {
        let password = user.password.as_ref().map_or("", Secret::expose);
        return basic(&user.username, password).map(Some);
    }
    match configured {
        None | Some(Auth::OAuth2(_)) => Ok(None),
        Some(Auth::Basic { username, password }) => {
            let username = read("username", username, deadline).await?;
            let password = read("password", password, deadline).await?;
            basic(username.expose(), password.expose()).map(Some)
        }
        Some(Auth::Header { scheme, credentials }) => {
            let secret = read("credentials", credentials, deadline).await?;
            header("credentials", &Zeroizing::new(format!("{scheme} {}", secret.expose())))
                .map(Some)
        }
    }
}

pub(crate) fn basic(username: &str, password: &str) -> Result<HeaderValue, Error> {
    let pair = Zeroizing::new(format!("{username}:{password}"));
    let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    header("password", &encoded)
}

fn header(what: &'static str, text: &str) -> Result<HeaderValue, Error> {
    let reason = "it holds a line break or another control character";
    let mut value = HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| Error::Header { what: what.to_owned(), reason })?;
    value.set_sensitive(true);
    Ok(value)
}

pub(crate) async fn read(
    what: &'static str,
    source: &SecretSource,
    deadline: Instant,
) -> Result<Secret, Error> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.clone()),
        SecretSource::File(path) => file::read_text(what, path, deadline).await,
    }
}
