use expect_test::{Expect, expect};
use swarmscout_docker::classic::ClassicInfo;
use swarmscout_simulator::classic::{Cluster, Node, RECORDED, Status};

use super::*;
use crate::page::{self, Encoding};

/// What `/info` says.
fn snapshot(json: &[u8]) -> ClassicSnapshot {
    let info = ClassicInfo::read(json, 1000).unwrap();
    let rows = info.nodes.iter().map(|rows| [b"[", *rows, b"]"].concat().into());
    ClassicSnapshot {
        strategy: info.strategy.to_string(),
        primary: info.primary.to_string(),
        nodes: rows.collect(),
    }
}

/// What this version answered in this case.
fn recorded(version: &str, case: &str) -> ClassicSnapshot {
    let mut all = RECORDED.iter();
    let (.., json) = all.find(|(of, name, _)| *of == version && *name == case).unwrap();
    snapshot(json)
}

fn observed(snapshot: ClassicSnapshot) -> ObservedClassic {
    let master =
        |name: &str, is_up, is_primary| ClassicMaster { name: name.into(), is_up, is_primary };
    ObservedClassic {
        name: "http://10.77.1.1:3375".into(),
        snapshot: Some(Arc::new(snapshot)),
        masters: vec![
            master("10.77.1.1:3375", Some(true), true),
            master("10.77.1.2:3375", Some(false), false),
            master("10.77.1.3:3375", None, false),
        ],
        up: true,
        as_of: Some(1_795_392_885_000_000),
    }
}

fn exposition(metrics: &ClassicMetrics) -> String {
    let body = page::join(&metrics.pages().collect::<Vec<_>>(), Encoding::Text);
    String::from_utf8(body.pieces.iter().flatten().copied().collect()).unwrap()
}

fn from_scratch(observed: &ObservedClassic, options: Options) -> String {
    let mut metrics = ClassicMetrics::new(Arc::new(options));
    metrics.update(observed);
    exposition(&metrics)
}

/// The series whose name and labels contain all of these words, in the order of the families.
#[track_caller]
fn check(observed: &ObservedClassic, options: Options, words: &str, expected: &Expect) {
    let text = from_scratch(observed, options);
    let is_wanted = |line: &&str| words.split(' ').all(|word| line.contains(word));
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter(is_wanted);
    let mut lines: Vec<_> = lines.map(|line| line.strip_prefix("classicswarm_").unwrap()).collect();
    // The order of nodes depends on the number of shards.
    let family = |line: &str| line.split('{').next().map(str::to_owned);
    for of_family in lines.chunk_by_mut(|a, b| family(a) == family(b)) {
        of_family.sort_unstable();
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_swarm_and_its_masters_have_all_their_series() {
    let is_about_nodes = |line: &&str| !line.starts_with('#') && !line.contains("{node=");
    let text = from_scratch(&observed(recorded("1.2.9", "unhealthy")), Options::default());
    let lines: Vec<_> = text.lines().filter(is_about_nodes).collect();
    expect![[r#"
        classicswarm_up 1
        classicswarm_last_refresh_timestamp_seconds 1795392885
        classicswarm_info{strategy="spread"} 1
        classicswarm_has_primary 0
        classicswarm_nodes{status="Pending"} 1
        classicswarm_nodes{status="Unhealthy"} 1
        classicswarm_nodes{status="Healthy"} 3
        classicswarm_nodes{status="Disconnected"} 0
        classicswarm_nodes{status="Unknown"} 0
        classicswarm_master_up{master="10.77.1.1:3375"} 1
        classicswarm_master_up{master="10.77.1.2:3375"} 0
        classicswarm_master_primary{master="10.77.1.1:3375"} 1
        classicswarm_master_primary{master="10.77.1.2:3375"} 0"#]]
    .assert_eq(&lines.join("\n"));
    let replica = observed(recorded("1.2.9", "ha-no-primary"));
    check(
        &replica,
        Options::default(),
        "primary",
        &expect![[r#"
        has_primary 0
        master_primary{master="10.77.1.1:3375"} 1
        master_primary{master="10.77.1.2:3375"} 0"#]],
    );
}

#[test]
fn a_node_has_all_its_series() {
    let options = Options {
        constant_labels: vec![("cluster".to_owned(), "home".to_owned())],
        series_labels: vec!["zone".to_owned()],
        shown_labels: vec!["storage".to_owned(), "note".to_owned()],
        ..Options::default()
    };
    check(
        &observed(recorded("1.2.9", "healthy")),
        options,
        "node-1",
        &expect![[r#"
        node_info{cluster="home",node="node-1",zone="z1",node_id="AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ|10.77.1.11:2375",address="10.77.1.11:2375",engine_version="20.10.24+dfsg1",operating_system="Debian GNU/Linux 12 (bookworm) (containerized)",kernel_version="6.18.44-fc-v595",storage_driver="overlay2"} 1
        node_status{cluster="home",node="node-1",zone="z1",status="Disconnected"} 0
        node_status{cluster="home",node="node-1",zone="z1",status="Healthy"} 1
        node_status{cluster="home",node="node-1",zone="z1",status="Pending"} 0
        node_status{cluster="home",node="node-1",zone="z1",status="Unhealthy"} 0
        node_status{cluster="home",node="node-1",zone="z1",status="Unknown"} 0
        node_updated_timestamp_seconds{cluster="home",node="node-1",zone="z1"} 1795392556
        node_containers{cluster="home",node="node-1",zone="z1"} 2
        node_containers_by_state{cluster="home",node="node-1",zone="z1",state="paused"} 0
        node_containers_by_state{cluster="home",node="node-1",zone="z1",state="running"} 1
        node_containers_by_state{cluster="home",node="node-1",zone="z1",state="stopped"} 1
        node_cpus{cluster="home",node="node-1",zone="z1"} 2
        node_memory_bytes{cluster="home",node="node-1",zone="z1"} 26542897889
        node_reserved_cpus{cluster="home",node="node-1",zone="z1"} 1
        node_reserved_memory_bytes{cluster="home",node="node-1",zone="z1"} 67108864
        node_labels{cluster="home",node="node-1",zone="z1",label_note="a,b=c d",label_storage="ssd"} 1"#]],
    );
}

/// Before 1.0.1 there is no status, and only from 1.1.0 the time of the last report.
#[test]
fn nodes_of_the_first_version_have_what_it_reports() {
    check(
        &observed(recorded("0.1.0", "pending-one")),
        Options::default(),
        "node-1",
        &expect![[r#"
            node_info{node="node-1",address="10.77.1.11:2375"} 1
            node_status{node="node-1",status="Disconnected"} 0
            node_status{node="node-1",status="Healthy"} 0
            node_status{node="node-1",status="Pending"} 0
            node_status{node="node-1",status="Unhealthy"} 0
            node_status{node="node-1",status="Unknown"} 1
            node_containers{node="node-1"} 2
            node_cpus{node="node-1"} 2
            node_memory_bytes{node="node-1"} 25275882537
            node_reserved_cpus{node="node-1"} 10
            node_reserved_memory_bytes{node="node-1"} 67108864"#]],
    );
}

#[test]
fn nodes_without_a_name_or_with_the_same_have_their_address() {
    let odd = observed(recorded("1.2.9", "tls-engine-and-duplicate-hostname"));
    check(
        &odd,
        Options::default(),
        "node_containers{",
        &expect![[r#"
            node_containers{node="10.77.1.14:2375"} 0
            node_containers{node="node-1-10.77.1.11:2375"} 2
            node_containers{node="node-1-10.77.1.15:2375"} 0
            node_containers{node="node-2"} 1
            node_containers{node="node-3"} 2"#]],
    );
}

#[test]
fn every_recorded_answer_has_valid_series() {
    for (version, case, _) in RECORDED {
        let observed = observed(recorded(version, case));
        let text = from_scratch(&observed, Options::default());
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let names = series.iter().map(|line| line.rsplit_once(' ').unwrap().0);
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), series.len(), "{version} {case}: a series stands there twice");
        let nodes = observed.snapshot.unwrap().nodes.len();
        let of = |family: Family| {
            names.iter().filter(|name| name.starts_with(&format!("{}{{", family.name()))).count()
        };
        assert_eq!(of(Family::ClassicNodeInfo), nodes, "{version} {case}");
        assert_eq!(of(Family::ClassicNodeStatus), 5 * nodes, "{version} {case}");
        assert_eq!(of(Family::ClassicNodeReservedMemory), nodes, "{version} {case}");
    }
}

/// A label of an Engine that becomes one of its series must not be one that they have.
#[test]
fn labels_of_series_are_known() {
    let text = from_scratch(&observed(recorded("1.2.9", "healthy")), Options::default());
    for line in text.lines().filter(|line| line.starts_with("classicswarm_node_")) {
        let labels = line.split_once('{').unwrap().1;
        for name in labels.split("=\"").filter_map(|part| part.rsplit(['{', ',']).next()) {
            let is_name = !name.contains(['"', '}', ' ', '.', '-']);
            assert!(!is_name || crate::OWN_LABELS.contains(&name), "{name} in {line}");
        }
    }
}

/// The swarm keeps the rows of a node that did not change, as discovery does.
fn next(before: &ClassicSnapshot, cluster: &Cluster) -> ClassicSnapshot {
    let mut now = snapshot(&cluster.info((1, 2, 9), None));
    for rows in &mut now.nodes {
        if let Some(known) = before.nodes.iter().find(|known| known == &rows) {
            *rows = Arc::clone(known);
        }
    }
    now
}

/// Whatever happens in whatever order, what is kept is what is made from scratch.
#[test]
fn changes_lead_to_the_same_series() {
    let cluster = Cluster::of(3);
    let mut kept = ClassicMetrics::new(Arc::default());
    let mut now = ClassicSnapshot::default();
    for step in 0..60_usize {
        cluster.edit(|nodes| match step % 6 {
            0 => nodes.push(Node::new(&format!("n{}", step % 9), &format!("10.0.0.{step}:2375"))),
            1 => drop(nodes.remove(step % nodes.len())),
            2 => nodes[0].containers.0 += 1,
            3 => nodes[1].status = Status::Pending,
            4 => nodes[1].status = Status::Healthy,
            _ => nodes[0].name = "n1".to_owned(),
        });
        now = next(&now, &cluster);
        let observed = observed(now.clone());
        kept.update(&observed);
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let fresh = from_scratch(&observed, Options::default());
        assert_eq!(sorted(&exposition(&kept)), sorted(&fresh), "step {step}");
    }
}

/// Only what changed is compressed again.
#[test]
fn a_family_with_the_same_text_is_kept() {
    let cluster = Cluster::of(2);
    let mut metrics = ClassicMetrics::new(Arc::default());
    let mut now = next(&ClassicSnapshot::default(), &cluster);
    metrics.update(&observed(now.clone()));
    let pieces = |metrics: &ClassicMetrics| -> BTreeMap<_, Vec<_>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for (family, piece) in metrics.nodes.pages().flatten() {
            all.entry(*family).or_default().push(piece.address());
        }
        all
    };
    let before = pieces(&metrics);
    cluster.edit(|nodes| nodes.iter_mut().for_each(|node| node.cpus.0 += 1));
    now = next(&now, &cluster);
    metrics.update(&observed(now));
    let after = pieces(&metrics);
    let changed = before.iter().filter(|(family, pieces)| after[*family] != **pieces);
    let changed: Vec<_> = changed.map(|(family, _)| family.name()).collect();
    assert_eq!(changed, ["classicswarm_node_reserved_cpus"]);
}

#[test]
fn a_primary_that_does_not_answer_is_none() {
    let check = |masters: &[(&str, Option<bool>)], primary: &str, expected: &str| {
        let masters = masters.iter().map(|&(name, is_up)| ClassicMaster {
            name: name.into(),
            is_up,
            is_primary: is_up == Some(true) && name == primary,
        });
        let snapshot =
            ClassicSnapshot { primary: primary.to_owned(), ..ClassicSnapshot::default() };
        let observed = ObservedClassic { masters: masters.collect(), ..observed(snapshot) };
        let text = from_scratch(&observed, Options::default());
        assert!(text.contains(&format!("\nclassicswarm_has_primary {expected}\n")), "{text}");
    };
    let (up, down) = (Some(true), Some(false));
    check(&[("a", up), ("b", None)], "a", "1");
    check(&[("a", up), ("b", up)], "", "0");
    // All are down: what one said last is over.
    check(&[("a", down), ("b", down)], "a", "0");
    check(&[("a", down), ("b", down)], "10.0.0.9:2375", "0");
    // A replica names the primary that is gone until another one is elected.
    check(&[("a", down), ("b", up)], "a", "0");
    check(&[("a", down), ("b", up)], "10.0.0.9:2375", "1");
}

/// One source names the masters, another one their addresses.
#[test]
fn swarms_with_the_same_nodes_are_one() {
    let of = |master: &str, version: &str, case: &str| ObservedClassic {
        name: master.into(),
        masters: vec![ClassicMaster { name: master.into(), is_up: Some(true), is_primary: true }],
        ..observed(recorded(version, case))
    };
    let healthy = of("m1:2375", "1.2.9", "healthy");
    assert!(healthy.is_same(&of("10.0.0.1:2375", "1.2.9", "healthy")));
    assert!(!healthy.is_same(&of("10.0.0.1:2375", "1.2.9", "empty")));
    let unknown = ObservedClassic { snapshot: None, ..of("10.0.0.1:2375", "1.2.9", "healthy") };
    assert!(!healthy.is_same(&unknown));
}
