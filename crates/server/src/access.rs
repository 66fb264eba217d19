//! Who may do what: the users, rights and limits of a listener's web configuration (exporter-toolkit
//! `web/handler.go`).
//!
//! Each route is made with the right that it needs ([`crate::Routes`]). A client has a right without
//! proof, by its certificate, or as a user. The password is checked only where it decides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use swarmscout_model::quote::Quoted;
use swarmscout_web_config::{Doors, DoorsHandle, Identity, PasswordQueue, Right, Verdict};
use zeroize::Zeroizing;

use crate::listener::Peer;
use crate::tally::Tally;
use crate::text;

/// The longest `Authorization` that is read: names and passwords are far shorter.
const MAX_CREDENTIALS: usize = 4096;

/// Most bytes of a name that a refusal repeats.
const SHOWN: usize = 100;

/// What a client that is answered may do. Requests of all routes have it in their extensions.
#[derive(Clone, Copy, Debug)]
pub struct ClientRights {
    /// Whether it has the right to change something.
    pub may_change: bool,
    /// Whether the web configuration gives it the right to read, which not every client has.
    pub may_read: bool,
}

/// What the server remembers of passwords that are being checked, and of refused requests.
#[derive(Debug, Default)]
pub(crate) struct Access {
    pub(crate) passwords: Arc<PasswordQueue>,
    refused: Tally<{ Reason::ALL.len() }>,
}

/// Why requests are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    NoPassword,
    WrongPassword,
    NoRight,
    Busy,
    RateLimit,
}

impl Reason {
    const ALL: [Self; 5] =
        [Self::NoPassword, Self::WrongPassword, Self::NoRight, Self::Busy, Self::RateLimit];

    const fn name(self) -> &'static str {
        match self {
            Self::NoPassword => "no_password",
            Self::WrongPassword => "wrong_password",
            Self::NoRight => "no_right",
            Self::Busy => "busy",
            Self::RateLimit => "rate_limit",
        }
    }
}

/// Where a request came in: whom it is from, and the version of the web configuration that decides
/// on it.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    pub(crate) doors: Option<Arc<Doors>>,
    peer: Peer,
    authorization: Option<HeaderValue>,
}

/// The version that was in use when the request came. Each request has it in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct InUse(Option<Arc<Doors>>);

impl InUse {
    /// Resolves once another version is in use, by which this client may have no right any longer.
    pub(crate) async fn replaced(&self, peer: &Peer) {
        match (&peer.doors, &self.0) {
            (Some(handle), Some(used)) => handle.wait_for(|doors| !Arc::ptr_eq(doors, used)).await,
            _ => std::future::pending().await,
        }
    }
}

impl Entrance {
    /// `None` if the request did not come by a listener.
    pub(crate) fn of<B>(request: &http::Request<B>) -> Option<Self> {
        let InUse(doors) = request.extensions().get::<InUse>()?.clone();
        let peer = request.extensions().get::<Peer>()?.clone();
        Some(Self { doors, peer, authorization: request.headers().get(AUTHORIZATION).cloned() })
    }
}

/// A refused request.
struct Refusal {
    reason: Reason,
    /// The user that the client says it is, if there is such a user.
    user: Option<String>,
    body: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    fn new(reason: Reason, body: String) -> Self {
        Self { reason, user: None, body, retry_after: None }
    }
}

impl Access {
    /// How many requests were refused for each reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::ALL.into_iter().map(Reason::name).zip(self.refused.counts())
    }

    /// Notes which version of the web configuration decides on a request, and counts it against the
    /// rate limit. Returns the answer if that refuses it.
    pub(crate) fn enter<B>(&self, request: &mut http::Request<B>) -> Option<Response> {
        let peer = request.extensions().get::<Peer>();
        let doors = peer.and_then(|peer| peer.doors.as_ref()).map(DoorsHandle::current);
        let limit = doors.as_ref().and_then(|doors| doors.rate_limit.as_ref());
        let allowed = limit.map_or(Ok(()), |limit| limit.allow(Instant::now()));
        let refused = allowed.err().map(|wait| {
            let body = String::from("too many requests: the rate limit is reached\n");
            let refusal =
                Refusal { retry_after: Some(wait), ..Refusal::new(Reason::RateLimit, body) };
            self.refuse(refusal, None, peer)
        });
        request.extensions_mut().insert(InUse(doors));
        refused
    }

    /// Whether the client of this request has this right. Otherwise the answer says what is missing.
    pub(crate) async fn admit(
        &self,
        right: Right,
        entrance: Option<Entrance>,
    ) -> Result<ClientRights, Response> {
        let Some(Entrance { doors, peer, authorization }) = entrance else {
            tracing::error!("A request came past the checks of its listener");
            return Err(text(StatusCode::INTERNAL_SERVER_ERROR, "internal error; see the log\n"));
        };
        let Some(doors) = doors else {
            return Ok(ClientRights { may_change: true, may_read: false });
        };
        let identified = self.identify(right, &doors, &peer, authorization.as_ref()).await;
        identified.map_err(|refusal| self.refuse(refusal, Some(right), Some(&peer)))
    }

    async fn identify(
        &self,
        right: Right,
        doors: &Doors,
        peer: &Peer,
        authorization: Option<&HeaderValue>,
    ) -> Result<ClientRights, Refusal> {
        let certificate = peer.certificate.as_deref();
        let reader = |user| {
            let who = Identity { user, certificate };
            let may_change = doors.rights.allow(Right::Change, &who);
            let may_read = !doors.rights.are_open() && doors.rights.allow(Right::Read, &who);
            doors.rights.allow(right, &who).then_some(ClientRights { may_change, may_read })
        };
        let no_right = |who: &str| {
            let body = format!("forbidden: {who} does not have the right \"{right}\"\n");
            Refusal::new(Reason::NoRight, body)
        };
        if let Some(reader) = reader(None) {
            return Ok(reader);
        }
        if doors.users.is_empty() || !doors.rights.has_user(right) {
            return Err(match certificate.filter(|certificate| certificate.verified) {
                Some(it) => {
                    let name = it.common_name.iter().chain(&it.alternative_names).next();
                    let name = Quoted(name.map_or("", |name| cut(name)));
                    no_right(&format!("the client certificate {name}"))
                }
                None => no_right("a client without a verified certificate"),
            });
        }
        let Some((name, password)) = authorization.and_then(credentials) else {
            let body = String::from("Unauthorized: give a user name and its password\n");
            return Err(Refusal::new(Reason::NoPassword, body));
        };
        let client = peer.address.map(|address| address.ip());
        let refusal = match doors.users.check(&name, &password, client, &self.passwords).await {
            Verdict::Good => match reader(Some(name.as_str())) {
                Some(reader) => return Ok(reader),
                None => no_right(&format!("the user {}", Quoted(cut(&name)))),
            },
            Verdict::Bad => {
                let body = String::from("Unauthorized: unknown user or wrong password\n");
                Refusal::new(Reason::WrongPassword, body)
            }
            Verdict::Busy(wait) => {
                let body = String::from("too many requests: other passwords are being checked\n");
                Refusal { retry_after: Some(wait), ..Refusal::new(Reason::Busy, body) }
            }
        };
        // An unknown name may be a password that was written into the wrong field.
        Err(Refusal { user: doors.users.contains(&name).then_some(name), ..refusal })
    }

    /// Counts a refusal, and logs it if none was logged for the same reason within a minute.
    fn refuse(&self, refusal: Refusal, right: Option<Right>, peer: Option<&Peer>) -> Response {
        let Refusal { reason, user, body, retry_after } = refusal;
        self.refused.count(reason as usize);
        if let Some(more) = self.refused.due(reason as usize, Instant::now()) {
            let client = peer.map(tracing::field::display);
            let (reason, right) = (reason.name(), right.map(Right::name));
            tracing::warn!(client, reason, right, user, more, "Request refused");
        }
        let status = match reason {
            Reason::NoPassword | Reason::WrongPassword => StatusCode::UNAUTHORIZED,
            Reason::NoRight => StatusCode::FORBIDDEN,
            Reason::Busy | Reason::RateLimit => StatusCode::TOO_MANY_REQUESTS,
        };
        let mut response = text(status, body);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = retry_after {
            // Whole seconds, and at least one.
            let seconds = wait.as_secs() + 1;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The name and the password of `Authorization: Basic`, as Go reads it.
fn credentials(authorization: &HeaderValue) -> Option<(String, Zeroizing<Vec<u8>>)> {
    const SCHEME: &[u8] = b"Basic ";
    let (scheme, encoded) = authorization.as_bytes().split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) || encoded.len() > MAX_CREDENTIALS {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, Zeroizing::new(decoded[colon + 1..].to_vec())))
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(SHOWN)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_credentials_as_go_does() {
        let long = format!("Basic {}", "QUFB".repeat(1025));
        for (value, expected) in [
            ("Basic YWxpY2U6c2VjcmV0", Some(("alice", "secret"))),
            ("basic YWxpY2U6c2VjcmV0", Some(("alice", "secret"))),
            ("BASIC YTpiOmM=", Some(("a", "b:c"))),
            ("Basic Og==", Some(("", ""))),
            ("Basic YWxpY2U6", Some(("alice", ""))),
            ("Basic YTpiOmM", None),
            ("Basic  YWxpY2U6c2VjcmV0", None),
            ("Basic YWxpY2U=", None),
            ("Basic", None),
            ("Basic !", None),
            ("Bearer YWxpY2U6c2VjcmV0", None),
            ("", None),
            (&long, None),
        ] {
            let got = credentials(&HeaderValue::from_str(value).unwrap());
            let got = got.as_ref().map(|(name, password)| (&**name, &***password));
            let expected = expected.map(|(name, password)| (name, password.as_bytes()));
            assert_eq!(got, expected, "{value}");
        }
    }
}
