//! Asks the running program.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use swarmscout_net::{Client, ClientOptions, HttpConfig, Request, Response};

use crate::app::BUILD;
use crate::cli::ServerArgs;

/// The checks of a large Swarm take up to a minute.
const TIMEOUT: Duration = Duration::from_secs(90);

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const MAX_ANSWER: u64 = 256 << 20;

/// The API of a running program.
pub(super) struct Server {
    client: Client,
    /// Without a slash at the end.
    url: String,
}

/// The envelope of all answers.
#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
    #[serde(default)]
    error: String,
}

impl Server {
    pub(super) fn new(args: &ServerArgs) -> anyhow::Result<Self> {
        let url = &args.url;
        let url = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        let config = match &args.http_config_file {
            Some(file) => swarmscout_config::load_http_config(file)?,
            None => HttpConfig::default(),
        };
        let options = ClientOptions::new(format!("Swarmscout/{}", BUILD.version), CONNECT_WITHIN);
        let client = Client::new(&config, options)?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Sends a POST to a path below `/api/v1`, and reads what it answers.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let request = self.request(path)?;
        let answer = self.client.post(request, "application/x-www-form-urlencoded", "").await;
        self.read(answer.map_err(advice)?).await
    }

    /// Sends a GET to a path below `/api/v1` with one parameter, and reads what it answers.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
        value: &str,
    ) -> anyhow::Result<T> {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        let answer = self.client.get(self.request(&format!("{path}?{query}"))?).await;
        self.read(answer.map_err(advice)?).await
    }

    fn request(&self, path: &str) -> Result<Request, swarmscout_net::Error> {
        let request = Request::new(&format!("{}/api/v1{path}", self.url))?;
        Ok(request.timeout(TIMEOUT).max_body(MAX_ANSWER))
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> anyhow::Result<T> {
        let status = answer.status;
        let body = answer.body.bytes().await?;
        let envelope: Result<Envelope<T>, _> = serde_json::from_slice(&body);
        match envelope {
            Ok(Envelope { data: Some(data), .. }) if status.is_success() => Ok(data),
            Ok(Envelope { error, .. }) if !error.is_empty() => bail!("{error}"),
            Ok(_) | Err(_) if !status.is_success() => {
                bail!("{} answers {status}: is it a Swarmscout of this version?", self.url)
            }
            envelope => {
                envelope.with_context(|| format!("{} does not answer as Swarmscout", self.url))?;
                bail!("{} does not answer as Swarmscout", self.url)
            }
        }
    }
}

/// What to do if no program answers.
fn advice(error: swarmscout_net::Error) -> anyhow::Error {
    let advice = "if Swarmscout runs elsewhere, give its --url; to ask the Swarm without a running \
                  Swarmscout, give --config.file";
    match error {
        swarmscout_net::Error::Connect { .. } => anyhow::anyhow!("{error}; {advice}"),
        error => error.into(),
    }
}
