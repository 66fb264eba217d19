//! One attempt at one server with an HTTP API.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use swarmscout_model::{Budget, Charge};
use swarmscout_net::{Client, Host, Request, Response, Secrets};
use tokio::time::Instant;

use crate::Error;
use crate::limits::{LONGEST_LABEL, Meter, Unreadable, metered};
use crate::source::decoding::{self, Decoding, Whole};
use crate::source::{lossy, refused};

/// A server, for the time of one attempt or one watch.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) client: &'a Client,
    pub(super) host: &'a Host,
    /// Which of the servers it is.
    pub(super) index: usize,
    /// The end of the attempt, however many requests it takes.
    pub(super) deadline: Instant,
    /// The duration of the whole attempt.
    pub(super) within: Duration,
    /// The largest answer that is read, in bytes.
    pub(super) max_answer: u64,
    pub(super) budget: &'a Budget,
    pub(super) decoding: &'a Decoding,
}

/// Each text of an answer becomes a member of an element, a key or value, and the name of a node.
const COPIES: u64 = 3;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// What was asked for, without password.
    pub(super) url: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The secrets to remove from messages.
    pub(super) secrets: Secrets,
    pub(super) held: Held,
}

/// What the answers of a source share.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) budget: Budget,
    pub(super) decoding: Decoding,
    /// For the body.
    pub(super) _charge: Charge,
}

impl Server<'_> {
    /// GETs `path` within the attempt.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Error> {
        let response = self.client.get(self.request(path)?).await;
        self.whole(path, response).await
    }

    /// POSTs JSON to `path` within the attempt.
    pub(super) async fn post(
        &self,
        path: &str,
        authorization: Option<&HeaderValue>,
        json: &serde_json::Value,
    ) -> Result<Answer, Error> {
        let mut request = self.request(path)?;
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value.clone());
        }
        let response = self.client.post(request, "application/json", json.to_string()).await;
        self.whole(path, response).await
    }

    /// A request with what is left of the attempt, and the limit for an answer.
    pub(super) fn request(&self, path: &str) -> Result<Request, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(Request::to(self.host, path)?.timeout(left).max_body(self.max_answer))
    }

    /// Reads the body of an answer.
    pub(super) async fn whole(
        &self,
        path: &str,
        response: Result<Response, swarmscout_net::Error>,
    ) -> Result<Answer, Error> {
        let Response { status, headers, body } = response.map_err(|error| self.in_words(error))?;
        let url = self.url(path);
        // A path may hold a token.
        let host = self.host.to_string();
        let Whole { bytes: body, charge } =
            decoding::whole(body, self.budget, &host).await.map_err(|error| match error {
                Error::Http(error) => self.in_words(error),
                error => error,
            })?;
        let secrets = self.client.secrets().clone();
        let (budget, decoding) = (self.budget.clone(), self.decoding.clone());
        let held = Held { budget, decoding, _charge: charge };
        Ok(Answer { url, status, headers, body, secrets, held })
    }

    /// Names the deadline of the whole attempt, not the time that was left for this request.
    fn in_words(&self, error: swarmscout_net::Error) -> Error {
        match error {
            swarmscout_net::Error::Deadline { .. } => Error::Answer {
                url: self.host.to_string(),
                reason: format!("no complete answer within {:?}", self.within),
            },
            error => error.into(),
        }
    }

    /// The URL of `path`, without password.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.host)
    }
}

impl Answer {
    /// Decodes it as JSON.
    pub(super) async fn json<T: DeserializeOwned + Send + 'static>(&self) -> Result<T, Error> {
        let Held { budget, decoding, .. } = &self.held;
        let (body, budget) = (self.body.clone(), budget.clone());
        let read = decoding.run(self.body.len(), move |cancel| {
            let mut meter = Meter::new(&budget, LONGEST_LABEL).until(cancel);
            let (body, _) = lossy::repaired(&body, &mut meter)?;
            meter.reserve(COPIES * body.len() as u64)?;
            metered(&mut meter, || serde_json::from_slice(&body).map_err(|error| error.to_string()))
        });
        read.await.map_err(|error| match error {
            Unreadable::Syntax(error) => {
                self.bad(format!("not the JSON that was asked for: {error}"))
            }
            Unreadable::Excess(excess) => {
                Error::Excess { what: self.url.clone(), excess: excess.without(&self.secrets) }
            }
        })
    }

    /// A number that stands in a header.
    pub(super) fn number(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }

    /// The error that the answer does not conform to the API.
    pub(super) fn bad(&self, reason: impl Into<String>) -> Error {
        let mut reason = reason.into();
        self.secrets.clean_in_place(&mut reason);
        Error::Answer { url: self.url.clone(), reason }
    }

    /// The error that the status is not a success.
    pub(super) fn refused(&self) -> Error {
        refused(self.url.clone(), self.status, &self.body, &self.secrets)
    }
}
