//! Managers, the root certificate, networks, and the Swarmscout that reads them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use swarmscout_e2e::alerting::Alerting;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::run;
use swarmscout_e2e::until;

use crate::{PATIENCE, create, remove};

pub(crate) fn managers(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    cluster.stop("manager-3");
    alerting.await_alerts(&["SwarmQuorumAtRisk", "SwarmNodeDown manager-3"])?;
    cluster.stop("manager-2");
    until("the end of the leader", PATIENCE, || {
        let list = cluster.docker(&["node", "ls"]);
        ensure!(list.is_err(), "it still lists nodes");
        Ok(())
    })?;
    alerting.await_that("no quorum", |alerts| {
        for expected in ["SwarmQuorumLost", "(SwarmStateNotRead)"] {
            ensure!(alerts.iter().any(|alert| alert == expected), "{alerts:?}");
        }
        Ok(())
    })?;
    for name in ["manager-2", "manager-3"] {
        cluster.restart(name)?;
    }
    alerting.await_alerts(&[])?;
    Ok(())
}

pub(crate) fn not_read(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let control = folder.join("control");
    let path = cluster.control_socket("manager-1");
    symlink(&path, &control)?;
    let feed = format!("events: watch, swarmkit_socket: '{}'", control.display());
    let mut alerting = Alerting::start(cluster, folder, &feed, "")?;
    alerting.await_feed("watch")?;
    cluster.kill("manager-1")?;
    alerting.await_that("not read", |alerts| {
        ensure!(alerts.iter().any(|alert| alert == "SwarmStateNotRead"), "{alerts:?}");
        let stale = alerts.iter().any(|alert| alert == "(SwarmDiscoveryStale swarmscout/0)");
        ensure!(stale, "{alerts:?}");
        Ok(())
    })?;
    // The Engine comes again, its control socket does not.
    fs::remove_file(&control)?;
    cluster.restart("manager-1")?;
    alerting.await_alerts(&["SwarmWatchLost"])?;
    symlink(&path, &control)?;
    alerting.await_alerts(&[])?;
    Ok(())
}

pub(crate) fn absent(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    alerting.await_feed("events")?;
    alerting.stop_swarmscout();
    alerting.await_alerts(&["SwarmStateAbsent"])?;
    alerting.restart_swarmscout()?;
    alerting.await_alerts(&[])?;
    Ok(())
}

pub(crate) fn root(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    // What one host says of the certificate is asked for every five minutes, of several at each refresh.
    let [one, two] = ["manager-1", "manager-2"].map(|name| cluster.url(name));
    let feed = format!("events: events, hosts: ['{one}', '{two}']");
    let mut alerting = Alerting::start(cluster, folder, &feed, "")?;
    let file = |name: &str| folder.join(name).display().to_string();
    let (key, cert) = (file("root.key"), file("root.crt"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-subj", "/CN=short", "-days", "400", "-keyout", &key, "-out", &cert]);
    openssl.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
    openssl.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
    run(&mut openssl)?;
    // A node that is down does not fetch its new certificate.
    cluster.stop("worker-2");
    alerting.await_that("a node that is down", |alerts| {
        ensure!(alerts.iter().any(|alert| alert == "SwarmNodeDown worker-2"), "{alerts:?}");
        Ok(())
    })?;
    // What nodes get now is valid for an hour.
    cluster.docker(&["swarm", "update", "--cert-expiry", "1h"])?;
    cluster.docker(&[
        "swarm",
        "ca",
        "--rotate",
        "-d",
        "-q",
        "--ca-cert",
        &cert,
        "--ca-key",
        &key,
    ])?;
    alerting.await_that("a rotation that is stuck", |alerts| {
        ensure!(alerts.iter().any(|alert| alert == "SwarmRootRotationStuck"), "{alerts:?}");
        Ok(())
    })?;
    cluster.restart("worker-2")?;
    let of_root = ["SwarmRootCertificateExpires critical", "(SwarmRootCertificateExpires warning)"];
    alerting.await_alerts(&of_root)?;
    // Swarmscout reads certificates of managers once an hour, and when it starts.
    alerting.restart_swarmscout()?;
    let of_managers = [
        "SwarmManagerCertificateExpires manager-1",
        "SwarmManagerCertificateExpires manager-2",
        "SwarmManagerCertificateExpires manager-3",
    ];
    alerting.await_alerts(&[&of_root[..], &of_managers].concat())?;
    cluster.docker(&["swarm", "update", "--cert-expiry", "2160h"])?;
    cluster.docker(&["swarm", "ca", "--rotate", "-d", "-q"])?;
    alerting.await_alerts(&of_managers)?;
    alerting.restart_swarmscout()?;
    alerting.await_alerts(&[])?;
    Ok(())
}

pub(crate) fn network(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    let subnet = ["--subnet", "10.93.1.0/28"];
    cluster
        .docker(&[&["network", "create", "-d", "overlay"], &subnet[..], &["narrow"]].concat())?;
    create(cluster, "crowd --replicas 14 --network narrow demo:1", &[])?;
    // Tasks that get no address are rejected, and others are started in their place.
    alerting.await_that("no address left", |alerts| {
        for expected in ["SwarmNetworkAddresses narrow", "SwarmReplicasMissing crowd"] {
            ensure!(alerts.iter().any(|alert| alert == expected), "{alerts:?}");
        }
        Ok(())
    })?;
    remove(cluster, &["crowd"])?;
    alerting.await_alerts(&[])?;
    until("the end of the tasks", PATIENCE, || cluster.docker(&["network", "rm", "narrow"]))
        .map(drop)
}
