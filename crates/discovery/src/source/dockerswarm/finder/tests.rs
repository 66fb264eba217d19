use proptest::prelude::*;
use swarmscout_docker::engine::{Attachment, LabelMap, Network, VirtualIp};

use super::*;
use crate::config::{Filter, OverlayPort};

/// Replaces one object of a kind, by number, by another (a second number), or removes it.
#[derive(Clone, Debug)]
enum Step {
    Node(u8, Option<u8>),
    Service(u8, Option<u8>),
    Task(u8, Option<u8>),
    Network(u8, Option<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let what = || proptest::option::weighted(0.8, 0..4_u8);
    prop_oneof![
        (0..4_u8, what()).prop_map(|(id, what)| Step::Node(id, what)),
        (0..3_u8, what()).prop_map(|(id, what)| Step::Service(id, what)),
        (0..200_u8, what()).prop_map(|(id, what)| Step::Task(id, what)),
        (0..3_u8, what()).prop_map(|(id, what)| Step::Network(id, what)),
    ]
}

fn labels(what: u8) -> Arc<LabelMap> {
    Arc::new(LabelMap::new(vec![("n".to_owned(), what.to_string())]))
}

fn put<T: Object>(buckets: &mut Buckets<T>, owner: &str, id: &str, object: Option<T>) {
    match object {
        Some(object) => buckets.insert(Arc::new(object)),
        None => drop(buckets.remove(owner, id)),
    }
}

fn apply(step: &Step, to: &mut Snapshot) {
    match *step {
        Step::Node(id, what) => {
            let id: Arc<str> = format!("n{id}").into();
            let node = what.map(|what| Node {
                hostname: id.clone(),
                labels: labels(what),
                address: format!("192.0.2.{what}").into(),
                id: id.clone(),
                ..Node::default()
            });
            put(&mut to.nodes, "", &id, node);
        }
        Step::Service(id, what) => {
            let network = format!("net{}", id % 3).into();
            let id: Arc<str> = format!("s{id}").into();
            let service = what.map(|what| Service {
                name: id.clone(),
                labels: labels(what),
                virtual_ips: vec![VirtualIp { network, address: Some([10, 0, 0, what].into()) }],
                id: id.clone(),
                ..Service::default()
            });
            put(&mut to.services, "", &id, service);
        }
        Step::Task(number, what) => {
            let id: Arc<str> = format!("t{number}").into();
            // Nearly all are of one service, so that its buckets split and join.
            let service: Arc<str> = format!("s{}", u8::from(number >= 180)).into();
            let task = what.map(|what| Task {
                service: service.clone(),
                node: format!("n{}", number % 4).into(),
                desired_state: if what == 3 { "shutdown" } else { "running" }.into(),
                attachments: vec![Attachment {
                    network: format!("net{}", number % 3).into(),
                    name: "net".into(),
                    driver: "overlay".into(),
                    ingress: false,
                    addresses: vec![[10, 1, what, number].into()],
                }],
                id: id.clone(),
                ..Task::default()
            });
            put(&mut to.tasks, &service, &id, task);
        }
        Step::Network(id, what) => {
            let id: Arc<str> = format!("net{id}").into();
            let network = what.map(|what| Network {
                name: format!("net-{what}").into(),
                scope: "swarm".into(),
                labels: labels(what),
                id: id.clone(),
                ..Network::default()
            });
            put(&mut to.networks, "", &id, network);
        }
    }
}

fn finders() -> Vec<Finder> {
    let of = |role, filters: &[(&str, &str)]| {
        let filters: Vec<_> = filters
            .iter()
            .map(|(name, value)| Filter { name: (*name).into(), values: vec![(*value).into()] })
            .collect();
        let overlay_port = OverlayPort::Published;
        let options = Options { role, port: 80, match_first_network: false, overlay_port };
        Finder::new(options, Filters::new(role, &filters))
    };
    vec![
        of(Role::Nodes, &[]),
        of(Role::Nodes, &[("node.label", "n=1")]),
        of(Role::Services, &[]),
        of(Role::Services, &[("label", "n=2")]),
        of(Role::Tasks, &[]),
        of(Role::Tasks, &[("desired-state", "running"), ("label", "n=1")]),
        of(Role::Tasks, &[("service", "s0"), ("node", "n1")]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The groups depend on the snapshot alone, and an unchanged group is the same `Arc`.
    #[test]
    fn groups_depend_on_the_snapshot_alone(
        first in proptest::collection::vec(step(), 0..250),
        rounds in proptest::collection::vec(proptest::collection::vec(step(), 0..4), 1..12),
    ) {
        let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
        for step in &first {
            apply(step, &mut snapshot);
        }
        let mut finders = finders();
        let mut known = vec![Groups::new(); finders.len()];
        for steps in rounds {
            for step in &steps {
                apply(step, &mut snapshot);
            }
            for ((finder, fresh), known) in finders.iter_mut().zip(self::finders()).zip(&mut known) {
                let mut fresh = fresh;
                let expected = fresh.find(&snapshot).map_err(|error| error.to_string());
                let found = finder.find(&snapshot).map_err(|error| error.to_string());
                prop_assert_eq!(&found, &expected);
                let Ok((groups, _)) = found else { continue };
                for group in &groups {
                    let before = known.iter().find(|known| *known == group);
                    prop_assert!(before.is_none_or(|before| Arc::ptr_eq(before, group)));
                }
                *known = groups;
            }
        }
    }
}
