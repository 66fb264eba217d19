//! `token://`: a discovery service with the API of Docker Hub's, which no longer exists
//! (classicswarm `discovery/token`). It has no watch, so it is polled.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use swarmscout_model::{Budget, Secret};
use swarmscout_net::{Client, Host, Secrets};
use swarmscout_refresh::Deadlines;
use tokio::time::Instant;

use super::server::{Answer, Server};
use super::{Listing, NO_TOKEN_SERVICE, Store};
use crate::config::{BuildContext, NodeListConfig};
use crate::limits::Counted;
use crate::source::decoding::Decoding;
use crate::{BoxFuture, Error};

/// The largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// The nodes that registered with a token.
#[derive(Debug)]
pub(super) struct Token {
    client: Client,
    host: Host,
    /// With the token: never shown.
    path: Secret,
    /// The deadlines of a refresh.
    deadlines: Deadlines,
    max_answer: u64,
    budget: Budget,
    decoding: Decoding,
}

impl Token {
    /// Sends no request yet. `service` is the service in the URL of the list; without it,
    /// `token_url` names the service.
    pub(super) fn new(
        service: Option<&str>,
        token: &Secret,
        config: &NodeListConfig,
        context: &BuildContext,
    ) -> Result<Self, Error> {
        let token_url = config.token_url.as_deref();
        let base = match (service, token_url) {
            (Some(service), _) => service.to_owned(),
            (None, Some(url)) => format!("{}/v1/clusters", url.trim_end_matches('/')),
            (None, None) => return Err(Error::Other(NO_TOKEN_SERVICE.to_owned())),
        };
        let secret = token;
        let token = utf8_percent_encode(token.expose(), NON_ALPHANUMERIC);
        let deadlines = context.refresh.deadlines(config.refresh_interval);
        let options = context.refresh.client_options(deadlines.of_attempt(0));
        let client = Client::new(&config.http, options)?;
        client.secrets().keep(secret.expose());
        Ok(Self {
            client,
            host: Host::parse(&base)?,
            path: Secret::new(format!("/{token}")),
            deadlines,
            max_answer: MAX_ANSWER.min(context.refresh.max_answer),
            budget: context.refresh.budget.clone(),
            decoding: Decoding::default(),
        })
    }

    async fn ask(&self) -> Result<Listing, Error> {
        let within = self.deadlines.of_attempt(0);
        let server = Server {
            client: &self.client,
            host: &self.host,
            index: 0,
            deadline: Instant::now() + within,
            within,
            max_answer: self.max_answer,
            budget: &self.budget,
            decoding: &self.decoding,
        };
        let mut answer = server.get(self.path.expose()).await?;
        answer.url = server.url("/xxxxx");
        nodes(&answer).await.map(|nodes| Listing { nodes, ..Listing::default() })
    }
}

/// The nodes of an answer.
pub(super) async fn nodes(answer: &Answer) -> Result<Vec<String>, Error> {
    if answer.status != http::StatusCode::OK {
        return Err(answer.refused());
    }
    // Go writes an empty list as null.
    let nodes: Option<Vec<Counted<String>>> = answer.json().await?;
    Ok(nodes.into_iter().flatten().map(|Counted(node)| node).collect())
}

impl Store for Token {
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>> {
        Box::pin(self.ask())
    }

    fn secrets(&self) -> Secrets {
        self.client.secrets().clone()
    }
}
