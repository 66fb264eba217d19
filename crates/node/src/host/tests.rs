//! Whole expositions of recorded machines, and files that no kernel writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use swarmscout_exposition::Format;

use super::testing::{Tree, raspberry_pi};
use super::*;
use crate::cgroup::NO_PRESSURE;
use crate::containers::ContainerReader;
use crate::facts::FactsSet;

const NODE: Scope = Scope { node: true, machine: false };
const MACHINE: Scope = Scope { node: false, machine: true };
const BOTH: Scope = Scope { node: true, machine: true };

fn roots(tree: &Tree) -> Roots {
    let path = |name| tree.path().join(name);
    Roots { procfs: path("proc"), sysfs: path("sys"), rootfs: path("root") }
}

fn host(tree: &Tree) -> Host {
    Host::new(roots(tree), Collectors::default(), Arc::default())
}

fn identity() -> Identity {
    Identity { node_id: Some("n0de1d".to_owned()), node_name: Some("pi-1".to_owned()) }
}

/// Everything, as a scrape of all writes it.
fn written(host: &mut Host, scope: Scope) -> String {
    host.read(scope);
    host.scraped = Some(UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_500_250));
    // Of the machine that runs the tests.
    host.timex = Some(Timex::default());
    let mut out = Families::new(Format::Text);
    let versions = Versions {
        docker: Some("28.5.1".to_owned()),
        program: "0.1.0".to_owned(),
        ..Versions::default()
    };
    if scope.node {
        host.write_node(&identity(), &versions, &mut out);
    }
    if scope.machine {
        host.write_machine(&versions, &mut out);
        let no_containers = Roots { sysfs: "/nowhere".into(), ..host.roots.clone() };
        let mut containers = ContainerReader::new(no_containers, Arc::default());
        let mut reading = containers.read(&FactsSet::default(), host.scraped.unwrap());
        if let Some(root) = host.root() {
            reading.add_machine(root, host.started());
        }
        reading.write(&mut out);
    }
    let text = out.finish();
    check_valid(&text);
    text
}

/// Each family stands together, each series comes once, and each value is a number.
fn check_valid(text: &str) {
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(family), "twice: {line}");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(series.insert(name), "twice: {line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

/// Only the series. The kernel's name and version are those of the machine that tests.
fn check(text: &str, expected: &Expect) {
    let mut found = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find([' ', '{']).unwrap();
        match &line[..end] {
            "node_uname_info" => {
                assert!(line.contains("nodename=\"pi-1\""), "{line}");
            }
            "cadvisor_version_info" => {
                let known = "osVersion=\"Debian GNU/Linux 12 (bookworm)\",\
                             dockerVersion=\"28.5.1\",cadvisorVersion=\"0.1.0\"} 1";
                assert!(line.ends_with(known), "{line}");
            }
            _ => writeln!(found, "{line}").unwrap(),
        }
    }
    expected.assert_eq(&found);
}

#[test]
fn a_raspberry_pi_has_the_metrics_of_node_exporter() {
    let tree = raspberry_pi();
    let mut host = host(&tree);
    check(
        &written(&mut host, NODE),
        &expect![[r#"
        node_meta{node_id="n0de1d",node_name="pi-1",container_label_com_docker_swarm_node_id="n0de1d"} 1
        node_exporter_build_info{version="0.1.0"} 1
        node_time_seconds 1700000500.25
        node_timex_estimated_error_seconds 0.0
        node_timex_maxerror_seconds 0.0
        node_timex_offset_seconds 0.0
        node_timex_sync_status 0
        node_cpu_seconds_total{cpu="0",mode="user"} 1
        node_cpu_seconds_total{cpu="0",mode="nice"} 0.1
        node_cpu_seconds_total{cpu="0",mode="system"} 1
        node_cpu_seconds_total{cpu="0",mode="idle"} 45
        node_cpu_seconds_total{cpu="0",mode="iowait"} 0.25
        node_cpu_seconds_total{cpu="0",mode="irq"} 0
        node_cpu_seconds_total{cpu="0",mode="softirq"} 0.2
        node_cpu_seconds_total{cpu="0",mode="steal"} 0
        node_cpu_seconds_total{cpu="1",mode="user"} 2
        node_cpu_seconds_total{cpu="1",mode="nice"} 0.2
        node_cpu_seconds_total{cpu="1",mode="system"} 1
        node_cpu_seconds_total{cpu="1",mode="idle"} 45
        node_cpu_seconds_total{cpu="1",mode="iowait"} 0.25
        node_cpu_seconds_total{cpu="1",mode="irq"} 0
        node_cpu_seconds_total{cpu="1",mode="softirq"} 0
        node_cpu_seconds_total{cpu="1",mode="steal"} 0
        node_cpu_guest_seconds_total{cpu="0",mode="user"} 0
        node_cpu_guest_seconds_total{cpu="0",mode="nice"} 0
        node_cpu_guest_seconds_total{cpu="1",mode="user"} 0
        node_cpu_guest_seconds_total{cpu="1",mode="nice"} 0
        node_intr_total 123456
        node_context_switches_total 654321
        node_forks_total 4321
        node_boot_time_seconds 1700000000
        node_procs_running 2
        node_procs_blocked 1
        node_load1 0.07
        node_load5 1.5
        node_load15 12
        node_memory_MemTotal_bytes 3977216000
        node_memory_MemFree_bytes 102400000
        node_memory_MemAvailable_bytes 2048000000
        node_memory_Buffers_bytes 51200000
        node_memory_Cached_bytes 1945600000
        node_memory_SwapCached_bytes 1024000
        node_memory_Active_file_bytes 819200000
        node_memory_Inactive_file_bytes 921600000
        node_memory_SwapTotal_bytes 104853504
        node_memory_SwapFree_bytes 102400000
        node_memory_AnonPages_bytes 1536000000
        node_memory_Mapped_bytes 204800000
        node_memory_Slab_bytes 92160000
        node_memory_CmaTotal_bytes 536870912
        node_vmstat_pgpgin 5000
        node_vmstat_pgpgout 6000
        node_vmstat_pswpin 7
        node_vmstat_pswpout 8
        node_vmstat_pgfault 9000
        node_vmstat_pgmajfault 10
        node_vmstat_oom_kill 2
        node_pressure_cpu_waiting_seconds_total 1.234567
        node_pressure_io_waiting_seconds_total 2
        node_pressure_io_stalled_seconds_total 1
        node_pressure_memory_waiting_seconds_total 0.00003
        node_pressure_memory_stalled_seconds_total 0.00002
        node_disk_reads_completed_total{device="mmcblk0"} 1000
        node_disk_reads_completed_total{device="mmcblk0p1"} 1
        node_disk_reads_merged_total{device="mmcblk0"} 10
        node_disk_reads_merged_total{device="mmcblk0p1"} 1
        node_disk_read_bytes_total{device="mmcblk0"} 40960000
        node_disk_read_bytes_total{device="mmcblk0p1"} 512
        node_disk_read_time_seconds_total{device="mmcblk0"} 1.5
        node_disk_read_time_seconds_total{device="mmcblk0p1"} 0.001
        node_disk_writes_completed_total{device="mmcblk0"} 2000
        node_disk_writes_completed_total{device="mmcblk0p1"} 1
        node_disk_writes_merged_total{device="mmcblk0"} 20
        node_disk_writes_merged_total{device="mmcblk0p1"} 1
        node_disk_written_bytes_total{device="mmcblk0"} 81920000
        node_disk_written_bytes_total{device="mmcblk0p1"} 512
        node_disk_write_time_seconds_total{device="mmcblk0"} 2.5
        node_disk_write_time_seconds_total{device="mmcblk0p1"} 0.001
        node_disk_io_now{device="mmcblk0"} 0
        node_disk_io_now{device="mmcblk0p1"} 1
        node_disk_io_time_seconds_total{device="mmcblk0"} 3
        node_disk_io_time_seconds_total{device="mmcblk0p1"} 0.001
        node_disk_io_time_weighted_seconds_total{device="mmcblk0"} 4
        node_disk_io_time_weighted_seconds_total{device="mmcblk0p1"} 0.001
        node_disk_discards_completed_total{device="mmcblk0"} 5
        node_disk_discards_completed_total{device="mmcblk0p1"} 1
        node_disk_discards_merged_total{device="mmcblk0"} 6
        node_disk_discards_merged_total{device="mmcblk0p1"} 1
        node_disk_discarded_sectors_total{device="mmcblk0"} 7
        node_disk_discarded_sectors_total{device="mmcblk0p1"} 1
        node_disk_discard_time_seconds_total{device="mmcblk0"} 0.008
        node_disk_discard_time_seconds_total{device="mmcblk0p1"} 0.001
        node_disk_flush_requests_total{device="mmcblk0"} 9
        node_disk_flush_requests_total{device="mmcblk0p1"} 1
        node_disk_flush_requests_time_seconds_total{device="mmcblk0"} 0.01
        node_disk_flush_requests_time_seconds_total{device="mmcblk0p1"} 0.001
        node_network_receive_bytes_total{device="lo"} 100
        node_network_receive_bytes_total{device="eth0"} 9000000
        node_network_receive_bytes_total{device="veth12ab"} 5
        node_network_receive_packets_total{device="lo"} 2
        node_network_receive_packets_total{device="eth0"} 8000
        node_network_receive_packets_total{device="veth12ab"} 5
        node_network_receive_errs_total{device="lo"} 0
        node_network_receive_errs_total{device="eth0"} 1
        node_network_receive_errs_total{device="veth12ab"} 5
        node_network_receive_drop_total{device="lo"} 0
        node_network_receive_drop_total{device="eth0"} 2
        node_network_receive_drop_total{device="veth12ab"} 5
        node_network_receive_fifo_total{device="lo"} 0
        node_network_receive_fifo_total{device="eth0"} 3
        node_network_receive_fifo_total{device="veth12ab"} 5
        node_network_receive_frame_total{device="lo"} 0
        node_network_receive_frame_total{device="eth0"} 4
        node_network_receive_frame_total{device="veth12ab"} 5
        node_network_receive_compressed_total{device="lo"} 0
        node_network_receive_compressed_total{device="eth0"} 5
        node_network_receive_compressed_total{device="veth12ab"} 5
        node_network_receive_multicast_total{device="lo"} 0
        node_network_receive_multicast_total{device="eth0"} 6
        node_network_receive_multicast_total{device="veth12ab"} 5
        node_network_transmit_bytes_total{device="lo"} 100
        node_network_transmit_bytes_total{device="eth0"} 7000000
        node_network_transmit_bytes_total{device="veth12ab"} 5
        node_network_transmit_packets_total{device="lo"} 2
        node_network_transmit_packets_total{device="eth0"} 6000
        node_network_transmit_packets_total{device="veth12ab"} 5
        node_network_transmit_errs_total{device="lo"} 0
        node_network_transmit_errs_total{device="eth0"} 7
        node_network_transmit_errs_total{device="veth12ab"} 5
        node_network_transmit_drop_total{device="lo"} 0
        node_network_transmit_drop_total{device="eth0"} 8
        node_network_transmit_drop_total{device="veth12ab"} 5
        node_network_transmit_fifo_total{device="lo"} 0
        node_network_transmit_fifo_total{device="eth0"} 9
        node_network_transmit_fifo_total{device="veth12ab"} 5
        node_network_transmit_colls_total{device="lo"} 0
        node_network_transmit_colls_total{device="eth0"} 10
        node_network_transmit_colls_total{device="veth12ab"} 5
        node_network_transmit_carrier_total{device="lo"} 0
        node_network_transmit_carrier_total{device="eth0"} 11
        node_network_transmit_carrier_total{device="veth12ab"} 5
        node_network_transmit_compressed_total{device="lo"} 0
        node_network_transmit_compressed_total{device="eth0"} 12
        node_network_transmit_compressed_total{device="veth12ab"} 5
        node_filefd_allocated 1856
        node_filefd_maximum 9223372036854775807
        node_thermal_zone_temp{zone="0",type="cpu-thermal"} 48.312
        swarmscout_node_throttled{reason="undervoltage"} 0
        swarmscout_node_throttled{reason="frequency_capped"} 0
        swarmscout_node_throttled{reason="throttled"} 0
        swarmscout_node_throttled{reason="soft_temperature_limit"} 0
        swarmscout_node_throttled_since_boot{reason="undervoltage"} 1
        swarmscout_node_throttled_since_boot{reason="frequency_capped"} 0
        swarmscout_node_throttled_since_boot{reason="throttled"} 1
        swarmscout_node_throttled_since_boot{reason="soft_temperature_limit"} 0
    "#]],
    );
    let missing: Vec<_> = host.unavailable.list().into_iter().map(|(what, _)| what).collect();
    assert_eq!(missing, ["conntrack", "filesystem_not_mounted"]);
}

#[test]
fn a_raspberry_pi_has_the_machine_and_root_of_cadvisor() {
    let tree = raspberry_pi();
    check(
        &written(&mut host(&tree), MACHINE),
        &expect![[r#"
            machine_cpu_cores{machine_id="0123456789abcdef0123456789abcdef",boot_id="00000000-1111-2222-3333-444444444444"} 2
            machine_cpu_physical_cores{machine_id="0123456789abcdef0123456789abcdef",boot_id="00000000-1111-2222-3333-444444444444"} 2
            machine_cpu_sockets{machine_id="0123456789abcdef0123456789abcdef",boot_id="00000000-1111-2222-3333-444444444444"} 1
            machine_memory_bytes{machine_id="0123456789abcdef0123456789abcdef",boot_id="00000000-1111-2222-3333-444444444444"} 3977216000
            machine_swap_bytes{machine_id="0123456789abcdef0123456789abcdef",boot_id="00000000-1111-2222-3333-444444444444"} 104853504
            container_last_seen{id="/"} 1700000500.25
            container_start_time_seconds{id="/"} 1700000000
            container_cpu_usage_seconds_total{id="/",cpu="total"} 5.5
            container_cpu_user_seconds_total{id="/"} 3.3
            container_cpu_system_seconds_total{id="/"} 2.2
            container_memory_usage_bytes{id="/"} 3533824000
            container_memory_working_set_bytes{id="/"} 2612224000
            container_memory_rss{id="/"} 1536000000
            container_memory_cache{id="/"} 1997824000
            container_memory_swap{id="/"} 2453504
            container_memory_mapped_file{id="/"} 204800000
            container_memory_total_active_file_bytes{id="/"} 819200000
            container_memory_total_inactive_file_bytes{id="/"} 921600000
            container_memory_failures_total{id="/",failure_type="pgfault",scope="container"} 9000
            container_memory_failures_total{id="/",failure_type="pgmajfault",scope="container"} 10
            container_oom_events_total{id="/"} 2
            container_pressure_cpu_waiting_seconds_total{id="/"} 1.234567
            container_pressure_cpu_stalled_seconds_total{id="/"} 0
            container_pressure_memory_waiting_seconds_total{id="/"} 0.00003
            container_pressure_memory_stalled_seconds_total{id="/"} 0.00002
            container_pressure_io_waiting_seconds_total{id="/"} 2
            container_pressure_io_stalled_seconds_total{id="/"} 1
            container_fs_reads_total{id="/",device="/dev/mmcblk0"} 1000
            container_fs_writes_total{id="/",device="/dev/mmcblk0"} 2000
            container_fs_reads_bytes_total{id="/",device="/dev/mmcblk0"} 40960000
            container_fs_writes_bytes_total{id="/",device="/dev/mmcblk0"} 81920000
            container_network_receive_bytes_total{id="/",interface="eth0"} 9000000
            container_network_receive_packets_total{id="/",interface="eth0"} 8000
            container_network_receive_errors_total{id="/",interface="eth0"} 1
            container_network_receive_packets_dropped_total{id="/",interface="eth0"} 2
            container_network_transmit_bytes_total{id="/",interface="eth0"} 7000000
            container_network_transmit_packets_total{id="/",interface="eth0"} 6000
            container_network_transmit_errors_total{id="/",interface="eth0"} 7
            container_network_transmit_packets_dropped_total{id="/",interface="eth0"} 8
            container_spec_memory_limit_bytes{id="/"} 3977216000
        "#]],
    );
}

/// The documentation lists the names; a dashboard may use any of them.
#[test]
fn all_heads_are_those_of_node_exporter() {
    let tree = raspberry_pi();
    let text = written(&mut host(&tree), NODE);
    let heads: String = text
        .lines()
        .filter(|line| line.starts_with('#') && !line.contains("node_memory_"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    expect![[r#"
        # HELP node_meta The ID and the name of the node in the Swarm
        # TYPE node_meta gauge
        # HELP node_uname_info Labeled system information as provided by the uname system call.
        # TYPE node_uname_info gauge
        # HELP node_exporter_build_info The version of Swarmscout, in place of node exporter
        # TYPE node_exporter_build_info gauge
        # HELP node_time_seconds System time in seconds since epoch (1970).
        # TYPE node_time_seconds gauge
        # HELP node_timex_estimated_error_seconds Estimated error in seconds.
        # TYPE node_timex_estimated_error_seconds gauge
        # HELP node_timex_maxerror_seconds Maximum error in seconds.
        # TYPE node_timex_maxerror_seconds gauge
        # HELP node_timex_offset_seconds Time offset in between local system and reference clock.
        # TYPE node_timex_offset_seconds gauge
        # HELP node_timex_sync_status Is clock synchronized to a reliable server (1 = yes, 0 = no).
        # TYPE node_timex_sync_status gauge
        # HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
        # TYPE node_cpu_seconds_total counter
        # HELP node_cpu_guest_seconds_total Seconds the CPUs spent in guests (VMs) for each mode.
        # TYPE node_cpu_guest_seconds_total counter
        # HELP node_intr_total Total number of interrupts serviced.
        # TYPE node_intr_total counter
        # HELP node_context_switches_total Total number of context switches.
        # TYPE node_context_switches_total counter
        # HELP node_forks_total Total number of forks.
        # TYPE node_forks_total counter
        # HELP node_boot_time_seconds Node boot time, in unixtime.
        # TYPE node_boot_time_seconds gauge
        # HELP node_procs_running Number of processes in runnable state.
        # TYPE node_procs_running gauge
        # HELP node_procs_blocked Number of processes blocked waiting for I/O to complete.
        # TYPE node_procs_blocked gauge
        # HELP node_load1 1m load average.
        # TYPE node_load1 gauge
        # HELP node_load5 5m load average.
        # TYPE node_load5 gauge
        # HELP node_load15 15m load average.
        # TYPE node_load15 gauge
        # HELP node_vmstat_pgpgin /proc/vmstat information field pgpgin.
        # TYPE node_vmstat_pgpgin untyped
        # HELP node_vmstat_pgpgout /proc/vmstat information field pgpgout.
        # TYPE node_vmstat_pgpgout untyped
        # HELP node_vmstat_pswpin /proc/vmstat information field pswpin.
        # TYPE node_vmstat_pswpin untyped
        # HELP node_vmstat_pswpout /proc/vmstat information field pswpout.
        # TYPE node_vmstat_pswpout untyped
        # HELP node_vmstat_pgfault /proc/vmstat information field pgfault.
        # TYPE node_vmstat_pgfault untyped
        # HELP node_vmstat_pgmajfault /proc/vmstat information field pgmajfault.
        # TYPE node_vmstat_pgmajfault untyped
        # HELP node_vmstat_oom_kill /proc/vmstat information field oom_kill.
        # TYPE node_vmstat_oom_kill untyped
        # HELP node_pressure_cpu_waiting_seconds_total Total time in seconds that processes have waited for CPU time
        # TYPE node_pressure_cpu_waiting_seconds_total counter
        # HELP node_pressure_io_waiting_seconds_total Total time in seconds that processes have waited due to IO congestion
        # TYPE node_pressure_io_waiting_seconds_total counter
        # HELP node_pressure_io_stalled_seconds_total Total time in seconds no process could make progress due to IO congestion
        # TYPE node_pressure_io_stalled_seconds_total counter
        # HELP node_pressure_memory_waiting_seconds_total Total time in seconds that processes have waited for memory
        # TYPE node_pressure_memory_waiting_seconds_total counter
        # HELP node_pressure_memory_stalled_seconds_total Total time in seconds no process could make progress due to memory congestion
        # TYPE node_pressure_memory_stalled_seconds_total counter
        # HELP node_disk_reads_completed_total The total number of reads completed successfully.
        # TYPE node_disk_reads_completed_total counter
        # HELP node_disk_reads_merged_total The total number of reads merged.
        # TYPE node_disk_reads_merged_total counter
        # HELP node_disk_read_bytes_total The total number of bytes read successfully.
        # TYPE node_disk_read_bytes_total counter
        # HELP node_disk_read_time_seconds_total The total number of seconds spent by all reads.
        # TYPE node_disk_read_time_seconds_total counter
        # HELP node_disk_writes_completed_total The total number of writes completed successfully.
        # TYPE node_disk_writes_completed_total counter
        # HELP node_disk_writes_merged_total The number of writes merged.
        # TYPE node_disk_writes_merged_total counter
        # HELP node_disk_written_bytes_total The total number of bytes written successfully.
        # TYPE node_disk_written_bytes_total counter
        # HELP node_disk_write_time_seconds_total This is the total number of seconds spent by all writes.
        # TYPE node_disk_write_time_seconds_total counter
        # HELP node_disk_io_now The number of I/Os currently in progress.
        # TYPE node_disk_io_now gauge
        # HELP node_disk_io_time_seconds_total Total seconds spent doing I/Os.
        # TYPE node_disk_io_time_seconds_total counter
        # HELP node_disk_io_time_weighted_seconds_total The weighted # of seconds spent doing I/Os.
        # TYPE node_disk_io_time_weighted_seconds_total counter
        # HELP node_disk_discards_completed_total The total number of discards completed successfully.
        # TYPE node_disk_discards_completed_total counter
        # HELP node_disk_discards_merged_total The total number of discards merged.
        # TYPE node_disk_discards_merged_total counter
        # HELP node_disk_discarded_sectors_total The total number of sectors discarded successfully.
        # TYPE node_disk_discarded_sectors_total counter
        # HELP node_disk_discard_time_seconds_total This is the total number of seconds spent by all discards.
        # TYPE node_disk_discard_time_seconds_total counter
        # HELP node_disk_flush_requests_total The total number of flush requests completed successfully
        # TYPE node_disk_flush_requests_total counter
        # HELP node_disk_flush_requests_time_seconds_total This is the total number of seconds spent by all flush requests.
        # TYPE node_disk_flush_requests_time_seconds_total counter
        # HELP node_network_receive_bytes_total Network device statistic receive_bytes.
        # TYPE node_network_receive_bytes_total counter
        # HELP node_network_receive_packets_total Network device statistic receive_packets.
        # TYPE node_network_receive_packets_total counter
        # HELP node_network_receive_errs_total Network device statistic receive_errs.
        # TYPE node_network_receive_errs_total counter
        # HELP node_network_receive_drop_total Network device statistic receive_drop.
        # TYPE node_network_receive_drop_total counter
        # HELP node_network_receive_fifo_total Network device statistic receive_fifo.
        # TYPE node_network_receive_fifo_total counter
        # HELP node_network_receive_frame_total Network device statistic receive_frame.
        # TYPE node_network_receive_frame_total counter
        # HELP node_network_receive_compressed_total Network device statistic receive_compressed.
        # TYPE node_network_receive_compressed_total counter
        # HELP node_network_receive_multicast_total Network device statistic receive_multicast.
        # TYPE node_network_receive_multicast_total counter
        # HELP node_network_transmit_bytes_total Network device statistic transmit_bytes.
        # TYPE node_network_transmit_bytes_total counter
        # HELP node_network_transmit_packets_total Network device statistic transmit_packets.
        # TYPE node_network_transmit_packets_total counter
        # HELP node_network_transmit_errs_total Network device statistic transmit_errs.
        # TYPE node_network_transmit_errs_total counter
        # HELP node_network_transmit_drop_total Network device statistic transmit_drop.
        # TYPE node_network_transmit_drop_total counter
        # HELP node_network_transmit_fifo_total Network device statistic transmit_fifo.
        # TYPE node_network_transmit_fifo_total counter
        # HELP node_network_transmit_colls_total Network device statistic transmit_colls.
        # TYPE node_network_transmit_colls_total counter
        # HELP node_network_transmit_carrier_total Network device statistic transmit_carrier.
        # TYPE node_network_transmit_carrier_total counter
        # HELP node_network_transmit_compressed_total Network device statistic transmit_compressed.
        # TYPE node_network_transmit_compressed_total counter
        # HELP node_filefd_allocated File descriptor statistics: allocated.
        # TYPE node_filefd_allocated gauge
        # HELP node_filefd_maximum File descriptor statistics: maximum.
        # TYPE node_filefd_maximum gauge
        # HELP node_thermal_zone_temp Zone temperature in Celsius
        # TYPE node_thermal_zone_temp gauge
        # HELP swarmscout_node_throttled Whether the firmware of a Raspberry Pi slows it down now, by reason
        # TYPE swarmscout_node_throttled gauge
        # HELP swarmscout_node_throttled_since_boot Whether the firmware of a Raspberry Pi slowed it down since its start
        # TYPE swarmscout_node_throttled_since_boot gauge
    "#]].assert_eq(&heads);
}

#[test]
fn a_machine_without_any_file_has_no_numbers() {
    let tree = Tree::new();
    let mut host = host(&tree);
    written(&mut host, BOTH);
    assert_eq!(host.unavailable.list()[0].0, "procfs");
    tree.folder("proc");
    let text = written(&mut host, BOTH);
    let names: BTreeSet<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    let of_no_file = [
        "cadvisor_version_info",
        "container_last_seen",
        "node_exporter_build_info",
        "node_meta",
        "node_time_seconds",
        "node_timex_estimated_error_seconds",
        "node_timex_maxerror_seconds",
        "node_timex_offset_seconds",
        "node_timex_sync_status",
        "node_uname_info",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), of_no_file);
    let missing = host.unavailable.list();
    // As the reader of containers says it: two reasons in turn would be a line of the log at each scrape.
    assert!(missing.contains(&("pressure".to_owned(), NO_PRESSURE.to_owned())), "{missing:?}");
    let missing: Vec<_> = missing.into_iter().map(|(what, _)| what).collect();
    assert_eq!(
        missing,
        [
            "conntrack",
            "diskstats",
            "filefd",
            "filesystem",
            "loadavg",
            "meminfo",
            "netdev",
            "pressure",
            "stat",
            "vmstat"
        ]
    );
}

#[test]
fn a_file_that_comes_back_is_read_again() {
    let tree = raspberry_pi();
    let mut host = host(&tree);
    let has_load = |host: &mut Host| written(host, NODE).contains("node_load1 0.07\n");
    assert!(has_load(&mut host));
    let load = tree.path().join("proc/loadavg");
    std::fs::remove_file(&load).unwrap();
    // The kept descriptor still has it; one that fails is opened again.
    assert!(has_load(&mut host));
    host.sources.load = Source::new("loadavg", "loadavg");
    assert!(!has_load(&mut host));
    assert!(host.unavailable.list().iter().any(|(what, _)| what == "loadavg"));
    tree.file("proc/loadavg", "0.07 0.00 0.00 1/1 1\n");
    assert!(has_load(&mut host));
    assert!(host.unavailable.list().iter().all(|(what, _)| what != "loadavg"));
}

#[test]
fn pid_1_that_is_hidden_is_said_so() {
    let tree = raspberry_pi();
    std::fs::remove_dir_all(tree.path().join("proc/1")).unwrap();
    let mut host = host(&tree);
    let text = written(&mut host, BOTH);
    assert!(!text.contains("node_network") && !text.contains("container_network"));
    assert!(!text.contains("node_filesystem") && text.contains("node_load1"));
    let missing: BTreeMap<_, _> = host.unavailable.list().into_iter().collect();
    assert!(missing["netdev"].contains("hidepid"), "{missing:?}");
    assert!(missing["filesystem"].contains("hidepid"), "{missing:?}");
}

#[test]
fn a_switch_takes_away_its_families_and_nothing_else() {
    let tree = raspberry_pi();
    let names = |collectors| {
        let mut host = Host::new(roots(&tree), collectors, Arc::default());
        let text = written(&mut host, BOTH);
        let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        heads.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let all = names(Collectors::default());
    let mut left = all.clone();
    for collector in Collector::ALL {
        let mut collectors = Collectors::default();
        collectors.set(collector, false);
        let rest = names(collectors);
        assert!(rest.is_subset(&all), "{collector:?}");
        for name in all.difference(&rest) {
            assert!(left.remove(name), "{collector:?} takes away {name}, and so does another one");
        }
    }
    assert_eq!(left, BTreeSet::new());
}

/// The files of the machine that tests, whichever it is.
#[test]
fn this_machine_is_read_as_its_kernel_says() {
    let mut host = Host::new(Roots::default(), Collectors::default(), Arc::default());
    let text = written(&mut host, BOTH);
    let value = |series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}:\n{text}")).parse::<f64>().unwrap()
    };
    let cpus = std::fs::read_to_string("/proc/stat").unwrap();
    let cpus = cpus.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    let cores = text.lines().find(|line| line.starts_with("machine_cpu_cores")).unwrap();
    assert!(cores.ends_with(&format!(" {}", cpus.count())), "{cores}");
    assert_eq!(
        value("container_spec_memory_limit_bytes{id=\"/\"}").to_bits(),
        value("node_memory_MemTotal_bytes").to_bits()
    );
    let series = |what: &str| {
        let start = format!("node_filesystem_{what}_bytes{{");
        text.lines().find_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let is_root = series.starts_with(&start) && series.ends_with("mountpoint=\"/\"}");
            is_root.then(|| value.parse::<u64>().unwrap())
        })
    };
    // In a container it is an overlay, which is not shown.
    let found = rustix::fs::statfs("/").unwrap();
    if let Some(bytes) = series("size") {
        assert_eq!(bytes, found.f_blocks * u64::try_from(found.f_bsize).unwrap());
        assert!(series("free").unwrap() <= bytes);
    }
    // Nothing changes but numbers.
    let series = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("hwmon"));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(series(&text), series(&written(&mut host, BOTH)));
}

#[test]
fn a_thousand_interfaces_are_a_thousand_series() {
    let tree = raspberry_pi();
    let mut text = "h\nh\n".to_owned();
    for number in 0..1000 {
        writeln!(text, " veth{number:04x}: {number} 1 0 0 0 0 0 0 2 3 0 0 0 0 0 0").unwrap();
    }
    tree.file("proc/1/net/dev", &text);
    let mut host = host(&tree);
    for _ in 0..2 {
        let text = written(&mut host, NODE);
        let count = text.lines().filter(|line| line.contains("device=\"veth")).count();
        assert_eq!(count, 16 * 1000);
        assert!(text.contains("node_network_receive_bytes_total{device=\"veth03e7\"} 999\n"));
    }
    tree.file("proc/1/net/dev", "x".repeat(9 << 20));
    assert!(!written(&mut host, NODE).contains("node_network"));
    let missing: BTreeMap<_, _> = host.unavailable.list().into_iter().collect();
    assert_eq!(missing["netdev"], "cannot read 1/net/dev of procfs: larger than 8388608 bytes");
}

/// Texts of the kernel, with some bytes replaced and cut.
fn files() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let tree = raspberry_pi();
    let texts = FILES.map(|file| std::fs::read(tree.path().join(file)).unwrap());
    let garbage = proptest::collection::vec(any::<u8>(), 0..200);
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20);
    (0..FILES.len(), changes, garbage, any::<prop::sample::Index>()).prop_map(
        move |(file, changes, garbage, cut)| {
            let mut text = texts[file].clone();
            for (at, byte) in changes {
                let at = at.index(text.len());
                text[at] = byte;
            }
            text.truncate(cut.index(text.len() * 4).max(1));
            text.extend(garbage);
            (file, text)
        },
    )
}

const FILES: [&str; 12] = [
    "proc/stat",
    "proc/meminfo",
    "proc/vmstat",
    "proc/diskstats",
    "proc/1/net/dev",
    "proc/1/mountinfo",
    "proc/loadavg",
    "proc/sys/fs/file-nr",
    "proc/pressure/io",
    "sys/class/thermal/thermal_zone0/temp",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "root/etc/os-release",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn no_file_breaks_the_exposition(all in proptest::collection::vec(files(), 1..4)) {
        let tree = raspberry_pi();
        let mut host = host(&tree);
        for (file, text) in all {
            tree.file(FILES[file], text);
            written(&mut host, BOTH);
        }
    }
}
