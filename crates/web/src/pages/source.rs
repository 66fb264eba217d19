//! A source or a file of a job, in a few lines.

use maud::{Markup, html};
use swarmscout_model::counted;

use super::escape::Visible;
use super::{age, swarm};
use crate::view::{File, Health, Problem, Source, TasksWithoutAddress};

/// Most problems of a source that are listed; the others are counted. The API lists all.
const SHOWN_PROBLEMS: usize = 10;

/// `sources` is the address of all sources of the job in the API.
pub(super) fn source(source: &Source<'_>, sources: &str) -> Markup {
    let (class, badge) = match source.health {
        Health::Waiting => ("unknown", "first refresh"),
        Health::Up => ("up", "up"),
        Health::Failing => ("down", "failing"),
        Health::NeverAnswered => ("down", "never answered"),
    };
    let problems = source.problems.iter();
    let (advice, listed): (Vec<&Problem<'_>>, Vec<_>) =
        problems.partition(|problem| problem.is_advice());
    let more = listed.len().saturating_sub(SHOWN_PROBLEMS);
    html! {
        div.source {
            div.line {
                span.badge.(class) { (badge) }
                span.what { strong { (Visible(source.name)) } " " (Visible(source.display_name)) }
                span.figures {
                    (counted(source.targets, "target"))
                    @if source.restored { " from before the restart" }
                    @if let Some(time) = source.age { ", confirmed " (age(time.0)) " ago" }
                }
            }
            @if !source.error.is_empty() { p.error { (Visible(source.error)) } }
            @if let Some(of) = &source.swarm { (swarm::swarm(of)) }
            @if let Some(tasks) = source.tasks_without_address.as_ref().filter(|all| all.tasks > 0) {
                (without_address(tasks, sources))
            }
            @for problem in advice {
                p.warn { (problem.reason) ": " (Visible(problem.detail)) }
            }
            @if !listed.is_empty() {
                details {
                    summary { (problems_counted(&listed)) }
                    ul {
                        @for problem in listed.iter().take(SHOWN_PROBLEMS) {
                            li {
                                (problem.kind) " " code { (Visible(problem.object)) } ": " (problem.reason)
                                @if !problem.detail.is_empty() { " (" (Visible(problem.detail)) ")" }
                            }
                        }
                        @if more > 0 { li { a href=(sources) { "and " (more) " more" } } }
                    }
                }
            }
        }
    }
}

/// `2 objects skipped, 1 problem reported`.
fn problems_counted(problems: &[&Problem<'_>]) -> String {
    let skipped = problems.iter().filter(|problem| problem.skipped).count();
    let reported = problems.len() - skipped;
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
fn without_address(all: &TasksWithoutAddress<'_>, sources: &str) -> Markup {
    let more = (all.services.len() + all.not_listed).saturating_sub(SHOWN_PROBLEMS);
    html! {
        details {
            summary { (counted(all.tasks, "running task")) " without address" }
            ul {
                @for service in all.services.iter().take(SHOWN_PROBLEMS) {
                    li { (Visible(&service.message)) }
                }
                @if more > 0 { li { a href=(sources) { "and " (counted(more, "more service")) } } }
            }
        }
    }
}

/// The file of a job.
pub(super) fn file(file: &File<'_>) -> Markup {
    let (class, badge) = match file.health {
        Health::Failing | Health::NeverAnswered => ("down", "failing"),
        Health::Waiting => ("unknown", "not yet"),
        Health::Up => ("up", "written"),
    };
    html! {
        div.source {
            div.line {
                span.badge.(class) { (badge) }
                span.what { strong { "file SD" } " " (Visible(file.path)) }
                @if let Some(time) = file.age { span.figures { "confirmed " (age(time)) " ago" } }
            }
            @if !file.error.is_empty() { p.error { (Visible(file.error)) } }
        }
    }
}
