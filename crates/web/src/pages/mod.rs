//! The index page: jobs, targets, sources, their age, and where to read them. Plain HTML, without
//! scripts.

mod escape;
mod feed;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use maud::{DOCTYPE, Markup, html};
use swarmscout_discovery::SourceStatus;
use swarmscout_discovery::manager::{Job, JobState};
use swarmscout_discovery::without_address::TasksWithoutAddress;
use xxhash_rust::xxh3::xxh3_64;

use self::escape::Visible;
use super::swarms::Swarms;
use super::{App, Now, Readiness, links, text};
use swarmscout_publish::file_sd::FileStatus;

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

/// Most problems of a source that are listed; the others are counted. The API lists all.
const SHOWN_PROBLEMS: usize = 10;

/// `/`.
pub(super) async fn index(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let jobs = app.jobs();
    let mut jobs: Vec<_> = jobs.iter().map(Job::state).collect();
    jobs.sort_by_key(rank);
    let files = app.context.outputs.files.borrow().clone();
    let swarms = app.swarms();
    let now = app.context.clock.now();
    let body = html! {
        (status(&app, now))
        (summary(&jobs))
        (not_emptied(&files))
        @for of in &jobs { (job(&app, of, &files, &swarms, now)) }
        @if jobs.is_empty() {
            p.empty { "The configuration has no jobs: there is nothing to discover." }
        }
        @if !jobs.is_empty() { (usage(&links::base(&app.context.options, &headers), &jobs)) }
        (endpoints(&app))
    };
    respond(StatusCode::OK, &page(&app, &app.context.options.page_title, &body))
}

/// The answer for a path that does not exist.
pub(super) async fn not_found(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/html")) {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    let body = html! {
        h2 { "Page not found" }
        p { code { (Visible(uri.path())) } }
        p { a href=(path(&app, "/")) { "Overview" } }
    };
    respond(StatusCode::NOT_FOUND, &page(&app, "Not found", &body))
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

/// Never changes: its address holds a digest of its content.
fn asset(content_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, content).into_response()
}

fn respond(status: StatusCode, page: &Markup) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, page.0.clone()).into_response()
}

fn path(app: &App, below: &str) -> String {
    format!("{}{below}", links::path_prefix(&app.context.options))
}

fn page(app: &App, title: &str, body: &Markup) -> Markup {
    let style = path(app, &format!("/style.css?v={:016x}", xxh3_64(STYLE.as_bytes())));
    let icon = path(app, &format!("/icon.svg?v={:016x}", xxh3_64(ICON.as_bytes())));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" type="image/svg+xml" href=(icon);
                link rel="stylesheet" href=(style);
            }
            body {
                header {
                    a.name href=(path(app, "/")) {
                        img src=(icon) alt="" width="28" height="28";
                        (app.context.options.page_title)
                    }
                    span.version { (app.context.program.build.version) }
                }
                main { (body) }
            }
        }
    }
}

/// The state of the program itself.
fn status(app: &App, now: Now) -> Markup {
    let ready = *app.context.program.ready.borrow();
    let reload = app.context.program.reload.borrow().clone();
    let since = |time| now.system.duration_since(time).map(age).unwrap_or_default();
    html! {
        p.state {
            @match ready {
                Readiness::Starting => { span.badge.unknown { "Starting" } },
                Readiness::Ready => { span.badge.up { "Ready" } },
                Readiness::Stopping => { span.badge.down { "Stopping" } },
            }
            " Up for " (since(app.context.program.started))
            ", configuration of " (since(reload.loaded)) " ago."
        }
        @if let Some(error) = &reload.error {
            section.note.down {
                h2 { "The last reload failed: the previous configuration is in use" }
                pre { (Visible(error)) }
            }
        }
        @if !reload.warnings.is_empty() {
            section.note.warn {
                h2 { "The configuration has " (counted(reload.warnings.len(), "warning")) }
                ul { @for warning in &*reload.warnings { li { (Visible(warning)) } } }
            }
        }
    }
}

fn summary(jobs: &[JobState]) -> Markup {
    let sum = |of: fn(&JobState) -> usize| jobs.iter().map(of).sum::<usize>();
    let sources = sum(|job| job.status.sources.len());
    let down = sum(|job| job.status.sources.iter().filter(|source| source.error.is_some()).count());
    html! {
        dl.summary {
            div { dt { "Jobs" } dd { (jobs.len()) } }
            div { dt { "Active targets" } dd { (sum(|job| job.set.counts.active)) } }
            div { dt { "Dropped by rules" } dd { (sum(|job| job.set.counts.dropped)) } }
            div { dt { "Refused" } dd { (sum(|job| job.set.counts.refused)) } }
            div.down[down > 0] {
                dt { "Sources" }
                dd { (sources) @if down > 0 { small { " " (down) " failing" } } }
            }
        }
    }
}

fn job(app: &App, job: &JobState, files: &[FileStatus], swarms: &Swarms, now: Now) -> Markup {
    let JobState { set, status } = job;
    let name = set.pool.name();
    let sd = path(app, &links::sd(name));
    let query =
        form_urlencoded::Serializer::new(String::new()).append_pair("scrapePool", name).finish();
    let counts = set.counts;
    html! {
        section.job {
            div.title {
                h2 { (Visible(name)) }
                @if !set.is_ready() { span.badge.unknown { "waiting for first refresh" } }
                @else if !set.is_complete() { span.badge.down { "incomplete" } }
            }
            p.counts {
                strong { (counts.active) } " active"
                @for (count, what) in [
                    (counts.dropped, "dropped"),
                    (counts.refused, "refused"),
                    (counts.duplicates, "duplicate"),
                ] {
                    @if count > 0 { ", " strong { (count) } " " (what) }
                }
            }
            @if let Some(error) = &set.limit_error { p.error { (Visible(error)) } }
            @if set.is_ready() && !set.is_complete() {
                p.warn {
                    "Served without the targets of "
                    (counted(set.missing().len(), "source")) " that never answered."
                }
            }
            @if set.stale_config {
                p.warn { "Targets of the configuration before the last reload, until all sources of the new one have answered or timed out." }
            }
            p.links {
                a href=(sd) { "HTTP SD" }
                a href={ (sd) "?meta=0" } { "without " code { "__meta_*" } }
                a href={ (sd) "?raw=1" } { "before relabeling" }
                a href=(path(app, &format!("/api/v1/targets?{query}"))) { "targets" }
                a href=(path(app, &format!("/api/v1/scrape_pools/config?{query}"))) { "configuration" }
            }
            @if status.sources.is_empty() { p.empty { "No source: this job has no targets." } }
            @for source in status.sources.iter().chain(&status.next_sources) {
                (self::source(app, source, swarms, now, &query))
            }
            @for file in files.iter().filter(|file| file.job.as_ref() == Some(name)) {
                (self::file(file, now))
            }
        }
    }
}

/// The file of a job.
fn file(file: &FileStatus, now: Now) -> Markup {
    let (state, says) = match (&file.error, file.confirmed) {
        (Some(_), _) => ("down", "failing"),
        (None, None) => ("unknown", "not yet"),
        (None, Some(_)) => ("up", "written"),
    };
    let confirmed = file.confirmed.map(|at| age(now.system.duration_since(at).unwrap_or_default()));
    html! {
        div.source {
            div.line {
                span.badge.(state) { (says) }
                span.what { strong { "file SD" } " " (Visible(&file.path)) }
                @if let Some(confirmed) = confirmed {
                    span.figures { "confirmed " (confirmed) " ago" }
                }
            }
            @if let Some(error) = &file.error { p.error { (Visible(error)) } }
        }
    }
}

/// Files of removed jobs, which Prometheus still reads.
fn not_emptied(files: &[FileStatus]) -> Markup {
    let gone = files.iter().filter(|file| file.job.is_none());
    let errors: Vec<_> = gone.filter_map(|file| file.error.as_ref()).collect();
    html! {
        @if !errors.is_empty() {
            section.note.down {
                h2 { "Files of removed jobs could not be emptied" }
                ul { @for error in errors { li { (Visible(error)) } } }
            }
        }
    }
}

fn source(app: &App, source: &SourceStatus, swarms: &Swarms, now: Now, query: &str) -> Markup {
    let (state, says) = match (&source.error, source.as_of) {
        (None, Some(_)) if source.restored => ("unknown", "first refresh"),
        (None, Some(_)) => ("up", "up"),
        (Some(_), Some(_)) => ("down", "failing"),
        (Some(_), None) => ("down", "never answered"),
        (None, None) => ("unknown", "first refresh"),
    };
    let confirmed = source.as_of.map(|at| age(now.instant.saturating_duration_since(at)));
    let more = source.problems.len().saturating_sub(SHOWN_PROBLEMS);
    html! {
        div.source {
            div.line {
                span.badge.(state) { (says) }
                span.what { strong { (Visible(&source.name)) } " " (Visible(&source.display_name)) }
                span.figures {
                    (counted(source.targets, "target"))
                    @if source.restored { " from before the restart" }
                    @if let Some(confirmed) = confirmed.filter(|_| source.is_refreshed) {
                        ", confirmed " (confirmed) " ago"
                    }
                }
            }
            @if let Some(error) = &source.error { p.error { (Visible(error)) } }
            @if let Some(swarm) = swarms.read_by(source) { (feed::feed(swarm, now)) }
            @if let Some(tasks) = source.without_address.as_deref().filter(|all| all.tasks() > 0) {
                (without_address(tasks, &path(app, &format!("/api/v1/sources?{query}"))))
            }
            @if !source.problems.is_empty() {
                details {
                    summary { (problems_counted(source)) }
                    ul {
                        @for problem in source.problems.iter().take(SHOWN_PROBLEMS) {
                            li {
                                (problem.kind) " " code { (Visible(&problem.object)) } ": " (problem.reason)
                                @if !problem.detail.is_empty() { " (" (Visible(&problem.detail)) ")" }
                            }
                        }
                        @if more > 0 {
                            li {
                                a href=(path(app, &format!("/api/v1/sources?{query}"))) {
                                    "and " (more) " more"
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `2 objects skipped, 1 problem reported`.
fn problems_counted(source: &SourceStatus) -> String {
    let skipped = source.problems.iter().filter(|problem| problem.is_skipped()).count();
    let reported = source.problems.len() - skipped;
    match (skipped, reported) {
        (_, 0) => format!("{} skipped", counted(skipped, "object")),
        (0, _) => format!("{} reported", counted(reported, "problem")),
        _ => format!(
            "{} skipped, {} reported",
            counted(skipped, "object"),
            counted(reported, "problem")
        ),
    }
}

/// Running tasks that give no target, by service.
fn without_address(all: &TasksWithoutAddress, sources: &str) -> Markup {
    let more = (all.services.len() + all.not_listed).saturating_sub(SHOWN_PROBLEMS);
    html! {
        details {
            summary { (counted(all.tasks(), "running task")) " without address" }
            ul {
                @for service in all.services.iter().take(SHOWN_PROBLEMS) {
                    li { (Visible(&service.to_string())) }
                }
                @if more > 0 { li { a href=(sources) { "and " (counted(more, "more service")) } } }
            }
        }
    }
}

/// The `scrape_configs` for a Prometheus that reads these targets, every job ready to copy.
fn usage(base: &str, jobs: &[JobState]) -> Markup {
    let mut yaml = String::from("scrape_configs:");
    for JobState { set, .. } in jobs {
        let name = set.pool.name();
        let url = format!("{base}{}", links::sd(name));
        // JSON strings are YAML strings.
        let (name, url) = (serde_json::json!(**name), serde_json::json!(url));
        write!(yaml, "\n  - job_name: {name}\n    http_sd_configs:\n      - url: {url}")
            .expect("writing to memory never fails");
    }
    html! {
        section.endpoints {
            h2 { "Add to your prometheus.yml" }
            pre { (Visible(&yaml)) }
        }
    }
}

/// Jobs of swarm mode come first, those of classic Swarm last.
fn rank(job: &JobState) -> u8 {
    let has = |mechanism| job.status.sources.iter().any(|source| source.mechanism == mechanism);
    match (has("dockerswarm"), has("swarm")) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}

/// All endpoints.
fn endpoints(app: &App) -> Markup {
    const ALL: [(&str, &str); 14] = [
        ("/sd", "jobs, and the URL of each target list"),
        ("/metrics", "metrics of Swarmscout"),
        ("/api/v1/targets", "targets: active, dropped with the rule that dropped them, refused"),
        ("/api/v1/sources", "sources: age, error, skipped objects, change feed"),
        ("/api/v1/scrape_pools", "names of the jobs"),
        ("/api/v1/status/config?format=yaml", "configuration in use, without secrets"),
        ("/api/v1/status/flags", "command line"),
        ("/api/v1/status/runtimeinfo", "process"),
        ("/api/v1/status/buildinfo", "version"),
        ("/-/healthy", "health check"),
        ("/-/ready", "readiness check"),
        ("/-/reload", "POST: reload the configuration"),
        ("/-/quit", "POST: shut down"),
        ("/version", "version, in the format of Prometheus"),
    ];
    let lifecycle = app.context.options.enable_lifecycle;
    let enabled = |below: &str| lifecycle || !matches!(below, "/-/reload" | "/-/quit");
    html! {
        section.endpoints {
            h2 { "Endpoints" }
            ul {
                @for (below, what) in ALL.into_iter().filter(|(below, _)| enabled(below)) {
                    li {
                        @if what.starts_with("POST") { code { (below) } }
                        @else { a href=(path(app, below)) { code { (below) } } }
                        " " (what)
                    }
                }
            }
        }
    }
}

/// `1 target`, `2 targets`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A duration in its two largest units: `2 h 5 min`.
fn age(age: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let seconds = age.as_secs();
    let largest = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (size, unit) = UNITS[largest];
    let rest =
        UNITS.get(largest + 1).map(|(size, unit)| ((seconds % UNITS[largest].0) / size, unit));
    match rest {
        Some((count, next)) if count > 0 => format!("{} {unit} {count} {next}", seconds / size),
        _ => format!("{} {unit}", seconds / size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (125, "2 min 5 s"),
            (3600, "1 h"),
            (7503, "2 h 5 min"),
            (86_400 * 3 + 59, "3 d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }
}
