//! The change feed of a Swarm, in a few lines.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use swarmscout_swarm::SwarmStatus;

use super::escape::Visible;
use super::{age, counted};
use crate::Now;

pub(super) fn feed(SwarmStatus { feed, .. }: &SwarmStatus, now: Now) -> Markup {
    let ago = |time: SystemTime| age(now.system.duration_since(time).unwrap_or_default());
    let [nodes, services, tasks, networks] = feed.objects;
    let objects = [(nodes, "node"), (services, "service"), (tasks, "task"), (networks, "network")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| counted(count, what));
    html! {
        p.feed {
            strong { (feed.kind.as_str()) } " for " (ago(feed.since))
            @match feed.last_change {
                Some(at) => {
                    ", last change " (ago(at)) " ago"
                    @if let Some(late) = feed.late { ", seen " (short(late)) " late" }
                }
                None => { ", no change yet" }
            }
            @for objects in objects { ", " (objects) }
        }
        @if let Some(reason) = &feed.reason { p.feed.warn { "No better feed: " (Visible(reason)) } }
        @if !feed.managers.is_empty() {
            p.feed { "Managers: " (Visible(&feed.managers.join(", "))) }
        }
    }
}

/// A duration that is mostly less than a second.
fn short(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => age(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_are_exact() {
        for (millis, expected) in
            [(0, "0 ms"), (999, "999 ms"), (1250, "1.2 s"), (125_000, "2 min 5 s")]
        {
            assert_eq!(short(Duration::from_millis(millis)), expected);
        }
    }
}
