//! Rules that many sections have.

use swarmscout_model::PromDuration;

use crate::{At, Cx};

/// Notes that more than one of `keys` is set, at the last of them.
pub fn at_most_one(set: &[(&str, bool)], at: &At, message: &str, cx: &mut Cx<'_>) {
    let mut places: Vec<_> =
        set.iter().filter(|(_, set)| *set).map(|(key, _)| at.key(key)).collect();
    places.sort_unstable();
    if let [_, .., last] = places[..] {
        cx.error(last, message);
    }
}

/// Checks the key `refresh_interval`: `0s` would be a loop without a pause.
pub fn refresh_interval(interval: PromDuration, at: &At, cx: &mut Cx<'_>) {
    if interval.is_zero() && !at.failed("refresh_interval") {
        cx.within("refresh_interval", |cx| {
            cx.error(at.key("refresh_interval"), "refresh_interval must be greater than 0s");
        });
    }
}

/// Checks the key `port`. What is not a port is noted, and 0 stands in for it.
pub fn port(port: i64, at: &At, cx: &mut Cx<'_>) -> u16 {
    u16::try_from(port).unwrap_or_else(|_| {
        let text = format!("{port} is not a port: 0 to 65535");
        cx.within("port", |cx| cx.error(at.key("port"), text));
        0
    })
}
