//! What nodes read of each other and of managers.

use serde_json::Value;
use swarmscout_node_tasks::fuzzing as node_tasks;
use swarmscout_peers::fuzzing as peers;

/// The longest text that a node takes, in bytes.
const LONGEST: usize = 1024;

/// The answer of a manager about the tasks of a node.
///
/// What is read of it is compared with a generic reader of JSON, and with itself written and read again.
pub fn node_tasks(body: &[u8]) {
    let Ok(tasks) = node_tasks::read(body) else { return };
    let written = node_tasks::write(&tasks);
    assert_eq!(node_tasks::read(&written).as_ref(), Ok(&tasks), "what was written");
    let value: Value = serde_json::from_slice(body).expect("it was read");
    let ids = |list: &str| -> Vec<&str> {
        let list = value["data"][list].as_array().into_iter().flatten();
        list.map(|task| task["id"].as_str().expect("it was read")).collect()
    };
    assert_eq!(tasks.tasks.iter().map(|task| &*task.id).collect::<Vec<_>>(), ids("tasks"));
    assert_eq!(tasks.ended.iter().map(|task| &*task.id).collect::<Vec<_>>(), ids("ended"));
    assert_eq!(tasks.peers.iter().map(|peer| &*peer.id).collect::<Vec<_>>(), ids("peers"));
    let ended: Vec<_> = tasks.ended().map(|(_, task)| task).collect();
    assert_eq!(ended.len(), tasks.ended.len());
    for task in tasks.tasks.iter().chain(&ended) {
        let labels = task.labels.iter().flat_map(|(name, value)| [name, value]);
        let texts = [&task.name, &task.service_name, &task.image, &task.state];
        assert!(texts.into_iter().chain(labels).all(|text| text.len() <= LONGEST), "{task:?}");
    }
}

/// A packet of another node, or of anybody.
pub fn peer_packet(packet: &[u8]) {
    peers::packet(packet);
}
