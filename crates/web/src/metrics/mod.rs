//! `/metrics`: the metrics of Swarmscout itself.
//!
//! Nearly everything is read from the [`Context`] when it is asked for, so no series outlives the
//! job or source that it is about. The names that Prometheus has too are Prometheus', so that its
//! dashboards and alerts work; where it has a summary, there is a histogram of the same name.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, header};
use swarmscout_discovery::SourceStatus;
use swarmscout_discovery::stats::DiscoveryStats;
use swarmscout_discovery::status::RefreshStats;
use swarmscout_discovery::without_address::NoAddress;
use swarmscout_exposition::{Format, Histogram, NO_LABELS, Writer};
use swarmscout_model::Budget;
use swarmscout_model::DurationHistogram;
use swarmscout_node_tasks::BoardStats;
use swarmscout_server::write_process_metrics;

use super::view::{Moment, ObservedJob, Swarm};
use super::{App, Program, Readiness};
use swarmscout_publish::file_sd::FileStatus;

/// `/metrics`, in OpenMetrics where the reader asks for that, else in Prometheus' text format.
pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter();
    let format = Format::negotiate(accept.filter_map(|accept| accept.to_str().ok()));
    let content_type = HeaderValue::from_static(format.content_type());
    ([(header::CONTENT_TYPE, content_type)], write(&app, format)).into_response()
}

/// Everything that `/metrics` shows.
fn write(app: &App, format: Format) -> String {
    let context = &app.context;
    let moment = Moment::of(context);
    let (jobs, now) = (&*moment.jobs, moment.now);
    let mut out = Writer::new(format);
    app.server.write_metrics(&mut out);
    program(&mut out, &context.program);
    out.counter(
        "swarmscout_log_lines_dropped",
        "Log lines that were not written because stderr was not read",
        [(NO_LABELS, (context.program.log_lines_dropped)())],
    );
    discovery(&mut out, &context.discovery.stats, jobs);
    memory(&mut out, context.outputs.lists.budget());
    sources(&mut out, now.instant, jobs);
    snapshots(&mut out, &moment.swarms.iter(now).collect::<Vec<_>>());
    pools(&mut out, &context.discovery.stats, jobs);
    files(&mut out, &moment.files, jobs);
    node_parts(&mut out, context.outputs.nodes.stats());
    write_process_metrics(&mut out, context.program.started);
    out.finish()
}

/// Of those that ask which tasks run on their nodes.
fn node_parts(out: &mut Writer, stats: BoardStats) {
    let BoardStats { registered, reporting, waiting, renderings, wakes } = stats;
    for (name, help, value) in [
        (
            "swarmscout_node_parts_registered",
            "Node parts that have said where they listen",
            registered,
        ),
        (
            "swarmscout_node_parts_reporting",
            "Nodes that report the network to other nodes",
            reporting,
        ),
        (
            "swarmscout_node_parts_waiting",
            "Readers that wait for the tasks of a node to change",
            waiting,
        ),
    ] {
        out.gauge(name, help, [(NO_LABELS, value as f64)]);
    }
    for (name, help, value) in [
        (
            "swarmscout_node_parts_answers_written",
            "Lists of the tasks of a node that were written",
            renderings,
        ),
        ("swarmscout_node_parts_wakes", "Nodes whose readers were woken by a change", wakes),
    ] {
        out.counter(name, help, [(NO_LABELS, value)]);
    }
}

fn program(out: &mut Writer, program: &Program) {
    let build = &program.build;
    let labels = [
        ("branch", build.branch),
        ("goversion", build.compiler),
        ("revision", build.revision),
        ("version", build.version),
    ];
    out.gauge(
        "prometheus_build_info",
        "Version of this binary under the name that Prometheus dashboards use",
        [(labels, 1.0)],
    );
    let labels = [
        ("branch", build.branch),
        ("compiler", build.compiler),
        ("revision", build.revision),
        ("version", build.version),
    ];
    out.gauge("swarmscout_build_info", "Version of this binary", [(labels, 1.0)]);
    let ready = *program.ready.borrow() == Readiness::Ready;
    out.gauge("prometheus_ready", "Whether startup has finished", [(NO_LABELS, flag(ready))]);
    let (successful, loaded, warnings) = {
        let reload = program.reload.borrow();
        (reload.error.is_none(), reload.loaded, reload.warnings.len())
    };
    out.gauge(
        "prometheus_config_last_reload_successful",
        "Whether the last attempt to load the configuration was successful",
        [(NO_LABELS, flag(successful))],
    );
    out.gauge(
        "prometheus_config_last_reload_success_timestamp_seconds",
        "When the configuration in use was loaded",
        [(NO_LABELS, timestamp(loaded))],
    );
    out.gauge(
        "swarmscout_config_warnings",
        "Warnings of the configuration in use",
        [(NO_LABELS, warnings as f64)],
    );
}

fn discovery(out: &mut Writer, stats: &DiscoveryStats, jobs: &[ObservedJob]) {
    const NAME: (&str, &str) = ("name", "scrape");
    for (name, help, value) in [
        (
            "prometheus_sd_received_updates",
            "Refreshes that changed the targets of a source",
            stats.refresh.received_updates.get(),
        ),
        (
            "prometheus_sd_updates",
            "Sets of targets published because they changed",
            stats.updates.get(),
        ),
        (
            "prometheus_sd_updates_delayed",
            "Sets of targets that waited because the previous one was too recent",
            stats.updates_delayed.get(),
        ),
    ] {
        out.counter(name, help, [([NAME], value)]);
    }
    for (name, help, value) in [
        ("prometheus_sd_http_failures", "Failed requests of HTTP SD", stats.http_failures.get()),
        (
            "prometheus_sd_file_read_errors",
            "Files of file SD that could not be read",
            stats.file_read_errors.get(),
        ),
        (
            "prometheus_sd_file_watcher_errors",
            "Failures of the watch on the files of file SD",
            stats.file_watcher_errors.get(),
        ),
        ("prometheus_sd_dns_lookups", "DNS names that were looked up", stats.dns_lookups.get()),
        (
            "prometheus_sd_dns_lookup_failures",
            "DNS names that could not be looked up",
            stats.dns_lookup_failures.get(),
        ),
        (
            "swarmscout_source_panics",
            "Sources that failed by an internal error and were restarted",
            stats.refresh.panics.get(),
        ),
        (
            "swarmscout_storage_restored",
            "Sources whose stored targets were restored",
            stats.storage.restored.get(),
        ),
        (
            "swarmscout_storage_read_errors",
            "Stored files that could not be used",
            stats.storage.unreadable.get(),
        ),
        (
            "swarmscout_storage_writes",
            "Files of sources written to the storage",
            stats.storage.writes.get(),
        ),
        (
            "swarmscout_storage_write_errors",
            "Files of sources that could not be written to the storage",
            stats.storage.failures.get(),
        ),
    ] {
        out.counter(name, help, [(NO_LABELS, value)]);
    }
    out.gauge(
        "swarmscout_storage_failing_sources",
        "Sources whose file could not be written the last time",
        [(NO_LABELS, stats.storage.failing.get() as f64)],
    );
    out.gauge(
        "swarmscout_storage_failing_counters",
        "Whether the counters of state metrics could not be written the last time",
        [(NO_LABELS, stats.storage.failing_counters.get() as f64)],
    );
    let times = stats.file_times();
    let times: Vec<_> = times.iter().map(|(file, time)| ([("filename", &**file)], *time)).collect();
    out.gauge(
        "prometheus_sd_file_mtime_seconds",
        "When each file of file SD was last modified",
        times.iter().map(|(labels, time)| (labels, *time)),
    );
    // A configuration is used as a whole or not at all.
    out.gauge(
        "prometheus_sd_failed_configs",
        "Service discovery configurations that failed to load",
        [([NAME], 0.0)],
    );
    let problems = stats.refresh.problems();
    for (name, help, skipped) in [
        ("swarmscout_objects_skipped", "Skipped parts of answers, counted at each refresh", true),
        (
            "swarmscout_problems_reported",
            "Irregular parts of answers that were used as a whole, counted at each refresh",
            false,
        ),
    ] {
        let series: Vec<_> = problems
            .iter()
            .filter(|of| of.skipped == skipped)
            .map(|of| ([("kind", of.kind), ("reason", of.reason)], of.count))
            .collect();
        out.counter(name, help, series.iter().map(|(labels, count)| (labels, *count)));
    }
    let by_job: Vec<_> =
        jobs.iter().map(|job| ([NAME, ("config", &**job.set.pool.name())], job)).collect();
    let discovered =
        |job: &ObservedJob| job.status.sources.iter().map(|source| source.targets).sum::<usize>();
    out.gauge(
        "prometheus_sd_discovered_targets",
        "Targets of each job before relabeling",
        by_job.iter().map(|(labels, job)| (labels, discovered(job) as f64)),
    );
    out.gauge(
        "prometheus_sd_last_update_timestamp_seconds",
        "When the targets of each job last changed",
        by_job.iter().map(|(labels, job)| (labels, timestamp(job.set.changed))),
    );
}

fn memory(out: &mut Writer, budget: &Budget) {
    out.gauge(
        "swarmscout_memory_accounted_bytes",
        "Estimated memory of sources, their targets and rendered lists",
        [(NO_LABELS, budget.used() as f64)],
    );
    if let Some(limit) = budget.limit() {
        out.gauge(
            "swarmscout_memory_limit_bytes",
            "Limit of the accounted memory, as given by --limits.memory",
            [(NO_LABELS, limit as f64)],
        );
    }
}

fn sources(out: &mut Writer, now: Instant, jobs: &[ObservedJob]) {
    let all: Vec<([(&str, &str); 2], &SourceStatus)> = jobs
        .iter()
        .flat_map(|ObservedJob { set, status, .. }| {
            status.sources.iter().map(move |source| (set.pool.name(), source))
        })
        .map(|(job, source)| ([("job", &**job), ("source", &*source.name)], source))
        .collect();
    let up = |source: &SourceStatus| {
        source.error.is_none() && source.as_of.is_some() && !source.restored
    };
    out.gauge(
        "swarmscout_source_up",
        "Whether the last refresh of the source succeeded",
        all.iter().map(|(labels, source)| (labels, flag(up(source)))),
    );
    out.gauge(
        "swarmscout_source_restored",
        "Whether the targets of the source are from before a restart",
        all.iter().map(|(labels, source)| (labels, flag(source.restored))),
    );
    let sets = || jobs.iter().map(|job| &job.set);
    let incomplete: Vec<_> =
        sets().map(|set| ([("job", &**set.pool.name())], flag(!set.is_complete()))).collect();
    out.gauge(
        "swarmscout_sd_incomplete",
        "Whether a source of the job has never answered, so that its targets are missing",
        incomplete.iter().map(|(labels, incomplete)| (labels, *incomplete)),
    );
    let age = |source: &SourceStatus| {
        let age = now.saturating_duration_since(source.as_of.filter(|_| source.is_refreshed)?);
        Some(age.as_secs_f64())
    };
    out.gauge(
        "swarmscout_source_age_seconds",
        "Time since the origin last confirmed the targets of the source",
        all.iter().filter_map(|(labels, source)| Some((labels, age(source)?))),
    );
    let problems: Vec<_> = all
        .iter()
        .flat_map(|([job, name], source)| {
            let skipped = source.problems.iter().filter(|problem| problem.is_skipped()).count();
            [("skipped", skipped), ("reported", source.problems.len() - skipped)]
                .map(|(effect, count)| ([*job, *name, ("effect", effect)], count))
        })
        .collect();
    out.gauge(
        "swarmscout_source_problems",
        "Problems of the last successful refresh: parts skipped, or only reported",
        problems.iter().map(|(labels, count)| (labels, *count as f64)),
    );
    let without_address: Vec<_> = all
        .iter()
        .filter_map(|(labels, source)| Some((labels, source.without_address.as_ref()?)))
        .flat_map(|([job, name], tasks)| {
            let of = |(reason, count): (NoAddress, usize)| {
                ([*job, *name, ("reason", reason.as_str())], count)
            };
            tasks.counts().map(of)
        })
        .collect();
    out.gauge(
        "swarmscout_tasks_without_address",
        "Running tasks without a target because the Swarm does not know their address",
        without_address.iter().map(|(labels, count)| (labels, *count as f64)),
    );
    // Prometheus has these by mechanism and job.
    let mut by_mechanism = BTreeMap::<_, RefreshStats>::new();
    for ObservedJob { set, status, .. } in jobs {
        for (mechanism, ended) in &*status.ended {
            by_mechanism.insert((*mechanism, &**set.pool.name()), ended.clone());
        }
    }
    for (labels, source) in &all {
        by_mechanism.entry((source.mechanism, labels[0].1)).or_default().add(source);
    }
    let by_mechanism: Vec<_> = by_mechanism
        .iter()
        .map(|((mechanism, job), done)| ([("mechanism", *mechanism), ("config", *job)], done))
        .collect();
    out.counter(
        "prometheus_sd_refresh_failures",
        "Failed refreshes",
        by_mechanism.iter().map(|(labels, done)| (labels, done.failures)),
    );
    for name in [
        "prometheus_sd_refresh_duration_seconds",
        "prometheus_sd_refresh_duration_histogram_seconds",
    ] {
        out.histogram(
            name,
            "Duration of refreshes, including failed ones",
            by_mechanism.iter().map(|(labels, done)| (labels, histogram(&done.durations))),
        );
    }
}

/// What is kept of each Swarm, once for all that read it.
fn snapshots(out: &mut Writer, swarms: &[Swarm<'_>]) {
    let all: Vec<_> = swarms.iter().map(|swarm| ([("swarm", swarm.name)], swarm)).collect();
    let in_use: Vec<_> = all
        .iter()
        .flat_map(|([name], swarm)| {
            Swarm::feed_kinds().map(|kind| ([*name, ("feed", kind)], swarm.kind == kind))
        })
        .collect();
    out.gauge(
        "swarmscout_snapshot_feed",
        "Change feed of the Swarm: 1 for the one in use",
        in_use.iter().map(|(labels, holds)| (labels, flag(*holds))),
    );
    out.gauge(
        "swarmscout_snapshot_feed_start_time_seconds",
        "When the change feed in use was opened",
        all.iter().map(|(labels, swarm)| (labels, timestamp(swarm.since.0))),
    );
    out.gauge(
        "swarmscout_snapshot_age_seconds",
        "Time since the cached Swarm was last confirmed",
        all.iter().filter_map(|(labels, swarm)| Some((labels, swarm.age?.0.as_secs_f64()))),
    );
    let objects: Vec<_> = all
        .iter()
        .flat_map(|([name], swarm)| {
            swarm.objects.counts().map(|(kind, count)| ([*name, ("kind", kind)], count))
        })
        .collect();
    out.gauge(
        "swarmscout_snapshot_objects",
        "Cached objects of the Swarm",
        objects.iter().map(|(labels, count)| (labels, *count as f64)),
    );
    out.counter(
        "swarmscout_snapshot_changes",
        "Objects added, removed or updated",
        all.iter().map(|(labels, swarm)| (labels, swarm.changes)),
    );
    out.gauge(
        "swarmscout_snapshot_last_change_timestamp_seconds",
        "When the last change was received",
        all.iter().filter_map(|(labels, swarm)| Some((labels, timestamp(swarm.last_change?.0)))),
    );
    out.gauge(
        "swarmscout_snapshot_last_change_delay_seconds",
        "Delay between the last change and its arrival, by the clocks of both machines",
        all.iter().filter_map(|(labels, swarm)| Some((labels, swarm.delay?.0.as_secs_f64()))),
    );
    out.counter(
        "swarmscout_snapshot_feed_starts",
        "How often a watch or an event stream was opened",
        all.iter().map(|(labels, swarm)| (labels, swarm.starts)),
    );
    out.counter(
        "swarmscout_snapshot_drift",
        "Changes that a refresh found and the watch had not reported",
        all.iter().map(|(labels, swarm)| (labels, swarm.drift)),
    );
}

/// The active targets that are marked as unreachable, by job and by their label `service`.
fn unreachable(jobs: &[ObservedJob]) -> BTreeMap<(&str, &str), usize> {
    let mut found = BTreeMap::new();
    for ObservedJob { set, .. } in jobs.iter().filter(|job| job.set.counts.unreachable > 0) {
        for target in set.groups.iter().flat_map(|group| group.relabelled.unreachable()) {
            let Some(service) = target.labels.get("service") else { continue };
            *found.entry((&**set.pool.name(), service)).or_default() += 1;
        }
    }
    found
}

fn pools(out: &mut Writer, counters: &DiscoveryStats, jobs: &[ObservedJob]) {
    let states: Vec<_> = jobs
        .iter()
        .flat_map(|ObservedJob { set, .. }| {
            let counts = set.counts;
            [
                ("active", counts.active),
                ("dropped", counts.dropped),
                ("refused", counts.refused),
                ("duplicate", counts.duplicates),
                ("unreachable", counts.unreachable),
            ]
            .map(|(state, count)| ([("job", &**set.pool.name()), ("state", state)], count))
        })
        .collect();
    out.gauge(
        "swarmscout_targets",
        "Targets of each job: active (of these unreachable), dropped by a rule, refused as invalid, duplicate",
        states.iter().map(|(labels, count)| (labels, *count as f64)),
    );
    let unreachable = unreachable(jobs);
    out.gauge(
        "swarmscout_unreachable_targets",
        "Targets that share no network with the scraper, by the label service that they have",
        unreachable
            .iter()
            .map(|((job, service), count)| ([("job", *job), ("service", *service)], *count as f64)),
    );
    let by_job: Vec<_> =
        jobs.iter().map(|job| ([("scrape_job", &**job.set.pool.name())], job)).collect();
    out.gauge(
        "prometheus_target_scrape_pool_targets",
        "Current number of targets in this scrape pool",
        by_job.iter().map(|(labels, job)| (labels, job.set.counts.active as f64)),
    );
    out.gauge(
        "prometheus_target_scrape_pool_target_limit",
        "Maximum number of targets allowed in this scrape pool; 0 means no limit",
        by_job.iter().map(|(labels, job)| (labels, job.set.pool.target_limit as f64)),
    );
    out.counter(
        "prometheus_target_scrape_pool_exceeded_target_limit",
        "How often a target limit was exceeded",
        [(NO_LABELS, counters.limit_exceeded.get())],
    );
    out.counter(
        "prometheus_target_scrape_pool_sync",
        "How often the targets of the scrape pool were synced",
        by_job.iter().map(|(labels, job)| (labels, job.set.syncs.durations.count())),
    );
    out.histogram(
        "prometheus_target_sync_length_seconds",
        "Duration of syncs of the scrape pool",
        by_job.iter().map(|(labels, job)| (labels, histogram(&job.set.syncs.durations))),
    );
    out.counter(
        "prometheus_target_sync_failed",
        "Refused targets, counted at each sync",
        by_job.iter().map(|(labels, job)| (labels, job.set.syncs.refused)),
    );
}

fn files(out: &mut Writer, files: &[FileStatus], jobs: &[ObservedJob]) {
    // The writer notices a removed job a moment later.
    let jobs: HashSet<_> = jobs.iter().map(|job| &**job.set.pool.name()).collect();
    let by_job: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let job = file.job.as_deref().filter(|job| jobs.contains(job))?;
            Some(([("job", job)], file))
        })
        .collect();
    out.counter(
        "swarmscout_file_sd_writes",
        "How often the file of a job was written because its content changed",
        by_job.iter().map(|(labels, file)| (labels, file.writes)),
    );
    out.counter(
        "swarmscout_file_sd_write_errors",
        "How often the file of a job could not be written",
        by_job.iter().map(|(labels, file)| (labels, file.failures)),
    );
    out.gauge(
        "swarmscout_file_sd_last_success_timestamp_seconds",
        "When the file of a job was last known to hold its newest targets",
        by_job.iter().filter_map(|(labels, file)| Some((labels, timestamp(file.confirmed?)))),
    );
}

fn histogram(durations: &DurationHistogram) -> Histogram<'_> {
    Histogram { bounds: &DurationHistogram::BOUNDS, counts: &durations.buckets, sum: durations.sum }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn timestamp(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0.0, Duration::as_secs_f64)
}
