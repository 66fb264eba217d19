//! The vocabulary of Swarmscout and everything in it that is a pure function: label sets, target
//! groups, relabeling, and how a discovered group becomes targets.
//!
//! **Invariant: no clock, no file, no socket.** So an error has its reason in the arguments, and the
//! program, its pages and its tests call the same functions. It may use `go-regexp`.

pub mod budget;
pub mod duration;
mod durations;
pub mod groups;
pub mod labels;
pub mod lossy_json;
pub mod name;
pub mod quote;
pub mod reach;
pub mod relabel;
pub mod secret;
pub mod size;
pub mod target;
pub mod target_list;
pub mod target_set;
mod text;
mod url;
pub mod yaml;

pub use budget::{Budget, Charge, OverBudget, Process};
pub use duration::PromDuration;
pub use durations::DurationHistogram;
pub use groups::{CanonicalGroups, TargetGroup, canonicalize};
pub use labels::{Labels, LabelsBuilder, LabelsWriter};
pub use name::NameScheme;
pub use reach::ReachPath;
pub use secret::Secret;
pub use target::{
    DropReason, Dropped, MetaLabels, Refused, RelabelledGroup, Target, TargetDefaults,
};
pub use target_list::TargetList;
pub use target_set::{
    Completeness, MissingSource, PoolSpec, SetGroup, SyncStats, TargetCounts, TargetSet,
};
pub use text::counted;
pub use url::escape_path;
