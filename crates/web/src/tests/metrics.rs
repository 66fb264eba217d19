use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::expect;
use swarmscout_discovery::Problem;
use swarmscout_discovery::status::RefreshStats;
use swarmscout_model::DurationHistogram;
use swarmscout_swarm::FeedKind;

use super::{Server, file, group, job, set, source, swarm};

#[tokio::test]
async fn shows_the_state_of_the_moment() {
    let now = Instant::now();
    let mut durations = DurationHistogram::default();
    durations.observe(Duration::from_millis(20));
    durations.observe(Duration::from_secs(100));
    let mut up = source("dockerswarm/0", now, Some(7));
    up.durations = Arc::new(durations);
    let mut down = source("dockerswarm/1", now, None);
    down.error = Some(Arc::from("x"));
    let published = swarm(&mut up, now, FeedKind::Events);
    let job = Arc::new(job("we\"b"));
    let problem = |reason| Problem {
        kind: "service",
        object: String::from("abc"),
        reason,
        detail: String::new(),
    };
    let problems = ["virtual IP without address", "label keys that become one name"].map(problem);
    up.problems = Arc::from(problems.clone());
    up.without_address = Some(Arc::default());
    let mut first = set(&job, &[group("a", "", &["10.0.0.1:80", ""])], vec![up, down]);
    // A source that a reload took away had failed 40 times.
    let mut ended = RefreshStats { failures: 40, ..RefreshStats::default() };
    ended.durations.observe(Duration::from_secs(2));
    first.status.ended = Arc::new([("dockerswarm", ended)].into());
    let server = Server::start(now, vec![first]).await;
    server.swarms.send_replace(Arc::from([published.swarm()]));
    server.stats.refresh.count_problems(&problems);
    let file = |job| file(server.now, job, Some("no space left"));
    server.files.send_replace(Arc::from([file(Some("we\"b")), file(None)]));
    server.get("/sd/no-such-job").await;
    let reply = server.get("/metrics").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = reply.text();
    let stable: String = text
        .lines()
        .filter(|line| !line.contains("process_") && !line.contains("request_duration_seconds"))
        .flat_map(|line| [line, "\n"])
        .collect();
    expect![[r##"
        # HELP prometheus_http_requests_total HTTP requests
        # TYPE prometheus_http_requests_total counter
        prometheus_http_requests_total{code="404",handler="/sd/:job"} 1
        # HELP swarmscout_http_connections_evicted_total Connections that were closed to make room for others: idle, blocked or streaming
        # TYPE swarmscout_http_connections_evicted_total counter
        swarmscout_http_connections_evicted_total 0
        # HELP swarmscout_http_waiting Requests that wait for a change
        # TYPE swarmscout_http_waiting gauge
        swarmscout_http_waiting 0.0
        # HELP swarmscout_http_waiting_limit The most requests that may wait for a change
        # TYPE swarmscout_http_waiting_limit gauge
        swarmscout_http_waiting_limit 2000.0
        # HELP swarmscout_http_waiting_refused_total Requests that were not allowed to wait because too many did
        # TYPE swarmscout_http_waiting_refused_total counter
        swarmscout_http_waiting_refused_total 0
        # HELP swarmscout_http_requests_refused_total Requests refused by the web configuration
        # TYPE swarmscout_http_requests_refused_total counter
        swarmscout_http_requests_refused_total{reason="no_password"} 0
        swarmscout_http_requests_refused_total{reason="wrong_password"} 0
        swarmscout_http_requests_refused_total{reason="no_right"} 0
        swarmscout_http_requests_refused_total{reason="busy"} 0
        swarmscout_http_requests_refused_total{reason="rate_limit"} 0
        # HELP prometheus_build_info Version of this binary under the name that Prometheus dashboards use
        # TYPE prometheus_build_info gauge
        prometheus_build_info{branch="main",goversion="rustc 1.95.0",revision="0123abc",version="0.1.0"} 1.0
        # HELP swarmscout_build_info Version of this binary
        # TYPE swarmscout_build_info gauge
        swarmscout_build_info{branch="main",compiler="rustc 1.95.0",revision="0123abc",version="0.1.0"} 1.0
        # HELP prometheus_ready Whether startup has finished
        # TYPE prometheus_ready gauge
        prometheus_ready 1.0
        # HELP prometheus_config_last_reload_successful Whether the last attempt to load the configuration was successful
        # TYPE prometheus_config_last_reload_successful gauge
        prometheus_config_last_reload_successful 1.0
        # HELP prometheus_config_last_reload_success_timestamp_seconds When the configuration in use was loaded
        # TYPE prometheus_config_last_reload_success_timestamp_seconds gauge
        prometheus_config_last_reload_success_timestamp_seconds 1699999940.0
        # HELP swarmscout_config_warnings Warnings of the configuration in use
        # TYPE swarmscout_config_warnings gauge
        swarmscout_config_warnings 0.0
        # HELP swarmscout_log_lines_dropped_total Log lines that were not written because stderr was not read
        # TYPE swarmscout_log_lines_dropped_total counter
        swarmscout_log_lines_dropped_total 0
        # HELP prometheus_sd_received_updates_total Refreshes that changed the targets of a source
        # TYPE prometheus_sd_received_updates_total counter
        prometheus_sd_received_updates_total{name="scrape"} 0
        # HELP prometheus_sd_updates_total Sets of targets published because they changed
        # TYPE prometheus_sd_updates_total counter
        prometheus_sd_updates_total{name="scrape"} 0
        # HELP prometheus_sd_updates_delayed_total Sets of targets that waited because the previous one was too recent
        # TYPE prometheus_sd_updates_delayed_total counter
        prometheus_sd_updates_delayed_total{name="scrape"} 0
        # HELP prometheus_sd_http_failures_total Failed requests of HTTP SD
        # TYPE prometheus_sd_http_failures_total counter
        prometheus_sd_http_failures_total 0
        # HELP prometheus_sd_file_read_errors_total Files of file SD that could not be read
        # TYPE prometheus_sd_file_read_errors_total counter
        prometheus_sd_file_read_errors_total 0
        # HELP prometheus_sd_file_watcher_errors_total Failures of the watch on the files of file SD
        # TYPE prometheus_sd_file_watcher_errors_total counter
        prometheus_sd_file_watcher_errors_total 0
        # HELP prometheus_sd_dns_lookups_total DNS names that were looked up
        # TYPE prometheus_sd_dns_lookups_total counter
        prometheus_sd_dns_lookups_total 0
        # HELP prometheus_sd_dns_lookup_failures_total DNS names that could not be looked up
        # TYPE prometheus_sd_dns_lookup_failures_total counter
        prometheus_sd_dns_lookup_failures_total 0
        # HELP swarmscout_source_panics_total Sources that failed by an internal error and were restarted
        # TYPE swarmscout_source_panics_total counter
        swarmscout_source_panics_total 0
        # HELP swarmscout_storage_restored_total Sources whose stored targets were restored
        # TYPE swarmscout_storage_restored_total counter
        swarmscout_storage_restored_total 0
        # HELP swarmscout_storage_read_errors_total Stored files that could not be used
        # TYPE swarmscout_storage_read_errors_total counter
        swarmscout_storage_read_errors_total 0
        # HELP swarmscout_storage_writes_total Files of sources written to the storage
        # TYPE swarmscout_storage_writes_total counter
        swarmscout_storage_writes_total 0
        # HELP swarmscout_storage_write_errors_total Files of sources that could not be written to the storage
        # TYPE swarmscout_storage_write_errors_total counter
        swarmscout_storage_write_errors_total 0
        # HELP swarmscout_storage_failing_sources Sources whose file could not be written the last time
        # TYPE swarmscout_storage_failing_sources gauge
        swarmscout_storage_failing_sources 0.0
        # HELP swarmscout_storage_failing_counters Whether the counters of state metrics could not be written the last time
        # TYPE swarmscout_storage_failing_counters gauge
        swarmscout_storage_failing_counters 0.0
        # HELP prometheus_sd_failed_configs Service discovery configurations that failed to load
        # TYPE prometheus_sd_failed_configs gauge
        prometheus_sd_failed_configs{name="scrape"} 0.0
        # HELP swarmscout_objects_skipped_total Skipped parts of answers, counted at each refresh
        # TYPE swarmscout_objects_skipped_total counter
        swarmscout_objects_skipped_total{kind="service",reason="virtual IP without address"} 1
        # HELP swarmscout_problems_reported_total Irregular parts of answers that were used as a whole, counted at each refresh
        # TYPE swarmscout_problems_reported_total counter
        swarmscout_problems_reported_total{kind="service",reason="label keys that become one name"} 1
        # HELP prometheus_sd_discovered_targets Targets of each job before relabeling
        # TYPE prometheus_sd_discovered_targets gauge
        prometheus_sd_discovered_targets{name="scrape",config="we\"b"} 4.0
        # HELP prometheus_sd_last_update_timestamp_seconds When the targets of each job last changed
        # TYPE prometheus_sd_last_update_timestamp_seconds gauge
        prometheus_sd_last_update_timestamp_seconds{name="scrape",config="we\"b"} 0.0
        # HELP swarmscout_memory_accounted_bytes Estimated memory of sources, their targets and rendered lists
        # TYPE swarmscout_memory_accounted_bytes gauge
        swarmscout_memory_accounted_bytes 0.0
        # HELP swarmscout_memory_limit_bytes Limit of the accounted memory, as given by --limits.memory
        # TYPE swarmscout_memory_limit_bytes gauge
        swarmscout_memory_limit_bytes 1073741824.0
        # HELP swarmscout_source_up Whether the last refresh of the source succeeded
        # TYPE swarmscout_source_up gauge
        swarmscout_source_up{job="we\"b",source="dockerswarm/0"} 1.0
        swarmscout_source_up{job="we\"b",source="dockerswarm/1"} 0.0
        # HELP swarmscout_source_restored Whether the targets of the source are from before a restart
        # TYPE swarmscout_source_restored gauge
        swarmscout_source_restored{job="we\"b",source="dockerswarm/0"} 0.0
        swarmscout_source_restored{job="we\"b",source="dockerswarm/1"} 0.0
        # HELP swarmscout_sd_incomplete Whether a source of the job has never answered, so that its targets are missing
        # TYPE swarmscout_sd_incomplete gauge
        swarmscout_sd_incomplete{job="we\"b"} 1.0
        # HELP swarmscout_source_age_seconds Time since the origin last confirmed the targets of the source
        # TYPE swarmscout_source_age_seconds gauge
        swarmscout_source_age_seconds{job="we\"b",source="dockerswarm/0"} 7.0
        # HELP swarmscout_source_problems Problems of the last successful refresh: parts skipped, or only reported
        # TYPE swarmscout_source_problems gauge
        swarmscout_source_problems{job="we\"b",source="dockerswarm/0",effect="skipped"} 1.0
        swarmscout_source_problems{job="we\"b",source="dockerswarm/0",effect="reported"} 1.0
        swarmscout_source_problems{job="we\"b",source="dockerswarm/1",effect="skipped"} 0.0
        swarmscout_source_problems{job="we\"b",source="dockerswarm/1",effect="reported"} 0.0
        # HELP swarmscout_tasks_without_address Running tasks without a target because the Swarm does not know their address
        # TYPE swarmscout_tasks_without_address gauge
        swarmscout_tasks_without_address{job="we\"b",source="dockerswarm/0",reason="host network"} 0.0
        swarmscout_tasks_without_address{job="we\"b",source="dockerswarm/0",reason="no network"} 0.0
        swarmscout_tasks_without_address{job="we\"b",source="dockerswarm/0",reason="address unknown to the Swarm"} 0.0
        # HELP prometheus_sd_refresh_failures_total Failed refreshes
        # TYPE prometheus_sd_refresh_failures_total counter
        prometheus_sd_refresh_failures_total{mechanism="dockerswarm",config="we\"b"} 42
        # HELP prometheus_sd_refresh_duration_seconds Duration of refreshes, including failed ones
        # TYPE prometheus_sd_refresh_duration_seconds histogram
        prometheus_sd_refresh_duration_seconds_sum{mechanism="dockerswarm",config="we\"b"} 102.02
        prometheus_sd_refresh_duration_seconds_count{mechanism="dockerswarm",config="we\"b"} 3
        prometheus_sd_refresh_duration_seconds_bucket{le="0.005",mechanism="dockerswarm",config="we\"b"} 0
        prometheus_sd_refresh_duration_seconds_bucket{le="0.01",mechanism="dockerswarm",config="we\"b"} 0
        prometheus_sd_refresh_duration_seconds_bucket{le="0.05",mechanism="dockerswarm",config="we\"b"} 1
        prometheus_sd_refresh_duration_seconds_bucket{le="0.1",mechanism="dockerswarm",config="we\"b"} 1
        prometheus_sd_refresh_duration_seconds_bucket{le="0.5",mechanism="dockerswarm",config="we\"b"} 1
        prometheus_sd_refresh_duration_seconds_bucket{le="1.0",mechanism="dockerswarm",config="we\"b"} 1
        prometheus_sd_refresh_duration_seconds_bucket{le="5.0",mechanism="dockerswarm",config="we\"b"} 2
        prometheus_sd_refresh_duration_seconds_bucket{le="10.0",mechanism="dockerswarm",config="we\"b"} 2
        prometheus_sd_refresh_duration_seconds_bucket{le="60.0",mechanism="dockerswarm",config="we\"b"} 2
        prometheus_sd_refresh_duration_seconds_bucket{le="+Inf",mechanism="dockerswarm",config="we\"b"} 3
        # HELP prometheus_sd_refresh_duration_histogram_seconds Duration of refreshes, including failed ones
        # TYPE prometheus_sd_refresh_duration_histogram_seconds histogram
        prometheus_sd_refresh_duration_histogram_seconds_sum{mechanism="dockerswarm",config="we\"b"} 102.02
        prometheus_sd_refresh_duration_histogram_seconds_count{mechanism="dockerswarm",config="we\"b"} 3
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="0.005",mechanism="dockerswarm",config="we\"b"} 0
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="0.01",mechanism="dockerswarm",config="we\"b"} 0
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="0.05",mechanism="dockerswarm",config="we\"b"} 1
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="0.1",mechanism="dockerswarm",config="we\"b"} 1
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="0.5",mechanism="dockerswarm",config="we\"b"} 1
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="1.0",mechanism="dockerswarm",config="we\"b"} 1
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="5.0",mechanism="dockerswarm",config="we\"b"} 2
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="10.0",mechanism="dockerswarm",config="we\"b"} 2
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="60.0",mechanism="dockerswarm",config="we\"b"} 2
        prometheus_sd_refresh_duration_histogram_seconds_bucket{le="+Inf",mechanism="dockerswarm",config="we\"b"} 3
        # HELP swarmscout_snapshot_feed Change feed of the Swarm: 1 for the one in use
        # TYPE swarmscout_snapshot_feed gauge
        swarmscout_snapshot_feed{swarm="unix:///var/run/docker.sock",feed="watch"} 0.0
        swarmscout_snapshot_feed{swarm="unix:///var/run/docker.sock",feed="events"} 1.0
        swarmscout_snapshot_feed{swarm="unix:///var/run/docker.sock",feed="poll"} 0.0
        # HELP swarmscout_snapshot_feed_start_time_seconds When the change feed in use was opened
        # TYPE swarmscout_snapshot_feed_start_time_seconds gauge
        swarmscout_snapshot_feed_start_time_seconds{swarm="unix:///var/run/docker.sock"} 1699999000.0
        # HELP swarmscout_snapshot_age_seconds Time since the cached Swarm was last confirmed
        # TYPE swarmscout_snapshot_age_seconds gauge
        swarmscout_snapshot_age_seconds{swarm="unix:///var/run/docker.sock"} 4.0
        # HELP swarmscout_snapshot_objects Cached objects of the Swarm
        # TYPE swarmscout_snapshot_objects gauge
        swarmscout_snapshot_objects{swarm="unix:///var/run/docker.sock",kind="node"} 3.0
        swarmscout_snapshot_objects{swarm="unix:///var/run/docker.sock",kind="service"} 2.0
        swarmscout_snapshot_objects{swarm="unix:///var/run/docker.sock",kind="task"} 5.0
        swarmscout_snapshot_objects{swarm="unix:///var/run/docker.sock",kind="network"} 1.0
        # HELP swarmscout_snapshot_changes_total Objects added, removed or updated
        # TYPE swarmscout_snapshot_changes_total counter
        swarmscout_snapshot_changes_total{swarm="unix:///var/run/docker.sock"} 7
        # HELP swarmscout_snapshot_last_change_timestamp_seconds When the last change was received
        # TYPE swarmscout_snapshot_last_change_timestamp_seconds gauge
        swarmscout_snapshot_last_change_timestamp_seconds{swarm="unix:///var/run/docker.sock"} 1699999990.0
        # HELP swarmscout_snapshot_last_change_delay_seconds Delay between the last change and its arrival, by the clocks of both machines
        # TYPE swarmscout_snapshot_last_change_delay_seconds gauge
        swarmscout_snapshot_last_change_delay_seconds{swarm="unix:///var/run/docker.sock"} 0.02
        # HELP swarmscout_snapshot_feed_starts_total How often a watch or an event stream was opened
        # TYPE swarmscout_snapshot_feed_starts_total counter
        swarmscout_snapshot_feed_starts_total{swarm="unix:///var/run/docker.sock"} 1
        # HELP swarmscout_snapshot_drift_total Changes that a refresh found and the watch had not reported
        # TYPE swarmscout_snapshot_drift_total counter
        swarmscout_snapshot_drift_total{swarm="unix:///var/run/docker.sock"} 0
        # HELP swarmscout_targets Targets of each job: active (of these unreachable), dropped by a rule, refused as invalid, duplicate
        # TYPE swarmscout_targets gauge
        swarmscout_targets{job="we\"b",state="active"} 1.0
        swarmscout_targets{job="we\"b",state="dropped"} 0.0
        swarmscout_targets{job="we\"b",state="refused"} 1.0
        swarmscout_targets{job="we\"b",state="duplicate"} 0.0
        swarmscout_targets{job="we\"b",state="unreachable"} 0.0
        # HELP prometheus_target_scrape_pool_targets Current number of targets in this scrape pool
        # TYPE prometheus_target_scrape_pool_targets gauge
        prometheus_target_scrape_pool_targets{scrape_job="we\"b"} 1.0
        # HELP prometheus_target_scrape_pool_target_limit Maximum number of targets allowed in this scrape pool; 0 means no limit
        # TYPE prometheus_target_scrape_pool_target_limit gauge
        prometheus_target_scrape_pool_target_limit{scrape_job="we\"b"} 0.0
        # HELP prometheus_target_scrape_pool_exceeded_target_limit_total How often a target limit was exceeded
        # TYPE prometheus_target_scrape_pool_exceeded_target_limit_total counter
        prometheus_target_scrape_pool_exceeded_target_limit_total 0
        # HELP prometheus_target_scrape_pool_sync_total How often the targets of the scrape pool were synced
        # TYPE prometheus_target_scrape_pool_sync_total counter
        prometheus_target_scrape_pool_sync_total{scrape_job="we\"b"} 0
        # HELP prometheus_target_sync_length_seconds Duration of syncs of the scrape pool
        # TYPE prometheus_target_sync_length_seconds histogram
        prometheus_target_sync_length_seconds_sum{scrape_job="we\"b"} 0.0
        prometheus_target_sync_length_seconds_count{scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="0.005",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="0.01",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="0.05",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="0.1",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="0.5",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="1.0",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="5.0",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="10.0",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="60.0",scrape_job="we\"b"} 0
        prometheus_target_sync_length_seconds_bucket{le="+Inf",scrape_job="we\"b"} 0
        # HELP prometheus_target_sync_failed_total Refused targets, counted at each sync
        # TYPE prometheus_target_sync_failed_total counter
        prometheus_target_sync_failed_total{scrape_job="we\"b"} 0
        # HELP swarmscout_file_sd_writes_total How often the file of a job was written because its content changed
        # TYPE swarmscout_file_sd_writes_total counter
        swarmscout_file_sd_writes_total{job="we\"b"} 3
        # HELP swarmscout_file_sd_write_errors_total How often the file of a job could not be written
        # TYPE swarmscout_file_sd_write_errors_total counter
        swarmscout_file_sd_write_errors_total{job="we\"b"} 1
        # HELP swarmscout_file_sd_last_success_timestamp_seconds When the file of a job was last known to hold its newest targets
        # TYPE swarmscout_file_sd_last_success_timestamp_seconds gauge
        swarmscout_file_sd_last_success_timestamp_seconds{job="we\"b"} 1699999995.0
        # HELP swarmscout_node_parts_registered Node parts that have said where they listen
        # TYPE swarmscout_node_parts_registered gauge
        swarmscout_node_parts_registered 0.0
        # HELP swarmscout_node_parts_reporting Nodes that report the network to other nodes
        # TYPE swarmscout_node_parts_reporting gauge
        swarmscout_node_parts_reporting 0.0
        # HELP swarmscout_node_parts_waiting Readers that wait for the tasks of a node to change
        # TYPE swarmscout_node_parts_waiting gauge
        swarmscout_node_parts_waiting 0.0
        # HELP swarmscout_node_parts_answers_written_total Lists of the tasks of a node that were written
        # TYPE swarmscout_node_parts_answers_written_total counter
        swarmscout_node_parts_answers_written_total 0
        # HELP swarmscout_node_parts_wakes_total Nodes whose readers were woken by a change
        # TYPE swarmscout_node_parts_wakes_total counter
        swarmscout_node_parts_wakes_total 0
    "##]].assert_eq(&stable);
    if cfg!(target_os = "linux") {
        for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"] {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name}");
        }
    }

    let documented = include_str!("../../../../docs/http.md");
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap();
        assert!(documented.contains(&format!("`{name}`")), "docs/http.md does not name {name}");
    }

    // A job or a Swarm that is gone leaves no series.
    drop(published);
    server.jobs.send_replace(Arc::from([]));
    let text = server.get("/metrics").await.text();
    assert!(!text.contains("we\\\"b") && !text.contains("snapshot"), "{text}");
}

#[tokio::test]
async fn speaks_open_metrics_if_asked() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let reply = server.request("GET", "/metrics", &[accept]).await;
    assert_eq!(
        reply.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(reply.text().ends_with("# EOF\n"));
}
