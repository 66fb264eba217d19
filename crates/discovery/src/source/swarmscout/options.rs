//! What the configuration file and the flags ask of a source, as it is applied to services.

use std::collections::BTreeSet;
use std::sync::Arc;

use swarmscout_docker::engine::{LabelMap, STACK_LABEL, Service};
use swarmscout_model::target_list::CLASS_PREFIX;
use swarmscout_refresh::problems::NO_LABELS;

use super::config::{CopiedLabel, Reach, SwarmscoutOptions, UnreachableTargets};
use super::presets::{self, Preset};
use super::settings::{self, Declared, Dialect, Rules};
use crate::Problem;
use crate::config::BuildContext;

/// The options, as they are applied.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) rules: Rules,
    prefix: String,
    stacks: BTreeSet<String>,
    services: BTreeSet<String>,
    presets: Vec<Preset>,
    class: String,
    pub(super) unreachable: UnreachableTargets,
    pub(super) reach: Reach,
    pub(super) copied: Arc<[CopiedLabel]>,
    /// Whether it reads an engine without a Swarm.
    pub(super) is_of_engine: bool,
}

impl Options {
    /// What the configuration file says.
    pub(super) fn new(config: &SwarmscoutOptions) -> Self {
        let dialects = config.dialects.iter();
        let dialects = dialects.filter_map(|name| Dialect::named(name));
        Self {
            rules: Rules::new(&config.label_prefix, dialects),
            prefix: config.label_prefix.clone(),
            stacks: config.stacks.iter().cloned().collect(),
            services: config.services.iter().cloned().collect(),
            presets: config.presets.clone(),
            class: config.class.clone(),
            unreachable: config.unreachable,
            reach: config.reach,
            copied: Arc::default(),
            is_of_engine: false,
        }
    }

    /// The same as the flags of the program change it.
    pub(super) fn of_program(mut self, context: &BuildContext) -> Self {
        self.presets.retain(|preset| !context.presets_off.contains(preset));
        self.copied = Arc::clone(&context.copied_labels);
        self
    }

    /// The same for an engine without a Swarm.
    pub(super) fn of_engine(mut self) -> Self {
        self.presets.retain(|preset| *preset != Preset::SwarmState);
        self.is_of_engine = true;
        self
    }

    /// Whether this service is to be scraped at all.
    pub(super) fn selects(&self, service: &Service) -> bool {
        let is_among =
            |names: &BTreeSet<String>, name: &str| names.is_empty() || names.contains(name);
        is_among(&self.stacks, stack_of(service)) && is_among(&self.services, &service.name)
    }

    /// The preset of a service that says nothing of itself.
    pub(super) fn preset(&self, service: &Service, declared: &Declared<'_>) -> Option<Preset> {
        let is_silent = declared.by.is_none() && !declared.switched_off;
        is_silent.then(|| presets::of_service(&self.presets, service)).flatten()
    }

    /// Whether a task of a service is scraped for what the Swarm is doing, unless labels switch the
    /// service off.
    pub(super) fn serves_state(&self, service: &Service) -> bool {
        self.class.is_empty()
            && self.selects(service)
            && presets::serves_state(&self.presets, service)
    }

    /// Whether some of these labels may be ours.
    pub(super) fn are_in(&self, labels: &LabelMap) -> bool {
        labels.iter().any(|(key, _)| key.starts_with(&self.prefix))
    }

    /// Whether labels of this service say something about how it is scraped.
    pub(super) fn is_labelled(&self, service: &Service) -> bool {
        let none = LabelMap::default();
        settings::declared(&self.rules, &service.labels, &none) != Declared::default()
    }

    /// What to write if no service is labelled. `None` if services that are not selected may be.
    pub(super) fn advice(&self) -> Option<Problem> {
        self.selects_all().then(|| Problem {
            kind: "service",
            object: String::new(),
            reason: NO_LABELS,
            detail: format!(
                "write {}port: \"8080\", with the port of its metrics, under deploy.labels of a \
                 service in its stack file (with Compose: under labels)",
                self.prefix
            ),
        })
    }

    /// Whether the probes of this service are listed.
    pub(super) fn lists_probes_of(&self, service: &Service) -> bool {
        self.class.is_empty() && self.selects(service)
    }

    /// Whether nodes are targets of the preset `dockerd`.
    pub(super) fn lists_nodes(&self) -> bool {
        self.presets.contains(&Preset::Dockerd) && self.selects_all()
    }

    /// Whether no service is left out, whatever its stack and class.
    fn selects_all(&self) -> bool {
        self.stacks.is_empty() && self.services.is_empty() && self.class.is_empty()
    }

    /// The name of the list for endpoints of a class: empty for the normal one, `None` for none.
    pub(super) fn list(&self, class: &str) -> Option<Arc<str>> {
        match (&*self.class, class) {
            ("", "") => Some(Arc::default()),
            ("", class) => Some(format!("{CLASS_PREFIX}{class}").into()),
            (wanted, class) => (wanted == class).then(Arc::default),
        }
    }
}

pub(super) fn stack_of(service: &Service) -> &str {
    service.labels.get(STACK_LABEL).unwrap_or_default()
}
