//! Services and nodes that are scraped without a label. `docs/labels.md` has the same table.

use swarmscout_docker::engine::{Mode, Service};
use swarmscout_swarm::NODE_PART_PORT;

use super::config::Reach;
use super::settings::{Endpoint, EndpointPort, Shared};

/// The label that names the preset of a service whose image has another name.
pub(super) const PRESET_LABEL: &str = "swarmscout.preset";

/// What this program's image is called.
const IMAGES: &[&str] = &["swarmscout"];

/// One of the presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// The metrics of each node's Docker Engine.
    Dockerd,
    /// Containers' metrics.
    Cadvisor,
    /// Nodes' metrics.
    NodeExporter,
    /// The part of this program on each node.
    Node,
    /// This program.
    Swarmscout,
    /// What the Swarm is doing, as this program says it.
    SwarmState,
}

/// How a service of a preset is known and scraped.
#[derive(Debug)]
pub(super) struct PresetRow {
    /// The last parts of an image's name, without registry, tag and digest.
    images: &'static [&'static str],
    /// Whether only global services count, and containers of plain engines.
    is_global: bool,
    pub(super) port: u16,
    pub(super) path: &'static str,
    pub(super) instance: PresetInstance,
}

/// The label `instance` of a preset's targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PresetInstance {
    /// The node: there is one target on each.
    Node,
    /// As for any other service.
    Slot,
}

impl Preset {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Dockerd,
        Self::Cadvisor,
        Self::NodeExporter,
        Self::Node,
        Self::Swarmscout,
        Self::SwarmState,
    ];

    /// As the configuration file names it. Also the `job` of its targets.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dockerd => "dockerd",
            Self::Cadvisor => "cadvisor",
            Self::NodeExporter => "node-exporter",
            Self::Node => "swarmscout-node",
            Self::Swarmscout => "swarmscout",
            Self::SwarmState => "swarm-state",
        }
    }

    /// The preset of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == name)
    }

    pub(super) const fn row(self) -> &'static PresetRow {
        match self {
            Self::Dockerd => &PresetRow {
                images: &[],
                is_global: false,
                port: 9323,
                path: "/metrics",
                instance: PresetInstance::Node,
            },
            Self::Cadvisor => &PresetRow {
                images: &["cadvisor"],
                is_global: true,
                port: 8080,
                path: "/metrics",
                instance: PresetInstance::Node,
            },
            Self::NodeExporter => &PresetRow {
                images: &["node-exporter", "node_exporter", "swarmprom-node-exporter"],
                is_global: true,
                port: 9100,
                path: "/metrics",
                instance: PresetInstance::Node,
            },
            // Its image is that of the program, which says nothing of what a service runs.
            Self::Node => &PresetRow {
                images: &["swarmscout-node"],
                is_global: true,
                port: NODE_PART_PORT,
                path: "/metrics",
                instance: PresetInstance::Node,
            },
            Self::Swarmscout => &PresetRow {
                images: IMAGES,
                is_global: false,
                port: 9465,
                path: "/metrics",
                instance: PresetInstance::Slot,
            },
            Self::SwarmState => &PresetRow {
                images: IMAGES,
                is_global: false,
                port: 9465,
                path: "/metrics/swarm",
                instance: PresetInstance::Slot,
            },
        }
    }

    /// How a service of it is scraped that says nothing of itself. Node parts that others are
    /// reached by have TLS.
    pub(super) fn endpoint(self, reach: Reach) -> Endpoint<'static> {
        let row = self.row();
        let has_tls = self == Self::Node && reach == Reach::Node;
        Endpoint {
            name: "",
            port: EndpointPort::Number(row.port),
            path: row.path.into(),
            scheme: if has_tls { "https" } else { "http" },
            params: Vec::new(),
            shared: Shared {
                job: Some(self.as_str()),
                interval: None,
                timeout: None,
                labels: Vec::new(),
            },
            network: None,
            sample_limit: None,
            class: "",
        }
    }
}

/// Which of these presets all tasks of a service are scraped by: by its label, or else by its image.
pub(super) fn of_service(presets: &[Preset], service: &Service) -> Option<Preset> {
    let label = service.labels.get(PRESET_LABEL);
    let image = image_name(&service.image);
    presets.iter().copied().find(|preset| {
        let row = preset.row();
        let is_named = match label {
            Some(name) => name == preset.as_str(),
            None => row.images.contains(&image),
        };
        is_named
            && !matches!(preset, Preset::Dockerd | Preset::SwarmState)
            && (!row.is_global || matches!(service.mode, Mode::Global | Mode::Unknown))
    })
}

/// Whether tasks of a service serve what the Swarm is doing.
pub(super) fn serves_state(presets: &[Preset], service: &Service) -> bool {
    let of_program = [Preset::Swarmscout, Preset::SwarmState];
    presets.contains(&Preset::SwarmState)
        && match service.labels.get(PRESET_LABEL) {
            Some(name) => of_program.iter().any(|preset| preset.as_str() == name),
            None => IMAGES.contains(&image_name(&service.image)),
        }
}

/// The last part of an image's name: `cadvisor` of `gcr.io/cadvisor/cadvisor:v0.49.1@sha256:…`.
fn image_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use swarmscout_docker::engine::LabelMap;

    fn check(image: &str, mode: Mode, label: Option<&str>, expected: &str) {
        let labels = label.map(|value| (PRESET_LABEL.to_owned(), value.to_owned()));
        let labels = Arc::new(LabelMap::new(labels.into_iter().collect()));
        let service = Service { image: image.into(), mode, labels, ..Service::default() };
        let found = of_service(&Preset::ALL, &service).map_or("", Preset::as_str);
        assert_eq!(found, expected, "{image}");
        assert_eq!(of_service(&[], &service), None);
        assert!(!serves_state(&[Preset::Swarmscout], &service));
        let is_program = expected == "swarmscout" || label == Some("swarm-state");
        assert_eq!(serves_state(&Preset::ALL, &service), is_program, "{image}");
    }

    #[test]
    fn a_preset_is_known_by_the_image_or_a_label() {
        use Mode::{Global, Replicated};
        let digest = "gcr.io/cadvisor/cadvisor:v0.49.1@sha256:0123";
        check(digest, Global, None, "cadvisor");
        check("google/cadvisor", Global, None, "cadvisor");
        check("localhost:5000/cadvisor", Global, None, "cadvisor");
        check(digest, Replicated, None, "");
        check("prom/node-exporter:v1.8.2", Global, None, "node-exporter");
        check("stefanprodan/swarmprom-node-exporter", Global, None, "node-exporter");
        check("swarmscout/swarmscout:1", Replicated, None, "swarmscout");
        check("shop/not-cadvisor", Global, None, "");
        check("", Global, None, "");
        check("shop/exporter", Global, Some("node-exporter"), "node-exporter");
        check("shop/exporter", Replicated, Some("node-exporter"), "");
        // The label names another one.
        check("prom/node-exporter", Global, Some("none"), "");
        check("prom/node-exporter", Global, Some("dockerd"), "");
        check("shop/scout", Replicated, Some("swarmscout"), "swarmscout");
        check("swarmscout:1", Global, Some("swarmscout-node"), "swarmscout-node");
        check("swarmscout:1", Replicated, Some("swarmscout-node"), "");
        check("shop/swarmscout-node:1", Global, None, "swarmscout-node");
        check("shop/scout", Replicated, Some("swarm-state"), "");
    }
}
