//! A source for tests that follows a script.

use std::ops::Deref;
use std::sync::Arc;

use swarmscout_model::PromDuration;
use swarmscout_refresh::testing;
pub(crate) use swarmscout_refresh::testing::{Answer, group, targets};

use crate::Error;
use crate::config::{CustomConfig, SdConfig};

/// A script, and the source that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    script: testing::Script<Error>,
    config: CustomConfig,
}

impl Script {
    /// A source that is refreshed every `refresh_interval` seconds and has no target yet.
    pub(crate) fn new(refresh_interval: u64) -> Self {
        Self::answering(refresh_interval, Answer::Groups(Vec::new()))
    }

    pub(crate) fn answering(refresh_interval: u64, answer: Answer) -> Self {
        let script = testing::Script::new(answer, |reason| Error::Other(reason.to_owned()));
        let config = CustomConfig {
            mechanism: "scripted",
            display_name: "a script".into(),
            refresh_interval: Some(PromDuration::from_secs(refresh_interval)),
            build: {
                let script = script.clone();
                Arc::new(move |_: &_| script.build())
            },
        };
        Self { script, config }
    }

    pub(crate) fn config(&self) -> SdConfig {
        SdConfig::Custom(self.config.clone())
    }
}

impl Deref for Script {
    type Target = testing::Script<Error>;

    fn deref(&self) -> &Self::Target {
        &self.script
    }
}
