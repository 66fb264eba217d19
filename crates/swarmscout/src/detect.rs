//! Without a configuration file: what runs on the local Docker Engine?
//!
//! The engine is the one that the `docker` command would speak to (`DOCKER_HOST`,
//! `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`, else the default socket). What it says of itself
//! decides on an ordinary configuration, written as the text of a file: it goes the way of every
//! other file, and `/api/v1/status/config?format=yaml` answers it, without jobs that a later version
//! will not have, to be saved and changed.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use swarmscout_docker::engine::Info;
use swarmscout_net::config::{HttpConfig, PemSource, TlsConfig};
use swarmscout_net::{ClientOptions, Host, ReadClient, Request, Secrets, redact_url};

use crate::app::BUILD;

/// How long the engine may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `/info` of a classic Swarm of 10,000 nodes has some 10 MB.
const MAX_ANSWER: u64 = 64 << 20;

const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

const ADVICE: &str = "to go on, write a prometheus.yml and give it with --config.file, or set DOCKER_HOST to \
                      an engine, or see `swarmscout demo`, which needs neither";

/// What the environment says of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `DOCKER_HOST`.
    host: Option<String>,
    /// Whether `DOCKER_TLS_VERIFY` is set to anything.
    tls_verify: bool,
    /// `DOCKER_CERT_PATH`, else `~/.docker`.
    certificates: Option<PathBuf>,
}

/// What was found, and the configuration for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In a few words: `a manager of a Swarm`.
    pub what: &'static str,
    /// Where, without password: `unix:///var/run/docker.sock`.
    pub host: String,
    /// A configuration file.
    pub yaml: String,
    /// The same without the deprecated jobs: to be saved.
    pub to_save: String,
    /// The names of jobs that a later version will not have.
    pub deprecated: Vec<&'static str>,
}

/// An engine to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Engine {
    url: String,
    /// Folder of `ca.pem`, `cert.pem` and `key.pem`, for `https`.
    certificates: Option<PathBuf>,
}

impl Environment {
    /// Reads the variables through `get`; an empty one counts as not set, as for `docker`.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| get(name).filter(|value| !value.is_empty());
        Self {
            host: set("DOCKER_HOST"),
            tls_verify: set("DOCKER_TLS_VERIFY").is_some(),
            certificates: set("DOCKER_CERT_PATH")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(set("HOME")?).join(".docker"))),
        }
    }

    /// Where the engine is, with its password.
    fn host(&self) -> &str {
        self.host.as_deref().unwrap_or(DEFAULT_HOST)
    }

    /// The engine in the form of a configuration file's `host`.
    fn engine(&self) -> Result<Engine, String> {
        let host = self.host();
        let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
        if scheme == "ssh" {
            return Err(format!(
                "DOCKER_HOST is {}, and ssh:// is not spoken here: forward the engine's socket \
                 (ssh -L /tmp/docker.sock:/var/run/docker.sock …) and set \
                 DOCKER_HOST=unix:///tmp/docker.sock",
                redact_url(host)
            ));
        }
        if !matches!(scheme, "tcp" | "http" | "https") {
            return Ok(Engine { url: host.to_owned(), certificates: None });
        }
        let tls = scheme == "https" || (scheme == "tcp" && self.tls_verify);
        let scheme = if tls { "https" } else { scheme };
        let rest = rest.trim_end_matches('/');
        let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let server = name.rsplit_once('@').map_or(name, |(_user, server)| server);
        let has_port = server.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let port = match (has_port, tls) {
            (true, _) => "",
            (false, true) => ":2376",
            (false, false) => ":2375",
        };
        let name = if name.starts_with(':') { format!("localhost{name}") } else { name.to_owned() };
        let certificates = tls.then(|| self.certificates.clone()).flatten();
        Ok(Engine { url: format!("{scheme}://{name}{port}{path}"), certificates })
    }
}

/// Asks the local Engine what it is. The error says what to do.
pub async fn detect(environment: &Environment) -> Result<Found, String> {
    let engine = environment.engine()?;
    let host = redact_url(&engine.url);
    let (body, secrets) = ask(&engine).await.map_err(|error| {
        format!("no configuration file, and no Docker engine answers at {host}: {error}; {ADVICE}")
    })?;
    let info = Info::read(&body).map_err(|error| {
        let error = error.to_string();
        let error = secrets.clean(&error);
        format!("{host} does not answer as a Docker engine does: {error}; {ADVICE}")
    })?;
    let jobs = classify(&info).map_err(|error| format!("{host}: {}", secrets.clean(&error)))?;
    Ok(Found {
        what: jobs.what,
        yaml: engine.yaml(jobs.named),
        to_save: engine.yaml(&jobs.named[..1]),
        host,
        deprecated: jobs.deprecated(),
    })
}

/// The body of `/info`, and what must not show of it.
async fn ask(engine: &Engine) -> Result<(bytes::Bytes, Secrets), String> {
    let exchange = async {
        let host = Host::parse(&engine.url)?;
        let options = ClientOptions::new(format!("Swarmscout/{}", BUILD.version), TIMEOUT);
        let client = ReadClient::new(&engine.http_config(), options)?;
        let request = Request::to(&host, "/info")?.timeout(TIMEOUT).max_body(MAX_ANSWER);
        let response = client.get(request).await?;
        let secrets = client.secrets().clone();
        Ok((response.status, response.body.bytes().await?, secrets))
    };
    let (status, body, secrets) =
        exchange.await.map_err(|error: swarmscout_net::Error| error.to_string())?;
    if status.is_success() {
        return Ok((body, secrets));
    }
    let text = secrets.clean_bytes(&body);
    let text: String = text.trim().chars().take(200).collect();
    Err(format!("it answers {status} to GET /info: {text}"))
}

/// What is to be found at an engine.
#[derive(Debug)]
struct Jobs {
    what: &'static str,
    named: &'static [BuiltIn],
}

/// The job that takes the place of those of the first version.
pub const SUCCESSOR: &str = "swarm";

/// A job: its name, the kind of its source, and lines that are added to its source and to itself.
#[derive(Debug)]
struct BuiltIn {
    name: &'static str,
    key: &'static str,
    host_key: &'static str,
    source: &'static [&'static str],
    job: &'static [&'static str],
}

const MANAGER: Jobs = Jobs {
    what: "a manager of a Swarm",
    named: &[
        BuiltIn {
            name: SUCCESSOR,
            key: "swarmscout_sd_configs",
            host_key: "host: ",
            source: &[],
            job: &[],
        },
        BuiltIn {
            name: "swarm-nodes",
            key: "dockerswarm_sd_configs",
            host_key: "host: ",
            source: &["role: nodes", "port: 9323"],
            job: &[],
        },
        BuiltIn {
            name: "swarm-tasks",
            key: "dockerswarm_sd_configs",
            host_key: "host: ",
            source: &[
                "role: tasks",
                "filters:",
                "  - name: desired-state",
                "    values: [running]",
            ],
            // Tasks that are to run, and wait for a node or for their health check, answer nothing.
            job: &[
                "relabel_configs:",
                "  - source_labels: [__meta_dockerswarm_task_state]",
                "    regex: running",
                "    action: keep",
            ],
        },
    ],
};

const PLAIN_ENGINE: Jobs = Jobs {
    what: "an engine without Swarm",
    named: &[
        BuiltIn {
            name: SUCCESSOR,
            key: "swarmscout_sd_configs",
            host_key: "engines:\n          - host: ",
            source: &[],
            job: &[],
        },
        BuiltIn {
            name: "docker",
            key: "docker_sd_configs",
            host_key: "host: ",
            source: &[],
            job: &[],
        },
    ],
};

const CLASSIC_MASTER: Jobs = Jobs {
    what: "a master of classic Swarm",
    named: &[BuiltIn {
        name: "swarm",
        key: "swarm_sd_configs",
        host_key: "masters:\n          - ",
        source: &[],
        job: &[],
    }],
};

impl Jobs {
    /// The names of all but the first: it has their targets, too.
    fn deprecated(&self) -> Vec<&'static str> {
        self.named.iter().skip(1).map(|job| job.name).collect()
    }
}

fn classify(info: &Info) -> Result<&'static Jobs, String> {
    if !info.is_engine {
        return Err(String::from(
            "the answer to GET /info is not that of a Docker Engine; set DOCKER_HOST to one",
        ));
    }
    if info.is_classic_master {
        return Ok(&CLASSIC_MASTER);
    }
    match info.state.as_str() {
        _ if info.manager => Ok(&MANAGER),
        "" | "inactive" => Ok(&PLAIN_ENGINE),
        "active" => Err(format!(
            "this engine is a worker of a Swarm, and only managers know what runs: start this \
                 on a manager ({}), or set DOCKER_HOST to one",
            if info.managers.is_empty() {
                String::from("none is known")
            } else {
                info.managers.join(", ")
            }
        )),
        "locked" => Err(String::from(
            "this engine is a manager of a locked Swarm: run `docker swarm unlock` on it first",
        )),
        "pending" => {
            Err(String::from("this engine is still joining its Swarm: start again once it is in"))
        }
        state => Err(format!("the Swarm of this engine is in state {state}: {}", info.error)),
    }
}

impl Engine {
    /// `(key, file)` of the TLS files.
    fn tls_files(&self) -> Vec<(&'static str, PathBuf)> {
        let Some(folder) = &self.certificates else { return Vec::new() };
        let files = [("ca_file", "ca.pem"), ("cert_file", "cert.pem"), ("key_file", "key.pem")];
        files.into_iter().map(|(key, file)| (key, folder.join(file))).collect()
    }

    fn http_config(&self) -> HttpConfig {
        let mut tls = TlsConfig::default();
        for (key, path) in self.tls_files() {
            let place = match key {
                "ca_file" => &mut tls.ca,
                "cert_file" => &mut tls.cert,
                _ => &mut tls.key,
            };
            *place = Some(PemSource::File(path));
        }
        HttpConfig { tls, ..HttpConfig::default() }
    }

    fn yaml(&self, jobs: &[BuiltIn]) -> String {
        let mut yaml = String::from("scrape_configs:\n");
        for BuiltIn { name, key, host_key, source, job } in jobs {
            let host = quote(&self.url);
            write!(yaml, "  - job_name: {name}\n    {key}:\n      - {host_key}{host}\n")
                .expect("a string takes all");
            for line in *source {
                writeln!(yaml, "        {line}").expect("a string takes all");
            }
            let files = self.tls_files();
            if !files.is_empty() {
                yaml.push_str("        tls_config:\n");
            }
            for (key, path) in files {
                let path = quote(&path.to_string_lossy());
                writeln!(yaml, "          {key}: {path}").expect("a string takes all");
            }
            for line in *job {
                writeln!(yaml, "    {line}").expect("a string takes all");
            }
        }
        yaml
    }
}

/// A JSON string is a YAML string.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
