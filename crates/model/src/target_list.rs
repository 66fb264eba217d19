//! The lists of one job: most targets are in its normal list; some are only for a reader that asks
//! for them.

use std::fmt;

use crate::Labels;
use crate::groups::TargetGroup;
use crate::target::{RelabelledGroup, Target};

/// The label of a group that says which list it is in. A group without it is in the normal one.
pub const LIST: &str = "__meta_swarmscout_list";

/// Why a target cannot be reached. A target without it can be reached, as far as is known.
pub const UNREACHABLE: &str = "__meta_swarmscout_unreachable";

/// Where the address of a task's target comes from.
pub const ADDRESS_SOURCE: &str = "__meta_swarmscout_address_source";

/// The value of [`ADDRESS_SOURCE`] for a target that the part on its node fetches.
pub const NODE_PART: &str = "node_part";

/// The mark of a target whose series have labels of their own that must not be replaced: it has
/// none of the labels that all targets get.
pub const HONOR_LABELS: &str = "__meta_swarmscout_honor_labels";

/// What the value of [`LIST`] begins with for the list of a class.
pub const CLASS_PREFIX: &str = "class/";

/// The value of [`LIST`] for the list of probes.
pub const PROBES: &str = "probes";

/// A list of targets of a job. A target group is in one of them as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetList {
    /// What a reader of the job gets.
    #[default]
    Normal,
    /// Targets of this class, whose readers have the credentials for them.
    Class(Box<str>),
    /// URLs for a prober, such as the blackbox exporter.
    Probes,
}

impl RelabelledGroup {
    /// Its active targets that [cannot be reached](UNREACHABLE).
    pub fn unreachable(&self) -> impl Iterator<Item = &Target> {
        let is_marked = |labels: &Labels| labels.get(UNREACHABLE).is_some();
        let are_all = is_marked(&self.group.labels);
        let discovered = |target: &Target| &self.group.targets[target.index as usize];
        self.active.iter().filter(move |target| are_all || is_marked(discovered(target)))
    }
}

impl TargetList {
    /// The list that a group is in.
    pub fn of(group: &TargetGroup) -> Self {
        Self::named(&group.labels)
    }

    fn named(labels: &Labels) -> Self {
        match labels.get(LIST) {
            Some(PROBES) => Self::Probes,
            Some(list) => match list.strip_prefix(CLASS_PREFIX) {
                Some(class) if !class.is_empty() => Self::Class(class.into()),
                // No reader could ask for such a list, and its targets would be lost.
                _ => Self::Normal,
            },
            None => Self::Normal,
        }
    }

    /// Whether `group` is in this list.
    pub fn holds(&self, group: &TargetGroup) -> bool {
        *self == Self::of(group)
    }
}

/// The value of [`LIST`]; `normal` for the normal list, whose groups do not have that label.
impl fmt::Display for TargetList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Class(class) => write!(f, "{CLASS_PREFIX}{class}"),
            Self::Probes => f.write_str(PROBES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_in_the_list_that_its_label_names() {
        let class = |name: &str| TargetList::Class(name.into());
        for (label, expected) in [
            (None, TargetList::Normal),
            (Some("class/internal"), class("internal")),
            (Some("class/a/b"), class("a/b")),
            (Some("probes"), TargetList::Probes),
            // No target is lost by a label that says nothing.
            (Some("class/"), TargetList::Normal),
            (Some("other"), TargetList::Normal),
        ] {
            let labels = label.into_iter().map(|list| (LIST, list)).collect();
            assert_eq!(TargetList::named(&labels), expected, "{label:?}");
        }
    }
}
