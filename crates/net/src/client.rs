//! The client: one per `http_config`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST,
    PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::body::{Body, Patience};
use crate::config::{Auth, Header};
use crate::connect::{Connector, Secure, SocketAdvice, Way, through};
use crate::error::ConnectFailure;
use crate::exchange::Pool;
use crate::gzip::Inflater;
use crate::oauth2::Tokens;
use crate::proxy::Proxy;
use crate::redirect::{self, Chain};
use crate::request::{Limits, Target};
use crate::tls::{SystemRoots, Tls};
use crate::{Error, HttpConfig, Request, Scheme, Secrets, auth, headers};

/// What a client is made with, in addition to its `http_config`.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Time for a connection to stand, TLS included, within each request's own deadline.
    pub connect_timeout: Duration,
    /// What is trusted where `tls_config` does not name authorities. Best shared by all clients.
    pub roots: SystemRoots,
    /// What errors say to do about a unix socket that cannot be opened. Default: about Docker's.
    pub socket_advice: SocketAdvice,
}

impl ClientOptions {
    /// With system certificates that no other client shares.
    pub fn new(user_agent: impl Into<String>, connect_timeout: Duration) -> Self {
        Self {
            user_agent: user_agent.into(),
            connect_timeout,
            roots: SystemRoots::default(),
            socket_advice: SocketAdvice::DOCKER,
        }
    }
}

/// An HTTP client. Cheap to clone; clones share their connections.
///
/// Nothing is read and no connection is made before the first request.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// A client that sends its servers GET and HEAD and nothing else: its holder cannot change what
/// it talks to, as anybody can who may POST to a Docker Engine.
#[derive(Clone, Debug)]
pub struct ReadClient(Client);

struct Inner {
    auth: Option<Auth>,
    /// Where `auth` is OAuth 2.
    tokens: Option<Tokens>,
    headers: Vec<Header>,
    /// What shows in no text that a server sent.
    secrets: Secrets,
    follow_redirects: bool,
    way: Arc<Way>,
    /// Connections without TLS, neither to the server nor to a proxy.
    plain: Pool,
    tls: Tls,
    /// Connections with TLS, for the certificates as they were at the last request.
    secure: Mutex<Option<(Secure, Pool)>>,
}

/// One request on its way: the first, or one that a redirect asks for.
struct Hop<'a> {
    target: Target,
    /// The proxy on the way, if there is one.
    proxy: Option<&'a Proxy>,
    /// How errors name where it goes.
    to: String,
    /// Whether the first host takes `http_config`.
    configured: bool,
    /// Whether it goes to another host than the first.
    left_origin: bool,
}

impl<'a> Hop<'a> {
    fn takes_credentials(&self) -> bool {
        self.configured && !self.left_origin
    }

    /// The proxy, where it reads the request itself and does not only let it pass.
    fn asked_proxy(&self) -> Option<&'a Proxy> {
        self.proxy.filter(|proxy| proxy.is_http() && self.target.host.scheme() == Scheme::Http)
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    /// Status of the last answer, after redirects.
    pub status: StatusCode,
    /// Headers of it. `Content-Encoding` and `Content-Length` are gone where it was inflated.
    pub headers: HeaderMap,
    /// Its body, decompressed.
    pub body: Body,
}

/// The longest deadline: what lies beyond it is as good as none, and cannot be added to a clock.
const FAR: Duration = Duration::from_hours(365 * 24);

impl Client {
    /// Builds a client. Fails where options cannot be used together, and for inline certificates
    /// that are not; files are read when the first request needs them.
    pub fn new(config: &HttpConfig, options: ClientOptions) -> Result<Self, Error> {
        Self::with_secrets(config, options, Secrets::default())
    }

    /// The same, with secrets that another client has too.
    pub(crate) fn with_secrets(
        config: &HttpConfig,
        options: ClientOptions,
        secrets: Secrets,
    ) -> Result<Self, Error> {
        config.keep_secrets(&secrets);
        let tokens = match &config.auth {
            Some(Auth::OAuth2(oauth2)) => {
                Some(Tokens::new(oauth2, options.clone(), secrets.clone())?)
            }
            _ => None,
        };
        let ClientOptions { user_agent, connect_timeout, roots, socket_advice } = options;
        let user_agent = HeaderValue::try_from(user_agent).map_err(|_| Error::Header {
            what: "User-Agent".to_owned(),
            reason: "it is not plain text",
        })?;
        let proxy = config.proxy.clone();
        let way = Arc::new(Way { proxy, user_agent, timeout: connect_timeout, socket_advice });
        Ok(Self(Arc::new(Inner {
            auth: config.auth.clone(),
            tokens,
            headers: config.headers.clone(),
            follow_redirects: config.follow_redirects,
            plain: Pool::new(Connector::new(None, Arc::clone(&way))),
            way,
            tls: Tls::new(&config.tls, config.enable_http2, roots, secrets.clone())?,
            secure: Mutex::new(None),
            secrets,
        })))
    }

    /// What shows in no text that a server sent: all credentials that this client sent or read.
    /// A caller that shows a part of an answer cleans it with these.
    pub fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// Sends a GET and waits for the header of the answer. Any status is an answer.
    pub async fn get(&self, request: Request) -> Result<Response, Error> {
        self.follow(Method::GET, request, Bytes::new()).await
    }

    /// Sends a HEAD.
    pub async fn head(&self, request: Request) -> Result<Response, Error> {
        self.follow(Method::HEAD, request, Bytes::new()).await
    }

    /// Sends a POST with a body. It must be one that can be repeated: it is sent again where a kept
    /// connection dies before the answer starts, and where a redirect within the host says so (307,
    /// 308); any other redirect is the answer.
    pub async fn post(
        &self,
        request: Request,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Response, Error> {
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.follow(Method::POST, request, body.into()).await
    }

    /// Sends a request, follows redirects, and waits for the header of the answer.
    async fn follow(
        &self,
        method: Method,
        request: Request,
        body: Bytes,
    ) -> Result<Response, Error> {
        let answer = self.hop_by_hop(method, request, body).await;
        answer.map_err(|error| error.cleaned(&self.0.secrets))
    }

    async fn hop_by_hop(
        &self,
        method: Method,
        request: Request,
        body: Bytes,
    ) -> Result<Response, Error> {
        let Request { target, mut headers, limits, compressed } = request;
        headers.insert(USER_AGENT, self.0.way.user_agent.clone());
        if compressed {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let deadline = Instant::now() + limits.timeout.min(FAR);
        let mut chain = Chain::new(&target.host);
        // What is configured means the server that was named.
        let configured = target.host.scheme().takes_http_config();
        let mut hop = self.hop(target, configured, &chain);
        loop {
            let tokens = self.0.tokens.as_ref().filter(|_| hop.takes_credentials());
            let exchange = async {
                let mut headers = self.headers(&hop, &headers, deadline).await?;
                if let Some(tokens) = tokens {
                    let token = tokens.get(deadline, limits.timeout).await?;
                    headers.insert(AUTHORIZATION, token);
                }
                for secret in headers.values().filter(|value| value.is_sensitive()) {
                    self.0.secrets.learn_header(secret);
                }
                let mut request = http::Request::new(body.clone());
                *request.method_mut() = method.clone();
                *request.headers_mut() = headers;
                let answer = self.send(&hop, &request, deadline).await?;
                if let (Some(tokens), StatusCode::UNAUTHORIZED) = (tokens, answer.status()) {
                    tokens.forget(&request.headers()[AUTHORIZATION]).await;
                }
                Ok(answer)
            };
            let Ok(answer) = timeout_at(deadline, exchange).await else {
                return Err(Error::Deadline { to: hop.to, within: limits.timeout });
            };
            let answer = answer?;
            if let Some(proxy) = hop.asked_proxy()
                && answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            {
                return Err(ConnectFailure::from(proxy.refusal(answer.status())).to(hop.to));
            }
            let next = if self.0.follow_redirects {
                chain.next(
                    &method,
                    &hop.target,
                    answer.status(),
                    answer.headers(),
                    &self.0.secrets,
                )?
            } else {
                None
            };
            match next {
                Some(target) => {
                    hop = self.hop(target, configured, &chain);
                    // The server chose the name.
                    self.0.secrets.clean_in_place(&mut hop.to);
                }
                None => return response(&method, hop.to, answer, limits, deadline),
            }
        }
    }

    fn hop(&self, target: Target, configured: bool, chain: &Chain) -> Hop<'_> {
        let host = &target.host;
        let proxy = match (host.scheme(), host.port()) {
            (scheme @ (Scheme::Http | Scheme::Https), Some(port)) => {
                self.0.way.proxy.of(scheme == Scheme::Https, host.hostname(), port)
            }
            _ => None,
        };
        let to = through(host.address(), proxy);
        Hop { to, proxy, target, configured, left_origin: chain.left_origin() }
    }

    /// All headers of one request, but for a token.
    async fn headers(
        &self,
        hop: &Hop<'_>,
        own: &HeaderMap,
        deadline: Instant,
    ) -> Result<HeaderMap, Error> {
        let mut headers = own.clone();
        if hop.configured {
            headers::add(&self.0.headers, hop.left_origin, &mut headers, deadline).await?;
        }
        if hop.left_origin {
            redirect::strip(&mut headers);
        }
        if hop.target.host.scheme() == Scheme::Unix {
            headers.insert(HOST, HeaderValue::from_static("localhost"));
        }
        let auth = self.0.auth.as_ref().filter(|_| hop.takes_credentials());
        if !headers.contains_key(AUTHORIZATION)
            && let Some(value) = auth::authorization(auth, hop.target.user(), deadline).await?
        {
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(value) = hop.asked_proxy().and_then(Proxy::authorization) {
            headers.insert(PROXY_AUTHORIZATION, value);
        }
        Ok(headers)
    }

    async fn send(
        &self,
        hop: &Hop<'_>,
        request: &http::Request<Bytes>,
        deadline: Instant,
    ) -> Result<http::Response<Incoming>, Error> {
        let over_tls =
            hop.target.host.scheme() == Scheme::Https || hop.proxy.is_some_and(Proxy::is_over_tls);
        let pool = if over_tls { &self.secure(deadline).await? } else { &self.0.plain };
        pool.send(&hop.target, &hop.to, request).await
    }

    /// The connections made with the certificates as they are now.
    async fn secure(&self, deadline: Instant) -> Result<Pool, Error> {
        let secure = self.0.tls.current(deadline).await?;
        let mut kept = self.0.secure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((with, pool)) = &*kept
            && Arc::ptr_eq(&with.config, &secure.config)
        {
            return Ok(pool.clone());
        }
        let pool = Pool::new(Connector::new(Some(secure.clone()), Arc::clone(&self.0.way)));
        *kept = Some((secure, pool.clone()));
        Ok(pool)
    }
}

impl ReadClient {
    /// As [`Client::new`].
    pub fn new(config: &HttpConfig, options: ClientOptions) -> Result<Self, Error> {
        Client::new(config, options).map(Self)
    }

    /// As [`Client::secrets`].
    pub fn secrets(&self) -> &Secrets {
        self.0.secrets()
    }

    /// As [`Client::get`].
    pub async fn get(&self, request: Request) -> Result<Response, Error> {
        self.0.get(request).await
    }

    /// As [`Client::head`].
    pub async fn head(&self, request: Request) -> Result<Response, Error> {
        self.0.head(request).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("auth", &self.0.auth).finish_non_exhaustive()
    }
}

fn response(
    method: &Method,
    to: String,
    answer: http::Response<Incoming>,
    limits: Limits,
    deadline: Instant,
) -> Result<Response, Error> {
    let (head, incoming) = answer.into_parts();
    let mut headers = head.headers;
    let encoding = headers.get(CONTENT_ENCODING).filter(|_| *method != Method::HEAD);
    let inflater = match encoding.map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => None,
        Some(b"gzip" | b"x-gzip") => Some(Inflater::new()),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            let reason = format!("the answer has content encoding {other:?}, which is not known");
            return Err(Error::Exchange { to, reason });
        }
    };
    if inflater.is_some() {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
    }
    let patience = match limits.idle {
        Some(idle) => Patience::per_piece(idle.min(FAR)),
        None => Patience::until(deadline, limits.timeout),
    };
    let body = Body::new(incoming, inflater, to, patience, limits.max_body);
    if body.is_announced_too_large() {
        return Err(body.too_large());
    }
    Ok(Response { status: head.status, headers, body })
}
