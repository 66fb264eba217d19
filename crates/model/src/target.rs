//! From a discovered group to the targets of a job (Prometheus `scrape/target.go`,
//! `PopulateLabels`).
//!
//! A target keeps only what relabeling left of it. What was discovered, and what a reader of HTTP
//! SD gets, are not stored a second time: they are functions of the group, the job's defaults and
//! its rules, see [`discovered`] and [`served`].

mod stages;

use std::convert::Infallible;
use std::sync::Arc;

use crate::budget::{allocation, shared_allocation};
use crate::duration::{DurationError, PromDuration};
use crate::groups::TargetGroup;
use crate::labels::{ADDRESS, INSTANCE, Labels, LabelsBuilder, META_PREFIX, PARAM_PREFIX};
use crate::quote::Quoted;
use crate::relabel::{self, Action, RelabelRule};
use crate::target_set::SetGroup;
use crate::url;

pub use self::stages::{DefaultLabels, MetaLabels, discovered, raw, served};

const SCRAPE_INTERVAL: &str = "__scrape_interval__";
const SCRAPE_TIMEOUT: &str = "__scrape_timeout__";
const METRICS_PATH: &str = "__metrics_path__";
const SCHEME: &str = "__scheme__";

/// The labels that hold a boolean, with what Prometheus calls them, in the order of its checks.
const BOOLEANS: [(&str, &str); 3] = [
    ("__convert_classic_histograms_to_nhcb__", "convert classic histograms to nhcb"),
    ("__always_scrape_classic_histograms__", "always scrape classic histograms"),
    ("__scrape_native_histograms__", "scrape native histograms"),
];

/// What a job says of its targets unless their labels say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetDefaults {
    /// `job_name`, the label `job`.
    pub job: Arc<str>,
    /// `__scrape_interval__`.
    pub scrape_interval: PromDuration,
    /// `__scrape_timeout__`.
    pub scrape_timeout: PromDuration,
    /// `__metrics_path__`.
    pub metrics_path: String,
    /// `__scheme__`.
    pub scheme: String,
    /// URL parameters in the byte order of their names; the first value of each is
    /// `__param_<name>`.
    pub params: Vec<(String, Vec<String>)>,
    /// `__convert_classic_histograms_to_nhcb__`.
    pub convert_classic_histograms_to_nhcb: bool,
    /// `__always_scrape_classic_histograms__`.
    pub always_scrape_classic_histograms: bool,
    /// `__scrape_native_histograms__`.
    pub scrape_native_histograms: bool,
    /// Labels as if they stood with every target in the file: `cluster`. Targets whose series have
    /// [labels of their own](crate::target_list::HONOR_LABELS) do not get them.
    pub common_labels: Labels,
}

/// A target that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its place in [`RelabelledGroup::group`].
    pub index: u32,
    /// All labels that are left: `__meta_*` is gone, other `__*` are there, `instance` is set.
    pub labels: Labels,
}

/// A target that relabeling drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its place in [`RelabelledGroup::group`].
    pub index: u32,
    /// Why.
    pub reason: DropReason,
}

/// Why a target is dropped.
///
/// Prometheus also drops a target without public labels. That cannot happen here: a target that
/// passes the rules has an address, and so an `instance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The rule with this index in `relabel_configs`, counted from 0, dropped it.
    Relabel {
        /// Index of the rule.
        rule: usize,
    },
}

impl DropReason {
    /// The rule among `rules`, and what it does: `relabel_configs[2]: drop (job =~ "a|b")`.
    pub fn describe(self, rules: &[RelabelRule]) -> String {
        /// The most bytes that are shown of a condition.
        const SHOWN: usize = 256;
        let Self::Relabel { rule: number } = self;
        let Some(rule) = rules.get(number) else { return format!("relabel_configs[{number}]") };
        let (sources, action) = (rule.source_labels().join(", "), rule.action());
        let mut condition = match action {
            Action::KeepEqual | Action::DropEqual => format!("{sources} = {}", rule.target_label()),
            _ => format!("{sources} =~ {}", Quoted(rule.regex())),
        };
        if condition.len() > SHOWN {
            condition.truncate(condition.floor_char_boundary(SHOWN));
            condition.push('…');
        }
        [&format!("relabel_configs[{number}]:"), action.name(), &format!("({condition})")].join(" ")
    }
}

/// A target that cannot be scraped: Prometheus logs it as `Creating target failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place in [`RelabelledGroup::group`].
    pub index: u32,
    /// What is wrong with it, in Prometheus' words: `no address`.
    pub reason: String,
}

/// A group as one job sees it. Depends on nothing but the group, the job's defaults and its rules,
/// so it is kept as long as those stay the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelledGroup {
    /// What was discovered.
    pub group: Arc<TargetGroup>,
    /// Targets to scrape.
    pub active: Vec<Target>,
    /// Targets that the rules drop.
    pub dropped: Vec<Dropped>,
    /// Targets that Prometheus would reject.
    pub refused: Vec<Refused>,
}

/// Relabels every target of `group`. The builder only lends its memory.
pub fn relabel_group(
    group: Arc<TargetGroup>,
    defaults: &TargetDefaults,
    rules: &[RelabelRule],
    builder: &mut LabelsBuilder,
) -> RelabelledGroup {
    let made = relabel_within(group, defaults, rules, builder, |_| Ok::<_, Infallible>(()));
    made.unwrap_or_else(|never| match never {})
}

/// Like [`relabel_group`], but charges memory first: `take` gets the bytes of each target before it
/// is kept (see [`RelabelledGroup::footprint`]). An error of `take` ends the call.
pub fn relabel_within<E>(
    group: Arc<TargetGroup>,
    defaults: &TargetDefaults,
    rules: &[RelabelRule],
    builder: &mut LabelsBuilder,
    mut take: impl FnMut(u64) -> Result<(), E>,
) -> Result<RelabelledGroup, E> {
    let (mut active, mut dropped, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    let defaults = DefaultLabels::new(defaults);
    take(RelabelledGroup::FRAME)?;
    for (i, index) in (0..group.targets.len()).zip(0..) {
        discovered(&group, i, &defaults, builder);
        if let Err(rule) = relabel::process(rules, builder) {
            take(Dropped::FOOTPRINT)?;
            dropped.push(Dropped { index, reason: DropReason::Relabel { rule } });
            continue;
        }
        match finish(builder) {
            Ok(()) => {
                let target = Target { index, labels: builder.build() };
                take(target.footprint())?;
                active.push(target);
            }
            Err(error) => {
                let target = Refused { index, reason: error.reason() };
                take(target.footprint())?;
                refused.push(target);
            }
        }
    }
    // A list that grows has room for four elements from the first on.
    active.shrink_to_fit();
    dropped.shrink_to_fit();
    refused.shrink_to_fit();
    Ok(RelabelledGroup { group, active, dropped, refused })
}

impl Target {
    /// What it counts as in a [`Budget`](crate::Budget): itself, its labels, and an entry in the
    /// index of its job.
    fn footprint(&self) -> u64 {
        // 24 bytes, in a table that is a seventh to four sevenths empty, and grows to twice its size.
        const ENTRY: u64 = 64;
        size_of::<Self>() as u64 + self.labels.footprint() + ENTRY
    }
}

impl Dropped {
    const FOOTPRINT: u64 = size_of::<Self>() as u64;
}

impl Refused {
    fn footprint(&self) -> u64 {
        size_of::<Self>() as u64 + allocation(self.reason.len())
    }
}

impl RelabelledGroup {
    /// What one without targets takes: its block, those of its three lists, and its place in the
    /// lists of its job. There are two of them while a new one is published.
    const FRAME: u64 = shared_allocation(size_of::<Self>())
        + 3 * allocation(1)
        + Self::MEMBER
        + 4 * size_of::<SetGroup>() as u64;

    /// The entries in the index of the job.
    const MEMBER: u64 = 96;

    /// What it counts as in a [`Budget`](crate::Budget), without the group that it was made of.
    pub fn footprint(&self) -> u64 {
        Self::FRAME
            + self.active.iter().map(Target::footprint).sum::<u64>()
            + self.dropped.len() as u64 * Dropped::FOOTPRINT
            + self.refused.iter().map(Refused::footprint).sum::<u64>()
    }
}

impl Target {
    /// The labels that its metrics get: all whose name does not start with `__`.
    pub fn public_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().filter(|(name, _)| !name.starts_with("__"))
    }

    /// Where it is scraped: scheme, address and path of its labels, and the job's `params`
    /// ([`TargetDefaults::params`]) with `__param_*` in place of their first values. A `?` in the
    /// path is escaped, never the beginning of a query.
    pub fn url(&self, params: &[(String, Vec<String>)]) -> String {
        let label = |name| self.labels.get(name).unwrap_or_default();
        let mut out = String::new();
        url::push_base(&mut out, label(SCHEME), label(ADDRESS), label(METRICS_PATH));
        url::push_query(&mut out, self.params(params));
        out
    }

    /// All URL parameters, sorted by name. The values of one name stay in their order.
    fn params<'a>(&'a self, params: &'a [(String, Vec<String>)]) -> Vec<(&'a str, &'a str)> {
        let own = || {
            let labels = self.labels.iter();
            labels.filter_map(|(name, value)| Some((name.strip_prefix(PARAM_PREFIX)?, value)))
        };
        let rest_of_jobs = params.iter().flat_map(|(name, values)| {
            let overridden = usize::from(own().any(|(own, _)| own == name));
            values.iter().skip(overridden).map(move |value| (name.as_str(), value.as_str()))
        });
        let mut all: Vec<_> = own().chain(rest_of_jobs).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }
}

/// What makes a target impossible to scrape, in Prometheus' words.
#[derive(Debug, thiserror::Error)]
enum TargetError {
    #[error("no address")]
    NoAddress,
    #[error("{} is not a valid hostname", Quoted(.0))]
    Hostname(String),
    #[error("error parsing scrape interval: {0}")]
    Interval(DurationError),
    #[error("scrape interval cannot be 0")]
    ZeroInterval,
    #[error("error parsing scrape timeout: {0}")]
    Timeout(DurationError),
    #[error("scrape timeout cannot be 0")]
    ZeroTimeout,
    #[error(
        "scrape timeout cannot be greater than scrape interval ({} > {})",
        Quoted(.timeout), Quoted(.interval)
    )]
    TimeoutOverInterval { timeout: String, interval: String },
    #[error("error parsing {what}: strconv.ParseBool: parsing {}: invalid syntax", Quoted(.value))]
    Bool { what: &'static str, value: String },
}

impl TargetError {
    /// The reason as text, cut: the quoted value may have any length.
    fn reason(&self) -> String {
        const MOST: usize = 1024;
        let mut reason = self.to_string();
        if reason.len() > MOST {
            reason.truncate(reason.floor_char_boundary(MOST));
            reason.push('…');
        }
        reason
    }
}

/// Checks what relabeling left, removes `__meta_*` and sets `instance`. That label values are valid
/// UTF-8, which Prometheus checks as well, is certain here.
fn finish(builder: &mut LabelsBuilder) -> Result<(), TargetError> {
    let address = builder.value(ADDRESS);
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    if address.contains('/') {
        return Err(TargetError::Hostname(address.to_owned()));
    }
    let interval: PromDuration =
        builder.value(SCRAPE_INTERVAL).parse().map_err(TargetError::Interval)?;
    if interval.is_zero() {
        return Err(TargetError::ZeroInterval);
    }
    let timeout: PromDuration =
        builder.value(SCRAPE_TIMEOUT).parse().map_err(TargetError::Timeout)?;
    if timeout.is_zero() {
        return Err(TargetError::ZeroTimeout);
    }
    if timeout > interval {
        let timeout = builder.value(SCRAPE_TIMEOUT).to_owned();
        let interval = builder.value(SCRAPE_INTERVAL).to_owned();
        return Err(TargetError::TimeoutOverInterval { timeout, interval });
    }
    for (name, what) in BOOLEANS {
        let value = builder.value(name);
        if !value.is_empty() && !is_go_bool(value) {
            return Err(TargetError::Bool { what, value: value.to_owned() });
        }
    }
    builder.remove_all(META_PREFIX, |_| true);
    builder.copy_default(INSTANCE, ADDRESS);
    Ok(())
}

/// Whether Go's `strconv.ParseBool` takes the text.
fn is_go_bool(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
        || matches!(text, "0" | "f" | "F" | "FALSE" | "false" | "False")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NameScheme;
    use crate::relabel::RawRule;
    use crate::target_list::HONOR_LABELS;

    fn defaults() -> TargetDefaults {
        TargetDefaults {
            job: "ours".into(),
            scrape_interval: PromDuration::from_secs(30),
            scrape_timeout: PromDuration::from_secs(10),
            metrics_path: "/metrics".into(),
            scheme: "http".into(),
            params: Vec::new(),
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
            scrape_native_histograms: false,
            common_labels: Labels::empty(),
        }
    }

    fn group(target: &[(&str, &str)], shared: &[(&str, &str)]) -> TargetGroup {
        TargetGroup {
            source: "test".into(),
            targets: vec![target.iter().copied().collect()],
            labels: shared.iter().copied().collect(),
        }
    }

    /// A rule that sets `target` to the replacement, or to the value of a label (`=label`).
    fn replace(target: &str, replacement: &str) -> RelabelRule {
        let source = replacement.strip_prefix('=');
        let rule = RawRule {
            source_labels: source.map(|name| vec![name.to_owned()]),
            target_label: Some(target.into()),
            replacement: source.is_none().then(|| replacement.to_owned()),
            ..RawRule::default()
        };
        rule.check(NameScheme::Utf8).unwrap()
    }

    /// Checks what HTTP SD serves for a target at `host:1` with these labels.
    fn check_served(
        labels: &[(&str, &str)],
        defaults: &TargetDefaults,
        rules: &[RelabelRule],
        meta: MetaLabels,
        expected: Option<&str>,
    ) {
        let group = group(&[&[(ADDRESS, "host:1")], labels].concat(), &[]);
        let mut builder = LabelsBuilder::new();
        let defaults = DefaultLabels::new(defaults);
        let address = served(&group, 0, &defaults, rules, meta, &mut builder);
        let got = address.map(|address| format!("{address} {:?}", builder.build()));
        assert_eq!(got.as_deref(), expected);
    }

    #[test]
    fn a_reader_with_defaults_of_its_own_gets_none_of_ours() {
        check_served(&[], &defaults(), &[], MetaLabels::Show, Some("host:1 {}"));
    }

    /// Readers refuse the whole answer for it.
    #[test]
    fn a_reader_gets_no_label_without_a_name() {
        let rule = RawRule {
            regex: Some("__meta_(.*)".into()),
            action: Some("labelmap".into()),
            ..RawRule::default()
        };
        let rules = [rule.check(NameScheme::Utf8).unwrap()];
        let expected = Some(r#"host:1 {x="1"}"#);
        let labels = [("__meta_", "2"), ("__meta_x", "1")];
        check_served(&labels, &defaults(), &rules, MetaLabels::Hide, expected);
    }

    #[test]
    fn a_reader_gets_what_the_source_set() {
        let labels = [
            ("__meta_x", "1"),
            ("__scrape_interval__", "30s"),
            ("__scrape_native_histograms__", "false"),
            ("instance", "host:1"),
            ("job", "ours"),
        ];
        check_served(
            &labels,
            &defaults(),
            &[],
            MetaLabels::Show,
            Some(
                r#"host:1 {__meta_x="1", __scrape_interval__="30s", __scrape_native_histograms__="false", instance="host:1", job="ours"}"#,
            ),
        );
        check_served(&labels[..1], &defaults(), &[], MetaLabels::Hide, Some("host:1 {}"));
    }

    #[test]
    fn a_reader_gets_what_a_rule_set_even_to_our_default() {
        let rules = [replace("job", "=job"), replace("team", "=job"), replace("__tmp", "x")];
        let expected = Some(r#"host:1 {__tmp="x", job="ours", team="ours"}"#);
        check_served(&[], &defaults(), &rules, MetaLabels::Show, expected);
    }

    #[test]
    fn a_reader_gets_how_the_target_is_reached() {
        let ours = TargetDefaults {
            metrics_path: "/m".into(),
            scheme: "https".into(),
            params: vec![("a".into(), vec!["1".into(), "2".into()]), ("b".into(), vec![])],
            ..defaults()
        };
        let expected = Some(r#"host:1 {__metrics_path__="/m", __param_a="1", __scheme__="https"}"#);
        check_served(&[], &ours, &[], MetaLabels::Show, expected);

        let own = [("__metrics_path__", "/metrics"), ("__scheme__", "http"), ("__param_a", "3")];
        let expected = Some(r#"host:1 {__param_a="3"}"#);
        check_served(&own, &ours, &[], MetaLabels::Show, expected);

        let rules = [replace("__scheme__", "https"), replace("__address__", "other:2")];
        let expected = Some(r#"other:2 {__scheme__="https"}"#);
        check_served(&[], &defaults(), &rules, MetaLabels::Show, expected);
    }

    #[test]
    fn all_targets_have_the_common_labels_unless_they_have_their_own() {
        let common_labels = [("cluster", "home")].into_iter().collect();
        let ours = TargetDefaults { common_labels, ..defaults() };
        let served = |labels: &[_], rules: &[_], expected| {
            check_served(labels, &ours, rules, MetaLabels::Show, Some(expected));
        };
        served(&[], &[], r#"host:1 {cluster="home"}"#);
        served(&[("cluster", "own")], &[], r#"host:1 {cluster="own"}"#);
        // Rules see it.
        let rules = [replace("site", "=cluster"), replace("cluster", "")];
        served(&[], &rules, r#"host:1 {site="home"}"#);
        served(&[(HONOR_LABELS, "true")], &[], r#"host:1 {__meta_swarmscout_honor_labels="true"}"#);

        let group = Arc::new(group(&[(ADDRESS, "host:1")], &[]));
        let mut builder = LabelsBuilder::new();
        raw(&group, 0, &DefaultLabels::new(&ours), &mut builder);
        let expected: Labels = [(ADDRESS, "host:1"), ("cluster", "home")].into_iter().collect();
        assert_eq!(builder.build(), expected);
        let made = relabel_group(group, &ours, &[], &mut builder);
        assert_eq!(made.active[0].labels.get("cluster"), Some("home"));
    }

    #[test]
    fn a_reader_does_not_get_what_is_dropped() {
        let drop = RawRule { action: Some("drop".into()), ..RawRule::default() };
        let drop = drop.check(NameScheme::Utf8).unwrap();
        check_served(&[], &defaults(), &[drop], MetaLabels::Show, None);
        check_served(&[], &defaults(), &[replace(ADDRESS, "")], MetaLabels::Show, None);
    }

    #[test]
    fn targets_of_a_group_keep_their_places() {
        let keep = RawRule {
            source_labels: Some(vec!["keep".into()]),
            regex: Some("yes|bad".into()),
            action: Some("keep".into()),
            ..RawRule::default()
        };
        let rules = [replace("x", "y"), keep.check(NameScheme::Utf8).unwrap()];
        let target = |address, keep| [(ADDRESS, address), ("keep", keep)].into_iter().collect();
        let group = Arc::new(TargetGroup {
            source: "test".into(),
            targets: vec![
                target("a", "no"),
                target("b", "yes"),
                target("c/d", "bad"),
                target("e", "yes"),
            ],
            labels: Labels::empty(),
        });
        let mut builder = LabelsBuilder::new();
        let made = relabel_group(group, &defaults(), &rules, &mut builder);
        let active: Vec<_> = made.active.iter().map(|t| (t.index, t.url(&[]))).collect();
        assert_eq!(active, [(1, "http://b/metrics".into()), (3, "http://e/metrics".into())]);
        let reason = DropReason::Relabel { rule: 1 };
        assert_eq!(made.dropped, [Dropped { index: 0, reason }]);
        let reason = r#""c/d" is not a valid hostname"#.to_owned();
        assert_eq!(made.refused, [Refused { index: 2, reason }]);
        let long = TargetError::Hostname("x/".repeat(1 << 20)).reason();
        assert!(long.starts_with("\"x/x/") && long.ends_with("/x…") && long.len() < 1100);
    }
}
