use std::time::SystemTime;

use swarmscout_model::target::relabel_group;
use swarmscout_model::{
    Completeness, Labels, LabelsBuilder, PoolSpec, SyncStats, TargetCounts, TargetGroup,
};

use super::*;

/// A target of the task `t<number>` on the node `n1`.
fn target(number: u8, path: &str, source: &str, task: &str) -> Labels {
    let address = format!("192.0.2.1:{}", 9000 + u16::from(number));
    let labels = [
        ("__address__", &*address),
        (ADDRESS_SOURCE, source),
        (METRICS_PATH, path),
        (NODE_ID, "n1"),
        (TASK_ID, task),
    ];
    labels.into_iter().collect()
}

fn reached(number: u8, port: u16) -> Labels {
    let task = format!("t{number}");
    target(number, &format!("/reach/{task}/http/{port}/metrics"), NODE_PART, &task)
}

fn group(source: &str, targets: Vec<Labels>) -> SetGroup {
    let group = TargetGroup { source: source.into(), targets, labels: Labels::empty() };
    let spec = PoolSpec::new("job");
    let mut builder = LabelsBuilder::new();
    let relabelled = relabel_group(Arc::new(group), &spec.defaults, &spec.relabel, &mut builder);
    SetGroup::new(Arc::new(relabelled), &[])
}

fn set(job: &str, groups: &[&SetGroup]) -> Arc<TargetSet> {
    Arc::new(TargetSet {
        pool: Arc::new(PoolSpec::new(job)),
        groups: groups.iter().map(|group| (*group).clone()).collect(),
        counts: TargetCounts::default(),
        completeness: Completeness::Complete,
        limit_error: None,
        stale_config: false,
        changed: SystemTime::UNIX_EPOCH,
        syncs: SyncStats::default(),
    })
}

fn shown(index: &ReachIndex, task: &str) -> String {
    let target = |it: ReachTarget| format!("{}:{}{}", it.scheme, it.port, it.path);
    index.of("n1", task).into_iter().map(target).collect::<Vec<_>>().join(" ")
}

#[test]
fn only_targets_that_a_node_part_fetches_are_listed() {
    for (source, labels, expected) in [
        ("Swarmscout/s1", reached(1, 80), "http:80/metrics"),
        ("Swarmscout;state", reached(1, 80), "http:80/metrics"),
        // Of a server that sends what it likes.
        ("http://evil/:0", reached(1, 22), ""),
        ("Swarmscout.json:0", reached(1, 22), ""),
        ("Swarmscout/s1", target(1, "/reach/t1/http/80/metrics", "node", "t1"), ""),
        ("Swarmscout/s1", target(1, "/reach/t1/http/80/metrics", NODE_PART, "t2"), ""),
        ("Swarmscout/s1", target(1, "/metrics", NODE_PART, "t1"), ""),
        ("Swarmscout/s1", target(1, "/reach/t1/ftp/80/metrics", NODE_PART, "t1"), ""),
    ] {
        let mut index = ReachIndex::default();
        index.update(&[set("a", &[&group(source, vec![labels])])]);
        assert_eq!(shown(&index, "t1"), expected, "{source}");
        assert_eq!(shown(&index, "t2"), "", "{source}");
    }
}

#[test]
fn a_change_costs_its_group_alone() {
    let groups: Vec<_> =
        (0..9).map(|n| group(&format!("Swarmscout/s{n}"), vec![reached(n, 80)])).collect();
    let all: Vec<_> = groups.iter().collect();
    let mut index = ReachIndex::default();
    assert_eq!(index.update(&[set("a", &all)]), ["n1".into()].into());
    assert_eq!(index.groups_read, 9);
    // The same in another set.
    assert!(index.update(&[set("a", &all)]).is_empty());
    // Two groups that stand apart: each is read as it was and as it is.
    let (first, last) = (
        group("Swarmscout/s0", vec![reached(0, 81)]),
        group("Swarmscout/s8", vec![reached(8, 80)]),
    );
    let mut other = all.clone();
    (other[0], other[8]) = (&first, &last);
    assert_eq!(index.update(&[set("a", &other)]).len(), 1);
    assert_eq!(index.groups_read, 13);
    assert_eq!([shown(&index, "t0"), shown(&index, "t8")], ["http:81/metrics", "http:80/metrics"]);
    // An equal target of another job keeps it listed.
    index.update(&[set("a", &other), set("b", &[&last])]);
    assert!(index.update(&[set("b", &[&last])]).contains("n1"));
    assert_eq!([shown(&index, "t0"), shown(&index, "t8")], ["", "http:80/metrics"]);
    index.update(&[]);
    assert!(index.nodes.is_empty());
}
