use std::sync::Arc;
use std::time::Instant;

use swarmscout_swarm::FeedKind;
use tokio::task::JoinSet;

use super::{Server, job, set, source, swarm};
use crate::Readiness;
use crate::changes::Changes;

#[tokio::test(start_paused = true)]
async fn every_change_is_signalled() {
    let now = Instant::now();
    let mut reads = source("dockerswarm/0", now, Some(7));
    let published = swarm(&mut reads, now, FeedKind::Watch);
    let first = set(&Arc::new(job("web")), &[], vec![reads]);
    let server = Server::start(now, vec![first.clone()]).await;
    let context = &server.context;
    let changes = Changes::new(&context.discovery, &context.outputs, &context.program);
    let mut signal = changes.subscribe();
    let mut tasks = JoinSet::new();
    tasks.spawn(changes.run());
    server.swarms.send_replace(Arc::from([published.swarm()]));
    signal.changed().await.unwrap();
    let all: [&dyn Fn(); 6] = [
        &|| published.feed.send_modify(|_| {}),
        &|| server.publish(first.clone()),
        &|| server.files.send_modify(|_| {}),
        &|| server.reload.send_modify(|_| {}),
        &|| server.ready.send_modify(|ready| *ready = Readiness::Stopping),
        &|| server.jobs.send_modify(|jobs| *jobs = Arc::from([])),
    ];
    for change in all {
        let before = *signal.borrow_and_update();
        change();
        signal.wait_for(|count| *count > before).await.unwrap();
    }
}
