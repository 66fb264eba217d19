//! How nodes are named, and how one is removed.

use swarmscout_docker::engine::Node;

/// Its host name, or its ID.
pub(crate) fn display_name(node: &Node) -> &str {
    if node.hostname.is_empty() { &node.id } else { &node.hostname }
}

/// The command that removes a node that is gone for good. Docker removes no manager.
pub(crate) fn removal(node: &Node) -> String {
    let name = display_name(node);
    let demote = if &*node.role == "manager" {
        format!("docker node demote {name} && ")
    } else {
        String::new()
    };
    format!("{demote}docker node rm {name}")
}
