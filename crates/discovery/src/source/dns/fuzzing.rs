//! The ways in for the fuzz targets of `crates/fuzz`. No part of this crate's interface.

use domain::base::Message;
use swarmscout_model::{Labels, LabelsWriter};

use super::records::{Records, to_wire};
use super::resolv_conf::ResolvConf;
use crate::source::moby::AddressWriter;

/// The targets of an answer, as it came from the server; `None` where it is refused.
pub fn targets(answer: &[u8]) -> Option<Vec<Labels>> {
    let records = Records::read(&Message::from_octets(answer.to_vec()).ok()?).ok()?;
    let (mut address, mut writer) = (AddressWriter::default(), LabelsWriter::new());
    let labels = records.found.iter().map(|found| found.labels(80, &mut address, &mut writer));
    Some(labels.collect())
}

/// The form on the wire of a name that is written with its final dot.
pub fn name_on_the_wire(text: &str) -> Result<Vec<u8>, String> {
    to_wire(text).map(|name| name.as_slice().to_vec())
}

/// How many servers a `resolv.conf` has, and what it makes of a name: names with their final dots.
pub fn complete(resolv_conf: &str, name: &str) -> (usize, Vec<String>) {
    let conf = ResolvConf::parse(resolv_conf);
    (conf.servers.len(), conf.candidates(name))
}
