//! What the labels of a service say about how it is scraped. A pure function of labels.
//!
//! ```text
//! labels of the service ──┐  ours, service     ┐
//!                         ├▸ ours, container   ├▸ the first that declares an endpoint ─▸ Declared
//! labels of a container ──┘  dialects, in order┘
//! ```
//!
//! [`keys`] and [`dialects`] read keys, [`values`] reads values, [`resolve`] makes endpoints of the
//! labels of one place. [`explained`] is [`declared`] with a list of every label and what became of
//! it: the same code.
//!
//! Time and memory are linear in the labels: endpoints, the labels of each, and refusals are
//! limited, and values too. Nothing is allocated for a service without labels of ours.

pub(crate) mod dialects;
pub(crate) mod fuzzing;
pub(crate) mod keys;
mod refusal;
mod resolve;
mod traefik;
mod values;

#[cfg(test)]
mod docs_tests;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;

use swarmscout_docker::engine::LabelMap;
use swarmscout_model::PromDuration;

pub(crate) use self::dialects::Dialect;
use self::refusal::Cause;
#[cfg(test)]
pub(crate) use self::refusal::Reason;
pub(crate) use self::refusal::Refusal;
use self::resolve::Entry;

/// Which labels count, and how they are written.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    prefix: Box<str>,
    dialects: Box<[&'static Dialect]>,
}

/// Where a label is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// `deploy.labels` of a stack file.
    Service,
    /// `labels` of a stack file.
    Container,
}

/// Whose labels, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeclaredBy {
    /// The name of a dialect. `None`: ours.
    pub(crate) dialect: Option<&'static str>,
    pub(crate) place: Place,
}

/// What the labels of one service declare.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared<'a> {
    /// The labels that count. `None`: no label declares an endpoint.
    pub(crate) by: Option<DeclaredBy>,
    /// By name, the unnamed one first: only those that can be used.
    pub(crate) endpoints: Vec<Endpoint<'a>>,
    /// By the name of their endpoint.
    pub(crate) probes: Vec<Probe<'a>>,
    /// The whole service is not scraped, presets included.
    pub(crate) switched_off: bool,
    /// Labels that do not count, and why.
    pub(crate) refusals: Vec<Refusal>,
}

/// How one endpoint of each task is scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint<'a> {
    /// Empty: the unnamed one.
    pub(crate) name: &'a str,
    pub(crate) port: EndpointPort,
    pub(crate) path: Cow<'a, str>,
    pub(crate) scheme: &'a str,
    /// By name, without duplicates.
    pub(crate) params: Vec<(&'a str, &'a str)>,
    pub(crate) shared: Shared<'a>,
    pub(crate) network: Option<&'a str>,
    pub(crate) sample_limit: Option<u64>,
    /// Empty: the normal list.
    pub(crate) class: &'a str,
}

/// What endpoints and probes have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shared<'a> {
    pub(crate) job: Option<&'a str>,
    pub(crate) interval: Option<PromDuration>,
    /// Not above the interval. There is one if there is an interval.
    pub(crate) timeout: Option<PromDuration>,
    /// By name, without duplicates, `job`, `instance` and empty values.
    pub(crate) labels: Vec<(Cow<'a, str>, &'a str)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndpointPort {
    Number(u16),
    /// The only TCP target port that the service publishes.
    OnlyPublished,
}

/// URLs that a prober asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe<'a> {
    /// Of the endpoint; empty for the unnamed one.
    pub(crate) name: &'a str,
    /// One, or those of the service's Traefik rules, sorted.
    pub(crate) urls: Vec<Cow<'a, str>>,
    /// Of the blackbox exporter.
    pub(crate) module: Option<&'a str>,
    pub(crate) shared: Shared<'a>,
}

/// A label that could be a scrape setting, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundLabel<'a> {
    pub(crate) of: DeclaredBy,
    pub(crate) key: &'a str,
    /// Cut, without passwords.
    pub(crate) value: String,
    /// The endpoint that it belongs to; empty for the unnamed one.
    pub(crate) endpoint: &'a str,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It counts.
    Used,
    /// It counts, as if it were written in this way.
    UsedAs(String),
    /// Empty: the default counts, not what the unnamed endpoint says.
    Default,
    /// Labels of another place, or written in another way, count.
    Overridden(DeclaredBy),
    /// The endpoint is refused because of the label with this key.
    EndpointRefused(Box<str>),
    /// The endpoint is switched off.
    EndpointOff,
    /// The service is switched off.
    ServiceOff,
    /// No label declares an endpoint for which it could count.
    Unused,
    Refused(Refusal),
}

impl Place {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Container => "container",
        }
    }
}

impl DeclaredBy {
    /// `prometheus.io/` of the service is `ours`.
    pub(crate) fn style(self) -> &'static str {
        self.dialect.unwrap_or("ours")
    }
}

impl Rules {
    /// Labels with this prefix count, then those of the dialects, in this order.
    pub(crate) fn new(prefix: &str, dialects: impl IntoIterator<Item = &'static Dialect>) -> Self {
        Self { prefix: prefix.into(), dialects: dialects.into_iter().collect() }
    }

    /// Ours, then the dialects.
    fn styles(&self) -> impl Iterator<Item = Style<'_>> {
        let dialects = self.dialects.iter();
        let dialects =
            dialects.map(|dialect| Style { prefix: dialect.prefix, dialect: Some(dialect) });
        [Style { prefix: &self.prefix, dialect: None }].into_iter().chain(dialects)
    }

    fn are_in(&self, labels: &LabelMap) -> bool {
        labels.iter().any(|(key, _)| self.styles().any(|style| key.starts_with(style.prefix)))
    }
}

/// How labels are written.
#[derive(Clone, Copy)]
struct Style<'r> {
    prefix: &'r str,
    dialect: Option<&'static Dialect>,
}

/// The labels of a service and of a container of it.
#[derive(Clone, Copy)]
struct Maps<'a> {
    service: &'a LabelMap,
    container: &'a LabelMap,
}

impl<'a> Maps<'a> {
    fn of(self, place: Place) -> &'a LabelMap {
        match place {
            Place::Service => self.service,
            Place::Container => self.container,
        }
    }
}

/// What the labels of a service and of its container declare.
pub(crate) fn declared<'a>(
    rules: &Rules,
    service: &'a LabelMap,
    container: &'a LabelMap,
) -> Declared<'a> {
    evaluate(rules, Maps { service, container }, None)
}

/// The same, with every label that could be a scrape setting, and what became of it.
pub(crate) fn explained<'a>(
    rules: &Rules,
    service: &'a LabelMap,
    container: &'a LabelMap,
) -> (Declared<'a>, Vec<FoundLabel<'a>>) {
    let mut found = Vec::new();
    let declared = evaluate(rules, Maps { service, container }, Some(&mut found));
    (declared, found)
}

fn evaluate<'a>(
    rules: &Rules,
    maps: Maps<'a>,
    mut found: Option<&mut Vec<FoundLabel<'a>>>,
) -> Declared<'a> {
    let mut declared = Declared::default();
    let has_rules = [maps.service, maps.container].map(|labels| rules.are_in(labels));
    if has_rules == [false, false] {
        return declared;
    }
    let mut more = 0;
    'places: for style in rules.styles() {
        for place in [Place::Service, Place::Container] {
            if !has_rules[place as usize] {
                continue;
            }
            if declared.by.is_some() && found.is_none() {
                break 'places;
            }
            let of = DeclaredBy { dialect: style.dialect.map(|dialect| dialect.name), place };
            let mut entries = entries(style, of, maps.of(place));
            if let Some(by) = declared.by {
                for entry in &mut entries {
                    entry.outcome = Outcome::Overridden(by);
                }
            } else if !entries.is_empty() {
                resolve::resolve(rules, style, of, maps, &mut entries, &mut declared);
                for entry in &entries {
                    match &entry.outcome {
                        Outcome::Refused(refusal) if declared.refusals.len() < refusal::MOST => {
                            declared.refusals.push(refusal.clone());
                        }
                        Outcome::Refused(_) => more += 1,
                        _ => {}
                    }
                }
            }
            if let Some(found) = &mut found {
                found.extend(entries.into_iter().map(|entry| entry.found(of)));
            }
        }
    }
    if let Some(last) = declared.refusals.last_mut().filter(|_| more > 0) {
        last.detail = format!("{}; {more} more are not listed", last.detail);
    }
    if let Some(found) = found {
        hide_repeats(found);
    }
    declared
}

/// What begins our labels that tune alerts. State metrics show them.
const ALERTS: &str = "alert.";

/// The labels of one style in one place, in an order that does not depend on that of the map.
fn entries<'a>(style: Style<'_>, of: DeclaredBy, labels: &'a LabelMap) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    let mut unreadable = 0;
    for (label, value) in labels.iter() {
        let Some(rest) = label.strip_prefix(style.prefix) else { continue };
        if let Some(dialect) = style.dialect {
            entries.extend(dialect.read(rest).map(|key| Entry::new(label, value, key)));
            continue;
        }
        if rest.starts_with(ALERTS) {
            continue;
        }
        let entry = match keys::read(rest) {
            Ok(key) => Entry::new(label, value, key),
            Err(reason) => {
                unreadable += 1;
                // No more are reported.
                let is_shown = unreadable <= refusal::MOST;
                let instead = if is_shown { keys::instead(reason, rest) } else { String::new() };
                let endpoint = keys::endpoint(reason, rest);
                Entry::unreadable(of, label, value, endpoint, Cause::new(reason, instead))
            }
        };
        entries.push(entry);
    }
    entries.sort_by(|a, b| (&a.key, a.label).cmp(&(&b.key, b.label)));
    entries
}

/// A label that counts in one way need not be listed in the others.
fn hide_repeats(found: &mut Vec<FoundLabel<'_>>) {
    let counts: HashSet<_> = found
        .iter()
        .filter(|label| !matches!(label.outcome, Outcome::Overridden(_) | Outcome::Unused))
        .map(|label| (label.of.place, label.key))
        .collect();
    found.retain(|label| {
        !matches!(label.outcome, Outcome::Overridden(_) | Outcome::Unused)
            || !counts.contains(&(label.of.place, label.key))
    });
}
