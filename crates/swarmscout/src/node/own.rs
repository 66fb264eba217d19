//! The metrics of the node part itself.

use std::time::Instant;

use swarmscout_exposition::{NO_LABELS, Writer};
use swarmscout_node_tasks::Followed;
use swarmscout_peers::write_peer_metrics;
use swarmscout_reach::ReachStats;
use swarmscout_server::write_process_metrics;

use super::list::OwnList;
use super::site::{App, TasksSource};
use crate::app::BUILD;

/// Appends all of them.
pub(super) fn write(app: &App, out: &mut Writer) {
    app.server.write_metrics(out);
    let labels = [
        ("branch", BUILD.branch),
        ("compiler", BUILD.compiler),
        ("revision", BUILD.revision),
        ("version", BUILD.version),
    ];
    out.gauge("swarmscout_build_info", "Version of this binary", [(labels, 1.0)]);
    if let Some(tasks) = &app.tasks {
        match &tasks.source {
            TasksSource::Managers(feed) => manager(&feed.borrow(), out),
            TasksSource::Engine(own) => list(own, out),
        }
        reach(tasks.reach.stats(), out);
    }
    write_peer_metrics(out, app.probes.running());
    write_process_metrics(out, app.started);
}

fn manager(followed: &Followed, out: &mut Writer) {
    let up = f64::from(u8::from(followed.error.is_none() && followed.answers > 0));
    out.gauge(
        "swarmscout_node_manager_up",
        "Whether a manager says which tasks run on this node",
        [(NO_LABELS, up)],
    );
    let age = followed.as_of.map(|as_of| Instant::now().saturating_duration_since(as_of));
    out.gauge(
        "swarmscout_node_tasks_age_seconds",
        "How long ago the Swarm was last confirmed to have these tasks",
        age.map(|age| (NO_LABELS, age.as_secs_f64())),
    );
    for (name, help, value) in [
        (
            "swarmscout_node_manager_answers",
            "Answers of managers about the tasks of this node",
            followed.answers,
        ),
        (
            "swarmscout_node_manager_failures",
            "Requests to managers about the tasks of this node that failed",
            followed.failures,
        ),
        (
            "swarmscout_node_manager_registrations",
            "Registrations of this node part with managers that it does not follow",
            followed.registrations,
        ),
        (
            "swarmscout_node_manager_registration_failures",
            "Those that failed",
            followed.failed_registrations,
        ),
    ] {
        out.counter(name, help, [(NO_LABELS, value)]);
    }
}

fn list(own: &OwnList, out: &mut Writer) {
    let state = own.state();
    out.gauge(
        "swarmscout_node_list_targets",
        "Targets of this node's containers in /sd/swarm",
        state.map(|(targets, _)| (NO_LABELS, targets as f64)),
    );
    out.gauge(
        "swarmscout_node_list_age_seconds",
        "How long ago the Engine confirmed the containers of /sd/swarm",
        state.map(|(_, age)| (NO_LABELS, age.as_secs_f64())),
    );
}

fn reach(stats: &ReachStats, out: &mut Writer) {
    for (name, help, values) in [
        (
            "swarmscout_reach_refused",
            "Reach requests that fetched nothing, by reason",
            stats.refused().collect::<Vec<_>>(),
        ),
        (
            "swarmscout_reach_failed",
            "Reach requests whose task did not answer, by reason",
            stats.failed().collect(),
        ),
        (
            "swarmscout_reach_cut_off",
            "Answers of tasks that ended before they were complete, by reason",
            stats.cut_off().collect(),
        ),
    ] {
        let series = values.into_iter().map(|(reason, count)| ([("reason", reason)], count));
        out.counter(name, help, series);
    }
    for (name, help, value) in [
        (
            "swarmscout_reach_answers",
            "Answers of tasks that were passed on to their end",
            stats.complete(),
        ),
        ("swarmscout_reach_abandoned", "Reach requests whose reader went away", stats.abandoned()),
        ("swarmscout_reach_bytes", "Bytes of answers of tasks, as they came", stats.bytes()),
        (
            "swarmscout_reach_connections",
            "Connections to tasks that were opened",
            stats.connections(),
        ),
    ] {
        out.counter(name, help, [(NO_LABELS, value)]);
    }
    out.gauge(
        "swarmscout_reach_in_flight",
        "Reach requests that are being answered",
        [(NO_LABELS, stats.in_flight() as f64)],
    );
}
