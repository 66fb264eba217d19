//! The ways in for the fuzz targets of `crates/fuzz`. No part of this crate's interface.

use std::sync::Arc;

use swarmscout_discovery::TargetSet;

use crate::render::{Encoding, Form};

/// The body of `/sd/<job>` for a reader that takes gzip, or does not: the kept targets, or with
/// `raw` all as the sources told them.
pub fn http_sd(set: &Arc<TargetSet>, raw: bool, gzip: bool) -> Vec<u8> {
    let form = if raw { Form::Raw } else { Form::Full };
    let encoding = if gzip { Encoding::Gzip } else { Encoding::Json };
    crate::render::whole(set, form, encoding)
}
