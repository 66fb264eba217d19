//! The index page: jobs, targets, sources, their age, and where to read them.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use http::uri::Scheme;
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use swarmscout_model::counted;
use swarmscout_server::ClientRights;

use super::escape::Visible;
use super::{age, page, path, respond, source};
use crate::view::{JobOverview, Moment, Overview, ProgramState, Progress, Totals};
use crate::{App, Readiness, links};

/// `/`.
pub(crate) async fn index(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientRights>,
    scheme: Option<Extension<Scheme>>,
    headers: HeaderMap,
) -> Response {
    let moment = Moment::of(&app.context);
    let Overview { program, totals, jobs, not_emptied } = Overview::of(&moment);
    let body = html! {
        (self::program(&program))
        (summary(jobs.len(), totals))
        (self::not_emptied(&not_emptied))
        @for of in &jobs { (job(&app, of)) }
        @if jobs.is_empty() {
            p.empty { "The configuration has no jobs: there is nothing to discover." }
        }
        @if !jobs.is_empty() { (usage(&links::base(app.server.options(), &headers, scheme.as_ref()), &jobs)) }
        (endpoints(&app, client))
    };
    respond(StatusCode::OK, &page(&app, &app.context.options.page_title, &body))
}

fn program(state: &ProgramState<'_>) -> Markup {
    html! {
        p.state {
            @match state.readiness {
                Readiness::Starting => { span.badge.unknown { "Starting" } },
                Readiness::Ready => { span.badge.up { "Ready" } },
                Readiness::Stopping => { span.badge.down { "Stopping" } },
            }
            " Up for " (age(state.up)) ", configuration of " (age(state.configured)) " ago."
        }
        @if let Some(error) = state.reload_error {
            section.note.down {
                h2 { "The last reload failed: the previous configuration is in use" }
                pre { (Visible(error)) }
            }
        }
        @for (file, status) in state.web_configs {
            @if let Some(error) = &status.error {
                section.note.down {
                    h2 { "The web configuration " code { (Visible(file)) } " cannot be used: the previous version is in use" }
                    pre { (Visible(error)) }
                }
            }
            @if !status.warnings.is_empty() {
                section.note.warn {
                    h2 { "The web configuration " code { (Visible(file)) } " has " (counted(status.warnings.len(), "warning")) }
                    ul { @for warning in &*status.warnings { li { (Visible(warning)) } } }
                }
            }
        }
        @if !state.warnings.is_empty() {
            section.note.warn {
                h2 { "The configuration has " (counted(state.warnings.len(), "warning")) }
                ul { @for warning in state.warnings { li { (Visible(warning)) } } }
            }
        }
    }
}

fn summary(jobs: usize, totals: Totals) -> Markup {
    let Totals { active, dropped, refused, sources, failing } = totals;
    html! {
        dl.summary {
            div { dt { "Jobs" } dd { (jobs) } }
            div { dt { "Active targets" } dd { (active) } }
            div { dt { "Dropped by rules" } dd { (dropped) } }
            div { dt { "Refused" } dd { (refused) } }
            div.down[failing > 0] {
                dt { "Sources" }
                dd { (sources) @if failing > 0 { small { " " (failing) " failing" } } }
            }
        }
    }
}

fn job(app: &App, job: &JobOverview<'_>) -> Markup {
    let sd = path(app, &links::sd(job.name));
    let query = query_of("scrapePool", job.name);
    let sources = path(app, &format!("/api/v1/sources?{query}"));
    html! {
        section.job {
            div.title {
                h2 { (Visible(job.name)) }
                @match job.progress {
                    Progress::Waiting => { span.badge.unknown { "waiting for first refresh" } },
                    Progress::Incomplete => { span.badge.down { "incomplete" } },
                    Progress::Complete => {},
                }
            }
            p.counts {
                strong { (job.counts.active) } " active"
                @for (count, state) in [
                    (job.counts.dropped, "dropped"),
                    (job.counts.refused, "refused"),
                    (job.counts.duplicates, "duplicate"),
                    (job.counts.unreachable, "unreachable"),
                ] {
                    @if count > 0 { ", " strong { (count) } " " (state) }
                }
            }
            @if let Some(error) = job.limit_error { p.error { (Visible(error)) } }
            @if job.progress == Progress::Incomplete {
                p.warn {
                    "Served without the targets of "
                    (counted(job.missing, "source")) " that never answered."
                }
            }
            @if job.stale_config {
                p.warn { "Targets of the configuration before the last reload, until all sources of the new one have answered or timed out." }
            }
            p.links {
                a href=(sd) { "HTTP SD" }
                a href={ (sd) "?meta=0" } { "without " code { "__meta_*" } }
                a href={ (sd) "?raw=1" } { "before relabeling" }
                @for class in &job.other_lists.classes {
                    a href={ (sd) "?" (query_of("class", class)) } { "class " (Visible(class)) }
                }
                @if job.other_lists.probes { a href={ (sd) "?probes=1" } { "probes" } }
                a href=(path(app, &format!("/api/v1/targets?{query}"))) { "targets" }
                a href=(path(app, &format!("/api/v1/scrape_pools/config?{query}"))) { "configuration" }
            }
            @if let Some(yaml) = job.generated {
                details {
                    summary { "Generated configuration: this job is not in the file" }
                    pre { (Visible(yaml)) }
                }
            }
            @if job.sources.is_empty() { p.empty { "No source: this job has no targets." } }
            @for of in &job.sources { (source::source(of, &sources)) }
            @for of in &job.files { (source::file(of)) }
        }
    }
}

/// `name=value`, encoded.
fn query_of(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// Files of removed jobs, which Prometheus still reads.
fn not_emptied(errors: &[&str]) -> Markup {
    html! {
        @if !errors.is_empty() {
            section.note.down {
                h2 { "Files of removed jobs could not be emptied" }
                ul { @for error in errors { li { (Visible(error)) } } }
            }
        }
    }
}

/// The `scrape_configs` for a Prometheus that reads these targets, every job ready to copy.
fn usage(base: &str, jobs: &[JobOverview<'_>]) -> Markup {
    let mut yaml = String::from("scrape_configs:");
    for JobOverview { name, .. } in jobs {
        let url = format!("{base}{}", links::sd(name));
        // JSON strings are YAML strings.
        let (name, url) = (serde_json::json!(***name), serde_json::json!(url));
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

/// All endpoints that this reader may use.
fn endpoints(app: &App, client: ClientRights) -> Markup {
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
    let lifecycle = app.context.options.enable_lifecycle && client.may_change;
    let enabled = |below: &str| lifecycle || !matches!(below, "/-/reload" | "/-/quit");
    html! {
        section.endpoints {
            h2 { "Endpoints" }
            ul {
                @for (below, purpose) in ALL.into_iter().filter(|(below, _)| enabled(below)) {
                    li {
                        @if purpose.starts_with("POST") { code { (below) } }
                        @else { a href=(path(app, below)) { code { (below) } } }
                        " " (purpose)
                    }
                }
            }
        }
    }
}
