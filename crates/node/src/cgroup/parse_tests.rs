//! Each parser on what kernels write, and on what they do not.

use proptest::prelude::*;
use swarmscout_exposition::Decimal;

use super::parse::*;
use crate::containers::sample::{CpuSample, MemorySample, PressureSample};

#[test]
fn numbers_saturate_and_nothing_else_is_one() {
    for (text, expected) in [
        ("0\n", Some(0)),
        (" 42 \n", Some(42)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", Some(u64::MAX)),
        (&"9".repeat(5000), Some(u64::MAX)),
        ("", None),
        ("\n", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("0x10", None),
        ("1 2", None),
        ("max", None),
    ] {
        assert_eq!(number(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(limit(b"max\n"), Some(UNLIMITED));
    assert_eq!(limit(b"maximum"), None);
    assert_eq!(cfs_quota(b"-1\n"), Some(UNLIMITED));
    assert_eq!(cfs_quota(b"-2\n"), None);
    assert_eq!(cpu_max(b"max 100000\n"), Some((None, Some(100_000))));
    assert_eq!(cpu_max(b"50000 100000\n"), Some((Some(50_000), Some(100_000))));
    assert_eq!(cpu_max(b"50000"), Some((Some(50_000), None)));
    assert_eq!(cpu_max(b"garbage 1"), None);
    assert_eq!(cpu_max(b""), None);
}

#[test]
fn cpu_time_is_in_seconds() {
    let mut cpu = CpuSample::default();
    let text = "usage_usec 1500000\nuser_usec 1000001\nsystem_usec 499999\nnice_usec 0\n\
                core_sched.force_idle_usec 0\nnr_periods 12\nnr_throttled 5\nthrottled_usec 250\n\
                nr_bursts 0\nburst_usec 0\n";
    assert!(cpu_stat_v2(text.as_bytes(), &mut cpu));
    let expected = CpuSample {
        usage: Some(Decimal::micros(1_500_000)),
        user: Some(Decimal::micros(1_000_001)),
        system: Some(Decimal::micros(499_999)),
        periods: Some(12),
        throttled_periods: Some(5),
        throttled: Some(Decimal::micros(250)),
    };
    assert_eq!(cpu, expected);

    let mut cpu = CpuSample::default();
    assert!(cpuacct_usage(b"349766148\n", &mut cpu));
    assert!(cpuacct_stat(b"user 32\nsystem 2\n", &mut cpu));
    let text = "nr_periods 12\nnr_throttled 5\nthrottled_time 244751053\nnr_bursts 0\n";
    assert!(cpu_stat_v1(text.as_bytes(), &mut cpu));
    let expected = CpuSample {
        usage: Some(Decimal::nanos(349_766_148)),
        user: Some(Decimal::new(32, 2)),
        system: Some(Decimal::new(2, 2)),
        periods: Some(12),
        throttled_periods: Some(5),
        throttled: Some(Decimal::nanos(244_751_053)),
    };
    assert_eq!(cpu, expected);

    for garbage in ["", "usage_usec", "usage_usec x", "usage_usec\t5", "\0\n\n nr_periods"] {
        let mut cpu = CpuSample::default();
        assert!(!cpu_stat_v2(garbage.as_bytes(), &mut cpu), "{garbage:?}");
        assert!(!cpuacct_stat(garbage.as_bytes(), &mut cpu), "{garbage:?}");
        assert_eq!(cpu, CpuSample::default());
    }
}

#[test]
fn an_odd_line_does_not_hide_the_others() {
    let mut memory = MemorySample::default();
    let text = "anon 1\nfile\n\n file_mapped 3\nkernel x\nfile_dirty 99999999999999999999\nnew 7\n\
                pgfault 8\n";
    assert!(memory_stat_v2(text.as_bytes(), &mut memory));
    let expected = MemorySample {
        rss: Some(1),
        dirty: Some(u64::MAX),
        page_faults: Some(8),
        ..MemorySample::default()
    };
    assert_eq!(memory, expected);
}

#[test]
fn refaults_of_older_kernels_are_of_files() {
    let mut memory = MemorySample::default();
    assert!(memory_stat_v2(b"workingset_refault 5\n", &mut memory));
    assert_eq!((memory.file_refaults, memory.anon_refaults), (Some(5), None));
    let mut memory = MemorySample::default();
    let text = b"cache 1\ntotal_cache 2\nhierarchical_memory_limit 67108864\n";
    assert_eq!(memory_stat_v1(text, &mut memory), (true, Some(67_108_864)));
    assert_eq!(memory.cache, Some(2));
}

#[test]
fn kills_are_counted_where_the_kernel_counts_them() {
    let mut memory = MemorySample::default();
    let text = b"low 0\nhigh 4\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n";
    assert!(memory_events(text, &mut memory));
    let found = (memory.high_events, memory.limit_hits, memory.oom_kills);
    assert_eq!(found, (Some(4), Some(7), Some(1)));
    let mut memory = MemorySample::default();
    assert!(oom_control(b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", &mut memory));
    assert_eq!(memory.oom_kills, Some(3));
    // Before Linux 4.13.
    let mut memory = MemorySample::default();
    assert!(oom_control(b"oom_kill_disable 0\nunder_oom 0\n", &mut memory));
    assert_eq!(memory.oom_kills, None);
}

#[test]
fn pressure_has_two_totals() {
    let mut found = PressureSample::default();
    let text = "some avg10=13.77 avg60=47.98 avg300=43.04 total=47321667970\n\
                full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
    assert!(pressure(text.as_bytes(), &mut found));
    assert_eq!(found.waiting, Some(Decimal::micros(47_321_667_970)));
    assert_eq!(found.stalled, Some(Decimal::micros(0)));
    // Before Linux 5.13 a processor has no second line.
    let mut found = PressureSample::default();
    assert!(pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n", &mut found));
    assert_eq!(found.stalled, None);
    assert!(!pressure(b"some avg10=0.00\nfull total=x\n", &mut PressureSample::default()));
}

#[test]
fn devices_are_merged_by_their_numbers() {
    let mut devices = Vec::new();
    let text = b"8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n253:1 \nx:1 rbytes=1\n\
                 259:7 rbytes=x wios=9 cost.usage=5\n";
    assert!(io_stat(text, &mut devices));
    let whole = DeviceCounts {
        number: (8, 0),
        read_bytes: Some(1),
        written_bytes: Some(2),
        reads: Some(3),
        writes: Some(4),
    };
    let part = DeviceCounts { number: (259, 7), writes: Some(9), ..DeviceCounts::default() };
    assert_eq!(devices, [whole, part]);

    let mut devices = Vec::new();
    let bytes = b"8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Async 0\n8:0 Discard 0\n8:0 Total 3\n\
                  Total 3\n";
    assert!(blkio(bytes, &mut devices, |device, is_read| {
        if is_read { &mut device.read_bytes } else { &mut device.written_bytes }
    }));
    let counts = b"8:0 Read 3\n8:0 Write 4\n8:0 Total 7\n8:16 Read\n8:x Read 1\nTotal 7\n";
    assert!(blkio(counts, &mut devices, |device, is_read| {
        if is_read { &mut device.reads } else { &mut device.writes }
    }));
    assert_eq!(devices, [whole]);

    // A container that did nothing.
    assert!(io_stat(b"", &mut devices));
    assert!(blkio(b"Total 0\n", &mut devices, |device, _| &mut device.reads));
    assert!(!io_stat(b"garbage\n", &mut devices));
    assert!(!blkio(b"garbage\n", &mut devices, |device, _| &mut device.reads));
    let many: Vec<_> = (0..100_000).map(|minor| format!("8:{minor} rbytes=1\n")).collect();
    let many = many.concat();
    devices.clear();
    assert!(io_stat(many.as_bytes(), &mut devices));
    assert_eq!(devices.len(), 256);
}

const NET_DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       5       1    0    0    0     0          0         0        5       1    0    0    0     0       0          0
  eth0:    1166      13    1    2    0     0          0         0      730       9    3    4    0     0       0          0
veth12a:      1       1    1    1    0     0          0         0        1       1    1    1    0     0       0          0
";

#[test]
fn interfaces_have_two_directions() {
    let mut interfaces = Vec::new();
    assert_eq!(net_dev(NET_DEV.as_bytes(), &mut interfaces), Some(0));
    let [eth0] = &*interfaces else { panic!("{interfaces:?}") };
    assert_eq!(&*eth0.name, "eth0");
    let counts = [eth0.received, eth0.sent].map(|t| [t.bytes, t.packets, t.errors, t.dropped]);
    assert_eq!(counts, [[1166, 13, 1, 2], [730, 9, 3, 4]]);

    let mut interfaces = Vec::new();
    let many: Vec<_> = (0..1000).map(|n| format!("e{n}:{}\n", " 1".repeat(16))).collect();
    let many = many.concat();
    assert_eq!(net_dev(many.as_bytes(), &mut interfaces), Some(1000 - MOST_INTERFACES));
    assert_eq!(interfaces.len(), MOST_INTERFACES);

    let mut interfaces = Vec::new();
    let odd = b"Inter-|\n : 1 2\ne\xff\"0: 1 2 3 4 5 6 7 8 9 10 11 12 13\ne1: 1 2 x 4\ne2: 1 2\n";
    assert_eq!(net_dev(odd, &mut interfaces), Some(0));
    assert_eq!(interfaces.len(), 1);
    assert_eq!(&*interfaces[0].name, "e\u{fffd}\"0");
    assert_eq!(net_dev(b"garbage", &mut interfaces), None);
}

#[test]
fn containers_are_recognized_by_the_names_of_their_cgroups() {
    let id = "0123456789abcdef".repeat(4);
    assert_eq!(container_id(&id), Some(&*id));
    assert_eq!(container_id(&format!("docker-{id}.scope")), Some(&*id));
    for other in [
        String::new(),
        id[1..].to_owned(),
        format!("{id}0"),
        id.to_uppercase(),
        id.replace('0', "g"),
        format!("{id}.mount"),
        format!("docker-{id}"),
        format!("{id}.scope"),
        format!("crio-{id}.scope"),
        "ü".repeat(32),
    ] {
        assert_eq!(container_id(&other), None, "{other}");
    }
}

#[test]
fn a_process_is_in_the_container_that_its_cgroup_names() {
    let (id, other) = ("a".repeat(64), "b".repeat(64));
    let check = |text: &str, expected| {
        assert_eq!(membership(text.as_bytes(), &id), expected, "{text}");
    };
    check(&format!("0::/docker/{id}\n"), Membership::Inside);
    check(&format!("0::/system.slice/docker-{id}.scope\n"), Membership::Inside);
    // From the cgroup namespace of another container.
    check(&format!("0::/../{id}\n"), Membership::Inside);
    check(&format!("0::/../../system.slice/docker-{id}.scope/init.scope\n"), Membership::Inside);
    check(&format!("9:name=systemd:/\n4:memory:/docker/{id}\n0::/\n"), Membership::Inside);
    check("0::/\n", Membership::ReadersRoot);
    check("4:cpu,cpuacct:/\n0::/\n", Membership::ReadersRoot);
    check(&format!("0::/docker/{other}\n"), Membership::Elsewhere);
    check(&format!("0::/docker/{id}0\n"), Membership::Elsewhere);
    check("0::/init.scope\n", Membership::Elsewhere);
    check("", Membership::Elsewhere);
    check("garbage", Membership::Elsewhere);
}

#[test]
fn the_start_of_a_process_is_behind_its_name() {
    let stat = "12 (a) 1 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21\n";
    assert_eq!(start_ticks(stat.as_bytes()), Some(4242));
    assert_eq!(start_ticks(b"12 (a) S 1 2"), None);
    assert_eq!(start_ticks(b""), None);
    assert_eq!(boot_seconds(b"cpu 1 2\nbtime 1764468123\nprocesses 1\n"), Some(1_764_468_123));
    let mut found = Vec::new();
    let text = b"   7       0 loop0 0 0\n 254       0 vda 1 2\nx 1 y\n 259 1\n";
    diskstats(text, |number, name| found.push((number, name.to_owned())));
    assert_eq!(found, [((7, 0), "loop0".to_owned()), ((254, 0), "vda".to_owned())]);
}

#[test]
fn weights_are_shares() {
    for (weight, shares) in [(1, 2), (39, 998), (100, 1024), (10_000, 262_144), (0, 2)] {
        assert_eq!(shares_of_weight(weight), shares, "{weight}");
    }
    assert_eq!(shares_of_weight(u64::MAX), 262_144);
}

/// Bytes at random, and pieces of what kernels write in any order.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "usage_usec ",
        "nr_periods ",
        "anon ",
        "total_cache ",
        "some ",
        "full ",
        "total=",
        "8:0 ",
        "rbytes=",
        "Read ",
        "Total ",
        "Inter-|",
        "eth0:",
        "max",
        "oom_kill ",
        "0::/",
        "btime ",
        ")",
        "(",
        " ",
        "\n",
        "\t",
        "-",
        "1",
        "18446744073709551616",
        ":",
        "=",
        "\0",
        "\u{fffd}",
    ]);
    let pieces = prop::collection::vec(pieces, 0..60).prop_map(|all| all.concat().into_bytes());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), pieces]
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(text in text()) {
        let (mut cpu, mut memory) = (CpuSample::default(), MemorySample::default());
        number(&text);
        limit(&text);
        cpu_max(&text);
        cfs_quota(&text);
        cpu_stat_v1(&text, &mut cpu);
        cpu_stat_v2(&text, &mut cpu);
        cpuacct_stat(&text, &mut cpu);
        cpuacct_usage(&text, &mut cpu);
        memory_stat_v1(&text, &mut memory);
        memory_stat_v2(&text, &mut memory);
        memory_events(&text, &mut memory);
        oom_control(&text, &mut memory);
        pressure(&text, &mut PressureSample::default());
        io_stat(&text, &mut Vec::new());
        blkio(&text, &mut Vec::new(), |device, _| &mut device.reads);
        net_dev(&text, &mut Vec::new());
        membership(&text, &"a".repeat(64));
        start_ticks(&text);
        boot_seconds(&text);
        diskstats(&text, |_, _| ());
        if let Ok(name) = str::from_utf8(&text) {
            container_id(name);
        }
    }
}
