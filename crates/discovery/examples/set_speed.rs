//! What it costs to keep the targets of one job up to date.
//!
//! ```text
//! cargo run --release -p swarmscout-discovery --example set_speed -- [TARGETS [TARGETS_PER_GROUP]]
//! ```
//!
//! First all targets come at once, then one task after the other moves to another address. Shown
//! are CPU seconds of all threads, from the refresh to the set that is handed over, and the
//! resident size; the groups as a source hands them over, with some 20 labels a target, count as
//! well.

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::sync::{Arc, Mutex};
use std::time::Instant;

use swarmscout_discovery::config::{BuildContext, CustomConfig};
use swarmscout_discovery::{
    BoxFuture, Discoverer, Error, Groups, JobConfig, Manager, Refreshed, SdConfig,
};
use swarmscout_model::relabel::{RawRule, RelabelRule};
use swarmscout_model::{LabelsBuilder, NameScheme, TargetGroup};
use swarmscout_refresh::RefreshScope;
use tokio::sync::Notify;

type Failure = Box<dyn std::error::Error>;

const MOVES: u32 = 100;

/// Groups that change on request.
#[derive(Clone)]
struct Tasks {
    groups: Arc<Mutex<Groups>>,
    moved: Arc<Notify>,
}

impl Discoverer for Tasks {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        let groups = self.groups.lock().map(|groups| groups.clone());
        let groups = groups.map_err(|error| Error::Other(error.to_string()));
        Box::pin(async { Ok(Refreshed::new(groups?, Instant::now())) })
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        Box::pin(async {
            self.moved.notified().await;
            RefreshScope::Full
        })
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let targets = arguments.next().transpose()?.unwrap_or(100_000);
    let per_group = arguments.next().transpose()?.unwrap_or(64);
    let before = resident_mebibytes()?;
    let groups: Groups = (0..targets.div_ceil(per_group))
        .map(|number| group(number, per_group.min(targets - number * per_group), 0))
        .collect();
    let with_groups = resident_mebibytes()?;
    let tasks = Tasks { groups: Arc::new(Mutex::new(groups)), moved: Arc::default() };
    let source = {
        let tasks = tasks.clone();
        SdConfig::Custom(CustomConfig {
            mechanism: "tasks",
            display_name: "tasks".into(),
            refresh_interval: None,
            build: Arc::new(move |_context| Ok(Box::new(tasks.clone()))),
        })
    };
    let mut manager = Manager::new(BuildContext::new("set_speed"));
    let cpu = cpu_seconds()?;
    let wall = Instant::now();
    let mut job = JobConfig::new("tasks", vec![source]);
    job.pool.relabel = rules()?;
    manager.apply(vec![job]);
    let mut set = manager.jobs().borrow().first().ok_or("no job")?.set.clone();
    let counts = set.wait_for(|set| set.is_ready()).await?.counts;
    println!("targets:         {counts:?}");
    println!("the groups:      {:.1} MiB", with_groups - before);
    println!(
        "the first set:   {:.3} s of CPU, {:.3} s in all, {:.1} MiB more",
        cpu_seconds()? - cpu,
        wall.elapsed().as_secs_f64(),
        resident_mebibytes()? - with_groups,
    );

    let cpu = cpu_seconds()?;
    for generation in 1..=MOVES {
        let number = generation as usize * 7919 % targets.div_ceil(per_group);
        let moved = group(number, per_group.min(targets - number * per_group), generation);
        tasks.groups.lock().map_err(|error| error.to_string())?[number] = moved;
        tasks.moved.notify_one();
        set.changed().await?;
        set.borrow_and_update();
    }
    println!(
        "one task moves:  {:.6} s of CPU, {:.1} MiB more after {MOVES} moves",
        (cpu_seconds()? - cpu) / f64::from(MOVES),
        resident_mebibytes()? - with_groups,
    );
    manager.shutdown().await;
    Ok(())
}

/// This many tasks of one service, whose first one has moved `generation` times.
fn group(number: usize, targets: usize, generation: u32) -> Arc<TargetGroup> {
    let mut builder = LabelsBuilder::new();
    let target = |index: usize| {
        let generation = if index == 0 { generation } else { 0 };
        let node = (number * 64 + index) % 10_000;
        let address = format!("10.{}.{}.{}:9100", number >> 8, number & 255, index);
        builder.clear();
        builder.set("__address__", &format!("{address}{generation}"));
        for (name, value) in [
            ("task_id", format!("{number:012x}{index:06x}{generation:07x}")),
            ("task_state", "running".to_owned()),
            ("task_desired_state", "running".to_owned()),
            ("task_slot", index.to_string()),
            ("task_container_id", format!("{number:032x}{index:032x}")),
            ("node_id", format!("{node:025x}")),
            ("node_hostname", format!("node-{node}.example.org")),
            ("node_address", format!("192.168.{}.{}", node >> 8, node & 255)),
            ("node_role", "worker".to_owned()),
            ("node_status", "ready".to_owned()),
            ("node_availability", "active".to_owned()),
            ("node_platform_os", "linux".to_owned()),
            ("node_platform_architecture", "x86_64".to_owned()),
        ] {
            builder.set(&format!("__meta_dockerswarm_{name}"), &value);
        }
        builder.build()
    };
    let targets = (0..targets).map(target).collect();
    let labels = [
        ("service_id", format!("{number:025x}")),
        ("service_name", format!("stack_service-{number}")),
        ("service_mode", "replicated".to_owned()),
        ("service_label_com_docker_stack_namespace", "stack".to_owned()),
        ("service_label_prometheus_job", format!("job-{}", number % 20)),
        ("network_name", "stack_default".to_owned()),
        ("network_id", format!("{:025x}", number % 50)),
    ];
    let labels =
        labels.into_iter().map(|(name, value)| (format!("__meta_dockerswarm_{name}"), value));
    Arc::new(TargetGroup {
        source: format!("g/{number}").into(),
        targets,
        labels: labels.collect(),
    })
}

/// What people write for a Swarm.
fn rules() -> Result<Arc<[RelabelRule]>, Failure> {
    let meta = |name: &str| Some(vec![format!("__meta_dockerswarm_{name}")]);
    let keep = |label, regex: &str| RawRule {
        source_labels: meta(label),
        regex: Some(regex.to_owned()),
        action: Some("keep".to_owned()),
        ..RawRule::default()
    };
    let copy = |label, to: &str| RawRule {
        source_labels: meta(label),
        target_label: Some(to.to_owned()),
        ..RawRule::default()
    };
    let raw = [
        keep("task_desired_state", "running"),
        keep("service_label_prometheus_job", ".+"),
        keep("network_name", ".*_default"),
        copy("service_label_prometheus_job", "job"),
        copy("node_hostname", "instance"),
        copy("service_name", "service"),
        copy("task_slot", "slot"),
        copy("service_label_com_docker_stack_namespace", "stack"),
        copy("node_id", "node_id"),
        copy("task_id", "task"),
        RawRule {
            source_labels: meta("service_name"),
            regex: Some("stack_(.*)".to_owned()),
            target_label: Some("service".to_owned()),
            ..RawRule::default()
        },
        RawRule {
            regex: Some("__meta_dockerswarm_service_label_(.+)".to_owned()),
            action: Some("labelmap".to_owned()),
            ..RawRule::default()
        },
        RawRule {
            regex: Some("com_docker_.*".to_owned()),
            action: Some("labeldrop".to_owned()),
            ..RawRule::default()
        },
        RawRule {
            source_labels: Some(vec!["__address__".to_owned()]),
            regex: Some("(.*):.*".to_owned()),
            replacement: Some("$1:9100".to_owned()),
            target_label: Some("__address__".to_owned()),
            ..RawRule::default()
        },
        RawRule {
            source_labels: Some(vec!["__address__".to_owned()]),
            regex: Some("(.*):.*".to_owned()),
            target_label: Some("ip".to_owned()),
            ..RawRule::default()
        },
    ];
    let rules: Result<Vec<_>, _> =
        raw.into_iter().map(|rule| rule.check(NameScheme::Utf8)).collect();
    Ok(rules?.into())
}

/// What all threads have used, user and system, from the scheduler.
fn cpu_seconds() -> Result<f64, Failure> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().ok_or("no figure")?.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

fn resident_mebibytes() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no figure")?;
    let kibibytes: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kibibytes as f64 / 1024.0)
}
