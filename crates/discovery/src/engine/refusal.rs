//! Why an Engine refuses, told so that the reader knows what to do.
//!
//! What engines and those in their place say was recorded: `tests/fixtures/swarm-mode/errors`.

use http::StatusCode;
use swarmscout_net::Host;

use super::client::Resource;
use super::info::Info;
use super::read::Reader;
use crate::Error;

/// So many characters of a message that nobody expected are shown.
const SHOWN: usize = 300;

/// How every refusal begins that only another host can help with.
const NOT_A_MANAGER: &str = "this Engine is not a manager";

/// The message in the body of a refusal: `{"message":"…"}`, or plain text.
pub(crate) fn message(body: &[u8]) -> String {
    let mut told = None;
    let read = Reader::new(body).object(|reader, key| {
        match key {
            b"message" => told = Some(reader.string()?.into_owned()),
            _ => drop(reader.skip()?),
        }
        Ok(())
    });
    let text = match (read, told) {
        (Ok(()), Some(told)) => told,
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The error for a refusal.
pub(super) fn error(
    host: &Host,
    resource: Resource,
    path: &str,
    status: StatusCode,
    is_engine: bool,
    message: String,
) -> Error {
    let has = |text: &str| message.contains(text);
    let reason = if has("This node is not a swarm manager") {
        if has("Worker nodes can't") {
            format!("{NOT_A_MANAGER} but a worker, and only a manager knows its Swarm")
        } else if has("Manager is being prepared") {
            format!("{NOT_A_MANAGER} yet, or cannot reach the other managers of its Swarm")
        } else {
            format!("{NOT_A_MANAGER}, as it never joined a Swarm or has left it")
        }
    } else if has("Swarm is encrypted and needs to be unlocked") {
        "this manager is locked: run `docker swarm unlock` on it".to_owned()
    } else if has("The swarm does not have a leader") {
        "the Swarm has no leader: more than half of its managers must be up".to_owned()
    } else if has("code = DeadlineExceeded") {
        "this manager cannot reach the leader of its Swarm in time".to_owned()
    } else if status == StatusCode::FORBIDDEN {
        format!(
            "access to {} is forbidden (HTTP status 403): a proxy in front of the Engine must \
             allow GET of it",
            resource.path()
        )
    } else if status == StatusCode::NOT_FOUND && !is_engine && has("page not found") {
        format!(
            "there is no {} here: is it a classic Swarm master (swarm_sd_configs), or no Docker \
             Engine at all?",
            resource.path()
        )
    } else {
        // Without the filters: they are in the configuration, and percent-encoded here.
        let path = path.split('?').next().unwrap_or(path);
        return Error::Status { url: format!("{host}{path}"), status: status.to_string(), message };
    };
    Error::Answer { url: host.to_string(), reason }
}

/// Whether `/info` can say where to go instead.
pub(super) fn is_not_a_manager(error: &Error) -> bool {
    matches!(error, Error::Answer { reason, .. } if reason.starts_with(NOT_A_MANAGER))
}

/// Adds to the error of an Engine that is no manager which hosts are.
pub(super) fn name_managers(error: Error, info: &Info) -> Error {
    match error {
        Error::Answer { url, reason } if !info.managers.is_empty() => {
            Error::Answer { url, reason: format!("{reason}: ask {}", info.managers.join(", ")) }
        }
        error => error,
    }
}
