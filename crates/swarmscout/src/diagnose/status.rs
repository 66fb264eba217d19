//! `status`: prints how everything is in one line, then what is wrong and what to do, then what to
//! ask next.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use swarmscout_diagnose::report::Severity;
use swarmscout_diagnose::status::{OtherSource, SourceState, StatusReport, SwarmHealth};
use swarmscout_model::counted;

use super::direct::LocalJobs;
use super::page::{self, Line, Style, Window};
use super::{ADVICE, NO_RESULT, watch};
use crate::ask::Server;
use crate::cli::{DiagnoseFormat, EndpointArgs, ServerArgs, StatusArgs};
use crate::output::{print, print_error, printable};

/// This number of sources is shown that read no Swarm in swarm mode.
const SOURCES: usize = 5;

pub(super) async fn run(args: &StatusArgs) -> ExitCode {
    let origin = match Origin::open(&args.server) {
        Ok(origin) => origin,
        Err(error) => return no_result(&error),
    };
    let next = Next::new(&args.server, &origin);
    if let Some(interval) = args.watch {
        return watch::run(origin, interval.into(), args.server.format, &next).await;
    }
    if let Origin::Jobs(jobs) = &origin {
        jobs.wait(args.server.timeout.into()).await;
    }
    let report = origin.report().await;
    origin.close().await;
    match report {
        Ok(report) => {
            let is_printed = match args.server.format {
                DiagnoseFormat::Json => {
                    let json = serde_json::to_string_pretty(&report);
                    print(&format!("{}\n", json.expect("its keys are strings")))
                }
                DiagnoseFormat::Text => {
                    let rows = rows(&report, &next, Window::of_stdout(), 0);
                    print(&format!("{}\n", rows.join("\n")))
                }
            };
            if is_printed { code(&report) } else { ExitCode::FAILURE }
        }
        Err(error) => no_result(&error),
    }
}

/// What the exit code says of a report.
pub(super) fn code(report: &StatusReport) -> ExitCode {
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is printed if there is no report.
pub(super) fn failure(reason: &str) -> String {
    format!("cannot show the status: {reason}")
}

fn no_result(error: &anyhow::Error) -> ExitCode {
    print_error(&format!("{}\n", failure(&printable(&format!("{error:#}")))));
    ExitCode::from(NO_RESULT)
}

/// Where reports come from.
pub(super) enum Origin {
    /// A running program.
    Server(Box<Server>),
    /// The jobs of a file.
    Jobs(Box<LocalJobs>),
}

impl Origin {
    fn open(args: &ServerArgs) -> anyhow::Result<Self> {
        Ok(match LocalJobs::of_args(args)? {
            Some(jobs) => Self::Jobs(Box::new(jobs)),
            None => Self::Server(Box::new(Server::new(&args.endpoint, ADVICE)?)),
        })
    }

    /// The report of this moment.
    pub(super) async fn report(&self) -> anyhow::Result<StatusReport> {
        match self {
            Self::Server(server) => server.get("/status").await,
            Self::Jobs(jobs) => Ok(StatusReport::of(&jobs.subject(), Instant::now())),
        }
    }

    pub(super) async fn close(self) {
        if let Self::Jobs(jobs) = self {
            jobs.stop().await;
        }
    }
}

/// What to run next, on the same program or file.
#[derive(Clone, Debug, Default)]
pub(super) struct Next {
    /// With a space before each.
    flags: String,
    /// Of the running program.
    url: Option<String>,
}

impl Next {
    fn new(args: &ServerArgs, origin: &Origin) -> Self {
        let EndpointArgs { url, http_config_file } = &args.endpoint;
        let mut flags = String::new();
        let mut add = |name: &str, value: &str| {
            let quoted = || format!("'{}'", value.replace('\'', r"'\''"));
            let value = if value.chars().all(is_plain) { value.to_owned() } else { quoted() };
            write!(flags, " --{name}={value}").expect("a string takes all");
        };
        if url != EndpointArgs::DEFAULT_URL {
            add("url", &swarmscout_net::redact_url(url));
        }
        if let Some(file) = http_config_file {
            add("http.config.file", &file.display().to_string());
        }
        if let Some(file) = &args.config_file {
            add("config.file", &file.display().to_string());
        }
        if let Some(cluster) = &args.cluster {
            add("cluster", cluster);
        }
        if !args.series_labels.is_empty() {
            add("state.series-labels", &args.series_labels.join(","));
        }
        if !args.state_metrics {
            add("state.metrics", "false");
        }
        let url = match origin {
            Origin::Server(server) => Some(server.shown_url()),
            Origin::Jobs(_) => None,
        };
        Self { flags, url }
    }

    /// One line.
    fn of(&self, report: &StatusReport) -> String {
        let Self { flags, url } = self;
        let doctor = match (&report.last_doctor, url) {
            (Some(last), Some(url)) => format!(
                "doctor ran {} ago, {} probed, {}: {url}/api/v1/doctor",
                age(last.age_seconds),
                counted(last.probed, "target"),
                page::up(last.up, last.guarded),
            ),
            _ => format!("swarmscout doctor{flags} probes the targets"),
        };
        let findings = report.findings.iter().filter(|finding| finding.severity != Severity::Note);
        match findings.map(|finding| &*finding.subject).find_map(object) {
            Some(object) => {
                format!("next: swarmscout explain{flags} {object} shows more of it; {doctor}")
            }
            None => format!("next: {doctor}"),
        }
    }
}

/// The argument of `explain` for the subject of a finding. A name that a shell could take for more
/// than a name has none.
fn object(subject: &str) -> Option<String> {
    let (kind, name) = subject.split_once(' ')?;
    let can_be_explained = matches!(kind, "service" | "node") && name.chars().all(is_plain);
    can_be_explained.then(|| format!("{kind}/{name}"))
}

/// Whether a shell takes a character as it is.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._/:@%+,[]".contains(c)
}

/// The rows of a report, as many as the window has, less those that are `taken`.
pub(super) fn rows(
    report: &StatusReport,
    next: &Next,
    window: Window,
    taken: usize,
) -> Vec<String> {
    let show = |lines: &[Line]| lines.iter().flat_map(|line| window.rows(line)).collect::<Vec<_>>();
    let mut rows = show(&[health(report)]);
    let details = show(&details(report));
    // In a small window they would take the place of what is wrong.
    if window.size.is_none_or(|size| details.len() <= size.rows / 4 || report.findings.is_empty()) {
        rows.extend(details);
    }
    let end = show(&[Line::styled(Style::Plain, "", ""), Line::new(&next.of(report))]);
    if !report.findings.is_empty() {
        rows.push(String::new());
    }
    // One for the prompt, one for the line that counts the others.
    let room = window
        .size
        .map_or(usize::MAX, |size| size.rows.saturating_sub(2 + taken + rows.len() + end.len()));
    let (mut left, mut shown) = (room, 0);
    for finding in &report.findings {
        let of_finding = show(&page::finding(finding));
        // The first is shown in any case.
        if shown > 0 && of_finding.len() > left {
            break;
        }
        left = left.saturating_sub(of_finding.len());
        rows.extend(of_finding);
        shown += 1;
    }
    let more = report.findings.len() - shown;
    if more > 0 {
        rows.extend(show(&[Line::new(&format!("and {more} more: --format=json has all"))]));
    }
    rows.extend(end);
    rows
}

fn health(report: &StatusReport) -> Line {
    match report.health.strip_prefix("OK") {
        Some(rest) if report.is_ok() => Line::styled(Style::Good, "OK", rest),
        _ => Line::new(&report.health),
    }
}

/// What the line of health sums up.
fn details(report: &StatusReport) -> Vec<Line> {
    let mut lines: Vec<_> = report.swarms.iter().map(swarm).collect();
    // What needs no refresh has nothing to say.
    let sources = report.other_sources.iter();
    let sources = sources.filter(|one| one.age_seconds.is_some() || one.state != SourceState::Up);
    let sources: Vec<_> = sources.map(source).collect();
    let more = sources.len().saturating_sub(SOURCES);
    lines.extend(sources.into_iter().take(SOURCES));
    if more > 0 {
        lines.push(Line::new(&format!("and {more} more sources")));
    }
    let targets = report.targets;
    if targets.dropped + targets.refused > 0 {
        let refused = match targets.refused {
            0 => String::new(),
            refused => format!(", {refused} refused"),
        };
        let (active, dropped) = (targets.active, targets.dropped);
        lines.push(Line::new(&format!(
            "targets: {active} listed, {dropped} dropped by rules{refused}"
        )));
    }
    lines
}

fn swarm(swarm: &SwarmHealth) -> Line {
    let mut parts = Vec::new();
    if let Some(managers) = &swarm.managers {
        let (reachable, all) = (managers.reachable, managers.all);
        parts.push(format!("{reachable} of {all} managers reachable"));
        parts.push(match &*managers.leader {
            "" => "no leader".to_owned(),
            leader => format!("leader {leader}"),
        });
    }
    if let Some(tasks) = &swarm.tasks {
        parts.push(format!("{} of {} tasks run", tasks.running, tasks.wanted));
    }
    match swarm.age_seconds {
        Some(seconds) => {
            parts.push(format!("changes by {}", swarm.feed));
            parts.push(format!("confirmed {} ago", age(seconds)));
        }
        None => parts.push("not listed yet".to_owned()),
    }
    Line::new(&format!("Swarm {}: {}", swarm.swarm, parts.join(", ")))
}

fn source(source: &OtherSource) -> Line {
    let OtherSource { mechanism, name, state, targets, age_seconds } = source;
    let state = match (state, age_seconds) {
        (SourceState::Failing, Some(seconds)) => {
            format!("failing, last good {} ago", age(*seconds))
        }
        (SourceState::Failing, None) => "failing".to_owned(),
        (_, Some(seconds)) => format!("confirmed {} ago", age(*seconds)),
        (_, None) => "no answer yet".to_owned(),
    };
    let targets = counted(*targets, "target");
    Line::new(&format!("source {mechanism} {name}: {targets}, {state}"))
}

/// A time span in its largest unit.
pub(super) fn age(seconds: f64) -> String {
    match seconds {
        0.0..120.0 => format!("{seconds:.0} s"),
        120.0..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests;
