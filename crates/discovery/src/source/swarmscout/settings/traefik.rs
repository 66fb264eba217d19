//! The hosts of a service's Traefik rules.
//!
//! Version 2 and later: `traefik.http.routers.<router>.rule`, with ``Host(`a`, `b`)`` anywhere in it
//! but behind a `!`. Version 1: `traefik.frontend.rule` and `traefik.<segment>.frontend.rule`, with
//! `Host:a,b`. Patterns of hosts are left out: no prober can ask for them.

use std::collections::BTreeMap;

use swarmscout_docker::engine::LabelMap;

/// The most hosts of a service.
const MOST_HOSTS: usize = 100;

/// The longest rule that is read.
const LONGEST_RULE: usize = 16 << 10;

/// The URLs of the hosts, sorted. A host of two routers is asked by `https` if one of them is.
pub(super) fn urls(service: &LabelMap, container: &LabelMap) -> Vec<String> {
    let mut hosts = BTreeMap::new();
    add(service, &mut hosts);
    if hosts.is_empty() {
        add(container, &mut hosts);
    }
    let url = |(host, is_tls)| format!("{}://{host}/", if is_tls { "https" } else { "http" });
    hosts.into_iter().take(MOST_HOSTS).map(url).collect()
}

/// What the labels of one router say.
#[derive(Default)]
struct Router<'a> {
    rule: &'a str,
    is_v1: bool,
    is_tls: bool,
}

fn add(labels: &LabelMap, hosts: &mut BTreeMap<String, bool>) {
    let mut routers: BTreeMap<(bool, String), Router<'_>> = BTreeMap::new();
    for (key, value) in labels.iter() {
        let Some(rest) = strip_prefix(key, "traefik.") else { continue };
        // Traefik reads keys in any case.
        let rest = rest.to_ascii_lowercase();
        let (is_v1, router, setting) = match rest.strip_prefix("http.routers.") {
            Some(rest) => match rest.split_once('.') {
                Some((router, setting)) => (false, router, setting),
                None => continue,
            },
            None => match rest.split_once("frontend.") {
                Some((segment, setting)) => (true, segment, setting),
                None => continue,
            },
        };
        let router = routers.entry((is_v1, router.to_owned())).or_default();
        router.is_v1 = is_v1;
        match setting {
            "rule" => router.rule = value,
            "tls" => router.is_tls |= value == "true",
            "entrypoints" | "redirect.entrypoint" => router.is_tls |= has_tls(value),
            _ if setting.starts_with("tls.") => router.is_tls = true,
            _ => {}
        }
    }
    for router in routers.values().filter(|router| router.rule.len() <= LONGEST_RULE) {
        let mut add = |host: &str| {
            let host = host.trim().to_ascii_lowercase();
            if is_host(&host) {
                *hosts.entry(host).or_default() |= router.is_tls;
            }
        };
        if router.is_v1 {
            let parts = router.rule.split(';').filter_map(|part| part.split_once(':'));
            let parts = parts.filter(|(matcher, _)| matcher.trim().eq_ignore_ascii_case("host"));
            parts.for_each(|(_, names)| names.split(',').for_each(&mut add));
        } else {
            of_rule(router.rule, &mut add);
        }
    }
}

fn strip_prefix<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = key.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The usual names of entry points with TLS.
fn has_tls(entry_points: &str) -> bool {
    let mut names = entry_points.split(',').map(str::trim);
    names.any(|name| ["websecure", "https"].iter().any(|tls| name.eq_ignore_ascii_case(tls)))
}

/// The arguments of `Host(…)` in a rule.
fn of_rule(rule: &str, add: &mut impl FnMut(&str)) {
    let mut rest = rule;
    let mut before = "";
    while let Some(at) = rest.find(['`', '"', '\'', '(']) {
        let (start, after) = rest.split_at(at);
        let quote = after.as_bytes()[0];
        let after = &after[1..];
        if quote != b'(' {
            // A string in which parentheses may stand.
            let end = after.find(char::from(quote)).map_or(after.len(), |end| end + 1);
            (before, rest) = ("", &after[end..]);
            continue;
        }
        before = if start.is_empty() { before } else { start };
        rest = after;
        let matcher = before.trim_end();
        let name = matcher.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let is_negated = matcher[..matcher.len() - name.len()].trim_end().ends_with('!');
        if !name.eq_ignore_ascii_case("host") {
            continue;
        }
        let mut inside = after;
        loop {
            inside = inside.trim_start_matches([' ', ',']);
            let Some(quote) = inside.chars().next().filter(|c| "`\"'".contains(*c)) else { break };
            let Some((host, after)) = inside[1..].split_once(quote) else { break };
            if !is_negated {
                add(host);
            }
            inside = after;
        }
        rest = inside;
    }
}

/// A name, or an address, without a pattern.
fn is_host(host: &str) -> bool {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.len() <= 253 && host.bytes().all(is_host)
}
