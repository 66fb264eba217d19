//! What the keys of several sources have in common: URLs, hosts, and the options of an Engine.

use swarmscout_config_decoder::{
    Address, At, Cx, HttpKeys, port as port_of, refresh_interval, section,
};
use swarmscout_docker::{EngineConfig, Filter};
use swarmscout_model::PromDuration;
use swarmscout_net::{Host, HttpConfig, Scheme, Url};
use swarmscout_swarm::Events;

section! {
    /// A filter of the Engine's lists.
    pub FilterKeys: "moby.Filter", "filter" {
        /// Its name, as the Engine API has it: `label`, `desired-state`.
        key name: String = String::new(), always;
        /// Any of these.
        key values: Vec<String> = Vec::new(), always;
    }
}

/// Makes of the keys of an Engine what its client is made from.
pub(super) fn engine(
    port: i64,
    filters: &[FilterKeys],
    interval: PromDuration,
    hosts: &[Address],
    at: &At,
    http: HttpConfig,
    cx: &mut Cx<'_>,
) -> EngineConfig {
    refresh_interval(interval, at, cx);
    let filter =
        |filter: &FilterKeys| Filter { name: filter.name.clone(), values: filter.values.clone() };
    EngineConfig {
        hosts: hosts.iter().map(|host| host.0.clone()).collect(),
        port: port_of(port, at, cx),
        filters: filters.iter().map(filter).collect(),
        refresh_interval: interval,
        http,
    }
}

/// Reads `events` of a Swarm. `swarmkit_socket` has an effect only with some of them.
pub(super) fn check_events(events: &str, at: &At, cx: &mut Cx<'_>) -> Events {
    let checked = match events {
        "auto" => Events::Auto,
        "watch" => Events::Watch,
        "events" => Events::Events,
        "poll" => Events::Poll,
        other => {
            let text = format!("invalid events {other}, expected auto, watch, events or poll");
            cx.error(at.key("events"), text);
            Events::default()
        }
    };
    if at.has("swarmkit_socket") && matches!(checked, Events::Events | Events::Poll) {
        let place = at.key("swarmkit_socket");
        let text = format!("has no effect with events: {events}");
        cx.within("swarmkit_socket", |cx| cx.warn(place, text));
    }
    checked
}

/// Checks that every address is one, and warns of options that it has no use for.
pub(super) fn check_hosts(
    addresses: &[Address],
    key: &str,
    keys: &HttpKeys,
    http: &HttpConfig,
    cx: &mut Cx<'_>,
) {
    for (i, address) in addresses.iter().enumerate() {
        let host = match Host::parse(&address.0) {
            Ok(host) => host,
            Err(error) => {
                if key == "host" {
                    cx.error_here(error);
                } else {
                    cx.item(i, |cx| cx.error_here(error));
                }
                continue;
            }
        };
        if host.scheme().takes_http_config() {
            continue;
        }
        let instead = if host.scheme() == Scheme::Tcp { ", use https://" } else { "" };
        keys.warn_of_no_effect(host.scheme().as_str(), instead, http, cx);
    }
}

/// Whether a URL is one of a web server. An error says why not.
pub(super) fn http_url(url: &str) -> Result<(), String> {
    if url.is_empty() {
        return Err("URL is missing".into());
    }
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("URL scheme must be 'http' or 'https'".into());
    }
    if url.host().is_empty() {
        return Err("host is missing in URL".into());
    }
    Ok(())
}
