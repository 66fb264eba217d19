//! Asks the running program.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use swarmscout_net::{Client, ClientOptions, HttpConfig, Request, Response};

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

/// This much of an answer that is not JSON is shown, in bytes.
const SHOWN: usize = 200;

/// A running program.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    /// Without a slash at the end.
    url: String,
    /// What to do if no program answers.
    advice: &'static str,
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
        let url = &args.url;
        let url = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        let config = match &args.http_config_file {
            Some(file) => swarmscout_config::load_http_config(file)?,
            None => HttpConfig::default(),
        };
        let options = ClientOptions::new(format!("Swarmscout/{}", BUILD.version), CONNECT_WITHIN);
        let client = Client::new(&config, options)?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), advice })
    }

    /// Where it is, without a password.
    pub(crate) fn shown_url(&self) -> String {
        swarmscout_net::redact_url(&self.url)
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

    /// Sends a GET to a path, and reads a text.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let request = self.request(path, TIMEOUT)?;
        let answer = self.client.get(request).await.map_err(|error| self.no_answer(error))?;
        let status = answer.status;
        let body = answer.body.bytes().await.context("cannot read the answer")?;
        if status != StatusCode::OK {
            let reason = self.refusal(status, &body);
            bail!("check failed: URL={}, status={}: {reason}", self.shown_url(), status.as_u16());
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn request(&self, path: &str, timeout: Duration) -> Result<Request, swarmscout_net::Error> {
        let request = Request::new(&format!("{}{path}", self.url))?;
        Ok(request.timeout(timeout).max_body(MAX_ANSWER))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        answer: Result<Response, swarmscout_net::Error>,
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
            StatusCode::UNAUTHORIZED => {
                "give the credentials in a file, with --http.config.file".to_owned()
            }
            StatusCode::NOT_FOUND => format!(
                "it is not a Swarmscout of this version, or its --web.route-prefix is missing in \
                 the URL; {}",
                self.advice
            ),
            StatusCode::SERVICE_UNAVAILABLE => "it starts or stops: ask again".to_owned(),
            _ if line.is_empty() || line.starts_with('<') => self.advice.to_owned(),
            _ => line.to_owned(),
        }
    }

    /// What to do if no program answers.
    fn no_answer(&self, error: swarmscout_net::Error) -> anyhow::Error {
        match error {
            swarmscout_net::Error::Connect { cause, .. } => match cause {
                swarmscout_net::ConnectCause::Tls => anyhow!(
                    "{error}; a CA, a server name or a client certificate can be set in the \
                     tls_config of --http.config.file"
                ),
                _ => anyhow!("{error}; {}", self.advice),
            },
            error => error.into(),
        }
    }
}
