//! `static_configs`: targets in the configuration file itself.

mod config;
mod keys;

use std::sync::Arc;

use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Charge, Labels, TargetGroup};

pub use self::config::{StaticConfig, StaticGroup};
pub use self::keys::StaticKeys;
use crate::config::BuildContext;
use crate::limits::{Excess, LONGEST_LABEL, Meter};
use crate::{BoxFuture, Discoverer, Error, Groups, RefreshScope, Refreshed};

/// The groups of one job's `static_configs`. The source key of a group is its index.
#[derive(Debug)]
pub struct Static {
    groups: Groups,
    _held: Charge,
}

impl Static {
    /// The groups of `config`, which never change. Fails if they exceed a limit.
    pub fn new(config: &StaticConfig, context: &BuildContext) -> Result<Self, Error> {
        let mut meter = Meter::new(&context.refresh.budget, LONGEST_LABEL);
        let groups = make(config, &mut meter)?;
        Ok(Self { groups, _held: meter.finish() })
    }
}

/// The groups of one job's `static_configs`. Fails if they exceed a limit.
pub fn static_groups(config: &StaticConfig) -> Result<Groups, Error> {
    make(config, &mut Meter::unlimited(LONGEST_LABEL))
}

fn make(config: &StaticConfig, meter: &mut Meter) -> Result<Groups, Error> {
    let groups = config.groups.iter().enumerate().map(|(index, group)| {
        let of = || format!("group {index}");
        let target = |address: &String| {
            let labels = address_only(address);
            meter.target(&labels, of)?;
            Ok(labels)
        };
        let targets = group.targets.iter().map(target).collect::<Result<Vec<_>, Excess>>()?;
        let source: Arc<str> = index.to_string().into();
        meter.group(source.len(), targets.len(), &group.labels, of)?;
        Ok(Arc::new(TargetGroup { source, targets, labels: group.labels.clone() }))
    });
    let groups: Result<_, Excess> = groups.collect();
    groups.map_err(|excess| Error::Excess { what: "static_configs".to_owned(), excess })
}

impl Discoverer for Static {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        let now = tokio::time::Instant::now().into_std();
        let refreshed = Refreshed::new(self.groups.clone(), now);
        Box::pin(std::future::ready(Ok(refreshed)))
    }
}

/// A target that only has an address.
pub(crate) fn address_only(address: &str) -> Labels {
    [(ADDRESS, address)].into_iter().collect()
}
