//! Is there a node exporter on this node? Then `node_*` is left to it, unless a flag says otherwise.

use std::time::Duration;

use swarmscout_net::{Client, ClientOptions, HttpConfig, Request};
use swarmscout_node::facts::{ContainerState, FactsSet};
use swarmscout_node::host::{Collector, Collectors};

use crate::app::BUILD;

/// Where a node exporter listens by default.
const PAGE: &str = "http://127.0.0.1:9100/";

/// How long it may take to answer.
const WITHIN: Duration = Duration::from_secs(1);

/// The largest page that is read.
const MAX_PAGE: u64 = 64 << 10;

/// Whether a node exporter answers on its usual port.
pub(super) async fn answers() -> bool {
    let options = ClientOptions::new(format!("Swarmscout/{}", BUILD.version), WITHIN);
    let Ok(client) = Client::new(&HttpConfig::default(), options) else { return false };
    let Ok(request) = Request::new(PAGE) else { return false };
    let page = async {
        let answer = client.get(request.timeout(WITHIN).max_body(MAX_PAGE)).await.ok()?;
        answer.body.bytes().await.ok()
    };
    page.await.is_some_and(|page| is_its_page(&page))
}

/// Its start page has its name in the title, in all versions.
fn is_its_page(page: &[u8]) -> bool {
    String::from_utf8_lossy(page).to_ascii_lowercase().contains("node exporter")
}

/// Whether a container of this node runs one, by the name of its image.
pub(super) fn runs(facts: &FactsSet) -> bool {
    facts.containers.values().any(|container| {
        let image = container.image.as_deref().unwrap_or_default();
        container.state == Some(ContainerState::Running)
            && ["node-exporter", "node_exporter"].iter().any(|name| image.contains(name))
    })
}

/// What is on: what the flags say, and the rest depending on whether there is a node exporter.
pub(super) fn collectors(given: &[(Collector, bool)], has_node_exporter: bool) -> Collectors {
    let mut collectors = Collectors::default();
    for collector in Collector::ALL {
        let flag = given.iter().find(|(flag, _)| *flag == collector).map(|(_, on)| *on);
        let default = !(has_node_exporter && collector.is_of_node_exporter());
        collectors.set(collector, flag.unwrap_or(default));
    }
    collectors
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swarmscout_node::facts::Facts;

    use super::*;

    #[test]
    fn the_start_pages_of_its_versions_are_known() {
        for (page, expected) in [
            ("<html><head><title>Node Exporter</title></head>", true),
            ("<h1>Node Exporter</h1><h2>Prometheus Node Exporter</h2>", true),
            ("<title>cAdvisor</title>", false),
            ("", false),
        ] {
            assert_eq!(is_its_page(page.as_bytes()), expected, "{page}");
        }
    }

    #[test]
    fn a_container_is_known_by_its_image() {
        for (image, state, expected) in [
            ("quay.io/prometheus/node-exporter:v1.9.1", ContainerState::Running, true),
            ("stefanprodan/swarmprom-node_exporter:v0.16.0", ContainerState::Running, true),
            ("prom/node-exporter", ContainerState::Exited, false),
            ("nginx", ContainerState::Running, false),
        ] {
            let facts = Facts { image: Some(image.into()), state: Some(state), ..Facts::default() };
            let containers = [("a".to_owned(), Arc::new(facts))].into();
            assert_eq!(runs(&FactsSet { containers, ..FactsSet::default() }), expected, "{image}");
        }
    }

    #[test]
    fn flags_decide_before_anything_else() {
        let given = [(Collector::Cpu, true), (Collector::Machine, false)];
        let with = collectors(&given, true);
        let on: Vec<_> = Collector::ALL.into_iter().filter(|one| with.has(*one)).collect();
        assert_eq!(on, [Collector::Cpu, Collector::Meta, Collector::Root]);
        assert!(collectors(&[], false).has(Collector::Meminfo));
    }
}
