//! The rules of `docs/labels.md`, written down once more: without buckets, caches and the code that
//! makes targets. It knows the keys that these tests use, and no bad value but that of a port.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// One target in a line.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    list: String,
    job: String,
    instance: String,
    address: String,
    path: String,
    source: String,
    unreachable: bool,
    node: String,
    team: String,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    port: Option<String>,
    path: Option<String>,
    scrape: Option<String>,
    probe: Option<String>,
    job: Option<String>,
    network: Option<String>,
    class: Option<String>,
    team: Option<String>,
}

impl Settings {
    fn set(&mut self, key: &str, value: &str) {
        let place = match key {
            "port" => &mut self.port,
            "path" => &mut self.path,
            "scrape" => &mut self.scrape,
            "probe" => &mut self.probe,
            "job" => &mut self.job,
            "network" => &mut self.network,
            "class" => &mut self.class,
            "label.team" => &mut self.team,
            other => panic!("the model does not know {other}"),
        };
        *place = Some(value.to_owned());
    }

    fn declares(&self) -> bool {
        self.port.is_some() || self.scrape.is_some() || self.probe.is_some()
    }
}

/// The endpoints of the first place that declares one, by name; `None` if there is none.
fn endpoints(service: &LabelMap, container: &LabelMap) -> Option<BTreeMap<String, Settings>> {
    for labels in [service, container] {
        let mut all = BTreeMap::<String, Settings>::new();
        for (label, value) in labels.iter() {
            let Some(rest) = label.strip_prefix("prometheus.io/") else { continue };
            let (endpoint, key) = match rest.split_once('.') {
                Some(("label", _)) | None => ("", rest),
                Some((endpoint, key)) => (endpoint, key),
            };
            all.entry(endpoint.to_owned()).or_default().set(key, value);
        }
        let unnamed = all.get("").cloned().unwrap_or_default();
        if unnamed.scrape.as_deref() == Some("false") {
            return Some(BTreeMap::new());
        }
        if all.values().any(Settings::declares) {
            for settings in all.values_mut() {
                // An empty value is one, too.
                let inherit = |own: &mut Option<String>, from: &Option<String>| {
                    if own.is_none() {
                        own.clone_from(from);
                    }
                };
                inherit(&mut settings.job, &unnamed.job);
                inherit(&mut settings.network, &unnamed.network);
                inherit(&mut settings.class, &unnamed.class);
                inherit(&mut settings.team, &unnamed.team);
            }
            return Some(all);
        }
    }
    for dialect in ["prometheus.port", "prometheus-port"] {
        for labels in [service, container] {
            if let Some(port) = labels.get(dialect) {
                let settings = Settings { port: Some(port.to_owned()), ..Settings::default() };
                return Some([(String::new(), settings)].into());
            }
        }
    }
    None
}

/// The tasks that fill the slots: the newest that runs and shall run.
fn slots(snapshot: &Snapshot) -> BTreeMap<(String, String), Arc<Task>> {
    let mut slots = BTreeMap::<(String, String), Arc<Task>>::new();
    for task in snapshot.tasks.objects() {
        if &*task.state != "running" || &*task.desired_state != "running" {
            continue;
        }
        let place = if task.slot == 0 { task.node.to_string() } else { task.slot.to_string() };
        let slot = slots.entry((task.service.to_string(), place)).or_insert_with(|| task.clone());
        if (task.version, &task.id) > (slot.version, &slot.id) {
            *slot = Arc::clone(task);
        }
    }
    slots
}

fn node_name(snapshot: &Snapshot, id: &str) -> String {
    let count = |name: &str| snapshot.nodes.objects().filter(|one| *one.hostname == *name).count();
    match snapshot.nodes.objects().find(|node| *node.id == *id) {
        None => id.to_owned(),
        Some(node) if count(&node.hostname) > 1 => {
            format!("{}-{}", node.hostname, &id[..id.len().min(5)])
        }
        Some(node) => node.hostname.to_string(),
    }
}

/// Address, source, and whether the scraper does not reach it. `shared`: its networks, if known.
fn address(
    task: &Task,
    network: Option<&str>,
    node: Option<&Node>,
    shared: Option<&str>,
) -> Option<(String, &'static str, bool)> {
    let [attachment] = &task.attachments[..] else { panic!("each task has one network") };
    if &*attachment.driver == "host" {
        return Some((node?.address.to_string(), "node", false));
    }
    let address = attachment.addresses[0].to_string();
    let is_shared = shared == Some(&*attachment.name);
    let is_apart = shared.is_some() && !is_shared;
    if network == Some(&*attachment.name) {
        Some((address, "network_label", is_apart))
    } else if is_shared {
        Some((address, "shared_network", false))
    } else {
        Some((address, "first_network", is_apart))
    }
}

/// Address and path of the part on the task's node, if targets go through it. The part itself, at its
/// port on the host's network, is scraped directly.
fn node_part(
    reach: Option<&NodePorts>,
    task: &Task,
    node: Option<&Node>,
    port: u16,
    path: &str,
) -> Option<(Option<String>, String)> {
    let own = reach?.get(&task.node).copied().unwrap_or(9466);
    if &*task.attachments[0].driver == "host" && port == own && node.is_some() {
        return None;
    }
    let address = node.map(|node| format!("{}:{own}", node.address));
    Some((address, format!("/reach/{}/http/{port}{path}", task.id)))
}

/// All targets. `shared`: the network that the scraper is in, if that is known.
fn expected(
    snapshot: &Snapshot,
    surroundings: &Surroundings,
    shared: Option<&str>,
    is_reached: bool,
) -> Vec<Line> {
    let dockerd = &surroundings.dockerd;
    let reach = is_reached.then_some(&*surroundings.node_ports);
    let mut lines = Vec::new();
    // The first claim to an address on a node counts: that of the first service, slot and endpoint.
    let mut claims = BTreeSet::new();
    let slots = slots(snapshot);
    for ((service_id, slot), task) in &slots {
        let Some(service) = snapshot.services.objects().find(|one| *one.id == **service_id) else {
            continue;
        };
        let node = snapshot.nodes.objects().find(|node| node.id == task.node);
        let node_name = node_name(snapshot, &task.node);
        let declared = endpoints(&service.labels, &task.labels);
        let is_named = service.labels.get("swarmscout.preset").is_some();
        let is_preset = declared.is_none() && service.mode == Mode::Global && !is_named;
        let preset = || {
            let (port, job) = (Some("9100".to_owned()), Some("node-exporter".to_owned()));
            [(String::new(), Settings { port, job, ..Settings::default() })].into()
        };
        let all = declared.or_else(|| is_preset.then(preset)).unwrap_or_default();
        for (name, settings) in all {
            let is_on = settings.scrape.as_deref() != Some("false");
            let port = settings.port.and_then(|port| port.parse::<u16>().ok());
            let Some(port) = port.filter(|_| is_on) else { continue };
            let network = settings.network.as_deref().filter(|name| !name.is_empty());
            let node = node.map(|node| &**node);
            let Some((host, mut source, mut unreachable)) = address(task, network, node, shared)
            else {
                continue;
            };
            let mut address = format!("{host}:{port}");
            let mut path = settings.path.unwrap_or_else(|| "/metrics".to_owned());
            let by_part = node_part(reach, task, node, port, &path);
            if let Some((None, _)) = by_part {
                continue;
            }
            if source == "node" && !claims.insert(format!("{address}{path}")) {
                continue;
            }
            if let Some((Some(of_part), reached)) = by_part {
                (address, path, source, unreachable) = (of_part, reached, "node_part", false);
            }
            let place = if task.slot == 0 { &node_name } else { slot };
            let endpoint = if name.is_empty() { name } else { format!("/{name}") };
            let instance = format!("{}.{place}{endpoint}", service.name);
            let or_else = |text: Option<String>, other: &str| {
                text.filter(|text| !text.is_empty()).unwrap_or_else(|| other.to_owned())
            };
            let class = or_else(settings.class, "");
            lines.push(Line {
                list: if class.is_empty() { class } else { format!("class/{class}") },
                job: or_else(settings.job, &service.name),
                instance: if is_preset { node_name.clone() } else { instance },
                address,
                path,
                source: source.to_owned(),
                unreachable,
                node: node_name.clone(),
                team: or_else(settings.team, ""),
            });
        }
    }
    lines.extend(state(snapshot, &slots, shared, reach));
    for service in snapshot.services.objects() {
        let ours = slots.iter().filter(|((id, _), _)| **id == *service.id);
        let ours = ours.map(|(_, task)| task).filter(|task| {
            task.labels.iter().any(|(label, _)| label.starts_with("prometheus.io/"))
        });
        let none = Arc::default();
        // All of one version have the same labels here.
        let container = ours.max_by_key(|task| task.version).map_or(&none, |task| &task.labels);
        for settings in endpoints(&service.labels, container).unwrap_or_default().into_values() {
            let Some(url) = settings.probe else { continue };
            let host = url.trim_start_matches("http://").trim_end_matches('/');
            lines.push(Line {
                list: "probes".to_owned(),
                job: String::new(),
                instance: url.clone(),
                address: format!("{host}:80"),
                path: String::new(),
                source: String::new(),
                unreachable: false,
                node: String::new(),
                team: settings.team.unwrap_or_default(),
            });
        }
    }
    for node in snapshot.nodes.objects() {
        let address = format!("{}:9323", node.address);
        if dockerd.contains(&*address) {
            let name = node_name(snapshot, &node.id);
            lines.push(Line {
                list: String::new(),
                job: "dockerd".to_owned(),
                instance: name.clone(),
                address,
                path: "/metrics".to_owned(),
                source: String::new(),
                unreachable: false,
                node: name,
                team: String::new(),
            });
        }
    }
    lines.sort();
    lines
}

/// The one target of the preset `swarm-state`: the first slot of the first service where it has an
/// address.
fn state(
    snapshot: &Snapshot,
    slots: &BTreeMap<(String, String), Arc<Task>>,
    shared: Option<&str>,
    reach: Option<&NodePorts>,
) -> Option<Line> {
    let mut of_state: Vec<_> = slots
        .iter()
        .filter_map(|((service, place), task)| {
            let service = snapshot.services.objects().find(|one| *one.id == **service)?;
            (service.labels.get("swarmscout.preset") == Some("swarm-state")).then_some((
                &service.id,
                task.slot,
                place,
                &service.name,
                task,
            ))
        })
        .collect();
    of_state.sort_by_key(|(id, slot, place, ..)| (*id, *slot, *place));
    of_state.dedup_by_key(|(id, ..)| *id);
    of_state.into_iter().find_map(|(_, slot, place, service, task)| {
        let node = snapshot.nodes.objects().find(|node| node.id == task.node);
        let node = node.map(|node| &**node);
        let (host, mut source, mut unreachable) = address(task, None, node, shared)?;
        let (mut address, mut path) = (format!("{host}:9465"), "/metrics/swarm".to_owned());
        if let Some((of_part, reached)) = node_part(reach, task, node, 9465, &path) {
            (address, path, source, unreachable) = (of_part?, reached, "node_part", false);
        }
        let place = if slot == 0 { node_name(snapshot, &task.node) } else { place.clone() };
        Some(Line {
            list: String::new(),
            job: "swarm-state".to_owned(),
            instance: format!("{service}.{place}"),
            address,
            path,
            source: source.to_owned(),
            unreachable,
            node: String::new(),
            team: String::new(),
        })
    })
}

fn found(groups: &Groups) -> Vec<Line> {
    let mut builder = LabelsBuilder::new();
    let mut lines = Vec::new();
    for group in groups {
        for index in 0..group.targets.len() {
            group.merged(index, &mut builder);
            let labels = builder.build();
            let label = |name: &str| labels.get(name).unwrap_or_default().to_owned();
            lines.push(Line {
                list: label("__meta_swarmscout_list"),
                job: label("job"),
                instance: label("instance"),
                address: label("__address__"),
                path: label("__metrics_path__"),
                source: label("__meta_swarmscout_address_source"),
                unreachable: labels.get("__meta_swarmscout_unreachable").is_some(),
                node: label("node"),
                team: label("team"),
            });
        }
    }
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn targets_are_those_of_the_rules(
        steps in proptest::collection::vec(step(), 0..250),
        is_known in any::<bool>(),
        is_reached in any::<bool>(),
    ) {
        let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
        let mut surroundings = Surroundings::default();
        for step in &steps {
            apply(step, &mut snapshot, &mut surroundings);
        }
        let networks = || Scraper::Networks(vec!["net1".into()]);
        let scraper = if is_known { networks() } else { Scraper::Here };
        let shared = is_known.then_some("net1");
        let expected = expected(&snapshot, &surroundings, shared, is_reached);
        let reach = if is_reached { Reach::Node } else { Reach::Direct };
        let options = SwarmscoutOptions { scraper, reach, ..options() };
        let (groups, _) = finder(&options, surroundings).find(&snapshot, None).unwrap();
        prop_assert_eq!(found(&groups), expected);
    }
}
