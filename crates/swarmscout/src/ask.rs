//! Asks the running program.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use swarmscout_model::quote::Quoted;
use swarmscout_net::config::{Auth, SecretSource};
use swarmscout_net::{
    Client, ClientOptions, Error, Host, HttpConfig, Request, Response, Scheme, SocketAdvice, Url,
};

use crate::app::BUILD;
use crate::cli::EndpointArgs;

/// How long an answer may take that is known already.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The checks of a large Swarm take up to a minute.
const TIMEOUT_OF_CHECKS: Duration = Duration::from_secs(90);

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const MAX_ANSWER: u64 = 256 << 20;

/// The largest answer that is read if it is a text, in bytes.
const MAX_TEXT: u64 = 64 << 10;

/// This much of an answer that is not JSON is shown, in bytes.
const SHOWN: usize = 200;

/// What to do about a unix socket that cannot be opened.
const SOCKET_ADVICE: SocketAdvice = SocketAdvice {
    missing: "a Swarmscout with --web.listen-address=unix:///… creates it",
    stale: "is Swarmscout running?",
    closed: "a folder above the socket cannot be entered",
};

/// A running program.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    host: Host,
    /// The path before all others, if the server has a unix socket: the URL of another has its own.
    prefix: String,
    /// What to do if no program answers.
    advice: &'static str,
    /// The credentials that are sent, in words.
    credentials: Option<String>,
}

/// The envelope of all answers.
#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
    #[serde(default)]
    error: String,
}

/// What is missing if the answer is 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// The path: another program listens there, or an older version.
    Path,
    /// The object that was asked for; the answer says why.
    Object,
}

impl Server {
    /// `advice` says what to do if no program answers.
    pub(crate) fn new(args: &EndpointArgs, advice: &'static str) -> anyhow::Result<Self> {
        let (host, prefix) = endpoint(&args.url)?;
        let config = match &args.http_config_file {
            Some(file) => swarmscout_config::load_http_config(file)?,
            None => HttpConfig::default(),
        };
        let options = ClientOptions {
            socket_advice: SOCKET_ADVICE,
            ..ClientOptions::new(format!("Swarmscout/{}", BUILD.version), CONNECT_WITHIN)
        };
        let client = Client::new(&config, options)?;
        let credentials = credentials(args, &config);
        Ok(Self { client, host, prefix, advice, credentials })
    }

    /// Where it is, without a password.
    pub(crate) fn shown_url(&self) -> String {
        format!("{}{}", self.host, self.prefix).trim_end_matches('/').to_owned()
    }

    /// Sends a POST to a path below `/api/v1`, and reads what it answers.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let request = self.request(&format!("/api/v1{path}"), TIMEOUT_OF_CHECKS)?;
        let answer = self.client.post(request, "application/x-www-form-urlencoded", "").await;
        self.read(answer, Missing::Path).await
    }

    /// Sends a GET to a path below `/api/v1`, and reads what it answers.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let request = self.request(&format!("/api/v1{path}"), TIMEOUT)?;
        self.read(self.client.get(request).await, Missing::Path).await
    }

    /// Sends a GET to a path below `/api/v1` with one parameter, which names an object, and reads what
    /// it answers.
    pub(crate) async fn get_object<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
        value: &str,
    ) -> anyhow::Result<T> {
        let path = format!("/api/v1{path}");
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        let request = self.request(&format!("{path}?{query}"), TIMEOUT)?;
        let answer = self.client.get(request).await;
        let missing = match &answer {
            // An older version does not have the path either.
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
                let of_path = self.client.get(self.request(&path, TIMEOUT)?).await;
                let has_path = of_path.is_ok_and(|answer| answer.status != StatusCode::NOT_FOUND);
                if has_path { Missing::Object } else { Missing::Path }
            }
            _ => Missing::Object,
        };
        self.read(answer, missing).await
    }

    /// Sends a GET to a path, and reads the beginning of a text: any server may answer.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let request = self.request(path, TIMEOUT)?.max_body(MAX_TEXT);
        let answer = self.client.get(request).await.map_err(|error| self.no_answer(error))?;
        let status = answer.status;
        let body = answer.body.bytes().await.context("cannot read the answer")?;
        if status != StatusCode::OK {
            let reason = self.refusal(status, &body);
            bail!("check failed: URL={}, status={}: {reason}", self.shown_url(), status.as_u16());
        }
        let text = String::from_utf8_lossy(&body);
        let text = text.trim_end();
        let shown = &text[..text.floor_char_boundary(SHOWN)];
        let more = if shown.len() < text.len() { "…" } else { "" };
        Ok(format!("{shown}{more}"))
    }

    fn request(&self, path: &str, timeout: Duration) -> Result<Request, Error> {
        let request = Request::to(&self.host, &format!("{}{path}", self.prefix))?;
        Ok(request.timeout(timeout).max_body(MAX_ANSWER))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        answer: Result<Response, Error>,
        missing: Missing,
    ) -> anyhow::Result<T> {
        let answer = answer.map_err(|error| self.no_answer(error))?;
        let status = answer.status;
        let body = answer.body.bytes().await.context("cannot read the answer")?;
        let url = self.shown_url();
        match serde_json::from_slice(&body) {
            Ok(Envelope { data: Some(data), .. }) if status.is_success() => Ok(data),
            Ok(Envelope::<T> { error, .. })
                if !error.is_empty()
                    && (status, missing) != (StatusCode::NOT_FOUND, Missing::Path) =>
            {
                bail!("{error}")
            }
            _ if !status.is_success() => {
                bail!("{url} answers {status}: {}", self.refusal(status, &body))
            }
            Ok(_) => bail!("{url} does not answer as Swarmscout; {}", self.advice),
            Err(error) => {
                bail!(
                    "{url} does not answer as this version of Swarmscout: {error}; {}",
                    self.advice
                )
            }
        }
    }

    /// What to do about a status other than 200.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let line = text.lines().next().unwrap_or_default().trim();
        let line = &line[..line.floor_char_boundary(SHOWN)];
        match status {
            StatusCode::UNAUTHORIZED => match &self.credentials {
                Some(credentials) => {
                    format!("{credentials} was refused: check the name and the password")
                }
                None => "give the credentials (basic_auth) in a file, with --http.config.file"
                    .to_owned(),
            },
            // Go's words, and ours.
            StatusCode::BAD_REQUEST if line.contains("HTTP request to an HTTPS server") => {
                "the server speaks TLS there: write https:// in the URL".to_owned()
            }
            StatusCode::NOT_FOUND => format!(
                "it is not a Swarmscout of this version, or its --web.route-prefix is missing in \
                 the URL; {}",
                self.advice
            ),
            StatusCode::SERVICE_UNAVAILABLE => "it starts or stops: ask again".to_owned(),
            _ if line.is_empty() || line.starts_with('<') => self.advice.to_owned(),
            // The status says so already.
            _ => line.strip_prefix("forbidden: ").unwrap_or(line).to_owned(),
        }
    }

    /// What to do if no program answers.
    fn no_answer(&self, error: Error) -> anyhow::Error {
        let is_plain = self.host.scheme() == Scheme::Http;
        match &error {
            Error::Connect { cause, .. } if cause.is_tls() => anyhow!(
                "{error}; a CA, a server name or a client certificate can be set in the tls_config \
                 of --http.config.file"
            ),
            Error::Connect { .. } => anyhow!("{error}; {}", self.advice),
            Error::Exchange { .. } if is_plain => {
                anyhow!("{error}; if the server speaks TLS there, write https:// in the URL")
            }
            _ => error.into(),
        }
    }
}

/// The credentials that requests carry, in words: whose they are, and where they stand.
fn credentials(args: &EndpointArgs, config: &HttpConfig) -> Option<String> {
    let user = |name: &str| format!("user {}", Quoted(name));
    if let (Some(auth), Some(file)) = (&config.auth, &args.http_config_file) {
        let who = match auth {
            Auth::Basic { username: SecretSource::Inline(name), .. } => user(name.expose()),
            Auth::Basic { username: SecretSource::File(path), .. } => {
                format!("the user in {}", path.display())
            }
            Auth::Header { scheme, .. } => format!("the {scheme} authorization"),
            Auth::OAuth2(_) => "the oauth2 token".to_owned(),
        };
        return Some(format!("{who} of {}", file.display()));
    }
    let url = Url::parse(&args.url).ok()?;
    url.user().map(|info| format!("{} of --url", user(&info.username)))
}

/// The server of a `--url`, and a prefix of its paths if it has a unix socket.
fn endpoint(url: &str) -> anyhow::Result<(Host, String)> {
    let text = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let (text, prefix) = match text.split_once(":/") {
        // The first is that of unix://.
        Some(("unix", rest)) => match rest.split_once(":/") {
            Some((socket, prefix)) => {
                (format!("unix:/{socket}"), format!("/{}", prefix.trim_end_matches('/')))
            }
            None => (text, String::new()),
        },
        _ => (text, String::new()),
    };
    let host = Host::parse(&text)?;
    if host.scheme() == Scheme::Tcp {
        bail!("cannot use --url={host}: write http:// or https:// instead of tcp://");
    }
    Ok((host, prefix))
}

/// The port of this machine that a `--url` names, if it names one.
pub(crate) fn loopback_port(url: &str) -> Option<u16> {
    let (host, _) = endpoint(url).ok()?;
    let name = host.hostname();
    let address: Option<IpAddr> = name.parse().ok();
    let is_loopback = name == "localhost" || address.is_some_and(|it| it.is_loopback());
    host.port().filter(|_| is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_or_a_socket() {
        for (url, host, prefix) in [
            ("127.0.0.1:9465", "http://127.0.0.1:9465", ""),
            ("https://h/p", "https://h/p", ""),
            ("unix:///run/s.sock", "unix:///run/s.sock", ""),
            ("unix:///run/s.sock:/p/q/", "unix:///run/s.sock", "/p/q"),
        ] {
            let (found, found_prefix) = endpoint(url).unwrap();
            assert_eq!(
                (found.to_string().as_str(), found_prefix.as_str()),
                (host, prefix),
                "{url}"
            );
        }
        for url in ["tcp://h:1", "ftp://h", "unix://run/s.sock", "http://"] {
            assert!(endpoint(url).is_err(), "{url}");
        }
    }

    #[test]
    fn own_health_checks_are_those_of_a_loopback_port() {
        for (url, port) in [
            ("http://127.0.0.1:9465", Some(9465)),
            ("https://localhost:1/p", Some(1)),
            ("[::1]:2", Some(2)),
            ("http://127.0.0.2", Some(80)),
            ("http://10.0.0.1:9465", None),
            ("http://localhost.example:9465", None),
            ("unix:///run/s.sock", None),
        ] {
            assert_eq!(loopback_port(url), port, "{url}");
        }
    }
}
