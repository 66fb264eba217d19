//! Scripted sources under a paused clock, seen through the manager's public face.

use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::config::{StaticConfig, StaticGroup};
use crate::scripted::job;

fn manager() -> Manager {
    Manager::new(BuildContext::new("test"))
}

fn fixed(groups: &[&[&str]]) -> SdConfig {
    let groups = groups.iter().map(|targets| StaticGroup {
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        ..StaticGroup::default()
    });
    SdConfig::Static(StaticConfig { groups: groups.collect() })
}

/// The set of the only job, as soon as `ready` says so.
async fn set_when(manager: &Manager, ready: impl FnMut(&Arc<TargetSet>) -> bool) -> Arc<TargetSet> {
    let mut set = only_job(manager).set;
    set.wait_for(ready).await.unwrap().clone()
}

fn only_job(manager: &Manager) -> Job {
    let jobs: watch::Receiver<_> = manager.jobs();
    let jobs = jobs.borrow();
    assert_eq!(jobs.len(), 1);
    jobs[0].clone()
}

fn addresses(set: &TargetSet) -> String {
    let addresses: Vec<_> =
        set.active().filter_map(|(_, target)| target.labels.get("__address__")).collect();
    addresses.join(" ")
}

#[tokio::test(start_paused = true)]
async fn static_targets_are_there_after_one_look() {
    let mut manager = manager();
    manager.apply(vec![job("a", vec![fixed(&[&["x:1", "x:2"], &["y:1"]])])]);
    let set = set_when(&manager, |set| set.is_ready()).await;
    assert_eq!(addresses(&set), "x:1 x:2 y:1");
    manager.shutdown().await;
}
