//! From what was written to what the program works with: the rules that hold between keys, in
//! Prometheus' words, and the values that absent keys take from elsewhere.
//!
//! Every rule is tried, whatever others found, so that a file's errors are shown together; a rule
//! about a key that could not even be read stays silent.

mod client;
mod file;
mod global;
mod http;
mod relabel;
mod remote;
mod scrape;
mod sd;
mod server;

pub(crate) use file::{JobPlaces, check, jobs};

use swarmscout_model::PromDuration;

use crate::engine::{At, Cx};

/// Notes that more than one of `keys` is set, at the last of them.
fn at_most_one(set: &[(&str, bool)], at: &At, message: &str, cx: &mut Cx<'_>) {
    let mut places: Vec<_> =
        set.iter().filter(|(_, set)| *set).map(|(key, _)| at.key(key)).collect();
    places.sort_unstable();
    if let [_, .., last] = places[..] {
        cx.error(last, message);
    }
}

/// `refresh_interval: 0s` would be a loop without a pause.
fn refresh_interval(interval: PromDuration, at: &At, cx: &mut Cx<'_>) {
    if interval.is_zero() && !at.failed("refresh_interval") {
        cx.within("refresh_interval", |cx| {
            cx.error(at.key("refresh_interval"), "refresh_interval must be greater than 0s");
        });
    }
}

/// Whether a path of `rule_files` and the like is one: `*` in its last part only.
pub(crate) fn is_glob(path: &str) -> bool {
    path.find('*').is_none_or(|star| !path[star..].contains('/'))
}
