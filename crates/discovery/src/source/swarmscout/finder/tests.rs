mod model;

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use swarmscout_docker::engine::{Attachment, LabelMap, ManagerStatus, Mode, Network, Port, Task};
use swarmscout_model::LabelsBuilder;
use swarmscout_swarm::Buckets;

use super::*;
use crate::source::swarmscout::config::{CopiedLabel, Reach, UnreachableTargets};
use crate::source::swarmscout::own_container::OwnContainer;
use crate::source::swarmscout::presets::Preset;

fn options() -> SwarmscoutOptions {
    SwarmscoutOptions::default()
}

fn finder(options: &SwarmscoutOptions, surroundings: Surroundings) -> EndpointFinder {
    let surroundings = watch::channel(Arc::new(surroundings)).1;
    EndpointFinder::new(options, surroundings, &BuildContext::new("test"))
}

fn labels(text: &str) -> Arc<LabelMap> {
    let pairs = text.split_whitespace().map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.replace("p/", "prometheus.io/"), value.to_owned())
    });
    Arc::new(LabelMap::new(pairs.collect()))
}

fn attachment(network: &str, address: &str) -> Attachment {
    Attachment {
        network: format!("id-{network}").into(),
        name: network.into(),
        driver: if network == "host" { "host" } else { "overlay" }.into(),
        ingress: network == "ingress",
        addresses: address.parse().into_iter().collect(),
    }
}

/// Two nodes of one name and another one; more is added by each test.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
    for (id, hostname, address) in
        [("n1aaaa", "web", "192.0.2.1"), ("n2bbbb", "pi", "192.0.2.2"), ("n3cccc", "pi", "0.0.0.0")]
    {
        let manager =
            ManagerStatus { address: "192.0.2.3:2377".into(), ..ManagerStatus::default() };
        snapshot.nodes.insert(Arc::new(Node {
            id: id.into(),
            hostname: hostname.into(),
            address: address.into(),
            manager: (id == "n3cccc").then_some(manager),
            ..Node::default()
        }));
    }
    for name in ["front", "back"] {
        snapshot.networks.insert(Arc::new(Network {
            id: format!("id-{name}").into(),
            name: name.into(),
            scope: "swarm".into(),
            ..Network::default()
        }));
    }
    snapshot
}

fn service(to: &mut Snapshot, name: &str, of: Service) {
    let (id, name) = (format!("s-{name}").into(), name.into());
    to.services.insert(Arc::new(Service { id, name, ..of }));
}

/// A running task of a service: `service.slot` or `service.node`, on networks `name=address`.
fn task(to: &mut Snapshot, place: &str, node: &str, networks: &str, of: Task) {
    let (service, slot) = place.split_once('.').unwrap();
    let attachments = networks.split_whitespace().map(|network| {
        let (name, address) = network.split_once('=').unwrap_or((network, ""));
        attachment(name, address)
    });
    to.tasks.insert(Arc::new(Task {
        id: format!("t-{place}-{}", of.version).into(),
        service: format!("s-{service}").into(),
        node: node.into(),
        slot: slot.parse().unwrap_or_default(),
        state: "running".into(),
        desired_state: "running".into(),
        attachments: attachments.collect(),
        ..of
    }));
}

/// A program whose targets have the label `team` of services and nodes.
fn with_team() -> BuildContext {
    let team = CopiedLabel { key: "team".into(), name: "team".into() };
    BuildContext { copied_labels: [team].into(), ..BuildContext::new("test") }
}

/// The groups, with the labels of each target that are not Prometheus', and the problems.
fn check(
    options: &SwarmscoutOptions,
    surroundings: Surroundings,
    to: &Snapshot,
    expected: &Expect,
) {
    let (groups, problems) = finder(options, surroundings).find(to, None).unwrap();
    assert!(groups.is_sorted_by(|a, b| a.source < b.source));
    let (mut text, mut builder) = (String::new(), LabelsBuilder::new());
    for group in groups {
        writeln!(text, "{}", group.source).unwrap();
        for index in 0..group.targets.len() {
            group.merged(index, &mut builder);
            text += " ";
            for (name, value) in &builder.build() {
                if !name.starts_with("__meta_dockerswarm") {
                    write!(text, " {}={value}", name.replace("__meta_swarmscout_", "~")).unwrap();
                }
            }
            text += "\n";
        }
    }
    for Problem { kind, object, reason, detail } in problems {
        writeln!(text, "{kind} {object}: {reason}: {detail}").unwrap();
    }
    expected.assert_eq(&text);
}

fn labelled(text: &str) -> Service {
    Service { labels: labels(text), mode: Mode::Replicated, ..Service::default() }
}

#[test]
fn each_slot_has_a_target_for_each_endpoint() {
    let mut to = snapshot();
    let of_web = "p/port=8080 p/interval=60s p/admin.port=9200 p/admin.path=/m p/label.team=shop \
                  p/admin.param.x=y p/admin.label.node=mine com.docker.stack.namespace=shop";
    service(&mut to, "shop_web", labelled(of_web));
    task(&mut to, "shop_web.1", "n1aaaa", "ingress=10.255.0.2 front=10.0.1.2", Task::default());
    task(&mut to, "shop_web.2", "n2bbbb", "front=10.0.1.3 back=10.0.0.3", Task::default());
    // An update: the old task still runs.
    let newer = Task { version: 7, ..Task::default() };
    task(&mut to, "shop_web.2", "n3cccc", "front=fd00::4", newer);
    service(&mut to, "silent", labelled("other=1"));
    task(&mut to, "silent.1", "n1aaaa", "front=10.0.1.5", Task::default());
    // Labels of the container, in another dialect.
    service(&mut to, "agent", Service { mode: Mode::Global, ..Service::default() });
    for (node, address) in [("n1aaaa", "10.0.1.6"), ("n2bbbb", "10.0.1.7")] {
        let container = Task { labels: labels("prometheus-port=9000"), ..Task::default() };
        task(&mut to, &format!("agent.{node}"), node, &format!("front={address}"), container);
    }
    check(
        &options(),
        Surroundings::default(),
        &to,
        &expect![[r#"
        Swarmscout/s-agent
          __address__=10.0.1.6:9000 ~address_source=first_network ~declared_by=blog-dashes/container ~node_address=192.0.2.1 ~task_target_port=9000 __metrics_path__=/metrics __scheme__=http instance=agent.web job=agent node=web service=agent
          __address__=10.0.1.7:9000 ~address_source=first_network ~declared_by=blog-dashes/container ~node_address=192.0.2.2 ~task_target_port=9000 __metrics_path__=/metrics __scheme__=http instance=agent.pi-n2bbb job=agent node=pi-n2bbb service=agent
        Swarmscout/s-shop_web
          __address__=10.0.1.2:8080 ~address_source=first_network ~declared_by=ours/service ~node_address=192.0.2.1 ~service_stack=shop ~task_target_port=8080 __metrics_path__=/metrics __scheme__=http __scrape_interval__=1m __scrape_timeout__=10s instance=shop_web.1 job=shop_web node=web service=shop_web stack=shop task_slot=1 team=shop
          __address__=10.0.1.2:9200 ~address_source=first_network ~declared_by=ours/service ~endpoint=admin ~node_address=192.0.2.1 ~service_stack=shop ~task_target_port=9200 __metrics_path__=/m __param_x=y __scheme__=http __scrape_interval__=1m __scrape_timeout__=10s instance=shop_web.1/admin job=shop_web node=mine service=shop_web stack=shop task_slot=1 team=shop
          __address__=[fd00::4]:8080 ~address_source=first_network ~declared_by=ours/service ~node_address=192.0.2.3 ~service_stack=shop ~task_target_port=8080 __metrics_path__=/metrics __scheme__=http __scrape_interval__=1m __scrape_timeout__=10s instance=shop_web.2 job=shop_web node=pi-n3ccc service=shop_web stack=shop task_slot=2 team=shop
          __address__=[fd00::4]:9200 ~address_source=first_network ~declared_by=ours/service ~endpoint=admin ~node_address=192.0.2.3 ~service_stack=shop ~task_target_port=9200 __metrics_path__=/m __param_x=y __scheme__=http __scrape_interval__=1m __scrape_timeout__=10s instance=shop_web.2/admin job=shop_web node=mine service=shop_web stack=shop task_slot=2 team=shop
    "#]],
    );
}

#[test]
fn without_a_label_it_says_what_to_write() {
    let says = |options: &SwarmscoutOptions, to: &Snapshot| {
        let (_, problems) = finder(options, Surroundings::default()).find(to, None).unwrap();
        problems.iter().any(|problem| problem.reason == "no labelled service")
    };
    let mut to = snapshot();
    service(&mut to, "silent", labelled("other=1"));
    task(&mut to, "silent.1", "n1aaaa", "front=10.0.1.5", Task::default());
    // What a preset lists is not labelled.
    let image = "prom/node-exporter:v1".into();
    service(&mut to, "exporter", Service { mode: Mode::Global, image, ..Service::default() });
    task(&mut to, "exporter.n1aaaa", "n1aaaa", "host", Task::default());
    assert!(says(&options(), &to));
    let some = SwarmscoutOptions { stacks: vec!["shop".to_owned()], ..options() };
    assert!(!says(&some, &to));

    let mut switched_off = to.clone();
    service(&mut switched_off, "off", labelled("p/scrape=false"));
    assert!(!says(&options(), &switched_off));
    // The labels of a service count without a task, those of containers with one.
    let mut without_task = to.clone();
    service(&mut without_task, "web", labelled("p/port=80"));
    assert!(!says(&options(), &without_task));
    let container = Task { labels: labels("p/port=80"), ..Task::default() };
    task(&mut to, "silent.2", "n1aaaa", "front=10.0.1.6", container);
    assert!(!says(&options(), &to));
}

#[test]
fn probes_of_containers_are_those_of_the_newest_task() {
    let probes = |created: [i64; 4]| {
        let mut to = snapshot();
        service(&mut to, "web", Service { mode: Mode::Replicated, ..Service::default() });
        for (created, slot) in created.into_iter().zip(1..) {
            // The state of an old task may change last.
            let (version, labels) =
                (100 - created.unsigned_abs(), labels(&format!("p/probe=http://v{created}/")));
            let of_slot = Task { version, created, labels, ..Task::default() };
            task(&mut to, &format!("web.{slot}"), "n1aaaa", "front=10.0.1.2", of_slot);
        }
        let (groups, _) = finder(&options(), Surroundings::default()).find(&to, None).unwrap();
        let targets = groups.iter().flat_map(|group| &group.targets);
        targets.filter_map(|target| Some(target.get("instance")?.to_owned())).collect::<Vec<_>>()
    };
    // Whichever slot an update reaches first.
    for slot in 0..4 {
        let mut created = [1; 4];
        created[slot] = 2;
        assert_eq!(probes(created), ["http://v2/"]);
    }
}

#[test]
fn lists_are_apart() {
    let mut to = snapshot();
    let of_web = "p/port=80 p/inside.port=81 p/inside.class=internal \
                  p/probe=https://shop.example.com/health p/module=http_2xx";
    service(&mut to, "web", labelled(of_web));
    service(&mut to, "unscraped", labelled("p/probe=http://[fd00::1]:8080/"));
    task(&mut to, "web.1", "n1aaaa", "front=10.0.1.2", Task::default());
    check(
        &options(),
        Surroundings::default(),
        &to,
        &expect![[r#"
        Swarmscout/s-web
          __address__=10.0.1.2:80 ~address_source=first_network ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 __metrics_path__=/metrics __scheme__=http instance=web.1 job=web node=web service=web task_slot=1
        Swarmscout/s-web;class/internal
          __address__=10.0.1.2:81 ~address_source=first_network ~class=internal ~declared_by=ours/service ~endpoint=inside ~list=class/internal ~node_address=192.0.2.1 ~task_target_port=81 __metrics_path__=/metrics __scheme__=http instance=web.1/inside job=web node=web service=web task_slot=1
        Swarmscout;probes
          __address__=[fd00::1]:8080 ~list=probes __param_target=http://[fd00::1]:8080/ instance=http://[fd00::1]:8080/ service=unscraped
          __address__=shop.example.com:443 ~list=probes __param_module=http_2xx __param_target=https://shop.example.com/health instance=https://shop.example.com/health service=web
    "#]],
    );
    let internal = SwarmscoutOptions { class: "internal".to_owned(), ..options() };
    check(
        &internal,
        Surroundings::default(),
        &to,
        &expect![[r#"
        Swarmscout/s-web
          __address__=10.0.1.2:81 ~address_source=first_network ~class=internal ~declared_by=ours/service ~endpoint=inside ~node_address=192.0.2.1 ~task_target_port=81 __metrics_path__=/metrics __scheme__=http instance=web.1/inside job=web node=web service=web task_slot=1
    "#]],
    );
    let other = SwarmscoutOptions { stacks: vec!["other".to_owned()], ..options() };
    check(&other, Surroundings::default(), &to, &expect![[r#""#]]);
}

#[test]
fn unreachable_targets_are_marked_or_left_out() {
    let mut to = snapshot();
    service(&mut to, "web", labelled("p/port=80 p/network=gone"));
    task(&mut to, "web.1", "n1aaaa", "back=10.0.2.2", Task::default());
    service(&mut to, "scout", labelled("p/port=80"));
    task(&mut to, "scout.1", "n1aaaa", "front=10.0.1.2 ingress=10.255.0.9", Task::default());
    let scraper = Scraper::Service("scout".into());
    let keep = SwarmscoutOptions { scraper, ..options() };
    check(
        &keep,
        Surroundings::default(),
        &to,
        &expect![[r#"
            Swarmscout/s-scout
              __address__=10.0.1.2:80 ~address_source=shared_network ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 __metrics_path__=/metrics __scheme__=http instance=scout.1 job=scout node=web service=scout task_slot=1
            Swarmscout/s-web
              __address__=10.0.2.2:80 ~address_source=first_network ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 ~unreachable=the scraper shares no network with the task __metrics_path__=/metrics __scheme__=http instance=web.1 job=web node=web service=web task_slot=1
            service web: network of the label not attached: gone is not a network of its tasks, which are on back: another address is taken
        "#]],
    );
    let drop = SwarmscoutOptions { unreachable: UnreachableTargets::Drop, ..keep };
    check(
        &drop,
        Surroundings::default(),
        &to,
        &expect![[r#"
            Swarmscout/s-scout
              __address__=10.0.1.2:80 ~address_source=shared_network ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 __metrics_path__=/metrics __scheme__=http instance=scout.1 job=scout node=web service=scout task_slot=1
            service web: network of the label not attached: gone is not a network of its tasks, which are on back: another address is taken
            service web: unreachable: the scraper shares no network with the task
        "#]],
    );
    // Our own container is a task.
    let (own, surroundings) = (OwnContainer::of_id("c0ffee"), watch::channel(Arc::default()).1);
    let in_container = BuildContext { own_container: Some(own), ..BuildContext::new("test") };
    let mut found = EndpointFinder::new(&options(), surroundings, &in_container);
    let container = Task { container: "c0ffee00".into(), ..Task::default() };
    task(&mut to, "scout.1", "n1aaaa", "front=10.0.1.2 ingress=10.255.0.9", container);
    found.find(&to, None).unwrap();
    assert_eq!(found.networks, SharedNetworks::from_ids([Arc::from("id-front")].into_iter()));
    // As the Engine says of our own container.
    let networks = ["id-back", "bridge"].map(Arc::from).into();
    let surroundings = Surroundings { networks, ..Surroundings::default() };
    check(
        &options(),
        surroundings,
        &to,
        &expect![[r#"
            Swarmscout/s-scout
              __address__=10.0.1.2:80 ~address_source=first_network ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 ~unreachable=the scraper shares no network with the task __metrics_path__=/metrics __scheme__=http instance=scout.1 job=scout node=web service=scout task_slot=1
            Swarmscout/s-web
              __address__=10.0.2.2:80 ~address_source=shared_network ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 __metrics_path__=/metrics __scheme__=http instance=web.1 job=web node=web service=web task_slot=1
            service web: network of the label not attached: gone is not a network of its tasks, which are on back: another address is taken
        "#]],
    );
}

#[test]
fn what_says_nothing_of_itself_may_have_a_preset() {
    let mut to = snapshot();
    let global = |image: &str, text: &str| Service {
        image: image.into(),
        mode: Mode::Global,
        ..labelled(text)
    };
    service(&mut to, "cadvisor", global("gcr.io/cadvisor/cadvisor:v0.49.1", ""));
    task(&mut to, "cadvisor.n", "n2bbbb", "front=10.0.1.2", Task::default());
    service(&mut to, "exporter", global("prom/node-exporter", ""));
    task(&mut to, "exporter.n", "n3cccc", "host", Task::default());
    service(&mut to, "off", global("prom/node-exporter", "p/scrape=false"));
    task(&mut to, "off.n", "n1aaaa", "front=10.0.1.3", Task::default());
    let dockerd = ["192.0.2.1:9323", "192.0.2.3:9323"].map(Arc::from).into();
    let surroundings = Surroundings { dockerd, ..Surroundings::default() };
    check(
        &options(),
        surroundings.clone(),
        &to,
        &expect![[r#"
        Swarmscout/s-cadvisor
          __address__=10.0.1.2:8080 ~address_source=first_network ~declared_by=preset ~node_address=192.0.2.2 ~task_target_port=8080 __metrics_path__=/metrics __scheme__=http instance=pi-n2bbb job=cadvisor node=pi-n2bbb service=cadvisor
        Swarmscout/s-exporter
          __address__=192.0.2.3:9100 ~address_source=node ~declared_by=preset ~node_address=192.0.2.3 ~task_target_port=9100 __metrics_path__=/metrics __scheme__=http instance=pi-n3ccc job=node-exporter node=pi-n3ccc service=exporter
        Swarmscout;dockerd
          __address__=192.0.2.1:9323 ~declared_by=preset ~node_address=192.0.2.1 __metrics_path__=/metrics __scheme__=http instance=web job=dockerd node=web
          __address__=192.0.2.3:9323 ~declared_by=preset ~node_address=192.0.2.3 __metrics_path__=/metrics __scheme__=http instance=pi-n3ccc job=dockerd node=pi-n3ccc
    "#]],
    );
    let none = SwarmscoutOptions { presets: Vec::new(), ..options() };
    check(&none, surroundings.clone(), &to, &expect![[r#""#]]);

    // An Engine that answered before a restart of this program stays, whether it answers now.
    let (groups, _) = finder(&options(), surroundings).find(&to, None).unwrap();
    let stored: CanonicalGroups = groups.clone().into();
    let mut restarted = finder(&options(), Surroundings::default());
    assert_eq!(restarted.find(&to, Some(&stored)).unwrap().0, groups);
    to.nodes.remove("", "n1aaaa");
    let (groups, _) = restarted.find(&to, None).unwrap();
    let dockerd = groups.iter().filter(|group| &*group.source == "Swarmscout;dockerd");
    assert_eq!(dockerd.map(|group| group.targets.len()).sum::<usize>(), 1);
}

#[test]
fn the_node_part_is_one_target_on_each_node() {
    let mut to = snapshot();
    let image = "swarmscout:1";
    let text = "swarmscout.preset=swarmscout-node";
    let node = Service { image: image.into(), mode: Mode::Global, ..labelled(text) };
    service(&mut to, "node", node);
    task(&mut to, "node.n", "n3cccc", "host", Task::default());
    let scheme = |reach| {
        let surroundings = watch::channel(Arc::default()).1;
        let options = SwarmscoutOptions { reach, ..options() };
        let mut finder = EndpointFinder::new(&options, surroundings, &BuildContext::new("test"));
        let groups = finder.find(&to, None).unwrap().0;
        let [group] = &*groups else { panic!("one group: {groups:?}") };
        let [target] = &*group.targets else { panic!("one target: {group:?}") };
        let label = |name| target.get(name).unwrap_or_default().to_owned();
        assert_eq!(label("__address__"), "192.0.2.3:9466");
        assert_eq!(label("__metrics_path__"), "/metrics");
        assert_eq!([label("job"), label("instance")], ["swarmscout-node", "pi-n3ccc"]);
        label("__scheme__")
    };
    assert_eq!(scheme(Reach::Direct), "http");
    // Those by which tasks are reached have TLS.
    assert_eq!(scheme(Reach::Node), "https");
}

#[test]
fn allowed_labels_of_services_and_nodes_are_labels_of_targets() {
    let mut to = snapshot();
    for (id, text) in [("n1aaaa", "team=ops"), ("n2bbbb", "other=1")] {
        let node = Node::clone(to.nodes.get("", id).unwrap());
        to.nodes.insert(Arc::new(Node { labels: labels(text), ..node }));
    }
    let probe = "p/probe=http://a/ p/port=80 team=front";
    for (name, text) in [("a", probe), ("b", "p/port=80"), ("c", "p/port=80 p/label.team=own")] {
        service(&mut to, name, labelled(text));
        task(&mut to, &format!("{name}.1"), "n1aaaa", "front=10.0.1.1", Task::default());
        task(&mut to, &format!("{name}.2"), "n2bbbb", "front=10.0.1.2", Task::default());
    }
    let dockerd = ["192.0.2.1:9323", "192.0.2.2:9323"].map(Arc::from).into();
    let surroundings =
        watch::channel(Arc::new(Surroundings { dockerd, ..Surroundings::default() }));
    let mut finder = EndpointFinder::new(&options(), surroundings.1, &with_team());
    let mut builder = LabelsBuilder::new();
    let mut teams = Vec::new();
    for group in finder.find(&to, None).unwrap().0 {
        for index in 0..group.targets.len() {
            group.merged(index, &mut builder);
            let label = |name| builder.get(name).unwrap_or("-").to_owned();
            teams.push(label("instance") + " " + &label("team"));
        }
    }
    // The service counts before the node, and the label of the endpoint before both.
    let expected = [
        ["a.1 front", "a.2 front", "b.1 ops", "b.2 -", "c.1 own", "c.2 own"].as_slice(),
        &["web ops", "pi-n2bbb -", "http://a/ front"],
    ];
    teams.sort();
    let mut expected = expected.concat();
    expected.sort_unstable();
    assert_eq!(teams, expected);
}

#[test]
fn what_the_swarm_is_doing_is_one_target() {
    let mut to = snapshot();
    let image = "registry:5000/swarmscout:1";
    let scout = |text: &str| Service { image: image.into(), ..labelled(text) };
    service(&mut to, "scout", scout("team=ops p/port=9465 p/network=back"));
    for slot in [2, 10, 3] {
        let networks = format!("front=10.0.1.{slot} back=10.0.2.{slot}");
        task(&mut to, &format!("scout.{slot}"), "n1aaaa", &networks, Task::default());
    }
    let with_team = || {
        let surroundings = watch::channel(Arc::default()).1;
        EndpointFinder::new(&options(), surroundings, &with_team())
    };
    let state = |finder: &mut EndpointFinder, to: &Snapshot| -> Option<String> {
        let (groups, _) = finder.find(to, None).unwrap();
        let group = groups.iter().find(|group| &*group.source == "Swarmscout;state")?;
        assert_eq!(group.targets.len(), 1);
        group.targets[0].get("instance").map(str::to_owned)
    };
    let only_state = SwarmscoutOptions { presets: vec![Preset::SwarmState], ..options() };
    let mut without_port = to.clone();
    service(&mut without_port, "scout", scout(""));
    check(
        &only_state,
        Surroundings::default(),
        &without_port,
        &expect![[r#"
        Swarmscout;state
          __address__=10.0.2.2:9465 ~address_source=first_network ~declared_by=preset ~honor_labels=true ~node_address=192.0.2.1 ~task_target_port=9465 __metrics_path__=/metrics/swarm __scheme__=http instance=scout.2 job=swarm-state
        service : no labelled service: write prometheus.io/port: "8080", with the port of its metrics, under deploy.labels of a service in its stack file (with Compose: under labels)
    "#]],
    );

    // It is scraped beside what labels say, and has no label that its series have.
    let mut finder = with_team();
    assert_eq!(state(&mut finder, &to).as_deref(), Some("scout.2"));
    let (groups, _) = finder.find(&to, None).unwrap();
    let labels: Vec<_> = groups.iter().map(|group| group.targets.len()).collect();
    assert_eq!(labels, [3, 1]);
    let target = &groups[1].targets[0];
    let plain: Vec<_> = target.iter().filter(|(name, _)| !name.starts_with("__meta")).collect();
    let expected = [
        ("__address__", "10.0.2.2:9465"),
        ("__metrics_path__", "/metrics/swarm"),
        ("__scheme__", "http"),
        ("instance", "scout.2"),
        ("job", "swarm-state"),
    ];
    assert_eq!(plain, expected);
    assert_eq!(groups[1].labels.get("service").or(groups[1].labels.get("team")), None);

    // The next slot takes its place.
    to.tasks.remove("s-scout", "t-scout.2-0");
    assert_eq!(state(&mut finder, &to).as_deref(), Some("scout.3"));
    // Of several services the one counts that the program is a task of, or else the first by ID.
    let container = Task { container: "c0ffee00".into(), ..Task::default() };
    task(&mut to, "scout.3", "n1aaaa", "front=10.0.1.3", container);
    service(&mut to, "another", scout(""));
    task(&mut to, "another.1", "n1aaaa", "front=10.0.1.9", Task::default());
    assert_eq!(state(&mut finder, &to).as_deref(), Some("another.1"));
    let in_container = BuildContext {
        own_container: Some(OwnContainer::of_id("c0ffee")),
        ..BuildContext::new("test")
    };
    let surroundings = watch::channel(Arc::default()).1;
    let mut of_task = EndpointFinder::new(&options(), surroundings, &in_container);
    assert_eq!(state(&mut of_task, &to).as_deref(), Some("scout.3"));

    // A label of the service, the file, and flags of the program switch it off.
    service(&mut to, "another", scout("p/scrape=false"));
    service(&mut to, "scout", scout("swarmscout.preset=none"));
    assert_eq!(state(&mut finder, &to), None);
    service(&mut to, "scout", scout("swarmscout.preset=swarm-state"));
    assert_eq!(state(&mut with_team(), &to).as_deref(), Some("scout.3"));
    let off =
        BuildContext { presets_off: [Preset::SwarmState].into(), ..BuildContext::new("test") };
    let surroundings = watch::channel(Arc::default()).1;
    assert_eq!(state(&mut EndpointFinder::new(&options(), surroundings, &off), &to), None);
    assert_eq!(state(&mut with_team().of_engine(), &to), None);
}

#[test]
fn a_wrong_label_costs_its_endpoint_alone() {
    let mut to = snapshot();
    let port = |target| Port { protocol: "tcp".into(), target, ..Port::default() };
    let of_many = "p/scrape=true p/b.port=65536 p/c.port=9";
    let many = Service { ports: vec![port(80), port(81)], ..labelled(of_many) };
    service(&mut to, "many", many);
    task(&mut to, "many.1", "n1aaaa", "front=10.0.1.2", Task::default());
    service(&mut to, "one", Service { ports: vec![port(80)], ..labelled("p/scrape=true") });
    task(&mut to, "one.1", "n1aaaa", "front=10.0.1.3", Task::default());
    service(&mut to, "nowhere", labelled("p/port=80"));
    task(&mut to, "nowhere.1", "n1aaaa", "macvlan", Task::default());
    // Both claim the port of the node.
    for name in ["x", "y"] {
        service(&mut to, name, labelled("p/port=9100"));
        task(&mut to, &format!("{name}.1"), "n1aaaa", "host", Task::default());
    }
    check(
        &options(),
        Surroundings::default(),
        &to,
        &expect![[r#"
            Swarmscout/s-many
              __address__=10.0.1.2:9 ~address_source=first_network ~declared_by=ours/service ~endpoint=c ~node_address=192.0.2.1 ~task_target_port=9 __metrics_path__=/metrics __scheme__=http instance=many.1/c job=many node=web service=many task_slot=1
            Swarmscout/s-one
              __address__=10.0.1.3:80 ~address_source=first_network ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 __metrics_path__=/metrics __scheme__=http instance=one.1 job=one node=web service=one task_slot=1
            Swarmscout/s-x
              __address__=192.0.2.1:9100 ~address_source=node ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=9100 __metrics_path__=/metrics __scheme__=http instance=x.1 job=x node=web service=x task_slot=1
            service many: invalid port: prometheus.io/b.port="65536": write a number from 1 to 65535
            service many: several published TCP ports: 80, 81: name the port with the label port
            service nowhere: task address unknown to the Swarm: only its node knows addresses on macvlan: publish the port in mode host, or attach the service to an overlay network
            service y: address of another target: service x has :9100/metrics of node web
        "#]],
    );
}

#[test]
fn labels_that_are_too_long_cost_their_own_targets_alone() {
    let mut to = snapshot();
    // The name of its own label, and what it becomes with the prefix of meta labels.
    for (name, length) in [("long", 2 << 20), ("prefixed", (1 << 20) - 8)] {
        let text = format!("p/port=80 {}=y", "k".repeat(length));
        service(&mut to, name, labelled(&text));
        task(&mut to, &format!("{name}.1"), "n1aaaa", "front=10.0.1.2", Task::default());
    }
    service(&mut to, "web", labelled("p/port=80"));
    task(&mut to, "web.1", "n1aaaa", "front=10.0.1.3", Task::default());
    check(
        &options(),
        Surroundings::default(),
        &to,
        &expect![[r#"
        Swarmscout/s-web
          __address__=10.0.1.3:80 ~address_source=first_network ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 __metrics_path__=/metrics __scheme__=http instance=web.1 job=web node=web service=web task_slot=1
        service long: labels too long: label name "__meta_dockerswarm_service_label_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"… of service s-long has 2097185 bytes, at most 1048576 are allowed
        service prefixed: labels too long: label name "__meta_dockerswarm_service_label_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"… of service s-prefixed has 1048601 bytes, at most 1048576 are allowed
    "#]],
    );
}

#[test]
fn the_part_on_the_node_fetches_from_tasks() {
    let mut to = snapshot();
    let published = Port {
        name: "".into(),
        protocol: "tcp".into(),
        target: 80,
        published: 30000,
        mode: "host".into(),
    };
    let params = "p/port=80 p/path=/a/b p/param.x=y p/scheme=https p/interval=5s";
    service(&mut to, "web", labelled(params));
    let task_of_web = Task { host_ports: vec![published], ..Task::default() };
    task(&mut to, "web.1", "n1aaaa", "front=10.0.1.2", task_of_web);
    // On a network of its node, whose address only the node knows; and on a node without an address.
    service(&mut to, "apart", labelled("p/port=80"));
    task(&mut to, "apart.1", "n2bbbb", "macvlan", Task::default());
    task(&mut to, "apart.2", "n4", "front=10.0.1.3", Task::default());
    for name in ["x", "y"] {
        service(&mut to, name, labelled("p/port=9100"));
        task(&mut to, &format!("{name}.1"), "n1aaaa", "host", Task::default());
    }
    // The node parts themselves.
    service(&mut to, "part", labelled("p/port=9466 p/scheme=https"));
    task(&mut to, "part.n1aaaa", "n1aaaa", "host", Task::default());
    task(&mut to, "part.n2bbbb", "n2bbbb", "host", Task::default());
    service(&mut to, "moved", labelled("p/port=9500"));
    task(&mut to, "moved.n2bbbb", "n2bbbb", "host", Task::default());
    let node_ports = Arc::new([("n2bbbb".into(), 9500)].into());
    let options = SwarmscoutOptions {
        reach: Reach::Node,
        scraper: Scraper::Networks(vec!["back".into()]),
        unreachable: UnreachableTargets::Drop,
        ..options()
    };
    check(
        &options,
        Surroundings { node_ports, ..Surroundings::default() },
        &to,
        &expect![[r#"
        Swarmscout/s-apart
          __address__=192.0.2.2:9500 ~address_source=node_part ~declared_by=ours/service ~node_address=192.0.2.2 ~task_target_port=80 __metrics_path__=/reach/t-apart.1-0/http/80/metrics __scheme__=https instance=apart.1 job=apart node=pi-n2bbb service=apart task_slot=1
        Swarmscout/s-moved
          __address__=192.0.2.2:9500 ~address_source=node ~declared_by=ours/service ~node_address=192.0.2.2 ~task_target_port=9500 __metrics_path__=/metrics __scheme__=http instance=moved.pi-n2bbb job=moved node=pi-n2bbb service=moved
        Swarmscout/s-part
          __address__=192.0.2.1:9466 ~address_source=node ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=9466 __metrics_path__=/metrics __scheme__=https instance=part.web job=part node=web service=part
          __address__=192.0.2.2:9500 ~address_source=node_part ~declared_by=ours/service ~node_address=192.0.2.2 ~task_target_port=9466 __metrics_path__=/reach/t-part.n2bbbb-0/https/9466/metrics __scheme__=https instance=part.pi-n2bbb job=part node=pi-n2bbb service=part
        Swarmscout/s-web
          __address__=192.0.2.1:9466 ~address_source=node_part ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=80 __metrics_path__=/reach/t-web.1-0/https/80/a/b __param_x=y __scheme__=https __scrape_interval__=5s __scrape_timeout__=5s instance=web.1 job=web node=web service=web task_slot=1
        Swarmscout/s-x
          __address__=192.0.2.1:9466 ~address_source=node_part ~declared_by=ours/service ~node_address=192.0.2.1 ~task_target_port=9100 __metrics_path__=/reach/t-x.1-0/http/9100/metrics __scheme__=https instance=x.1 job=x node=web service=x task_slot=1
        service apart: node without usable address: restart the Engine of node n4 with --advertise-addr, so that the managers know an address of it
        service y: address of another target: service x has :9100/metrics of node web
    "#]],
    );
}

/// Replaces one object of a kind, by number, by another (a second number), or removes it.
#[derive(Clone, Debug)]
enum Step {
    Node(u8, Option<u8>),
    Service(u8, Option<u8>),
    Task(u8, Option<u8>),
    Network(u8, Option<u8>),
    Dockerd(u8),
    NodePort(u8, u16),
}

fn step() -> impl Strategy<Value = Step> {
    let what = || proptest::option::weighted(0.8, 0..6_u8);
    prop_oneof![
        (0..4_u8, what()).prop_map(|(id, what)| Step::Node(id, what)),
        (0..4_u8, proptest::option::weighted(0.8, 0..12_u8))
            .prop_map(|(id, what)| Step::Service(id, what)),
        (0..200_u8, what()).prop_map(|(id, what)| Step::Task(id, what)),
        (0..3_u8, what()).prop_map(|(id, what)| Step::Network(id, what)),
        (0..4_u8).prop_map(Step::Dockerd),
        (0..4_u8, 0..3_u16).prop_map(|(id, port)| Step::NodePort(id, port)),
    ]
}

fn put<T: swarmscout_swarm::buckets::Object>(
    buckets: &mut Buckets<T>,
    owner: &str,
    id: &str,
    object: Option<T>,
) {
    match object {
        Some(object) => buckets.insert(Arc::new(object)),
        None => drop(buckets.remove(owner, id)),
    }
}

fn apply(step: &Step, to: &mut Snapshot, surroundings: &mut Surroundings) {
    match *step {
        Step::Node(id, what) => {
            let id: Arc<str> = format!("n{id}").into();
            let node = what.map(|what| Node {
                hostname: format!("host{}", what % 2).into(),
                address: format!("192.0.2.{what}").into(),
                labels: labels(if what % 3 == 0 { "team=back" } else { "" }),
                id: id.clone(),
                ..Node::default()
            });
            put(&mut to.nodes, "", &id, node);
        }
        Step::Service(number, what) => {
            let id: Arc<str> = format!("s{number}").into();
            let texts = [
                "p/port=80",
                "p/port=80 p/b.port=81 p/b.class=internal p/probe=http://a/",
                "p/scrape=false",
                "p/port=x",
                "p/port=80 p/network=net1",
                "",
                "p/job=j p/label.team=x p/network=net2 p/a.port=82 p/b.port=83 p/b.job= \
                 p/b.network=net0 p/b.path=/b",
                "prometheus-port=90 prometheus.port=91",
                "prometheus-port=90 p/class=x",
                "p/port=80 p/b.scrape=false p/b.port=81",
                "team=front swarmscout.preset=swarm-state",
                "p/port=80 swarmscout.preset=swarm-state",
            ];
            let service = what.map(|what| Service {
                name: id.clone(),
                labels: labels(texts[usize::from(what)]),
                mode: if number == 3 { Mode::Global } else { Mode::Replicated },
                image: "prom/node-exporter".into(),
                id: id.clone(),
                ..Service::default()
            });
            put(&mut to.services, "", &id, service);
        }
        Step::Task(number, what) => {
            let id: Arc<str> = format!("t{number}").into();
            // Nearly all are of one service, so that its buckets split and join.
            let service = if number >= 180 { number % 4 } else { 0 };
            let service: Arc<str> = format!("s{service}").into();
            let task = what.map(|what| Task {
                service: service.clone(),
                node: format!("n{}", number % 4).into(),
                // Two tasks have each slot.
                slot: if &*service == "s3" { 0 } else { i64::from(number / 2) + 1 },
                version: u64::from(what),
                state: if what == 4 { "failed" } else { "running" }.into(),
                desired_state: if what == 3 { "shutdown" } else { "running" }.into(),
                labels: labels(match what {
                    0 => "p/probe=http://c/",
                    1 => "prometheus-port=92",
                    2 => "prometheus.port=84",
                    5 => "p/probe=http://b/",
                    _ => "",
                }),
                attachments: vec![match number % 8 {
                    7 => attachment("host", ""),
                    other => {
                        attachment(&format!("net{}", other % 3), &format!("10.{what}.0.{number}"))
                    }
                }],
                id: id.clone(),
                ..Task::default()
            });
            put(&mut to.tasks, &service, &id, task);
        }
        Step::Network(id, what) => {
            let id: Arc<str> = format!("id-net{id}").into();
            let network = what.map(|what| Network {
                name: format!("net-{what}").into(),
                scope: "swarm".into(),
                id: id.clone(),
                ..Network::default()
            });
            put(&mut to.networks, "", &id, network);
        }
        Step::NodePort(id, port) => {
            let (id, node_ports) = (format!("n{id}").into(), &mut surroundings.node_ports);
            match port {
                0 => drop(Arc::make_mut(node_ports).remove(&id)),
                // Services listen on some of these.
                port => drop(Arc::make_mut(node_ports).insert(id, 9098 + port)),
            }
        }
        Step::Dockerd(number) => {
            let address: Arc<str> = format!("192.0.2.{number}:9323").into();
            if !surroundings.dockerd.remove(&address) {
                surroundings.dockerd.insert(address);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The groups depend on the snapshot and the surroundings alone, and an unchanged group is the
    /// same `Arc`.
    #[test]
    fn groups_depend_on_the_snapshot_alone(
        first in proptest::collection::vec(step(), 0..250),
        rounds in proptest::collection::vec(proptest::collection::vec(step(), 0..4), 1..12),
    ) {
        let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
        let mut surroundings = Surroundings::default();
        for step in &first {
            apply(step, &mut snapshot, &mut surroundings);
        }
        let scrapers =
            [Scraper::Here, Scraper::Networks(vec!["net1".into()]), Scraper::Service("s1".into())];
        let all = scrapers.map(|scraper| {
            let reach = if scraper == Scraper::Here { Reach::Node } else { Reach::Direct };
            SwarmscoutOptions { scraper, reach, ..options() }
        });
        let new = |options: &_, surroundings: Arc<_>| {
            let (publish, receiver) = watch::channel(surroundings);
            (publish, EndpointFinder::new(options, receiver, &with_team()))
        };
        let mut finders = all.clone().map(|options| new(&options, Arc::default()));
        let mut known = [const { Groups::new() }; 3];
        for steps in rounds {
            for step in &steps {
                apply(step, &mut snapshot, &mut surroundings);
            }
            for (((publish, incremental), options), known) in
                finders.iter_mut().zip(&all).zip(&mut known)
            {
                let known_beside = Arc::new(surroundings.clone());
                publish.send_replace(Arc::clone(&known_beside));
                let expected = new(options, known_beside).1.find(&snapshot, None).unwrap();
                let found = incremental.find(&snapshot, None).unwrap();
                prop_assert_eq!(&found, &expected);
                prop_assert!(found.0.is_sorted_by(|a, b| a.source < b.source));
                for group in &found.0 {
                    let before = known.iter().find(|known| *known == group);
                    prop_assert!(before.is_none_or(|before| Arc::ptr_eq(before, group)));
                }
                *known = found.0;
            }
        }
    }
}
