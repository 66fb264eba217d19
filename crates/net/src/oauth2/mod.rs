//! Access tokens of OAuth 2, as `golang.org/x/oauth2` and prometheus/common get and use them.
//!
//! A token is asked for when the first request needs one, and kept until ten seconds before it
//! ends, or until the secret that it was asked with changes. However many requests need one at the
//! same time, it is asked for once, and a failure is the failure of all that waited.
//!
//! What differs from Go, and why:
//!
//! - A server that answers 401 does not want the token: it is forgotten, and the next request asks
//!   for another one. Go keeps it until it ends, which may be never.
//! - A server may want the secret in a header or in the body. As in Go, both are tried at first,
//!   but only where there was an answer: another way to write a request opens no connection.
//! - JSON is known by its first byte and not by `Content-Type`, as some servers call it
//!   `text/plain`.

mod answer;
mod assertion;
mod form;

use std::time::Duration;

use futures_util::future::BoxFuture;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use swarmscout_model::Secret;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use self::answer::Granted;
use self::form::{Form, escape};
use crate::config::{GRANT_TYPE_JWT, Grant, JwtBearer, OAuth2};
use crate::{Client, ClientOptions, Error, HttpConfig, Request, Secrets, Url, auth};

/// How long before its end a token is no longer used (`golang.org/x/oauth2`).
const EARLY: Duration = Duration::from_secs(10);
/// The most bytes of an answer.
const MAX_ANSWER: u64 = 1 << 20;

/// Where tokens come from.
pub(crate) struct Tokens {
    config: OAuth2,
    client: Client,
    request: Request,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// How the server wants the secret, once it has taken it.
    style: Option<Style>,
    /// When the last attempt ended, if it failed.
    failure: Option<(Instant, Error)>,
}

struct Token {
    /// As it is sent.
    header: HeaderValue,
    asked_with: Secret,
    ends: Option<Instant>,
}

/// Where the secret of a client stands in a request.
#[derive(Clone, Copy)]
enum Style {
    Header,
    Body,
}

/// When the request that needs a token ends.
#[derive(Clone, Copy)]
struct By {
    deadline: Instant,
    /// From its start.
    within: Duration,
}

impl By {
    fn late(self) -> String {
        format!("no complete answer within {:?}", self.within)
    }
}

/// Why there is no token.
enum Failure {
    /// The server was not asked, or did not answer.
    NoAnswer(String),
    /// The server answered, but not with a token.
    Answered(String),
}

impl Failure {
    fn no_answer(error: &Error) -> Self {
        Self::NoAnswer(error.to_string())
    }
}

impl Tokens {
    /// `secrets` are those of the client that tokens are for.
    pub(crate) fn new(
        config: &OAuth2,
        options: ClientOptions,
        secrets: Secrets,
    ) -> Result<Self, Error> {
        let http = HttpConfig {
            proxy: config.proxy.clone(),
            tls: config.tls.clone(),
            enable_http2: false,
            ..HttpConfig::default()
        };
        Ok(Self {
            client: Client::with_secrets(&http, options, secrets)?,
            request: Request::of_url(config.token_url.clone())?.max_body(MAX_ANSWER),
            config: config.clone(),
            state: Mutex::default(),
        })
    }

    /// The value of `Authorization`, by `deadline`, which is `within` of the start.
    pub(crate) async fn get(
        &self,
        deadline: Instant,
        within: Duration,
    ) -> Result<HeaderValue, Error> {
        let came = Instant::now();
        let by = By { deadline, within };
        let secret = match &self.config.grant {
            Grant::ClientCredentials { secret } => {
                auth::read("client secret", secret, deadline).await?
            }
            Grant::JwtBearer(jwt) => {
                auth::read("client certificate key", &jwt.key, deadline).await?
            }
        };
        self.client.secrets().learn(secret.expose());
        let get = async {
            let mut state = self.state.lock().await;
            if let Some(token) = &state.token
                && token.asked_with == secret
                && token.ends.is_none_or(|ends| came + EARLY <= ends)
            {
                return Ok(token.header.clone());
            }
            if let Some((ended, error)) = &state.failure
                && *ended > came
            {
                return Err(error.clone());
            }
            state.token = None;
            match self.ask(&secret, &mut state.style, by).await {
                Ok(Granted { header, lasts }) => {
                    let ends = lasts.map(|lasts| Instant::now() + lasts);
                    let token = Token { header: header.clone(), asked_with: secret, ends };
                    (state.token, state.failure) = (Some(token), None);
                    Ok(header)
                }
                Err(Failure::NoAnswer(reason) | Failure::Answered(reason)) => {
                    let error = self.error(reason);
                    state.failure = Some((Instant::now(), error.clone()));
                    Err(error)
                }
            }
        };
        let late = |_| Err(self.error(by.late()));
        timeout_at(deadline, get).await.unwrap_or_else(late)
    }

    /// Forgets a token that a server refused.
    pub(crate) async fn forget(&self, refused: &HeaderValue) {
        let mut state = self.state.lock().await;
        state.token.take_if(|token| token.header == *refused);
    }

    async fn ask(
        &self,
        secret: &Secret,
        style: &mut Option<Style>,
        by: By,
    ) -> Result<Granted, Failure> {
        match (&self.config.grant, &style) {
            (Grant::JwtBearer(jwt), _) => self.ask_by_assertion(jwt, secret, by).await,
            (Grant::ClientCredentials { .. }, Some(known)) => self.ask_by(secret, *known, by).await,
            (Grant::ClientCredentials { .. }, None) => {
                let first = match self.ask_by(secret, Style::Header, by).await {
                    Err(Failure::Answered(first)) => first,
                    granted => {
                        *style = granted.is_ok().then_some(Style::Header);
                        return granted;
                    }
                };
                let granted = self.ask_by(secret, Style::Body, by).await;
                *style = granted.is_ok().then_some(Style::Body);
                granted.map_err(|failure| match failure {
                    Failure::Answered(second) if second != first => Failure::Answered(format!(
                        "{first}; and with the secret in the body: {second}"
                    )),
                    failure => failure,
                })
            }
        }
    }

    async fn ask_by_assertion(
        &self,
        jwt: &JwtBearer,
        key: &Secret,
        by: By,
    ) -> Result<Granted, Failure> {
        let OAuth2 { client_id, scopes, token_url, .. } = &self.config;
        let audience = || token_url.without_user().to_string();
        let assertion =
            assertion::sign(jwt, key, client_id, scopes, audience).map_err(Failure::NoAnswer)?;
        let form = Form::new(GRANT_TYPE_JWT, &self.config).with("assertion", assertion.expose());
        self.client.secrets().learn(assertion.expose());
        self.post(self.request.clone(), form.encode(), by).await
    }

    async fn ask_by(&self, secret: &Secret, style: Style, by: By) -> Result<Granted, Failure> {
        let id = &self.config.client_id;
        let form = Form::new("client_credentials", &self.config);
        match style {
            Style::Header => {
                let value = auth::basic(&escape(id), &escape(secret.expose()))
                    .map_err(|error| Failure::no_answer(&error))?;
                let request = self.request.clone().header(AUTHORIZATION, value);
                self.post(request, form.encode(), by).await
            }
            Style::Body => {
                let form = form.with("client_id", id).with("client_secret", secret.expose());
                self.post(self.request.clone(), form.encode(), by).await
            }
        }
    }

    fn post(
        &self,
        request: Request,
        form: String,
        by: By,
    ) -> BoxFuture<'_, Result<Granted, Failure>> {
        // A client asks a client here: without the box, this future would hold itself.
        Box::pin(async move {
            let no_answer = |error| match error {
                Error::Deadline { .. } => Failure::NoAnswer(by.late()),
                error => Failure::no_answer(&error),
            };
            let left = by.deadline.saturating_duration_since(Instant::now());
            let request = request.timeout(left);
            let post = self.client.post(request, "application/x-www-form-urlencoded", form);
            let answer = post.await.map_err(no_answer)?;
            let status = answer.status;
            let body = answer.body.bytes().await.map_err(no_answer)?;
            let secrets = self.client.secrets();
            let granted = answer::read(status, &body, secrets).map_err(Failure::Answered)?;
            secrets.learn_header(&granted.header);
            Ok(granted)
        })
    }

    fn error(&self, reason: String) -> Error {
        Error::Token { url: shown(&self.config.token_url), reason }
    }
}

/// A token URL without what may be secret in it.
fn shown(url: &Url) -> String {
    let text = url.to_string();
    text.split_once('?').map_or(text.clone(), |(before, _)| before.to_owned())
}
