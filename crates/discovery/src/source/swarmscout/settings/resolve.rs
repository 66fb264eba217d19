//! Makes endpoints of the labels of one style in one place.

use std::borrow::Cow;

use swarmscout_model::PromDuration;

use super::keys::{Key, Setting};
use super::refusal::{self, Cause, Reason};
use super::values::{self, ProbeValue};
use super::{
    Declared, DeclaredBy, Endpoint, EndpointPort, FoundLabel, Maps, Outcome, Probe, Rules, Shared,
    Style, traefik,
};

/// The most endpoints of a service, named ones and probes.
const MOST_ENDPOINTS: usize = 64;

/// The most bytes of the labels and parameters that an endpoint has itself, with [`OVERHEAD`] for
/// each. Every target of the service gets a copy.
const MOST_BYTES: usize = 16 << 10;
const OVERHEAD: usize = 16;

/// The longest timeout that an interval alone gives: Prometheus' default.
const LONGEST_DEFAULT_TIMEOUT: PromDuration = PromDuration::from_secs(10);

/// What is enough for an endpoint of ours.
const DECLARING: &[Setting] = &[Setting::Port, Setting::Scrape, Setting::Probe];

/// A label that may set something.
pub(super) struct Entry<'a> {
    pub(super) label: &'a str,
    value: &'a str,
    /// `None` if it cannot be read.
    pub(super) key: Option<Key<'a>>,
    /// Also of a key that is not known.
    endpoint: &'a str,
    pub(super) outcome: Outcome,
}

impl<'a> Entry<'a> {
    pub(super) fn new(label: &'a str, value: &'a str, key: Key<'a>) -> Self {
        let endpoint = key.endpoint;
        Self { label, value, key: Some(key), endpoint, outcome: Outcome::Used }
    }

    /// One whose key cannot be read.
    pub(super) fn unreadable(
        of: DeclaredBy,
        label: &'a str,
        value: &'a str,
        endpoint: &'a str,
        cause: Cause,
    ) -> Self {
        let lost = cause.0 != Reason::UnknownKey;
        let outcome = Outcome::Refused(cause.refusal(of, label, value, endpoint, lost));
        Self { label, value, key: None, endpoint, outcome }
    }

    pub(super) fn found(self, of: DeclaredBy) -> FoundLabel<'a> {
        let Self { label: key, value, endpoint, outcome, .. } = self;
        let value = refusal::cut(value, refusal::SHOWN_IN_LISTS);
        FoundLabel { of, key, value, endpoint, outcome }
    }

    fn is(&self, setting: Setting) -> bool {
        self.key.as_ref().is_some_and(|key| key.setting == setting)
    }

    fn is_one_of(&self, settings: &[Setting]) -> bool {
        self.key.as_ref().is_some_and(|key| settings.contains(&key.setting))
    }

    /// The endpoint is lost, or only this label.
    fn refuse(&mut self, of: DeclaredBy, cause: Cause, lost: bool) {
        let refusal = cause.refusal(of, self.label, self.value, self.endpoint, lost);
        self.outcome = Outcome::Refused(refusal);
    }

    fn switch(&self) -> Option<bool> {
        let value = values::boolean(self.value).ok()?;
        match self.key.as_ref()?.setting {
            Setting::Scrape | Setting::Enable => Some(value),
            Setting::Ignore => Some(!value),
            _ => None,
        }
    }
}

/// What a label says of a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Value<T> {
    /// There is no such label.
    #[default]
    Unset,
    /// It is empty: the default counts.
    Default,
    /// It is refused.
    Bad,
    Is(T),
}

impl<T: Copy> Value<T> {
    fn get(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            _ => None,
        }
    }

    /// The value here, or else that of the unnamed endpoint.
    fn or(self, unnamed: Self) -> Self {
        if matches!(self, Self::Unset) { unnamed } else { self }
    }
}

/// The settings of one endpoint, as its own labels say.
#[derive(Default)]
struct Draft<'a> {
    port: Option<u16>,
    path: Option<Cow<'a, str>>,
    scheme: Option<&'a str>,
    job: Value<&'a str>,
    interval: Value<PromDuration>,
    timeout: Value<PromDuration>,
    network: Value<&'a str>,
    sample_limit: Value<u64>,
    scrape: bool,
    class: Value<&'a str>,
    probe: Option<ProbeValue<'a>>,
    module: Option<&'a str>,
    params: Vec<(&'a str, &'a str)>,
    /// Empty ones included: they remove those of the unnamed endpoint.
    labels: Vec<(Cow<'a, str>, &'a str)>,
    /// Of `params` and `labels`.
    bytes: usize,
    /// The label for which the endpoint is refused.
    lost: Option<&'a str>,
}

impl<'a> Draft<'a> {
    /// Takes over what a label says; how it counts.
    fn set(&mut self, key: &Key<'a>, value: &'a str) -> Result<Outcome, Cause> {
        if value.len() > values::LONGEST {
            let instead = format!("a value has at most {} bytes", values::LONGEST);
            return Err(Cause::new(Reason::TooLong, instead));
        }
        match key.setting {
            Setting::Port => self.port = Some(values::port(value)?),
            Setting::Path | Setting::Scheme if value.is_empty() => return Ok(Outcome::Default),
            Setting::Path => {
                let path = self.path.insert(values::path(value)?);
                if let Cow::Owned(path) = path {
                    return Ok(Outcome::UsedAs(path.clone()));
                }
            }
            Setting::Scheme => self.scheme = Some(values::scheme(value)?),
            Setting::Job => return set(&mut self.job, value, Ok),
            Setting::Interval => return set(&mut self.interval, value, values::duration),
            Setting::Timeout => return set(&mut self.timeout, value, values::duration),
            Setting::Network => return set(&mut self.network, value, Ok),
            Setting::Networks => {
                let first = value.split(',').map(str::trim).find(|name| !name.is_empty());
                let first = first.unwrap_or_default();
                let outcome = set(&mut self.network, first, Ok)?;
                let is_other = !first.is_empty() && first != value;
                return Ok(if is_other { Outcome::UsedAs(first.to_owned()) } else { outcome });
            }
            Setting::SampleLimit => {
                return set(&mut self.sample_limit, value, values::sample_limit);
            }
            Setting::Scrape => self.scrape = values::boolean(value)?,
            Setting::Ignore | Setting::Enable => {
                values::boolean(value)?;
            }
            Setting::Class => return set(&mut self.class, value, values::class),
            Setting::Probe => self.probe = Some(values::probe(value)?),
            Setting::Module => self.module = Some(value).filter(|module| !module.is_empty()),
            Setting::Param => {
                values::param_name(&key.name)?;
                self.charge(&key.name, value)?;
                if value.is_empty() {
                    return Ok(Outcome::Default);
                }
                if let Cow::Borrowed(name) = key.name {
                    self.params.push((name, value));
                }
            }
            Setting::Label => {
                values::label_name(&key.name)?;
                self.charge(&key.name, value)?;
                self.labels.push((key.name.clone(), value));
            }
            Setting::Unsupported => {
                let instead =
                    "not supported: list addresses outside of the Swarm in static_configs";
                return Err(Cause::new(Reason::Unsupported, instead));
            }
            Setting::Unneeded => return Ok(Outcome::Unused),
        }
        Ok(Outcome::Used)
    }

    /// A setting that is refused is not inherited.
    fn spoil(&mut self, setting: Setting) {
        match setting {
            Setting::Interval => self.interval = Value::Bad,
            Setting::Timeout => self.timeout = Value::Bad,
            Setting::SampleLimit => self.sample_limit = Value::Bad,
            Setting::Class => self.class = Value::Bad,
            Setting::Job => self.job = Value::Bad,
            Setting::Network => self.network = Value::Bad,
            _ => {}
        }
    }

    fn charge(&mut self, name: &str, value: &str) -> Result<(), Cause> {
        let bytes = self.bytes + name.len() + value.len() + OVERHEAD;
        if bytes > MOST_BYTES {
            let instead = "the labels and parameters of an endpoint have at most 16 KiB";
            return Err(Cause::new(Reason::TooManyLabels, instead));
        }
        self.bytes = bytes;
        Ok(())
    }

    /// What endpoints and probes have.
    fn shared(&self, unnamed: &Self) -> Shared<'a> {
        let interval = self.interval.or(unnamed.interval).get();
        let timeout = self.timeout.or(unnamed.timeout).get();
        let default = || interval.map(|interval| interval.min(LONGEST_DEFAULT_TIMEOUT));
        let mut labels = self.labels.clone();
        labels.extend(unnamed.labels.iter().cloned());
        // The sort is stable, so an endpoint's own label comes before the one that it replaces.
        labels.sort_by(|a, b| a.0.cmp(&b.0));
        labels.dedup_by(|inherited, own| inherited.0 == own.0);
        labels.retain(|(_, value)| !value.is_empty());
        let job = self.job.or(unnamed.job).get();
        Shared { job, interval, timeout: timeout.or_else(default), labels }
    }
}

/// Sets a value that may be empty.
fn set<'a, T>(
    value: &mut Value<T>,
    text: &'a str,
    read: fn(&'a str) -> Result<T, Cause>,
) -> Result<Outcome, Cause> {
    if text.is_empty() {
        *value = Value::Default;
        return Ok(Outcome::Default);
    }
    *value = Value::Is(read(text)?);
    Ok(Outcome::Used)
}

/// The labels of one style in one place.
#[derive(Clone, Copy)]
struct Resolver<'r, 'a> {
    rules: &'r Rules,
    style: Style<'r>,
    of: DeclaredBy,
    maps: Maps<'a>,
}

/// Adds what these labels declare, and writes into each what became of it.
pub(super) fn resolve<'a>(
    rules: &Rules,
    style: Style<'_>,
    of: DeclaredBy,
    maps: Maps<'a>,
    entries: &mut [Entry<'a>],
    declared: &mut Declared<'a>,
) {
    let unreadable = entries.partition_point(|entry| entry.key.is_none());
    Resolver { rules, style, of, maps }.resolve(&mut entries[unreadable..], declared);
}

impl<'a> Resolver<'_, 'a> {
    fn resolve(self, entries: &mut [Entry<'a>], declared: &mut Declared<'a>) {
        let end = entries.partition_point(|entry| entry.endpoint.is_empty());
        if switch_off(&mut entries[..end], &Outcome::ServiceOff) {
            mark(&mut entries[end..], &Outcome::ServiceOff);
            declared.by = Some(self.of);
            declared.switched_off = true;
            return;
        }
        if self.yields() {
            mark(entries, &Outcome::Unused);
            return;
        }
        if !self.is_enabled(entries) {
            return;
        }
        let (unnamed, named) = entries.split_at_mut(end);
        let defaults = self.draft(unnamed, &Draft::default());
        let is_declared = self.is_declared(unnamed);
        let mut any = is_declared;
        if is_declared {
            self.finish(unnamed, &defaults, &Draft::default(), declared);
        }
        for group in named.chunk_by_mut(|a, b| a.endpoint == b.endpoint) {
            if switch_off(group, &Outcome::EndpointOff) {
                any = true;
                continue;
            }
            if !self.is_declared(group) {
                let name = group[0].endpoint;
                let prefix = self.style.prefix;
                let instead = format!("write {prefix}{name}.port, too");
                self.refuse_group(group, Cause::new(Reason::NoPort, instead));
                continue;
            }
            any = true;
            if declared.endpoints.len() + declared.probes.len() >= MOST_ENDPOINTS {
                let instead =
                    format!("a service has at most {MOST_ENDPOINTS} endpoints and probes");
                self.refuse_group(group, Cause::new(Reason::TooManyEndpoints, instead));
                continue;
            }
            let draft = self.draft(group, &defaults);
            self.finish(group, &draft, &defaults, declared);
        }
        if any {
            declared.by = Some(self.of);
        }
        if !is_declared && !unnamed.is_empty() {
            self.finish_defaults(unnamed, any);
        }
    }

    /// Whether there are labels that only another dialect with this prefix can read.
    fn yields(self) -> bool {
        let Some(dialect) = self.style.dialect.filter(|dialect| dialect.yields) else {
            return false;
        };
        let others = self.rules.dialects.iter().filter(|other| other.prefix == dialect.prefix);
        self.maps.of(self.of.place).iter().any(|(label, _)| {
            label.strip_prefix(dialect.prefix).is_some_and(|rest| {
                let is_read = |other: &&&'static super::Dialect| other.read(rest).is_some();
                dialect.read(rest).is_none() && others.clone().any(|other| is_read(&other))
            })
        })
    }

    /// Whether the endpoints of a dialect count.
    fn is_enabled(self, entries: &mut [Entry<'a>]) -> bool {
        let Some(dialect) = self.style.dialect.filter(|dialect| dialect.opt_in) else {
            return true;
        };
        let has_switch = |entry: &Entry<'_>| entry.is(Setting::Enable);
        if entries.iter().any(|entry| has_switch(entry) && entry.switch() == Some(true)) {
            return true;
        }
        let enable = dialect.keys.iter().find(|(_, setting)| *setting == Setting::Enable);
        let enable = enable.map_or("", |(key, _)| key);
        let instead = format!(r#"write {}{enable}="true", too"#, dialect.prefix);
        let declaring = entries.iter().position(|entry| entry.is_one_of(dialect.declaring));
        for (at, entry) in entries.iter_mut().enumerate() {
            if Some(at) == declaring {
                entry.refuse(self.of, Cause::new(Reason::NotEnabled, &*instead), true);
            } else {
                entry.outcome = Outcome::Unused;
            }
        }
        false
    }

    fn is_declared(self, group: &[Entry<'a>]) -> bool {
        let declaring = self.style.dialect.map_or(DECLARING, |dialect| dialect.declaring);
        group.iter().any(|entry| entry.is_one_of(declaring))
    }

    /// Reads the values of an endpoint's labels.
    fn draft(self, group: &mut [Entry<'a>], unnamed: &Draft<'a>) -> Draft<'a> {
        let mut draft = Draft::default();
        for at in 0..group.len() {
            let (before, rest) = group.split_at_mut(at);
            let Some((entry, key)) = rest.first_mut().and_then(|entry| {
                let key = entry.key.clone()?;
                Some((entry, key))
            }) else {
                continue;
            };
            let same = before.last().filter(|before| before.key.as_ref() == Some(&key));
            let set = match same {
                None => draft.set(&key, entry.value),
                Some(same) if is_same(same.value, entry.value) => Ok(Outcome::Used),
                Some(same) => {
                    let instead = format!("{} says something else; remove one", same.label);
                    Err(Cause::new(Reason::Contradiction, instead))
                }
            };
            match set {
                Ok(outcome) => entry.outcome = outcome,
                Err(cause) => {
                    let only_itself = matches!(key.setting, Setting::Label | Setting::Probe);
                    entry.refuse(self.of, cause, !only_itself);
                    draft.spoil(key.setting);
                    if !only_itself {
                        draft.lost.get_or_insert(entry.label);
                    }
                }
            }
        }
        self.check_times(group, &mut draft, unnamed);
        draft
    }

    /// Prometheus refuses a target whose timeout is greater than its interval.
    fn check_times(self, group: &mut [Entry<'a>], draft: &mut Draft<'a>, unnamed: &Draft<'a>) {
        let times = (draft.interval.or(unnamed.interval), draft.timeout.or(unnamed.timeout));
        let (Value::Is(interval), Value::Is(timeout)) = times else { return };
        if timeout <= interval {
            return;
        }
        // At least one of the two is its own.
        let (setting, instead) = if draft.timeout == Value::Unset {
            let instead = format!("the inherited timeout is {timeout}: write a timeout, too");
            (Setting::Interval, instead)
        } else {
            (Setting::Timeout, format!("the interval is {interval}: write at most that"))
        };
        draft.spoil(setting);
        for entry in group.iter_mut().filter(|entry| entry.is(setting)) {
            entry.refuse(self.of, Cause::new(Reason::Timeout, &*instead), true);
            draft.lost.get_or_insert(entry.label);
        }
    }

    /// Adds the endpoint and the probe, or says why not.
    fn finish(
        self,
        group: &mut [Entry<'a>],
        draft: &Draft<'a>,
        unnamed: &Draft<'a>,
        declared: &mut Declared<'a>,
    ) {
        if draft.module.is_some() && !group.iter().any(|entry| entry.is(Setting::Probe)) {
            let instead = "a module is that of a probe: write the key probe, too";
            self.refuse_settings(group, &[Setting::Module], instead);
        }
        let has_endpoint = draft.port.is_some() || draft.scrape || self.style.dialect.is_some();
        let class = draft.class.or(unnamed.class);
        if has_endpoint && draft.class == Value::Unset && class == Value::Bad {
            // Its credentials are not those of the normal list.
            let instead = "the class that it inherits is refused";
            self.refuse_group(group, Cause::new(Reason::Class, instead));
            return;
        }
        if let Some(lost) = draft.lost {
            mark(group, &Outcome::EndpointRefused(lost.into()));
            return;
        }
        let name = group[0].endpoint;
        let shared = draft.shared(unnamed);
        if let Some(probe) = draft.probe {
            match self.urls(probe) {
                Ok(urls) => {
                    let (module, shared) = (draft.module, shared.clone());
                    declared.probes.push(Probe { name, urls, module, shared });
                }
                Err(cause) => {
                    for entry in group.iter_mut().filter(|entry| entry.is(Setting::Probe)) {
                        entry.refuse(self.of, cause.clone(), false);
                    }
                }
            }
        }
        if !has_endpoint {
            let settings = [
                Setting::Path,
                Setting::Scheme,
                Setting::Network,
                Setting::SampleLimit,
                Setting::Class,
                Setting::Param,
            ];
            self.refuse_settings(group, &settings, "a probe alone does not have it");
            return;
        }
        let default_port = self.style.dialect.and_then(|dialect| dialect.default_port);
        let port = draft.port.or(default_port);
        declared.endpoints.push(Endpoint {
            name,
            port: port.map_or(EndpointPort::OnlyPublished, EndpointPort::Number),
            path: draft.path.clone().unwrap_or("/metrics".into()),
            scheme: draft.scheme.unwrap_or("http"),
            params: draft.params.clone(),
            shared: Shared {
                job: shared.job.or(self
                    .style
                    .dialect
                    .and(Some(name))
                    .filter(|name| !name.is_empty())),
                ..shared
            },
            network: draft.network.or(unnamed.network).get(),
            sample_limit: draft.sample_limit.or(unnamed.sample_limit).get(),
            class: class.get().unwrap_or_default(),
        });
    }

    /// Labels without an endpoint's name, where there is no unnamed endpoint.
    fn finish_defaults(self, unnamed: &mut [Entry<'a>], has_named: bool) {
        if has_named {
            let own = [Setting::Path, Setting::Scheme, Setting::Param, Setting::Module];
            let instead = "named endpoints do not inherit it: write it for each of them";
            self.refuse_settings(unnamed, &own, instead);
        } else if self.style.dialect.is_none() {
            let prefix = self.style.prefix;
            let instead = format!("write {prefix}port, too, in the same place");
            self.refuse_group(unnamed, Cause::new(Reason::NoPort, instead));
        } else {
            mark(unnamed, &Outcome::Unused);
        }
    }

    fn urls(self, probe: ProbeValue<'a>) -> Result<Vec<Cow<'a, str>>, Cause> {
        match probe {
            ProbeValue::Url(url) => Ok(vec![url.into()]),
            ProbeValue::Traefik => {
                let urls = traefik::urls(self.maps.service, self.maps.container);
                let instead = "the service has no Traefik rule with a host";
                if urls.is_empty() {
                    return Err(Cause::new(Reason::TraefikHosts, instead));
                }
                Ok(urls.into_iter().map(Cow::Owned).collect())
            }
        }
    }

    /// Refuses the endpoint because of its first label.
    fn refuse_group(self, group: &mut [Entry<'a>], cause: Cause) {
        if let Some((first, rest)) = group.split_first_mut() {
            first.refuse(self.of, cause, true);
            mark(rest, &Outcome::EndpointRefused(first.label.into()));
        }
    }

    /// Refuses labels that have no effect on their endpoint.
    fn refuse_settings(self, group: &mut [Entry<'a>], settings: &[Setting], instead: &str) {
        for entry in group.iter_mut().filter(|entry| entry.is_one_of(settings)) {
            if !matches!(entry.outcome, Outcome::Refused(_)) {
                entry.refuse(self.of, Cause::new(Reason::NoEffect, instead), false);
            }
        }
    }
}

/// Whether a label switches the endpoint off, and then what becomes of the others.
fn switch_off(group: &mut [Entry<'_>], outcome: &Outcome) -> bool {
    let Some(switch) = group.iter().position(|entry| entry.switch() == Some(false)) else {
        return false;
    };
    for (at, entry) in group.iter_mut().enumerate() {
        entry.outcome = if at == switch { Outcome::Used } else { outcome.clone() };
    }
    true
}

/// Writes what became of all labels that are not refused.
fn mark(group: &mut [Entry<'_>], outcome: &Outcome) {
    for entry in group.iter_mut() {
        if !matches!(entry.outcome, Outcome::Refused(_)) {
            entry.outcome = outcome.clone();
        }
    }
}

/// Whether two values say the same.
fn is_same(a: &str, b: &str) -> bool {
    let booleans = (values::boolean(a), values::boolean(b));
    a == b || matches!(booleans, (Ok(a), Ok(b)) if a == b)
}
