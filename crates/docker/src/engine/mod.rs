//! The Docker Engine API, as far as discovery needs it: read only, and with no version pinned.
//!
//! ```text
//!  Hosts (failover) → Session (one host: version, paths, refusals) → ListReader → objects
//!                                                       Memo, ListScanner, Decoder ↗
//! ```
//!
//! Nothing but GET and HEAD is ever sent, and only to the paths of [`Resource`]. An answer is read
//! piece by piece: the scanner cuts it into objects, and of each object only what becomes a label
//! or an address is decoded, and held.

mod client;
mod convert;
mod de;
mod decode;
mod events;
mod host_status;
mod hosts;
mod info;
mod labels;
mod lists;
mod local;
mod memo;
mod messages;
mod network_status;
mod objects;
mod read;
pub(crate) mod refusal;
mod scan;
mod text;
mod time;
mod version;

pub use client::{List, Resource};
pub(crate) use client::{MAX_ANSWER, MAX_OBJECTS};
pub(crate) use convert::parse_cidr;
pub use decode::{Decoder, Head, Object};
pub use events::{Action, Event, EventKind, EventParser, EventStream, NoEvents, StreamEnd};
pub use host_status::{HostInfo, HostStatus, host_status};
pub use hosts::{EVENTS_WITHIN, HostFiles, HostLists, Hosts, NetworkStatuses};
pub use info::{Info, host_of};
pub use labels::LabelMap;
pub use lists::{Lists, Query};
pub use local::{
    BuildCache, ContainerAction, ContainerDetail, ContainerEnd, ContainerEvent, ContainerEvents,
    DiskUsage, ImageUsage, ListedContainer, LocalEngine, VolumeUsage,
};
pub use memo::{ListReader, Listed, Memo, Memos};
pub use network_status::NetworkStatus;
pub use objects::{
    AddressPool, Attachment, Container, ContainerPort, Endpoint, GenericResource, ManagerStatus,
    Mode, Network, Node, Placement, Platform, Plugin, Port, Resources, STACK_LABEL, Service,
    StoredFile, SwarmConfig, SwarmSecret, Task, TaskFailure, VirtualIp,
};
pub(crate) use read::push_lossy;
pub use read::{Fault, Reader};
pub(crate) use refusal::shortened;
pub use scan::{Element, ListScanner, MAX_DEPTH, MAX_ELEMENT, ScanError};
pub(crate) use time::micros_of;
pub use version::ApiVersion;
