//! Why a control socket gives no answer, reported so that the reader knows what to do.

use std::error::Error as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use swarmscout_net::{ConnectCause, Error as NetError, io_words};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::Method;
use crate::Error;

/// This many bytes of an unexpected message are shown.
const SHOWN: usize = 300;

/// A control socket as errors name it.
#[derive(Clone, Debug)]
pub(super) struct Place(Arc<str>);

impl Place {
    pub(super) fn of(path: &Path) -> Self {
        Self(format!("unix://{}", path.display()).into())
    }

    /// No connection could be made.
    pub(super) fn not_connected(&self, reason: &str) -> Error {
        let (to, reason) = (self.0.to_string(), reason.to_owned());
        NetError::Connect { to, cause: ConnectCause::Other, reason }.into()
    }

    /// The answer was not what SwarmKit promises, or a refusal.
    pub(super) fn answer(&self, reason: impl Into<String>) -> Error {
        Error::Answer { url: self.0.to_string(), reason: reason.into() }
    }

    /// The error for a call that was refused, or broke off. `limit` is the largest answer.
    pub(super) fn failed(&self, method: Method, status: &Status, limit: usize) -> Error {
        if let Some(reason) = transport(status) {
            return NetError::Exchange { to: self.0.to_string(), reason }.into();
        }
        let message = status.message();
        let has = |text: &str| message.contains(text);
        match status.code() {
            // SwarmKit never says so; it is what the reader of messages calls it.
            Code::OutOfRange => {
                NetError::TooLarge { to: self.0.to_string(), limit: limit as u64 }.into()
            }
            Code::Unimplemented => self.answer(format!(
                "there is no {} here: this is not a control socket of SwarmKit, or of a much older one",
                method.path()
            )),
            _ if has("no elected cluster leader") || has("does not have a leader") => {
                self.answer("the Swarm has no leader: more than half of its managers must be up")
            }
            _ if has("context canceled") || has("broker is not running") => {
                self.answer("this Engine stops, or is not a manager any more")
            }
            Code::DeadlineExceeded => {
                self.answer("this manager cannot reach the leader of its Swarm in time")
            }
            code => {
                let shown = &message[..message.floor_char_boundary(SHOWN)];
                self.answer(format!("{} refused: {code:?}: {shown}", method.path()))
            }
        }
    }
}

/// What happened to the connection, if that is what ended the call.
fn transport(status: &Status) -> Option<String> {
    const CLOSED: &str = "the server closed the connection";
    let mut cause = status.source()?;
    loop {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return Some(io_words(error));
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && (error.is_closed() || error.is_canceled())
        {
            return Some(CLOSED.to_owned());
        }
        match cause.source() {
            Some(next) => cause = next,
            None => break,
        }
    }
    let text = cause.to_string();
    // What rustls says, in many words, of an end without a farewell.
    Some(if text.contains("close_notify") { CLOSED.to_owned() } else { text })
}

/// Waits for `work` until the deadline.
pub(super) async fn within<T>(
    place: &Place,
    deadline: Instant,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let started = Instant::now();
    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| {
        let within = deadline.saturating_duration_since(started);
        Err(NetError::Deadline { to: place.0.to_string(), within }.into())
    })
}
