//! Where classic Swarms keep their lists of nodes: the answers, and what can go
//! wrong. Each list has the nodes 10.0.0.1 and 10.0.0.2, and the primary 10.0.0.9 where there is
//! one. No answer has a version, so nothing is watched and each refresh asks once for the list.

use serde_json::{Value, json};

use super::edits::{Change, Edit, NOT_UTF8};

/// The nodes as Swarm's files have them.
pub(crate) const FILE: &str = "10.0.0.1:2375\n10.0.0.2:2375\n";

/// In base64, as versions 3 of etcd and Consul have them: `10.0.0.1:2375`.
const FIRST: &str = "MTAuMC4wLjE6MjM3NQ==";
/// `10.0.0.2:2375`.
const SECOND: &str = "MTAuMC4wLjI6MjM3NQ==";
/// `10.0.0.9:3375`.
const PRIMARY: &str = "MTAuMC4wLjk6MzM3NQ==";

/// Version 2 of etcd's API.
pub(crate) fn etcd2() -> Value {
    let node = |node: &str| json!({ "key": format!("/swarm/docker/swarm/nodes/{node}"), "value": node, "modifiedIndex": 7 });
    json!({ "action": "get", "node": { "key": "/swarm/docker/swarm", "dir": true, "nodes": [
        { "key": "/swarm/docker/swarm/nodes", "dir": true,
          "nodes": [node("10.0.0.1:2375"), node("10.0.0.2:2375")] },
        { "key": "/swarm/docker/swarm/leader", "value": "10.0.0.9:3375", "modifiedIndex": 5 },
    ] } })
}

/// Version 3.
pub(crate) fn etcd3() -> Value {
    json!({ "count": "3", "kvs": [
        { "key": "L3N3YXJtL2RvY2tlci9zd2FybS9sZWFkZXI=", "value": PRIMARY },
        { "key": "L3N3YXJtL2RvY2tlci9zd2FybS9ub2Rlcy8xMC4wLjAuMToyMzc1", "value": FIRST },
        { "key": "L3N3YXJtL2RvY2tlci9zd2FybS9ub2Rlcy8xMC4wLjAuMjoyMzc1", "value": SECOND },
    ] })
}

/// Consul's key-value store.
pub(crate) fn consul() -> Value {
    let pair = |key: &str, value: &str| {
        let key = format!("swarm/docker/swarm/{key}");
        json!({ "LockIndex": 1, "Key": key, "Flags": 0, "Value": value, "Session": "a-session" })
    };
    json!([
        pair("leader", PRIMARY),
        pair("nodes/10.0.0.1:2375", FIRST),
        pair("nodes/10.0.0.2:2375", SECOND)
    ])
}

/// A service of tokens.
pub(crate) fn token() -> Value {
    json!(["10.0.0.1:2375", "10.0.0.2:2375"])
}

pub(crate) fn edit_file(edit: Edit) -> Option<Change> {
    Some(Change::Text(match edit {
        Edit::NotUtf8 => b"10.0.0.1:2375\nx\xff\xfey:2375\n",
        Edit::OtherType => b"10.0.0.1:2375\n7\n",
        Edit::AddressTwice => b"10.0.0.1:2375\n10.0.0.1:2375\n",
        Edit::Unspecified => b"10.0.0.1:2375\n0.0.0.0:2375\n",
        _ => return None,
    }))
}

pub(crate) fn edit_etcd2(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Change::Set("/node/nodes/0/nodes/0/value", NOT_UTF8),
        Edit::NotANumber => Change::Set("/node/nodes/0/nodes/0/modifiedIndex", b"NaN"),
        Edit::HugeNumber => Change::Set("/node/nodes/0/nodes/0/modifiedIndex", b"1e999"),
        Edit::Missing => Change::Remove("/node/nodes/0/nodes/0/value"),
        Edit::Null => Change::Set("/node/nodes/0/nodes/0/value", b"null"),
        Edit::OtherType => Change::Set("/node/nodes/0/nodes/0/value", b"7"),
        Edit::UnknownWord => Change::Set("/action", br#""levitate""#),
        Edit::IdTwice => Change::Again("/node/nodes/0/nodes", 0, "/value", br#""10.0.0.8:2375""#),
        Edit::AddressTwice => Change::Set("/node/nodes/0/nodes/1/value", br#""10.0.0.1:2375""#),
        Edit::Unspecified => Change::Set("/node/nodes/0/nodes/0/value", br#""0.0.0.0:2375""#),
    }
}

pub(crate) fn edit_etcd3(edit: Edit) -> Option<Change> {
    Some(match edit {
        // `x\xff\xfey` in base64.
        Edit::NotUtf8 => Change::Set("/kvs/1/value", br#""eP/+eQ==""#),
        Edit::NotANumber => Change::Set("/count", b"NaN"),
        Edit::HugeNumber => Change::Set("/count", b"1e999"),
        Edit::Missing => Change::Remove("/kvs/1/value"),
        Edit::Null => Change::Set("/kvs/1/value", b"null"),
        Edit::OtherType => Change::Set("/kvs/1/value", b"7"),
        // It has no words.
        Edit::UnknownWord => return None,
        Edit::IdTwice => Change::Again("/kvs", 1, "/value", br#""MTAuMC4wLjg6MjM3NQ==""#),
        Edit::AddressTwice => Change::Set("/kvs/2/value", br#""MTAuMC4wLjE6MjM3NQ==""#),
        Edit::Unspecified => Change::Set("/kvs/1/value", br#""MC4wLjAuMDoyMzc1""#),
    })
}

pub(crate) fn edit_consul(edit: Edit) -> Option<Change> {
    Some(match edit {
        Edit::NotUtf8 => Change::Set("/1/Value", br#""eP/+eQ==""#),
        Edit::NotANumber => Change::Set("/1/Flags", b"NaN"),
        Edit::HugeNumber => Change::Set("/1/Flags", b"1e999"),
        Edit::Missing => Change::Remove("/1/Key"),
        Edit::Null => Change::Set("/1/Value", b"null"),
        Edit::OtherType => Change::Set("/1/Value", b"7"),
        Edit::UnknownWord => return None,
        Edit::IdTwice => Change::Again("", 1, "/Value", br#""MTAuMC4wLjg6MjM3NQ==""#),
        Edit::AddressTwice => Change::Set("/2/Value", br#""MTAuMC4wLjE6MjM3NQ==""#),
        Edit::Unspecified => Change::Set("/1/Value", br#""MC4wLjAuMDoyMzc1""#),
    })
}

pub(crate) fn edit_token(edit: Edit) -> Option<Change> {
    Some(match edit {
        Edit::NotUtf8 => Change::Set("/0", NOT_UTF8),
        Edit::NotANumber => Change::Set("/0", b"NaN"),
        Edit::HugeNumber => Change::Set("/0", b"1e999"),
        Edit::Null => Change::Set("/0", b"null"),
        Edit::OtherType => Change::Set("/0", b"7"),
        Edit::AddressTwice => Change::Set("/1", br#""10.0.0.1:2375""#),
        Edit::Unspecified => Change::Set("/0", br#""0.0.0.0:2375""#),
        // It is a list of texts.
        Edit::Missing | Edit::UnknownWord | Edit::IdTwice => return None,
    })
}

/// What one of ZooKeeper's nodes then holds.
pub(crate) fn edit_zookeeper(edit: Edit) -> Option<&'static [u8]> {
    Some(match edit {
        Edit::NotUtf8 => b"x\xff\xfey",
        Edit::Missing => b"",
        Edit::OtherType => b"7",
        Edit::AddressTwice => b"10.0.0.2:2375",
        Edit::Unspecified => b"0.0.0.0:2375",
        _ => return None,
    })
}
