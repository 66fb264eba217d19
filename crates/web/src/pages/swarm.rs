//! A Swarm and its change feed, in a few lines.

use std::time::Duration;

use maud::{Markup, html};
use swarmscout_model::counted;

use super::age;
use super::escape::Visible;
use crate::view::Swarm;

pub(super) fn swarm(swarm: &Swarm<'_>) -> Markup {
    let objects = swarm.objects.counts().into_iter().filter(|(_, count)| *count > 0);
    html! {
        p.feed {
            strong { (swarm.kind) } " for " (age(swarm.open_for))
            @match swarm.last_change_age {
                Some(time) => {
                    ", last change " (age(time)) " ago"
                    @if let Some(delay) = swarm.delay { ", seen " (short(delay.0)) " late" }
                }
                None => { ", no change yet" }
            }
            @for (kind, count) in objects { ", " (counted(count, kind)) }
        }
        @if !swarm.reason.is_empty() {
            p.feed.warn { "No better feed: " (Visible(swarm.reason)) }
        }
        @if !swarm.managers.is_empty() {
            p.feed { "Managers: " (Visible(&swarm.managers.join(", "))) }
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
