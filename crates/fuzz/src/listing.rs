//! Lists of target groups: HTTP SD and file SD, and our own HTTP SD as its readers read it.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;
use swarmscout_discovery::{Groups, fuzzing};
use swarmscout_model::relabel::{RawRule, RelabelRule};
use swarmscout_model::target::relabel_group;
use swarmscout_model::{
    Completeness, Labels, LabelsBuilder, NameScheme, PoolSpec, SetGroup, SyncStats, TargetCounts,
    TargetGroup, TargetSet,
};

use crate::checks;

const URL: &str = "http://h/";

/// An answer to HTTP SD: all groups with targets that stand in it, each with its targets.
pub fn http_sd(json: &[u8]) {
    let Ok(groups) = fuzzing::http_sd(json, URL) else { return };
    checks::listed(&groups);
    let written = serde_json::from_slice(json).expect("what was read is JSON");
    let groups_written = match &written {
        Value::Array(groups) => &groups[..],
        Value::Null => &[],
        _ => panic!("groups of what is not a list"),
    };
    let mut groups = groups.iter().peekable();
    for (index, written) in groups_written.iter().enumerate() {
        let is_here = |group: &&Arc<TargetGroup>| named(group, index);
        let targets_read = groups.next_if(is_here).map_or(0, |group| group.targets.len());
        // Of a member given twice the last counts here too, but names may differ in case.
        let members = written.as_object().into_iter().flatten();
        let mut targets =
            members.filter(|(name, _)| name.eq_ignore_ascii_case("targets")).map(|(_, of)| of);
        if let (Some(of), None) = (targets.next(), targets.next()) {
            assert_eq!(targets_read, of.as_array().map_or(0, Vec::len));
        }
    }
    assert_eq!(groups.next(), None, "a group that is not in the list");
}

fn named(group: &TargetGroup, index: usize) -> bool {
    *group.source == format!("{URL}:{index}")
}

/// A file of file SD, as YAML and as JSON. The reader of YAML may refuse what is JSON (a member
/// given twice), but must not read it as something else.
pub fn file_sd(text: &[u8]) {
    let read = |name| fuzzing::file_sd(Path::new(name), text);
    let (yaml, json) = (read("targets.yml"), read("targets.json"));
    for groups in [&yaml, &json].into_iter().flatten() {
        checks::listed(groups);
    }
    if let (Ok(yaml), Ok(json)) = (yaml, json) {
        let same = yaml.iter().zip(&json).all(|(yaml, json)| yaml.targets == json.targets);
        assert!(same && yaml.len() == json.len(), "{yaml:?} in YAML, {json:?} in JSON");
    }
}

/// Our HTTP SD of what HTTP SD brought, with and without compression: a reader of it gets what the
/// sources reported, or, in a job that differs in nothing but having no rules, the same targets.
pub fn round_trip(json: &[u8]) {
    let Ok(groups) = fuzzing::http_sd(json, URL) else { return };
    let readers = PoolSpec::new("fuzz");
    let mut ours = readers.clone();
    ours.relabel = rules();
    let (readers, ours) = (Arc::new(readers), Arc::new(ours));
    let set = Arc::new(set(&ours, &groups));
    for raw in [true, false] {
        let plain = swarmscout_publish::testing::http_sd(&set, raw, false);
        let packed = swarmscout_publish::testing::http_sd(&set, raw, true);
        let mut unpacked = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
        decoder.read_to_end(&mut unpacked).expect("what we pack is one gzip member");
        assert_eq!(unpacked, plain);
        let again = fuzzing::http_sd(&plain, URL).expect("we read what we write");
        if raw {
            assert_eq!(reported(&groups), reported(&again));
        } else {
            assert_eq!(active(&set), active(&self::set(&readers, &again)));
        }
    }
}

/// What the sources reported about each target.
fn reported(groups: &Groups) -> Vec<Labels> {
    let mut builder = LabelsBuilder::new();
    let mut reported = Vec::new();
    for group in groups {
        for index in 0..group.targets.len() {
            group.merged(index, &mut builder);
            reported.push(builder.build());
        }
    }
    reported.sort();
    reported
}

/// Names are made of the names that a source reported, and may be empty then.
fn rules() -> Arc<[RelabelRule]> {
    let rule = |action: &str, regex: &str| RawRule {
        action: Some(action.into()),
        regex: Some(regex.into()),
        ..RawRule::default()
    };
    let rules = [rule("labelmap", "x_(.*)"), rule("labeldrop", "y_.*")];
    rules.map(|rule| rule.check(NameScheme::Utf8).expect("both are rules")).into()
}

/// The targets that would be scraped. A label without a name reaches no reader.
fn active(set: &TargetSet) -> Vec<Vec<(&str, &str)>> {
    let mut active = Vec::new();
    for (_, target) in set.active() {
        let named = target.labels.iter().filter(|(name, _)| !name.is_empty());
        checks::labels(named.clone());
        active.push(named.collect());
    }
    active.sort();
    active
}

/// What the target manager would make of these groups, but for duplicates.
fn set(pool: &Arc<PoolSpec>, groups: &Groups) -> TargetSet {
    let mut builder = LabelsBuilder::new();
    let relabel = |group: &Arc<_>| {
        let group = Arc::clone(group);
        SetGroup::new(
            Arc::new(relabel_group(group, &pool.defaults, &pool.relabel, &mut builder)),
            &[],
        )
    };
    TargetSet {
        pool: Arc::clone(pool),
        groups: groups.iter().map(relabel).collect(),
        counts: TargetCounts::default(),
        completeness: Completeness::Complete,
        limit_error: None,
        stale_config: false,
        changed: SystemTime::UNIX_EPOCH,
        syncs: SyncStats::default(),
    }
}
