//! `static_configs`: targets that stand in the configuration file itself.

use std::sync::Arc;

use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Labels, TargetGroup};

use crate::config::StaticConfig;
use crate::{BoxFuture, Discoverer, Error, Groups, Look};

/// The groups of one job's `static_configs`. The source of a group is its index.
#[derive(Debug)]
pub struct Fixed {
    groups: Groups,
}

impl Fixed {
    /// The groups of `config`, which never change.
    pub fn new(config: &StaticConfig) -> Self {
        let groups = config.groups.iter().enumerate().map(|(index, group)| {
            let targets = group.targets.iter().map(|address| address_only(address)).collect();
            let source = Arc::from(index.to_string());
            Arc::new(TargetGroup { source, targets, labels: group.labels.clone() })
        });
        Self { groups: groups.collect() }
    }
}

impl Discoverer for Fixed {
    fn fetch(&mut self) -> BoxFuture<'_, Result<Look<Groups>, Error>> {
        let now = tokio::time::Instant::now().into_std();
        let look = Look::new(self.groups.clone(), now);
        Box::pin(std::future::ready(Ok(look)))
    }
}

/// A target of which nothing but its address is known.
pub(crate) fn address_only(address: &str) -> Labels {
    [(ADDRESS, address)].into_iter().collect()
}
