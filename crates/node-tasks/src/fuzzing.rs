//! The ways in for the fuzz targets of `crates/fuzz`. No part of this crate's interface.

use crate::NodeTasks;
use crate::wire::{self, Envelope};

/// Reads the body of a manager's answer as a node does.
pub fn read(body: &[u8]) -> Result<NodeTasks, String> {
    wire::read(body)
}

/// Writes an answer as a manager does.
pub fn write(tasks: &NodeTasks) -> Vec<u8> {
    let envelope = Envelope { status: "success".to_owned(), data: tasks };
    serde_json::to_vec(&envelope).unwrap_or_default()
}
