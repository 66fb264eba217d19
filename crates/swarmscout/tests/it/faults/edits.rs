//! Recorded answers with something changed in one object.

use serde_json::Value;

use super::lists;
use super::sources::Source;

/// A fault of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    NotUtf8,
    NotANumber,
    HugeNumber,
    Missing,
    Null,
    OtherType,
    UnknownWord,
    IdTwice,
    AddressTwice,
    Unspecified,
}

/// How an answer is changed. Places are JSON pointers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// All of it is this.
    Text(&'static [u8]),
    /// Puts this there instead. It need not be JSON.
    Set(&'static str, &'static [u8]),
    /// The member is not there.
    Remove(&'static str),
    /// In the list at the first place this element stands twice, the second time with this at the
    /// second place, which is in the element.
    Again(&'static str, usize, &'static str, &'static [u8]),
}

use Change::{Again, Remove, Set, Text};

/// No UTF-8 has these bytes.
pub(crate) const NOT_UTF8: &[u8] = b"\"x\xff\xfey\"";

/// A number that no type holds.
const HUGE: &[u8] = b"1e999";

/// A string that stands for text that is not JSON.
const PLACEHOLDER: &str = "@@";

impl Source {
    /// The end of a path, and the changed answer there. `None` where there is nothing to change.
    pub(crate) fn edit(self, edit: Edit) -> Option<(&'static str, Vec<u8>)> {
        let change = match self {
            Self::File | Self::Http => groups(edit),
            Self::Masters => masters(edit),
            Self::Nodes => nodes(edit),
            Self::Services => services(edit),
            Self::Tasks | Self::Labels if edit == Edit::Unspecified => {
                // The node of the task, not the task.
                return Some(("/nodes", nodes(edit).apply(self.answer("/nodes"))));
            }
            Self::Labels if edit == Edit::AddressTwice => {
                return Some(("/tasks", tasks(edit).apply(self.answer("/tasks"))));
            }
            Self::Labels => labels(edit),
            Self::Engines => labels_of_containers(edit),
            Self::Tasks => tasks(edit),
            Self::OtherLists => networks(edit)?,
            Self::Docker => containers(edit),
            Self::ListFile => lists::edit_file(edit)?,
            Self::Etcd2 => lists::edit_etcd2(edit),
            Self::Etcd3 => lists::edit_etcd3(edit)?,
            Self::Consul => lists::edit_consul(edit)?,
            Self::Token => lists::edit_token(edit)?,
            Self::ZooKeeper | Self::Dns => return None,
        };
        Some((self.list(), change.apply(self.answer(self.list()))))
    }
}

fn groups(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Set("/0/labels/zone", NOT_UTF8),
        Edit::NotANumber => Set("/0/labels/size", b"NaN"),
        Edit::HugeNumber => Set("/0/labels/size", HUGE),
        Edit::Missing => Remove("/1/targets"),
        Edit::Null => Set("/1", b"null"),
        Edit::OtherType => Set("/1/targets", br#"{"a":1}"#),
        Edit::UnknownWord => Set("/1/labels", br#"{"__scheme__":"gopher"}"#),
        Edit::IdTwice => Again("", 1, "/labels/zone", br#""b""#),
        Edit::AddressTwice => Set("/0/targets/1", br#""10.0.0.1:9100""#),
        Edit::Unspecified => Set("/0/targets/0", br#""0.0.0.0:9100""#),
    }
}

/// Row 3 is the number of nodes, rows 4 to 12 are node-1, 13 to 21 node-2.
fn masters(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Set("/SystemStatus/6/1", NOT_UTF8),
        Edit::NotANumber => Set("/SystemStatus/3/1", b"NaN"),
        Edit::HugeNumber => Set("/SystemStatus/3/1", br#""99999999999999999999""#),
        Edit::Missing => Remove("/SystemStatus"),
        Edit::Null => Set("/SystemStatus/4/1", b"null"),
        Edit::OtherType => Set("/SystemStatus/15", b"7"),
        Edit::UnknownWord => Set("/SystemStatus/6/1", br#""Levitating""#),
        Edit::IdTwice => Set(
            "/SystemStatus/14/1",
            br#""AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ|10.77.1.11:2375""#,
        ),
        Edit::AddressTwice => Set("/SystemStatus/13/1", br#""10.77.1.11:2375""#),
        Edit::Unspecified => Set("/SystemStatus/13/1", br#""0.0.0.0:2375""#),
    }
}

fn nodes(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Set("/0/Description/Hostname", NOT_UTF8),
        Edit::NotANumber => Set("/0/Version/Index", b"NaN"),
        Edit::HugeNumber => Set("/0/Version/Index", HUGE),
        Edit::Missing => Remove("/0/Status"),
        Edit::Null => Set("/0/Spec", b"null"),
        Edit::OtherType => Set("/1/Spec/Labels/tier", b"7"),
        Edit::UnknownWord => Set("/0/Status/State", br#""levitating""#),
        Edit::IdTwice => Again("", 0, "/Status/Addr", br#""10.77.2.99""#),
        Edit::AddressTwice => Set("/0/Status/Addr", br#""10.77.2.21""#),
        Edit::Unspecified => Set("/2/Status/Addr", br#""0.0.0.0""#),
    }
}

/// Number 0 has a published port and two virtual IPs, number 1 one virtual IP.
fn services(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Set("/0/Spec/Name", NOT_UTF8),
        Edit::NotANumber => Set("/0/Version/Index", b"NaN"),
        Edit::HugeNumber => Set("/0/Endpoint/Ports/0/PublishedPort", HUGE),
        Edit::Missing => Remove("/0/Endpoint"),
        Edit::Null => Set("/0/Endpoint/VirtualIPs", b"null"),
        Edit::OtherType => Set("/0/Endpoint/VirtualIPs/1", b"7"),
        Edit::UnknownWord => Set("/0/Spec/Mode", br#"{"Levitated":{}}"#),
        Edit::IdTwice => Again("", 0, "/Spec/Name", br#""other""#),
        Edit::AddressTwice => Set("/1/Endpoint/VirtualIPs/0/Addr", br#""10.0.0.5/24""#),
        Edit::Unspecified => Set("/0/Endpoint/VirtualIPs/1/Addr", br#""0.0.0.0/24""#),
    }
}

/// Numbers 3 and 4 run, each with an address on two networks.
fn tasks(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Set("/3/Status/State", NOT_UTF8),
        Edit::NotANumber => Set("/3/Slot", b"NaN"),
        Edit::HugeNumber => Set("/3/Slot", HUGE),
        Edit::Missing => Remove("/3/NodeID"),
        Edit::Null => Set("/3/NetworksAttachments", b"null"),
        Edit::OtherType => Set("/3/NetworksAttachments/1", b"7"),
        Edit::UnknownWord => Set("/3/Status/State", br#""levitating""#),
        Edit::IdTwice => Again("", 3, "/NetworksAttachments/1/Addresses/0", br#""10.90.1.99/24""#),
        Edit::AddressTwice => Set("/4/NetworksAttachments/1/Addresses/0", br#""10.90.1.15/24""#),
        Edit::Unspecified => unreachable!("the address of a node"),
    }
}

/// Number 3 is the network of most tasks.
fn networks(edit: Edit) -> Option<Change> {
    Some(match edit {
        Edit::NotUtf8 => Set("/3/Name", NOT_UTF8),
        Edit::NotANumber => Set("/3/Internal", b"NaN"),
        Edit::Missing => Remove("/3/Name"),
        Edit::Null => Set("/3/Labels", b"null"),
        Edit::OtherType => Set("/3/Labels/team", b"7"),
        Edit::UnknownWord => Set("/3/Scope", br#""galaxy""#),
        Edit::IdTwice => Again("", 3, "/Name", br#""other""#),
        // It has neither number nor address.
        Edit::HugeNumber | Edit::AddressTwice | Edit::Unspecified => return None,
    })
}

/// Number 2 has a published port, numbers 1 and 5 share a network.
fn containers(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Set("/2/Names/0", NOT_UTF8),
        Edit::NotANumber => Set("/2/Ports/0/PrivatePort", b"NaN"),
        Edit::HugeNumber => Set("/2/Ports/0/PrivatePort", HUGE),
        Edit::Missing => Remove("/2/Names"),
        Edit::Null => Set("/2/NetworkSettings", b"null"),
        Edit::OtherType => Set("/2/Ports/0", b"7"),
        Edit::UnknownWord => Set("/2/Ports/0/Type", br#""quic""#),
        Edit::IdTwice => Again("", 2, "/Names/0", br#""/other""#),
        Edit::AddressTwice => Set("/1/NetworkSettings/Networks/back/IPAddress", br#""10.90.2.7""#),
        Edit::Unspecified => Set("/2/NetworkSettings/Networks/open/IPAddress", br#""0.0.0.0""#),
    }
}

/// Number 0 has tasks on two networks.
fn labels(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Set("/0/Spec/Labels/prometheus.io~1port", NOT_UTF8),
        Edit::NotANumber => Set("/0/Spec/Labels/prometheus.io~1port", b"NaN"),
        Edit::HugeNumber => Set("/0/Spec/Labels/prometheus.io~1port", HUGE),
        Edit::Missing => Remove("/0/Spec/Labels"),
        Edit::Null => Set("/0/Spec/Labels/prometheus.io~1port", b"null"),
        Edit::OtherType => Set("/0/Spec/Labels/prometheus.io~1port", b"7"),
        Edit::UnknownWord => Set("/0/Spec/Labels/prometheus.io~1scrape", br#""levitating""#),
        Edit::IdTwice => Again("", 0, "/Spec/Name", br#""other""#),
        Edit::AddressTwice | Edit::Unspecified => unreachable!("addresses are those of tasks"),
    }
}

/// Number 2 has a published port, numbers 1 and 5 share a network.
fn labels_of_containers(edit: Edit) -> Change {
    match edit {
        Edit::NotUtf8 => Set("/2/Labels/prometheus.io~1port", NOT_UTF8),
        Edit::NotANumber => Set("/2/Labels/prometheus.io~1port", b"NaN"),
        Edit::HugeNumber => Set("/2/Labels/prometheus.io~1port", HUGE),
        Edit::Missing => Remove("/2/Labels"),
        Edit::Null => Set("/2/Labels/prometheus.io~1port", b"null"),
        Edit::OtherType => Set("/2/Labels/prometheus.io~1port", b"7"),
        Edit::UnknownWord => Set("/2/Labels/prometheus.io~1scrape", br#""levitating""#),
        Edit::IdTwice | Edit::AddressTwice => containers(edit),
        Edit::Unspecified => Set("/1/NetworkSettings/Networks/back/IPAddress", br#""0.0.0.0""#),
    }
}

impl Change {
    fn apply(self, answer: &[u8]) -> Vec<u8> {
        if let Text(text) = self {
            return text.to_vec();
        }
        let mut root: Value = serde_json::from_slice(answer).unwrap();
        let written = match self {
            Text(text) => text,
            Set(place, written) => {
                *root.pointer_mut(place).unwrap() = PLACEHOLDER.into();
                written
            }
            Remove(place) => {
                let (parent, member) = place.rsplit_once('/').unwrap();
                let parent = root.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                parent.remove(member).unwrap();
                b""
            }
            Again(list, index, place, written) => {
                let list = root.pointer_mut(list).unwrap().as_array_mut().unwrap();
                let mut again = list[index].clone();
                *again.pointer_mut(place).unwrap() = PLACEHOLDER.into();
                list.push(again);
                written
            }
        };
        let text = root.to_string();
        let Some((before, after)) = text.split_once(&format!("\"{PLACEHOLDER}\"")) else {
            return text.into_bytes();
        };
        [before.as_bytes(), written, after.as_bytes()].concat()
    }
}
