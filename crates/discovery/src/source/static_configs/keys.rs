//! The keys of targets in the configuration file itself.

use swarmscout_config_decoder::{Cx, LabelSet, section};
use swarmscout_model::quote::Quoted;

use super::{StaticConfig, StaticGroup};
use crate::SdConfig;
use crate::source::SourceKeys;

section! {
    /// A group of targets that share labels.
    pub StaticKeys: "targetgroup.Group", "static_config" {
        /// `host:port` each.
        key targets: Vec<String> = Vec::new(), always;
        /// Labels of all of them.
        key labels: LabelSet = LabelSet::default();
    }
}

impl SourceKeys for StaticKeys {
    fn check(&mut self, relabels: bool, cx: &mut Cx<'_>) -> SdConfig {
        cx.within("targets", |cx| {
            for (i, target) in self.targets.iter().enumerate() {
                if !relabels && target.contains('/') {
                    let text = format!("{} is not a valid hostname", Quoted(target));
                    cx.item(i, |cx| cx.error_here(text));
                }
            }
        });
        let (targets, labels) = (self.targets.clone(), self.labels.0.iter().collect());
        SdConfig::Static(StaticConfig { groups: vec![StaticGroup { targets, labels }] })
    }
}
