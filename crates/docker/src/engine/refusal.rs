//! Why an Engine refuses, reported so that the reader knows what to do.
//!
//! What engines and those in their place say was recorded: `tests/fixtures/swarm-mode/errors`.

use std::borrow::Cow;

use http::StatusCode;
use swarmscout_net::{Host, Secrets};

use super::client::{Failed, Resource};
use super::info::Info;
use super::read::Reader;
use crate::Error;

/// This many characters of an unexpected message are shown.
const SHOWN: usize = 300;

/// How every refusal begins that only another host can help with.
const NOT_A_MANAGER: &str = "this Engine is not a manager";

/// The message in the body of a refusal: `{"message":"…"}`, or plain text.
pub(crate) fn message(body: &[u8], secrets: &Secrets) -> String {
    let mut reported = None;
    let read = Reader::new(body).object(|reader, key| {
        match key {
            b"message" => reported = Some(reader.string()?.into_owned()),
            _ => drop(reader.skip()?),
        }
        Ok(())
    });
    let text = match (read, reported) {
        (Ok(()), Some(reported)) => reported,
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    shortened(&secrets.clean(&text)).into_owned()
}

/// The beginning of a message.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// What a refusal means for the rest of what is asked of this host.
pub(super) fn failed(
    host: &Host,
    resource: Resource,
    path: &str,
    status: StatusCode,
    is_engine: bool,
    message: String,
) -> Failed {
    let has = |text: &str| message.contains(text);
    let reason = if has("This node is not a swarm manager") {
        let reason = if has("Worker nodes can't") {
            format!("{NOT_A_MANAGER} but a worker, and only a manager knows its Swarm")
        } else if has("Manager is being prepared") {
            format!("{NOT_A_MANAGER} yet, or cannot reach the other managers of its Swarm")
        } else {
            format!("{NOT_A_MANAGER}, as it never joined a Swarm, has left it, or is stopping")
        };
        return Failed::NotAManager(Error::Answer { url: host.to_string(), reason });
    } else if let Some(words) = words(&message) {
        return Failed::Host(Error::Answer { url: host.to_string(), reason: words.to_owned() });
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
        return Failed::Resource(Error::Status { url: format!("{host}{path}"), status, message });
    };
    Failed::Resource(Error::Answer { url: host.to_string(), reason })
}

/// What the state of a manager is, where its message is one of those that are known. The texts are
/// those of moby, SwarmKit and gRPC, which no reader of a log can act upon.
fn words(message: &str) -> Option<&'static str> {
    let has = |text: &str| message.contains(text);
    Some(if has("Swarm is encrypted and needs to be unlocked") {
        "this manager is locked: run `docker swarm unlock` on it"
    } else if has("The swarm does not have a leader") || has("no elected cluster leader") {
        "the Swarm has no leader: more than half of its managers must be up"
    } else if has("code = DeadlineExceeded") {
        "this manager cannot reach the leader of its Swarm in time"
    } else if has("code = Canceled")
        || has("context canceled")
        || has("control.sock")
        || has("broker is not running")
    {
        // SwarmKit ends before the API does, and begins after it.
        "this Engine is stopping or starting: its Swarm manager does not run"
    } else if has("code = Unavailable") {
        "this manager cannot reach the leader of its Swarm"
    } else {
        return None;
    })
}

/// The error of an Engine that is not a manager, with what its `/info` says: why its Swarm does not
/// run, or which hosts are managers.
pub(super) fn explain(error: Error, info: &Info, secrets: &Secrets) -> Error {
    match error {
        Error::Answer { url, .. } if info.state == "error" => {
            let reported = secrets.clean(&info.error);
            let reason = format!("the Swarm of this Engine is in state error: {reported}");
            Error::Answer { url, reason }
        }
        Error::Answer { url, reason } if !info.managers.is_empty() => {
            let managers = info.managers.join(", ");
            Error::Answer { url, reason: format!("{reason}: ask {}", secrets.clean(&managers)) }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::engine::client::List;

    /// The error for a refusal of `/nodes` by an Engine, with this body.
    fn check(status: u16, body: &str, expected: &Expect) {
        let host = Host::parse("tcp://m1:2375").unwrap();
        let (nodes, status) = (Resource::List(List::Nodes), status.try_into());
        let message = message(body.as_bytes(), &Secrets::default());
        let failed = failed(&host, nodes, "/v1.41/nodes?filters=x", status.unwrap(), true, message);
        let (Failed::Host(error) | Failed::Resource(error)) = failed else {
            panic!("{failed:?}");
        };
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn messages_of_managers_in_trouble_become_words() {
        // Recorded from 20.10.24 while it was stopped.
        check(
            503,
            r#"{"message":"rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing dial unix /var/run/docker/swarm/control.sock: connect: no such file or directory\""}"#,
            &expect![
                "tcp://m1:2375: this Engine is stopping or starting: its Swarm manager does not run"
            ],
        );
        check(
            500,
            r#"{"message":"rpc error: code = Canceled desc = grpc: the client connection is closing"}"#,
            &expect![
                "tcp://m1:2375: this Engine is stopping or starting: its Swarm manager does not run"
            ],
        );
        check(
            503,
            r#"{"message":"rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing dial tcp 10.0.0.2:2377: connect: connection refused\""}"#,
            &expect!["tcp://m1:2375: this manager cannot reach the leader of its Swarm"],
        );
        check(
            500,
            r#"{"message":"rpc error: code = DeadlineExceeded desc = context deadline exceeded"}"#,
            &expect!["tcp://m1:2375: this manager cannot reach the leader of its Swarm in time"],
        );
        check(
            500,
            r#"{"message":"rpc error: code = Unknown desc = raft: stopped"}"#,
            &expect![
                "tcp://m1:2375/v1.41/nodes: server returned HTTP status 500 Internal Server Error: rpc error: code = Unknown desc = raft: stopped"
            ],
        );
    }
}
