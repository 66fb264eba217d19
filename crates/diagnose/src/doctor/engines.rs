//! Whether each Engine that sources read can be used: each host is asked, since failover hides one
//! that is broken.
//!
//! Only `/_ping` and `/info` are requested.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, StreamExt as _};
use swarmscout_discovery::SdConfig;
use swarmscout_docker::engine::{HostInfo, HostStatus, Info, host_status};
use swarmscout_docker::{EngineConfig, Error};
use swarmscout_net::{ClientOptions, ConnectCause, Host, SocketOwner, socket_owner};

use super::ObservedJob;
use crate::report::{Finding, Severity};

/// This number of hosts is asked at the same time.
const AT_ONCE: usize = 32;

/// A host must answer within this time.
const WITHIN: Duration = Duration::from_secs(5);

/// All hosts together may take so long. Those that are left then are not reported.
const TOGETHER: Duration = Duration::from_secs(30);

/// A root certificate that ends within this time is reported.
const ENDS_SOON: Duration = Duration::from_hours(30 * 24);

/// A host, and who reads it.
#[derive(Debug)]
struct CheckedHost {
    config: EngineConfig,
    /// As it is written in the configuration file.
    host: String,
    /// The subjects of the findings of its sources, each with all its hosts.
    sources: BTreeSet<(String, Vec<String>)>,
    /// Whether a source needs a manager.
    needs_manager: bool,
}

/// What a host answered.
#[derive(Debug)]
struct Asked {
    result: Result<HostStatus, Error>,
    /// Who may use its unix socket.
    owner: Option<SocketOwner>,
}

/// What is wrong with a host.
#[derive(Debug)]
struct Fault {
    severity: Severity,
    check: &'static str,
    problem: String,
    fix: String,
}

/// Asks each host. Findings of sources that cannot work because of it are merged into its own.
pub(super) async fn check(
    jobs: &[ObservedJob],
    options: &ClientOptions,
    of_sources: &mut Vec<Finding>,
) -> Vec<Finding> {
    let requests = hosts(jobs).into_iter().map(|host| ask(host, options.clone()));
    let asked = stream::iter(requests).buffer_unordered(AT_ONCE);
    let mut asked: Vec<_> = asked.take_until(tokio::time::sleep(TOGETHER)).collect().await;
    asked.sort_by(|(a, _), (b, _)| a.host.cmp(&b.host));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    findings(&asked, now, of_sources)
}

async fn ask(host: CheckedHost, options: ClientOptions) -> (CheckedHost, Asked) {
    let result = host_status(&host.config, &host.host, options, WITHIN).await;
    let owner = match Host::parse(&host.host).ok().as_ref().and_then(Host::socket_path) {
        Some(path) if is_denied(&result) => socket_owner(path).await,
        _ => None,
    };
    (host, Asked { result, owner })
}

fn is_denied(result: &Result<HostStatus, Error>) -> bool {
    use swarmscout_net::Error as Net;
    matches!(result, Err(Error::Http(Net::Connect { cause: ConnectCause::Denied, .. })))
}

/// The hosts of all Engines, each once.
fn hosts(jobs: &[ObservedJob]) -> Vec<CheckedHost> {
    let mut hosts: Vec<CheckedHost> = Vec::new();
    let configs = jobs.iter().flat_map(|job| &job.config.sources);
    for config in configs {
        let source = config.source();
        let Some(engine) = source.engine() else { continue };
        let needs_manager = matches!(config, SdConfig::DockerSwarm(_) | SdConfig::Swarmscout(_));
        let name = format!("source {} {}", source.mechanism(), source.describe());
        for host in &engine.hosts {
            let is_same =
                |known: &CheckedHost| known.host == *host && known.config.http == engine.http;
            let at = hosts.iter().position(is_same).unwrap_or_else(|| {
                hosts.push(CheckedHost {
                    config: engine.clone(),
                    host: host.clone(),
                    sources: BTreeSet::new(),
                    needs_manager: false,
                });
                hosts.len() - 1
            });
            let known = &mut hosts[at];
            known.needs_manager |= needs_manager;
            known.sources.insert((name.clone(), engine.hosts.clone()));
        }
    }
    hosts
}

fn findings(
    asked: &[(CheckedHost, Asked)],
    now: Duration,
    of_sources: &mut Vec<Finding>,
) -> Vec<Finding> {
    let mut faults: Vec<_> = asked.iter().map(|(host, asked)| (host, fault(host, asked))).collect();
    let broken: BTreeSet<_> = faults
        .iter()
        .filter(|(_, fault)| fault.as_ref().is_some_and(|fault| fault.severity == Severity::Error))
        .map(|(host, _)| &*host.host)
        .collect();
    let has_no_host =
        |(_, hosts): &(String, Vec<String>)| hosts.iter().all(|host| broken.contains(&**host));
    let mut findings = Vec::new();
    for (host, fault) in &mut faults {
        let Some(Fault { severity, check, problem, fix }) = fault.take() else { continue };
        let mut finding = Finding {
            severity,
            check: check.to_owned(),
            subject: subject(host),
            problem,
            fix,
            targets: 0,
            examples: Vec::new(),
        };
        if severity == Severity::Error {
            let stopped: Vec<_> =
                host.sources.iter().filter(|source| has_no_host(source)).collect();
            for (source, _) in &stopped {
                merge(source, of_sources, &mut finding);
            }
            if stopped.is_empty() {
                finding.severity = Severity::Warning;
                finding.problem += "; its sources read another host";
            }
        }
        findings.push(finding);
    }
    findings.extend(ends(asked, now));
    findings
}

/// Takes the finding that a source fails into that of its Engine, which has the cause.
fn merge(source: &str, of_sources: &mut Vec<Finding>, finding: &mut Finding) {
    of_sources.retain(|of_source| {
        let rest = match &*of_source.check {
            "source_never_answered" => "has never answered",
            "source_failing" => "keeps its previous targets",
            _ => return true,
        };
        if of_source.subject != source {
            return true;
        }
        finding.targets += of_source.targets;
        finding.examples.push(format!("{source} {rest}"));
        false
    });
}

fn subject(host: &CheckedHost) -> String {
    format!("Engine {}", swarmscout_net::without_password(&host.host))
}

fn fault(host: &CheckedHost, asked: &Asked) -> Option<Fault> {
    let status = match &asked.result {
        Ok(status) => status,
        Err(error) => return Some(failed(error, host, asked.owner.as_ref())),
    };
    match &status.info {
        HostInfo::Read(info) if host.needs_manager => of_manager(&host.host, info),
        HostInfo::Read(_) => None,
        HostInfo::Withheld(reason) => Some(Fault {
            severity: Severity::Note,
            check: "info_withheld",
            problem: format!(
                "whether it is a manager, and when its certificates end, is unknown: {reason}"
            ),
            fix: "allow GET /info in the proxy (docker-socket-proxy: INFO=1)".to_owned(),
        }),
    }
}

/// What a host without an answer needs.
fn failed(error: &Error, host: &CheckedHost, owner: Option<&SocketOwner>) -> Fault {
    use swarmscout_net::Error as Net;
    let fault = |check, problem: String, fix: &str| Fault {
        severity: Severity::Error,
        check,
        problem,
        fix: fix.to_owned(),
    };
    let is_socket = host.host.starts_with("unix://");
    let Error::Http(error) = error else {
        return match error {
            Error::Version { reason, .. } => fault(
                "api_version",
                reason.clone(),
                "upgrade what is older, the Docker Engine or Swarmscout",
            ),
            Error::Answer { reason, .. } => fault("engine_refuses", reason.clone(), ""),
            error => fault("engine_refuses", error.to_string(), ""),
        };
    };
    match error {
        Net::Connect { cause: ConnectCause::Denied, reason, .. } => match owner {
            Some(owner) => denied(owner),
            None => {
                fault("socket_denied", reason.clone(), "let this user enter all folders above it")
            }
        },
        Net::Connect { cause: ConnectCause::Missing, .. } => {
            let path = host.host.trim_start_matches("unix://");
            fault(
                "socket_missing",
                "there is no such socket".to_owned(),
                &format!(
                    "in a container, mount it: volumes: [\"{path}:{path}\"]\n\
                     outside, start the Engine: systemctl start docker"
                ),
            )
        }
        Net::Connect { cause: ConnectCause::Refused, .. } if is_socket => fault(
            "engine_down",
            "nothing listens on this socket".to_owned(),
            "start the Engine: systemctl start docker\n\
             a container keeps a socket that the Engine has since replaced: restart the container",
        ),
        Net::Connect { cause, reason, .. } if cause.is_tls() => fault(
            "engine_tls",
            reason.clone(),
            "check ca_file, cert_file, key_file and server_name in tls_config of the source",
        ),
        Net::Connect { reason, .. } => fault(
            "engine_unreachable",
            reason.clone(),
            "check that its Engine runs and listens there (\"hosts\" in /etc/docker/daemon.json), \
             and that no firewall closes the port",
        ),
        Net::Deadline { .. } | Net::Silent { .. } => fault(
            "engine_slow",
            format!("it does not answer GET /info within {WITHIN:?}"),
            "see whether docker info answers on its machine; if not, restart the Engine",
        ),
        error => fault("engine_refuses", error.to_string(), ""),
    }
}

/// A socket that this program may not use, and the line to add.
fn denied(owner: &SocketOwner) -> Fault {
    let SocketOwner { user, gid, group, mode } = owner;
    let user_text = user.map_or_else(|| "this user".to_owned(), |user| format!("user {user}"));
    let group_text = match group {
        Some(name) => format!("group {name} (gid {gid})"),
        None => format!("the group with gid {gid}"),
    };
    let (problem, fix) = if *user == Some(0) {
        let problem = "permission denied although running as root".to_owned();
        let fix = "a security profile (SELinux, AppArmor) or a dropped capability stands in \
                   between: for SELinux, docker run --security-opt label=disable";
        (problem, fix.to_owned())
    } else if owner.group_may_write() {
        let problem = format!(
            "{user_text} may not use the socket of {group_text}, which has mode {mode:04o}"
        );
        let user = owner.unprivileged_user();
        let fix = format!(
            "run it with the group of the socket, by one of these lines:\n\
             stack file: user: \"{user}:{gid}\" (docker stack deploy drops group_add)\n\
             Compose: group_add: [\"{gid}\"]\n\
             docker run: --group-add {gid}\n\
             docker service: docker service update --user {user}:{gid} SERVICE\n\
             systemd, under [Service]: SupplementaryGroups={}",
            group.clone().unwrap_or_else(|| gid.to_string())
        );
        (problem, fix)
    } else {
        let problem = format!(
            "{user_text} may not use the socket: {group_text} may not either, as its mode is \
             {mode:04o}"
        );
        let fix = "let the group use it: \"group\": \"docker\" in /etc/docker/daemon.json, and \
                   SocketMode=0660 in docker.socket of systemd";
        (problem, fix.to_owned())
    };
    Fault { severity: Severity::Error, check: "socket_denied", problem, fix }
}

/// What keeps an Engine from being a manager.
fn of_manager(host: &str, info: &Info) -> Option<Fault> {
    let fault = |check, problem: String, fix: String| {
        Some(Fault { severity: Severity::Error, check, problem, fix })
    };
    let version = match &*info.engine_version {
        "" => String::new(),
        version => format!(" (Docker {version})"),
    };
    match &*info.state {
        "error" if info.error.contains("certificate") => fault(
            "swarm_certificate",
            format!("its certificate for the Swarm is not valid: {}", info.error),
            "if the clock of its machine is right, let it join again: docker swarm leave, then \
             docker swarm join with the line of docker swarm join-token on another manager\n\
             if no manager is left: docker swarm init --force-new-cluster on one of them, with its \
             clock set back"
                .to_owned(),
        ),
        "error" => fault(
            "swarm_error",
            format!("its Swarm is in state error: {}", info.error),
            "see its log: journalctl -u docker".to_owned(),
        ),
        "locked" => fault(
            "swarm_locked",
            "this manager was restarted, and waits for the key of its Swarm".to_owned(),
            "docker swarm unlock on it; the key: docker swarm unlock-key on another manager"
                .to_owned(),
        ),
        "pending" => fault(
            "swarm_pending",
            "it has not joined its Swarm yet".to_owned(),
            "check that 2377/tcp of the managers is open to it".to_owned(),
        ),
        "inactive" | "" => fault(
            "no_swarm",
            format!("the Engine{version} is in no Swarm"),
            "docker swarm init or docker swarm join; to read an Engine without a Swarm, write \
             engines: [{host: …}] in place of hosts"
                .to_owned(),
        ),
        _ if !info.manager => fault(
            "not_a_manager",
            format!("the Engine{version} is a worker: only managers know their Swarm"),
            elsewhere(host, &info.managers),
        ),
        _ if !info.error.is_empty() => fault(
            "swarm_error",
            format!("its Swarm reports: {}", info.error),
            "start the missing managers; if they are lost, see docker swarm init \
             --force-new-cluster"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Where to read a Swarm in place of a worker.
fn elsewhere(host: &str, managers: &[String]) -> String {
    let placement = "run Swarmscout on a manager: deploy: {placement: {constraints: [node.role == \
                     manager]}}";
    let managers = match managers {
        [] => "another host".to_owned(),
        managers => managers.join(" or "),
    };
    let other = format!("write a manager into hosts: {managers}");
    if Path::new(host.trim_start_matches("unix://")).is_absolute() {
        format!("{placement}\nor {other}")
    } else {
        other
    }
}

/// The Swarms whose root certificate ends soon.
fn ends(asked: &[(CheckedHost, Asked)], now: Duration) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (host, asked) in asked {
        let Ok(HostStatus { info: HostInfo::Read(info), .. }) = &asked.result else { continue };
        let Some(end) = info.root_ends.filter(|_| seen.insert(&info.cluster)) else { continue };
        let left = end - i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let days = left / (24 * 60 * 60);
        let (severity, problem) = match left {
            ..=0 => (Severity::Error, "the root certificate of the Swarm has ended".to_owned()),
            _ if left.unsigned_abs() <= ENDS_SOON.as_secs() => (
                Severity::Warning,
                format!("the root certificate of the Swarm ends in {days} days"),
            ),
            _ => continue,
        };
        findings.push(Finding {
            severity,
            check: "root_certificate".to_owned(),
            subject: subject(host),
            problem: problem + ": no node can renew its own then",
            fix: "docker swarm ca --rotate, on a manager".to_owned(),
            targets: 0,
            examples: Vec::new(),
        });
    }
    findings
}

#[cfg(test)]
mod tests;
