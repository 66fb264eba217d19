//! For tests of crates that use this one.

use swarmscout_web_config::Right;

use crate::Routes;

/// The right that each path of these routes needs.
pub fn rights<S>(routes: &Routes<S>) -> &[(String, Right)] {
    &routes.rights
}
