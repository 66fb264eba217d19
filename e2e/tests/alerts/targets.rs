//! Targets.

use std::path::Path;

use anyhow::{Result, ensure};
use swarmscout_e2e::alerting::Alerting;
use swarmscout_e2e::cluster::Cluster;

use crate::{create, remove, update};

pub(crate) fn down(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    let port = "-l prometheus.io/port=8080";
    create(
        cluster,
        &format!(
            "wrong -p mode=host,target=8080,published=9150 -l prometheus.io/path=/none {port} demo:1"
        ),
        &[],
    )?;
    create(cluster, &format!("apart --network back {port} demo:1"), &[])?;
    // A target that cannot be reached is down, too, but only one alert fires.
    let alerts =
        alerting.await_alerts(&["SwarmTargetDown wrong.1", "SwarmTargetsUnreachable apart"])?;
    let unreachable = alerts.iter().find(|alert| alert.label("service") == "apart");
    ensure!(unreachable.is_some_and(|alert| alert.label("team") == "shop"), "{alerts:?}");
    update(cluster, "--label-add prometheus.io/path=/metrics wrong")?;
    update(cluster, "--publish-add mode=host,target=8080,published=9151 apart")?;
    alerting.await_alerts(&[])?;
    remove(cluster, &["wrong", "apart"])
}
