//! With what a real manager answered at its control socket and, at the same time, over its API.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use expect_test::{Expect, expect};
use prost::Message as _;
use prost::encoding::encode_key;

use super::connection::Elements;
use super::convert::{Converter, Listed};
use super::*;
use crate::engine::{
    Attachment, Decoder, Element, LabelMap, ListScanner, Mode, Network, Node,
    Object as OfTheEngine, Resources, ScanError, Service, Task,
};

fn recorded(name: &str) -> Bytes {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/swarmkit");
    std::fs::read(folder.join(name)).unwrap().into()
}

fn converted<T: Listed>(answer: Bytes, converter: &mut Converter) -> Vec<T> {
    Elements(answer).filter_map(|element| converter.read(element.unwrap()).unwrap()).collect()
}

fn listed<T: OfTheEngine>(text: &[u8]) -> Vec<T> {
    let (mut decoder, mut objects) = (Decoder::default(), Vec::new());
    let mut each = |element: Element<'_>| {
        objects.extend(decoder.decode(element)?);
        Ok::<(), ScanError>(())
    };
    ListScanner::default().push(text, &mut each).unwrap();
    assert_eq!(decoder.take_problems(), []);
    objects
}

/// Reads the same list from both and compares it object by object. `id` identifies them, and what
/// only one of them knows is taken out of them by `same`.
#[track_caller]
fn compare<T: Listed + OfTheEngine + PartialEq + Debug>(
    list: &str,
    id: fn(&T) -> &Arc<str>,
    same: fn(T) -> Option<T>,
) -> Vec<T> {
    let by_id = |objects: Vec<T>| -> BTreeMap<Arc<str>, T> {
        objects
            .into_iter()
            .filter_map(same)
            .map(|object| (Arc::clone(id(&object)), object))
            .collect()
    };
    let mut converter = Converter::default();
    let sent = by_id(converted(recorded(&format!("{list}.pb")), &mut converter));
    assert_eq!(converter.take_problems(), []);
    assert_eq!(sent, by_id(listed(&recorded(&format!("{list}.json")))), "{list}");
    sent.into_values().collect()
}

#[test]
fn objects_are_those_of_the_engine() {
    let nodes = compare::<Node>("nodes", |node| &node.id, Some);
    assert_eq!(nodes.iter().filter(|node| node.manager.is_some()).count(), 3);
    let services = compare::<Service>("services", |service| &service.id, Some);
    assert_eq!(services.len(), 17);
    let count = |has: fn(&Service) -> bool| services.iter().filter(|service| has(service)).count();
    assert_eq!(count(|service| service.replicas > 0), 13);
    assert_eq!(count(|service| !service.placement.constraints.is_empty()), 2);
    assert_eq!(count(|service| service.reservations != Resources::default()), 1);
    assert_eq!(count(|service| !service.restart_condition.is_empty()), 3);
    assert_eq!(count(|service| !service.networks.is_empty()), 6);
    let tasks = compare::<Task>("tasks", |task| &task.id, Some);
    assert_eq!(tasks.len(), 44);
    assert!(tasks.iter().all(|task| task.updated > 0 && task.created > 0));
    let failures: BTreeSet<_> = tasks.iter().filter_map(|task| task.failure.as_ref()).collect();
    expect![[r#"
        {
            TaskFailure {
                error: "No such image: no-such-image:9",
                exit_code: 0,
            },
            TaskFailure {
                error: "no suitable node (scheduling constraints not satisfied on 5 nodes)",
                exit_code: 0,
            },
            TaskFailure {
                error: "task: non-zero exit (1)",
                exit_code: 1,
            },
        }
    "#]]
    .assert_debug_eq(&failures);
    // The Engine also lists its own networks, and no time of a change.
    let networks = compare::<Network>(
        "networks",
        |network| &network.id,
        |network| (&*network.scope == "swarm").then_some(Network { updated: 0, ..network }),
    );
    assert_eq!(networks.len(), 4);
}

#[test]
fn nothing_secret_is_decoded() {
    const SECRET: [&str; 8] = [
        "hunter2",
        "DB_PASSWORD",
        "abc-token",
        "db-password",
        "app-config",
        "scratch-mount",
        "command-argument",
        "BEGIN CERTIFICATE",
    ];
    let mut shown = String::new();
    for (list, read) in [
        ("nodes.pb", debug::<Node> as fn(Bytes) -> String),
        ("services.pb", debug::<Service>),
        ("tasks.pb", debug::<Task>),
    ] {
        shown += &read(recorded(list));
    }
    assert!(shown.contains("secretive"));
    let sent = [recorded("nodes.pb"), recorded("services.pb"), recorded("tasks.pb")].concat();
    for secret in SECRET {
        assert!(sent.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
        assert!(!shown.contains(secret), "{secret}");
    }
}

/// The decoded messages of a list, and the objects that they become.
fn debug<T: Listed + Debug>(answer: Bytes) -> String
where
    T::Sent: Debug,
{
    let messages =
        Elements(answer.clone()).map(|element| T::Sent::decode(element.unwrap()).unwrap());
    let messages: Vec<_> = messages.collect();
    format!("{messages:?} {:?}", converted::<T>(answer, &mut Converter::default()))
}

#[test]
fn changes_are_reported_in_their_order() {
    let mut messages = recorded("watch.pb");
    let (mut converter, mut lines) = (Converter::default(), Vec::new());
    while messages.has_remaining() {
        let length = messages.get_u32() as usize;
        let mut message = Elements(messages.split_to(length));
        let changes = watch::changes(&mut message, &mut converter).unwrap();
        let changes: Vec<_> = changes.iter().map(in_words).collect();
        lines.push(changes.join("\nand "));
    }
    expect![[r#"

        changed service zero (275)
        changed task of 95qf53as4n3warydxym8k8slt (276): new, wanted running
        changed task of 95qf53as4n3warydxym8k8slt (277): pending, wanted running
        changed task of 95qf53as4n3warydxym8k8slt (278): assigned, wanted running
        changed task of 95qf53as4n3warydxym8k8slt (279): preparing, wanted running
        changed task of 95qf53as4n3warydxym8k8slt (280): starting, wanted running
        changed task of 95qf53as4n3warydxym8k8slt (281): running, wanted running
        removed service stuck (103)
        changed task of yhkm287tcjq7bialks93mowd0 (283): pending, wanted remove
        and changed task of yhkm287tcjq7bialks93mowd0 (283): pending, wanted remove
        removed task of yhkm287tcjq7bialks93mowd0 (283): pending, wanted remove
        and removed task of yhkm287tcjq7bialks93mowd0 (283): pending, wanted remove"#]]
    .assert_eq(&lines.join("\n"));
}

fn in_words(change: &Change) -> String {
    let (what, object) = match change {
        Change::Changed(object) => ("changed", object),
        Change::Removed(object) => ("removed", object),
    };
    match object {
        Object::Node(node) => format!("{what} node {}", node.hostname),
        Object::Service(service) => {
            format!("{what} service {} ({})", service.name, service.version)
        }
        Object::Task(task) => format!(
            "{what} task of {} ({}): {}, wanted {}",
            task.service, task.version, task.state, task.desired_state
        ),
        Object::Network(network) => format!("{what} network {}", network.name),
    }
}

/// A message that is put together by hand: members by their numbers.
#[derive(Clone, Default)]
struct Hand(Vec<u8>);

impl Hand {
    fn bytes(mut self, number: u32, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        encode_key(number, prost::encoding::WireType::LengthDelimited, &mut self.0);
        prost::encoding::encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(mut self, number: u32, value: u64) -> Self {
        encode_key(number, prost::encoding::WireType::Varint, &mut self.0);
        prost::encoding::encode_varint(value, &mut self.0);
        self
    }

    fn message(self, number: u32, message: Self) -> Self {
        self.bytes(number, message.0)
    }

    fn read<T: Listed>(self) -> (Option<T>, String) {
        let mut converter = Converter::default();
        let object = converter.read(self.0.into()).unwrap();
        let problems = converter.take_problems();
        let lines = problems
            .iter()
            .map(|p| format!("{} {}: {}: {}\n", p.kind, p.object, p.reason, p.detail));
        (object, lines.collect())
    }
}

fn hand() -> Hand {
    Hand::default()
}

/// A task with this runtime in its spec, and members of its own.
fn task(members: Hand) -> Hand {
    members.bytes(1, "t").message(3, hand().message(1, hand()))
}

#[test]
fn what_the_engine_leaves_out_is_left_out() {
    let spec = |runtime: u32| hand().message(runtime, hand().bytes(1, "x"));
    for (runtime, listed) in [(1, true), (8, false), (10, false), (99, false)] {
        let (task, problems) = hand().bytes(1, "t").message(3, spec(runtime)).read::<Task>();
        assert_eq!((task.is_some(), &*problems), (listed, ""), "task with runtime {runtime}");
        let service = hand().bytes(1, "s").message(3, hand().message(2, spec(runtime)));
        assert_eq!(service.read::<Service>().0.is_some(), listed, "service with runtime {runtime}");
    }
    assert_eq!(hand().bytes(1, "t").read::<Task>().0, None);
    let network = |label: &str, value: &str| {
        let label = hand().bytes(1, label).bytes(2, value);
        let annotations = hand().bytes(1, "host").message(2, label);
        hand().bytes(1, "n").message(3, hand().message(1, annotations)).read::<Network>().0
    };
    assert_eq!(network("com.docker.swarm.predefined", "true"), None);
    assert!(network("com.docker.swarm.predefined", "false").is_some());
}

#[test]
fn an_old_ingress_network_is_known_by_its_label() {
    let network = |name: &str, spec: Hand| {
        let label = hand().bytes(1, "com.docker.swarm.internal").bytes(2, "true");
        let spec = spec.message(1, hand().bytes(1, name).message(2, label));
        hand().bytes(1, "n").message(3, spec).read::<Network>().0.unwrap()
    };
    assert!(network("ingress", hand()).ingress);
    assert!(!network("other", hand()).ingress);
    assert!(network("other", hand().number(7, 1)).ingress);
}

#[test]
fn the_smallest_part_that_is_bad_is_left_out() {
    let network = hand().bytes(1, "n").message(3, hand().message(1, hand().bytes(1, "front")));
    let attachment =
        hand().message(1, network).bytes(2, "10.0.1.3/24").bytes(2, "10.0.1.4").bytes(2, "");
    let (read, problems) = task(hand()).message(11, attachment).read::<Task>();
    let [Attachment { name, addresses, .. }] = &read.unwrap().attachments[..] else { panic!() };
    assert_eq!((&**name, &addresses[..]), ("front", &["10.0.1.3".parse().unwrap()][..]));
    expect![[r#"
        task t: task address of wrong type: expected an address with the length of its network, found "10.0.1.4"
        task t: task address of wrong type: expected an address with the length of its network, found ""
    "#]]
    .assert_eq(&problems);

    let ip = |addr: &str| hand().bytes(1, "n").bytes(2, addr);
    let endpoint = hand().message(3, ip("10.0.0.2/24")).message(3, ip("x")).message(3, ip(""));
    let spec = hand().message(2, hand().message(1, hand()));
    let service = hand().bytes(1, "s").message(3, spec).message(4, endpoint);
    let (read, problems) = service.read::<Service>();
    let addresses: Vec<_> = read.unwrap().virtual_ips.into_iter().map(|ip| ip.address).collect();
    assert_eq!(addresses, [Some("10.0.0.2".parse().unwrap()), None]);
    expect![[r#"
        service s: virtual IP of wrong type: expected an address with the length of its network, found "x"
    "#]]
    .assert_eq(&problems);
}

#[test]
fn an_object_that_is_too_large_is_named_and_left_out() {
    let large = task(hand()).bytes(99, vec![0; crate::engine::MAX_ELEMENT]);
    let (read, problems) = large.read::<Task>();
    assert_eq!(read, None);
    expect![[r#"
        task t: object too large: 
    "#]]
    .assert_eq(&problems);
}

#[test]
fn unknown_numbers_are_shown_as_the_engine_shows_them() {
    let status =
        hand().number(2, 513).message(6, hand().message(1, hand().number(2, 9).number(5, 9)));
    let read = task(hand().number(10, 512)).message(9, status).read::<Task>().0.unwrap();
    assert_eq!((&*read.state, &*read.desired_state), ("513", "running"));
    assert_eq!((&*read.host_ports[0].protocol, &*read.host_ports[0].mode), ("", ""));
    let spec = hand().message(2, hand().message(1, hand()));
    let service = hand().bytes(1, "s").message(3, spec).message(5, hand().number(1, 99));
    let read = service.read::<Service>().0.unwrap();
    assert_eq!((&*read.update_state, read.mode), ("", Mode::Unknown));
}

#[test]
fn times_and_texts_are_read_as_from_json() {
    let at = |seconds: i64, nanos: u64| {
        let time = hand().number(1, seconds.cast_unsigned()).number(2, nanos);
        task(hand().message(2, hand().message(3, time))).read::<Task>().0.unwrap().updated
    };
    assert_eq!(at(1_795_393_338, 688_404_114), 1_795_393_338_688_404);
    // Go's zero time.
    assert_eq!(at(-62_135_596_800, 0), 0);
    assert_eq!(at(i64::MAX, 0), i64::MAX);
    let label = |key: &[u8], value: &[u8]| hand().bytes(1, key).bytes(2, value);
    let labels = hand().message(2, label(b"b", b"1")).message(2, label(b"a", b"\xff\xe2\x82"));
    let labels = labels.message(2, label(b"b", b"2"));
    let read = hand().bytes(1, "t").message(3, hand().message(1, labels)).read::<Task>().0.unwrap();
    let labels: Vec<_> = read.labels.iter().collect();
    assert_eq!(labels, [("a", "\u{fffd}\u{fffd}\u{fffd}"), ("b", "2")]);
}

#[test]
fn equal_label_maps_are_held_once_and_dropped_when_nothing_holds_them() {
    let mut converter = Converter::default();
    let mut labelled = |first: &str, second: &str| -> Arc<LabelMap> {
        let label = |key: &str| hand().bytes(1, key).bytes(2, "v");
        let labels = hand().message(2, label(first)).message(2, label(second));
        let spec = hand().message(1, labels);
        let task: Option<Task> =
            converter.read(hand().bytes(1, "t").message(3, spec).0.into()).unwrap();
        converter.sweep();
        task.unwrap().labels
    };
    let kept = labelled("a", "b");
    assert!(Arc::ptr_eq(&kept, &labelled("b", "a")));
    for i in 0..20_000 {
        labelled("i", &i.to_string());
    }
    assert!(Arc::ptr_eq(&kept, &labelled("a", "b")));
    assert!(format!("{converter:?}").len() < 3_000_000);
}

#[test]
fn bytes_that_are_not_a_message_fail_with_a_reason() {
    #[track_caller]
    fn check(answer: &[u8], expected: &Expect) {
        let read = |element| Converter::default().read::<Task>(element);
        let result: Result<Vec<_>, _> = Elements(Bytes::copy_from_slice(answer))
            .map(|element| element.and_then(read))
            .collect();
        expected.assert_eq(&result.unwrap_err().to_string());
    }
    check(b"HTTP/1.1 400", &expect!["failed to decode Protobuf message: unexpected end group tag"]);
    check(&[10, 5, 10, 1], &expect!["failed to decode Protobuf message: buffer underflow"]);
    check(
        &[10, 3, 10, 9, 1],
        &expect!["failed to decode Protobuf message: Task.id: buffer underflow"],
    );
    check(
        &[8, 1],
        &expect![
            "failed to decode Protobuf message: invalid wire type: Varint (expected LengthDelimited)"
        ],
    );
}

#[test]
fn no_call_changes_anything() {
    let paths: Vec<_> = Method::ALL.iter().map(|method| method.path()).collect();
    for path in &paths {
        let (service, method) = path.rsplit_once('/').unwrap();
        let reads = ["Get", "List", "Watch"].iter().any(|verb| method.starts_with(verb));
        assert!(reads && service.starts_with("/docker.swarmkit.v1."), "{path}");
    }
    assert_eq!(paths.len(), paths.iter().collect::<BTreeSet<_>>().len());
}
