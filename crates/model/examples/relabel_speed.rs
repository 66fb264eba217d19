//! How long it takes to relabel 100,000 targets of a Swarm with fifteen usual rules, and to find
//! out again what was discovered of them and what is served.
//!
//! `cargo run --release -p swarmscout-model --example relabel_speed [targets]`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use swarmscout_model::relabel::{RawRule, RelabelRule};
use swarmscout_model::target::{DefaultLabels, MetaLabels, discovered, relabel_group, served};
use swarmscout_model::{Labels, LabelsBuilder, NameScheme, PromDuration};
use swarmscout_model::{TargetDefaults, TargetGroup};

const TARGETS_PER_GROUP: usize = 50;
const ROUNDS: usize = 5;

fn main() {
    let targets = std::env::args().nth(1).map_or(100_000, |arg| arg.parse().unwrap());
    let defaults = defaults();
    let rules = rules();
    let groups: Vec<_> = (0..targets / TARGETS_PER_GROUP).map(group).collect();
    let labels = groups[0].targets[0].len();
    println!("{targets} targets of {labels} labels, {} rules", rules.len());

    let mut builder = LabelsBuilder::new();
    for _ in 0..ROUNDS {
        let (wall, cpu) = (Instant::now(), cpu_time());
        let relabelled: Vec<_> = groups
            .iter()
            .map(|group| relabel_group(Arc::clone(group), &defaults, &rules, &mut builder))
            .collect();
        let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
        let active: usize = relabelled.iter().map(|group| group.active.len()).sum();
        let dropped: usize = relabelled.iter().map(|group| group.dropped.len()).sum();
        let (cpu, wall) = (cpu.as_millis(), wall.as_millis());
        println!("{cpu} ms of CPU in {wall} ms: {active} active, {dropped} dropped");
    }
    let defaults_as_labels = DefaultLabels::new(&defaults);
    let (cpu, mut labels) = (cpu_time(), 0);
    for group in &groups {
        for index in 0..group.targets.len() {
            discovered(group, index, &defaults_as_labels, &mut builder);
            labels += builder.iter().count();
        }
    }
    let cpu_of_served = cpu_time();
    println!(
        "discovered: {} ms of CPU, {labels} labels",
        cpu_of_served.saturating_sub(cpu).as_millis()
    );
    let mut targets = 0;
    for group in &groups {
        for index in 0..group.targets.len() {
            let meta = MetaLabels::Show;
            let address = served(group, index, &defaults_as_labels, &rules, meta, &mut builder);
            targets += usize::from(address.is_some());
        }
    }
    println!(
        "served: {} ms of CPU, {targets} targets",
        cpu_time().saturating_sub(cpu_of_served).as_millis()
    );
    let relabelled = relabel_group(Arc::clone(&groups[0]), &defaults, &rules, &mut builder);
    println!("{:#?}", relabelled.active[0].labels);
}

/// CPU time of this process so far; zero where the system does not report it.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ')
        .next()
        .and_then(|nanos| nanos.parse().ok())
        .map_or(Duration::ZERO, Duration::from_nanos)
}

fn defaults() -> TargetDefaults {
    TargetDefaults {
        job: "swarm-tasks".into(),
        scrape_interval: PromDuration::from_secs(60),
        scrape_timeout: PromDuration::from_secs(10),
        metrics_path: "/metrics".into(),
        scheme: "http".into(),
        params: vec![("module".into(), vec!["default".into()])],
        convert_classic_histograms_to_nhcb: false,
        always_scrape_classic_histograms: false,
        scrape_native_histograms: false,
        common_labels: Labels::empty(),
    }
}

fn rules() -> Vec<RelabelRule> {
    let rule = |action: &str, sources: &[&str], regex: &str, target: &str, replacement: &str| {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let sources: Vec<_> = sources.iter().map(|name| format!("__{name}")).collect();
        let rule = RawRule {
            source_labels: (!sources.is_empty()).then_some(sources),
            regex: text(regex),
            target_label: text(target),
            replacement: text(replacement),
            modulus: (action == "hashmod").then_some(4),
            action: text(action),
            ..RawRule::default()
        };
        rule.check(NameScheme::Utf8).unwrap()
    };
    vec![
        rule("keep", &["meta_dockerswarm_task_desired_state"], "running", "", ""),
        rule("keep", &["meta_dockerswarm_service_label_scrape"], "true|yes", "", ""),
        rule("drop", &["meta_dockerswarm_network_ingress"], "true", "", ""),
        rule(
            "replace",
            &["address__", "meta_dockerswarm_service_label_port"],
            r"([^:]+)(?::\d+)?;(\d+)",
            "__address__",
            "$1:$2",
        ),
        rule("replace", &["meta_dockerswarm_service_label_path"], "(.+)", "__metrics_path__", ""),
        rule("replace", &["meta_dockerswarm_service_label_scheme"], "(https?)", "__scheme__", ""),
        rule("replace", &["meta_dockerswarm_service_name"], "", "service", ""),
        rule("replace", &["meta_dockerswarm_service_name"], "([^_]+)_.+", "stack", ""),
        rule("replace", &["meta_dockerswarm_node_hostname"], "", "node", ""),
        rule(
            "replace",
            &["meta_dockerswarm_service_name", "meta_dockerswarm_task_slot"],
            "(.+);(.+)",
            "instance",
            "$1.$2",
        ),
        rule("labelmap", &[], "__meta_dockerswarm_service_label_(.+)", "", ""),
        rule("labelmap", &[], "__meta_dockerswarm_node_label_(.+)", "", "node_$1"),
        rule("labeldrop", &[], "com_docker_.*", "", ""),
        rule("hashmod", &["address__"], "", "__tmp_hash", ""),
        rule("keep", &["tmp_hash"], "[0-3]", "", ""),
    ]
}

fn group(number: usize) -> Arc<TargetGroup> {
    let target = |i: usize| -> Labels {
        let task = number * TARGETS_PER_GROUP + i;
        let node = task % 1000;
        let own = [
            ("__address__", format!("10.{}.{}.{}:80", task >> 16, task >> 8 & 255, task & 255)),
            ("__meta_dockerswarm_container_label_com_docker_swarm_task", String::new()),
            ("__meta_dockerswarm_network_id", "qvwhwd6p61k4o0ulsknqb066z".into()),
            ("__meta_dockerswarm_network_ingress", "false".into()),
            ("__meta_dockerswarm_network_internal", "false".into()),
            ("__meta_dockerswarm_network_label_com_docker_stack_namespace", "shop".into()),
            ("__meta_dockerswarm_network_name", "shop_default".into()),
            ("__meta_dockerswarm_network_scope", "swarm".into()),
            ("__meta_dockerswarm_node_address", format!("192.168.{}.{}", node >> 8, node & 255)),
            ("__meta_dockerswarm_node_availability", "active".into()),
            ("__meta_dockerswarm_node_engine_version", "28.3.0".into()),
            ("__meta_dockerswarm_node_hostname", format!("worker-{node}.example.com")),
            ("__meta_dockerswarm_node_id", format!("{node:025}")),
            ("__meta_dockerswarm_node_label_rack", format!("r{}", node % 20)),
            ("__meta_dockerswarm_node_label_zone", "eu-west-1a".into()),
            ("__meta_dockerswarm_node_platform_architecture", "x86_64".into()),
            ("__meta_dockerswarm_node_platform_os", "linux".into()),
            ("__meta_dockerswarm_node_role", "worker".into()),
            ("__meta_dockerswarm_node_status", "ready".into()),
            ("__meta_dockerswarm_service_id", format!("{number:025}")),
            ("__meta_dockerswarm_service_label_com_docker_stack_image", "shop/web:1".into()),
            ("__meta_dockerswarm_service_label_com_docker_stack_namespace", "shop".into()),
            ("__meta_dockerswarm_service_label_path", "/metrics".into()),
            ("__meta_dockerswarm_service_label_port", "9100".into()),
            ("__meta_dockerswarm_service_label_scrape", "true".into()),
            ("__meta_dockerswarm_service_label_team", "payments".into()),
            ("__meta_dockerswarm_service_mode", "replicated".into()),
            ("__meta_dockerswarm_service_name", format!("shop_web-{number}")),
            ("__meta_dockerswarm_task_container_id", format!("{task:064x}")),
            ("__meta_dockerswarm_task_desired_state", "running".into()),
            ("__meta_dockerswarm_task_id", format!("{task:025}")),
            ("__meta_dockerswarm_task_slot", (i + 1).to_string()),
            ("__meta_dockerswarm_task_state", "running".into()),
        ];
        own.into_iter().collect()
    };
    Arc::new(TargetGroup {
        source: format!("DockerSwarm/{number}").into(),
        targets: (0..TARGETS_PER_GROUP).map(target).collect(),
        labels: Labels::empty(),
    })
}
