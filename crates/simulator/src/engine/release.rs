//! What differs between releases of the Engine, and what all of its answers have in common.

use super::{Standing, json};
use crate::Response;

/// A release of the Engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// As in `/version`.
    pub version: &'static str,
    /// The newest API version, without its `1.`.
    pub api: u32,
    /// The oldest API version, without its `1.`.
    pub min_api: u32,
}

impl Release {
    /// Debian 12's Docker.
    pub const V20_10: Self = Self { version: "20.10.24+dfsg1", api: 41, min_api: 12 };
    /// The last of the line before 29.
    pub const V28: Self = Self { version: "28.5.2", api: 51, min_api: 24 };
    /// The line of Docker 29 (moby v2), which stopped the old API versions.
    pub const V29: Self = Self { version: "library-import", api: 56, min_api: 40 };

    /// The first API version whose events have no `status`, `id` and `from`.
    pub(super) const WITHOUT_STATUS: u32 = 52;

    /// The path without its version; or what is answered to a version that is not one of its own.
    pub(super) fn route(self, path: &str) -> Result<&str, Response> {
        let Some((version, rest)) = path.strip_prefix("/v").and_then(|path| path.split_once('/'))
        else {
            return Ok(path);
        };
        let numeric = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if version.is_empty() || !numeric {
            return Err(Response::message(404, "page not found"));
        }
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
        let mut parts = version.split('.');
        let asked = (number(parts.next()).unwrap_or(0), number(parts.next()).unwrap_or(0));
        if asked > (1, self.api) {
            let message = format!(
                "client version {version} is too new. Maximum supported API version is 1.{}",
                self.api
            );
            return Err(self.refuse_version(&Response::message(400, &message)));
        }
        if asked < (1, self.min_api) {
            let message = format!(
                "client version {version} is too old. Minimum supported API version is 1.{}, \
                 please upgrade your client to a newer version",
                self.min_api
            );
            let json = Response::message(400, &message);
            // Until 28 the text was plain: an old client might not know JSON errors.
            return Err(self.refuse_version(&if self.min_api < 40 {
                let plain = "text/plain; charset=utf-8";
                let text = Response::new(plain, message + "\n");
                Response { status: 400, ..text.with("X-Content-Type-Options", "nosniff") }
            } else {
                json
            }));
        }
        Ok(&path[path.len() - rest.len() - 1..])
    }

    /// Such a refusal comes from another place than all other answers: a header is missing.
    fn refuse_version(self, response: &Response) -> Response {
        let mut answer = Response {
            headers: vec![
                ("Api-Version".to_owned(), format!("1.{}", self.api)),
                ("Ostype".to_owned(), "linux".to_owned()),
                ("Server".to_owned(), self.server()),
            ],
            ..response.clone()
        };
        answer.headers.extend(response.headers.clone());
        answer.headers.sort();
        answer
    }

    /// 200 with this JSON.
    pub(super) fn json(self, body: Vec<u8>) -> Response {
        self.complete(Response::json(body))
    }

    /// An error.
    pub(super) fn error(self, status: u16, message: &str) -> Response {
        self.complete(Response::message(status, message))
    }

    /// The answer of `/_ping`.
    pub(super) fn ping(self, standing: Standing) -> Response {
        let mut ping = self
            .complete(Response::new("text/plain; charset=utf-8", "OK"))
            .with("Cache-Control", "no-cache, no-store, must-revalidate")
            .with("Pragma", "no-cache");
        if self.api >= 42 {
            let swarm = match standing {
                Standing::Manager | Standing::NoQuorum => "active/manager",
                Standing::Worker => "active/worker",
                Standing::Standalone => "inactive",
                Standing::Locked => "locked",
            };
            ping = ping.with("Builder-Version", "2").with("Swarm", swarm);
        }
        ping.headers.sort();
        ping
    }

    /// Adds what all answers have.
    pub(super) fn complete(self, response: Response) -> Response {
        let mut response = response
            .with("Api-Version", &format!("1.{}", self.api))
            .with("Docker-Experimental", "false")
            .with("Ostype", "linux")
            .with("Server", &self.server());
        response.headers.sort();
        response
    }

    fn server(self) -> String {
        format!("Docker/{} (linux)", self.version)
    }

    /// The body of `/version`.
    pub(super) fn version_body(self) -> Vec<u8> {
        let (api, min) = (format!("1.{}", self.api), format!("1.{}", self.min_api));
        json::encode(&serde_json::json!({
            "Platform": { "Name": "" },
            "Components": [{
                "Name": "Engine",
                "Version": self.version,
                "Details": {
                    "ApiVersion": api,
                    "Arch": "amd64",
                    "Experimental": "false",
                    "GoVersion": "go1.19.8",
                    "MinAPIVersion": min,
                    "Os": "linux",
                },
            }],
            "Version": self.version,
            "ApiVersion": api,
            "MinAPIVersion": min,
            "GoVersion": "go1.19.8",
            "Os": "linux",
            "Arch": "amd64",
            "KernelVersion": "6.1.0-32-amd64",
        }))
    }

    /// What is wrong with a filter that does not exist.
    pub(super) fn unknown_filter(self, name: &str) -> String {
        let invalid = if self.api < 42 { "Invalid" } else { "invalid" };
        format!("{invalid} filter '{name}'")
    }
}
