//! `swarmscout_sd_configs`, through the target manager and over both feeds of changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use swarmscout_discovery::config::{
    Events, Preset, Reach, Role, Scraper, SwarmscoutConfig, SwarmscoutOptions, UnreachableTargets,
};
use swarmscout_discovery::manager::JobState;
use swarmscout_discovery::{JobConfig, Manager, SdConfig};
use swarmscout_simulator::swarm::ServiceSpec;

use super::shared::{job_of, ready, until};
use super::site::{self, Site};

fn config(site: &Site, events: Events, scraper: Scraper) -> SwarmscoutConfig {
    SwarmscoutConfig {
        engine: site.config(Role::Tasks, events).engine,
        events,
        swarmkit_socket: None,
        options: SwarmscoutOptions {
            label_prefix: "prometheus.io/".to_owned(),
            dialects: Vec::new(),
            stacks: Vec::new(),
            services: Vec::new(),
            scraper,
            unreachable: UnreachableTargets::Keep,
            reach: Reach::Direct,
            // No node is connected to.
            presets: vec![Preset::NodeExporter],
            class: String::new(),
        },
    }
}

/// `job instance` of each target, with the end of its address, and the address' source.
fn targets(state: &JobState) -> BTreeSet<String> {
    let groups = state.set.groups.iter();
    let targets = groups.flat_map(|group| &group.relabelled.active);
    let shown = targets.map(|target| {
        let label = |name| target.labels.get(name).unwrap_or_default();
        let port = label("__address__").rsplit(':').next().unwrap_or_default();
        format!("{} {} :{port}{}", label("job"), label("instance"), label("__metrics_path__"))
    });
    shown.collect()
}

#[track_caller]
fn check(state: &JobState, expected: &[&str]) {
    let found = targets(state);
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn services_say_in_their_labels_how_they_are_scraped() {
    for events in [Events::Watch, Events::Events] {
        let site = Site::new(1);
        site.swarm.label_service(&site.web, "prometheus.io/port", "8080");
        let mut manager = Manager::new(site::context());
        let source = SdConfig::Swarmscout(config(&site, events, Scraper::Here));
        manager.apply(vec![JobConfig::new("swarm", vec![source])]);
        let mut job = job_of(&manager, "swarm");
        let state = ready(&mut job).await;
        let web = ["web web.1 :8080/metrics", "web web.2 :8080/metrics", "web web.3 :8080/metrics"];
        check(&state, &web);

        // The labels of running services count at once.
        site.swarm.label_service(&site.web, "prometheus.io/path", "/m");
        let state = until(&mut job, |job| targets(job).iter().all(|one| one.ends_with("/m"))).await;
        check(&state, &web.map(|target| target.replace("/metrics", "/m")).each_ref().map(|s| &**s));

        // One that has come, on the network of its host, which is scraped on each node; the names
        // of its slots are those of the nodes.
        let host = site.swarm.host_network();
        let exporter =
            ServiceSpec::new("exporter", "prom/node-exporter:v1").global().network(&host);
        let exporter = site.swarm.create_service(exporter);
        let state = until(&mut job, |job| targets(job).len() == 6).await;
        let nodes: Vec<_> =
            targets(&state).into_iter().filter(|one| one.starts_with("node-exporter")).collect();
        assert_eq!(
            nodes,
            ["manager-1", "worker-1", "worker-2"]
                .map(|node| format!("node-exporter {node} :9100/metrics"))
        );

        // A service that is switched off, whatever it is.
        site.swarm.label_service(&exporter, "prometheus.io/scrape", "false");
        let state = until(&mut job, |job| targets(job).len() == 3).await;
        assert!(state.status.sources[0].error.is_none());

        // A restarted task has the same names.
        let before = targets(&state);
        let task = site.swarm.tasks_of(&site.web)[0].meta.id.clone();
        let restarted = |job: &JobState| {
            let groups = job.set.groups.iter();
            let mut targets = groups.flat_map(|group| {
                let relabelled = &group.relabelled;
                relabelled.active.iter().map(move |target| {
                    let labels = &relabelled.group.targets[target.index as usize];
                    labels.get("__meta_dockerswarm_task_id").map(str::to_owned)
                })
            });
            !targets.any(|id| id.as_deref() == Some(&*task)) && self::targets(job).len() == 3
        };
        site.swarm.kill_task(&task);
        let state = until(&mut job, restarted).await;
        assert_eq!(targets(&state), before);
    }
}

#[tokio::test]
async fn labels_that_are_refused_are_counted_at_each_refresh() {
    let site = Site::new(1);
    site.swarm.label_service(&site.web, "prometheus.io/port", "8080");
    site.swarm.label_service(&site.web, "prometheus.io/portt", "8080");
    let context = site::context();
    let counters = Arc::clone(&context.refresh.stats);
    let mut manager = Manager::new(context);
    let source = SdConfig::Swarmscout(config(&site, Events::Events, Scraper::Here));
    manager.apply(vec![JobConfig::new("swarm", vec![source])]);
    let state = ready(&mut job_of(&manager, "swarm")).await;
    let problems = &state.status.sources[0].problems;
    assert_eq!(problems.iter().map(|problem| problem.reason).collect::<Vec<_>>(), ["unknown key"]);
    let counted = counters.problems().into_iter().map(|of| (of.kind, of.reason, of.count));
    assert_eq!(counted.collect::<Vec<_>>(), [("service", "unknown key", 1)]);
}
