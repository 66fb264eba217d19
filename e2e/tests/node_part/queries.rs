//! What dashboards and rules that were made for cAdvisor ask, asked of a Prometheus that scrapes node parts.

use std::path::Path;

use anyhow::{Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use swarmscout_e2e::cases::PATIENCE;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::until;

use crate::{ask_prometheus, create_shell};

/// The forms in which the dashboards of swarmprom and its rules ask. A variable is what "all" makes of it.
const SWARMPROM: &[&str] = &[
    r#"count(count by (container_label_com_docker_swarm_node_id) (container_tasks_state{container_label_com_docker_swarm_node_id=~".+"}))"#,
    r#"count(count by (container_label_com_docker_swarm_service_name) (container_tasks_state{container_label_com_docker_swarm_service_name=~".+"}))"#,
    r#"count(rate(container_last_seen{container_label_com_docker_swarm_node_id=~".+"}[5m]))"#,
    r#"sum by (container_label_com_docker_swarm_service_name) (rate(container_last_seen{container_label_com_docker_swarm_node_id=~".+"}[5m]))"#,
    r#"sum by (container_label_com_docker_swarm_service_name) (container_memory_cache{container_label_com_docker_swarm_node_id=~".+",id=~"/docker/.*"})"#,
    r#"sum by (container_label_com_docker_swarm_service_name) (container_memory_usage_bytes{container_label_com_docker_swarm_node_id=~".+",id=~"/docker/.*"})"#,
    r#"sum by (container_label_com_docker_swarm_service_name) (irate(container_cpu_usage_seconds_total{container_label_com_docker_swarm_node_id=~".+",id=~"/docker/.*"}[1m])) * 100"#,
    r#"topk(10, sum by (name) (irate(container_cpu_usage_seconds_total{container_label_com_docker_swarm_node_id=~".+",id=~"/docker/.*"}[1m]))) * 100"#,
    r#"topk(10, avg_over_time(container_memory_usage_bytes{container_label_com_docker_swarm_node_id=~".+",id=~"/docker/.*"}[1m]))"#,
    r"sum(irate(container_fs_reads_total[1m]))",
    r"sum(irate(container_fs_writes_total[1m]))",
    r#"sum by (container_label_com_docker_swarm_service_name) (rate(container_network_receive_bytes_total{container_label_com_docker_swarm_node_id=~".+"}[1m]))"#,
    r#"sum by (container_label_com_docker_swarm_service_name) (rate(container_network_transmit_bytes_total{container_label_com_docker_swarm_node_id=~".+"}[1m]))"#,
    r#"sum by (id) (rate(container_network_receive_bytes_total{id="/"}[1m]))"#,
    r#"- sum by (id) (rate(container_network_transmit_bytes_total{id="/"}[1m]))"#,
    r#"sum by (node_name) (rate(container_network_receive_bytes_total{container_label_com_docker_swarm_node_id=~".+"}[1m]) * on (container_label_com_docker_swarm_node_id) group_left (node_name) node_meta)"#,
    r#"sum by (container_label_com_docker_swarm_task_name, container_label_com_docker_swarm_node_id) (rate(container_cpu_usage_seconds_total{container_label_com_docker_swarm_task_name=~".+"}[1m])) >= 0"#,
    r#"sum by (container_label_com_docker_swarm_task_name, container_label_com_docker_swarm_node_id) (container_memory_rss{container_label_com_docker_swarm_task_name=~".+"}) > 0"#,
    r#"count(node_meta * on (instance) group_left (node_name) node_meta{node_id=~".+"})"#,
    r#"sum((node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) * on (instance) group_left (node_name) node_meta{node_id=~".+"} * 100)"#,
    r#"sum(irate(node_cpu_seconds_total{mode="idle"}[1m]) * on (instance) group_left (node_name) node_meta{node_id=~".+"})"#,
];

/// Those of dockprom.
const DOCKPROM: &[&str] = &[
    r#"sum(rate(container_cpu_user_seconds_total{image!=""}[1m])) / count(node_cpu_seconds_total{mode="user"}) * 100"#,
    "machine_cpu_cores",
    "machine_memory_bytes",
    r#"sum(container_memory_usage_bytes{image!=""})"#,
    "sum(container_fs_usage_bytes)",
    r#"scalar(count(container_memory_usage_bytes{image!=""}) > 0)"#,
    r#"sum by (name) (rate(container_cpu_usage_seconds_total{image!="",container_label_org_label_schema_group=""}[1m])) / scalar(count(node_cpu_seconds_total{mode="user"})) * 100"#,
    r#"sum by (name) (container_memory_usage_bytes{image!="",container_label_org_label_schema_group=""})"#,
    r#"sum by (name) (container_memory_cache{image!="",container_label_org_label_schema_group=""})"#,
    r#"sum by (name) (rate(container_network_receive_bytes_total{image!="",container_label_org_label_schema_group=""}[1m]))"#,
    r#"sum by (name) (rate(container_network_transmit_bytes_total{image!="",container_label_org_label_schema_group=""}[1m]))"#,
    r#"rate(container_cpu_user_seconds_total{name=~".+"}[1m])"#,
    "node_load1",
];

/// Those of Portainer's templates: containers, then the node. `label_values` of a variable is a count here,
/// and `job` is what the service is labeled with.
const PORTAINER: &[&str] = &[
    r#"count by (instance) (cadvisor_version_info{instance!=""})"#,
    r#"count by (name) (container_cpu_usage_seconds_total{name!=""})"#,
    r#"(time() - container_start_time_seconds{instance=~".+",name=~".+",name=~".+"})/86400"#,
    r#"sum(container_memory_cache{instance=~".+",name=~".+",name=~".+"}) by (name)"#,
    r#"sum(container_memory_usage_bytes{instance=~".+", name=~".+", name=~".+"}) by (name)"#,
    r#"sum(rate(container_cpu_usage_seconds_total{instance=~".+",name=~".+", name=~".+"}[5m])) by (name) *100"#,
    r#"sum(rate(container_network_receive_bytes_total{instance=~".+",name=~".+",name=~".+"}[5m])) by (name)"#,
    r#"sum(rate(container_network_transmit_bytes_total{instance=~".+",name=~".+",name=~".+"}[5m])) by (name)"#,
    r#"count by (job, instance) (node_exporter_build_info{job!="",instance!=""})"#,
    r#"(1 - rate(node_cpu_seconds_total{mode="idle"}[1m])) / ignoring(cpu) group_left count without (cpu) (node_cpu_seconds_total{mode="idle"})"#,
    "node_memory_MemTotal_bytes - node_memory_MemFree_bytes - node_memory_Buffers_bytes - node_memory_Cached_bytes",
    "100 - (avg(node_memory_MemAvailable_bytes) / avg(node_memory_MemTotal_bytes) * 100)",
    r#"count(node_cpu_seconds_total{mode="idle"})"#,
    "node_load5",
    "node_load15",
    r#"rate(node_disk_io_time_seconds_total{device!=""}[1m])"#,
    r#"rate(node_disk_read_bytes_total{device!=""}[1m])"#,
    r#"rate(node_disk_written_bytes_total{device!=""}[1m])"#,
    r#"rate(node_network_receive_bytes_total{device!="lo"}[1m])"#,
    r#"rate(node_network_transmit_bytes_total{device!="lo"}[1m])"#,
    r#"sum(max by (device) (node_filesystem_avail_bytes{fstype!=""}))"#,
    r#"sum(max by (device) (node_filesystem_size_bytes{fstype!=""} - node_filesystem_avail_bytes{fstype!=""}))"#,
];

/// Further names that dashboards have; each is a series of a container of a service.
const NAMES: &[&str] = &[
    "container_start_time_seconds",
    "container_memory_working_set_bytes",
    "container_memory_swap",
    "container_memory_max_usage_bytes",
    "container_memory_mapped_file",
    "container_memory_failcnt",
    "container_memory_failures_total",
    "container_oom_events_total",
    "container_cpu_system_seconds_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_throttled_seconds_total",
    "container_spec_cpu_period",
    "container_spec_cpu_quota",
    "container_spec_cpu_shares",
    "container_spec_memory_limit_bytes",
    "container_spec_memory_reservation_limit_bytes",
    "container_spec_memory_swap_limit_bytes",
    "container_network_receive_packets_total",
    "container_network_receive_errors_total",
    "container_network_receive_packets_dropped_total",
    "container_network_transmit_packets_total",
    "container_network_transmit_errors_total",
    "container_network_transmit_packets_dropped_total",
];

pub(crate) fn answered(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    // Limits, and a disk that is written to.
    let script = "trap 'exit 0' TERM; while :; do busybox dd if=/dev/zero of=/file bs=64k count=4 \
                  conv=fsync; sleep 1; done";
    let options = "limited --limit-memory 32m --limit-cpu 0.5 --reserve-memory 8m --network front";
    create_shell(cluster, options, script)?;
    cluster.await_replicas("limited 1/1")?;
    let names = NAMES
        .iter()
        .map(|name| format!("{name}{{container_label_com_docker_swarm_service_name=\"limited\"}}"));
    let queries = SWARMPROM
        .iter()
        .chain(DOCKPROM)
        .chain(PORTAINER)
        .map(|query| (*query).to_owned())
        .chain(names);
    for query in queries {
        until(&query, PATIENCE, || {
            let encoded = utf8_percent_encode(&query, NON_ALPHANUMERIC);
            let answer = ask_prometheus(&format!("query?query={encoded}"))?;
            let result = &answer["data"]["result"];
            let is_answered = result.as_array().is_some_and(|list| !list.is_empty());
            ensure!(is_answered && result[1] != "NaN", "{answer}");
            Ok(())
        })?;
    }
    cluster.docker(&["service", "rm", "limited"]).map(drop)
}
