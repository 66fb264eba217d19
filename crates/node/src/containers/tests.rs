//! Containers in folders that have the files of a kernel: those of version 1 as a Docker 20.10 on
//! Linux 6.18 has them, those of version 2 with the keys that it has on Linux 6.1.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use expect_test::expect_file;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use swarmscout_exposition::Format;

use super::sample::FilesystemSample;
use super::*;
use crate::cgroup::NO_PRESSURE;
use crate::cgroup::{FileSpec, Version};
use crate::ends::{End, Ends, Service};
use crate::facts::{ContainerState, FactsSet, NetworkMode};
use crate::roots::Roots;
use crate::unavailable::Unavailable;

/// A machine in a folder of its own, which goes with it.
struct Machine {
    root: PathBuf,
    /// Prefixes of the folders of one container, by controller.
    is_v1: bool,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const V1: &[(&str, &str)] = &[
    ("cpu,cpuacct/cpuacct.usage", "349766148\n"),
    ("cpu,cpuacct/cpuacct.stat", "user 32\nsystem 2\n"),
    (
        "cpu,cpuacct/cpu.stat",
        "nr_periods 12\nnr_throttled 5\nthrottled_time 244751053\nnr_bursts 0\nburst_time 0\n",
    ),
    ("cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
    ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
    ("cpu,cpuacct/cpu.shares", "512\n"),
    ("memory/memory.usage_in_bytes", "22020096\n"),
    ("memory/memory.max_usage_in_bytes", "23613440\n"),
    (
        "memory/memory.stat",
        "cache 20979712\nrss 114688\nhierarchical_memory_limit 67108864\n\
         hierarchical_memsw_limit 134217728\ntotal_cache 20979712\ntotal_rss 114688\n\
         total_rss_huge 0\ntotal_shmem 0\ntotal_mapped_file 8192\ntotal_dirty 4096\n\
         total_writeback 0\ntotal_workingset_refault_anon 0\ntotal_workingset_refault_file 2\n\
         total_swap 12288\ntotal_swapcached 0\ntotal_pgpgin 1495\ntotal_pgpgout 1445\n\
         total_pgfault 1937\ntotal_pgmajfault 1\ntotal_inactive_anon 106496\n\
         total_active_anon 8192\ntotal_inactive_file 20480\ntotal_active_file 20959232\n\
         total_unevictable 0\n",
    ),
    ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
    ("memory/memory.failcnt", "17\n"),
    ("memory/memory.limit_in_bytes", "67108864\n"),
    ("memory/memory.soft_limit_in_bytes", "33554432\n"),
    ("memory/memory.memsw.limit_in_bytes", "134217728\n"),
    (
        "blkio/blkio.throttle.io_service_bytes_recursive",
        "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 12288\n254:0 Async 0\n254:0 Discard 0\n\
         254:0 Total 12288\nTotal 12288\n",
    ),
    (
        "blkio/blkio.throttle.io_serviced_recursive",
        "254:0 Read 1\n254:0 Write 2\n254:0 Total 3\nTotal 3\n",
    ),
    ("pids/pids.current", "2\n"),
    (
        "unified/cpu.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=237101\n\
         full avg10=0.00 avg60=0.00 avg300=0.00 total=236337\n",
    ),
    ("unified/memory.pressure", "some avg10=0.00 total=0\nfull avg10=0.00 total=0\n"),
    ("unified/io.pressure", "some avg10=0.00 total=8241\nfull avg10=0.00 total=8238\n"),
];

const V2: &[(&str, &str)] = &[
    (
        "cpu.stat",
        "usage_usec 349766\nuser_usec 325000\nsystem_usec 24766\nnice_usec 0\nnr_periods 12\n\
         nr_throttled 5\nthrottled_usec 244751\nnr_bursts 0\nburst_usec 0\n",
    ),
    ("cpu.max", "50000 100000\n"),
    ("cpu.weight", "20\n"),
    ("memory.current", "22020096\n"),
    ("memory.peak", "23613440\n"),
    (
        "memory.stat",
        "anon 114688\nfile 20979712\nkernel 925696\nkernel_stack 32768\npagetables 53248\n\
         sec_pagetables 0\npercpu 1200\nsock 0\nvmalloc 0\nshmem 0\nzswap 0\nzswapped 0\n\
         file_mapped 8192\nfile_dirty 4096\nfile_writeback 0\nswapcached 0\nanon_thp 0\n\
         file_thp 0\nshmem_thp 0\ninactive_anon 106496\nactive_anon 8192\ninactive_file 20480\n\
         active_file 20959232\nunevictable 0\nslab_reclaimable 400000\nslab_unreclaimable 300000\n\
         slab 700000\nworkingset_refault_anon 0\nworkingset_refault_file 2\n\
         workingset_activate_anon 0\nworkingset_activate_file 1\nworkingset_restore_anon 0\n\
         workingset_restore_file 0\nworkingset_nodereclaim 0\npgscan 30\npgsteal 20\n\
         pgscan_kswapd 20\npgscan_direct 10\npgsteal_kswapd 15\npgsteal_direct 5\n\
         pgfault 1937\npgmajfault 1\npgrefill 0\npgactivate 0\npgdeactivate 0\npglazyfree 0\n\
         pglazyfreed 0\nzswpin 0\nzswpout 0\nthp_fault_alloc 0\nthp_collapse_alloc 0\n",
    ),
    ("memory.swap.current", "12288\n"),
    ("memory.swap.max", "67108864\n"),
    ("memory.events", "low 0\nhigh 4\nmax 17\noom 3\noom_kill 3\noom_group_kill 0\n"),
    ("memory.max", "67108864\n"),
    ("memory.low", "33554432\n"),
    ("io.stat", "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"),
    ("pids.current", "2\n"),
    (
        "cpu.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=237101\n\
         full avg10=0.00 avg60=0.00 avg300=0.00 total=236337\n",
    ),
    ("memory.pressure", "some avg10=0.00 total=0\nfull avg10=0.00 total=0\n"),
    ("io.pressure", "some avg10=0.00 total=8241\nfull avg10=0.00 total=8238\n"),
];

const INTERFACES: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       5       1    0    0    0     0          0         0        5       1    0    0    0     0       0          0
  eth0:    1166      13    1    2    0     0          0         0      730       9    3    4    0     0       0          0
";

fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

impl Machine {
    fn new(name: &str, is_v1: bool) -> Self {
        let root =
            std::env::temp_dir().join(format!("swarmscout-node-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let machine = Self { root, is_v1 };
        let cgroups = machine.cgroups();
        if is_v1 {
            for tree in ["cpu,cpuacct", "memory", "blkio", "pids", "unified"] {
                write(&cgroups.join(tree).join("cgroup.procs"), "1\n");
            }
            std::os::unix::fs::symlink("cpu,cpuacct", cgroups.join("cpu")).unwrap();
            std::os::unix::fs::symlink("cpu,cpuacct", cgroups.join("cpuacct")).unwrap();
            fs::create_dir_all(cgroups.join("freezer")).unwrap();
            write(&cgroups.join("memory/memory.limit_in_bytes"), "9223372036854771712\n");
        } else {
            write(&cgroups.join("cgroup.controllers"), "cpuset cpu io memory pids\n");
        }
        machine.proc("stat", "cpu 1 2 3\nbtime 1764468000\n");
        machine.proc("diskstats", " 254       0 vda 1 2 3\n 104 0 cciss!c0d0 1\n");
        machine.proc("1/net/dev", INTERFACES);
        machine.proc("1/cgroup", "0::/init.scope\n");
        machine
    }

    fn cgroups(&self) -> PathBuf {
        self.root.join("sys/fs/cgroup")
    }

    fn proc(&self, path: &str, text: &str) {
        write(&self.root.join("proc").join(path), text);
    }

    /// Where the file `name`, with its tree in front in version 1, of the container at `path` is.
    fn file(&self, path: &str, name: &str) -> PathBuf {
        match (self.is_v1, name.split_once('/')) {
            (true, Some((tree, name))) => self.cgroups().join(tree).join(path).join(name),
            _ => self.cgroups().join(path).join(name),
        }
    }

    fn files(&self) -> &'static [(&'static str, &'static str)] {
        if self.is_v1 { V1 } else { V2 }
    }

    /// Makes a container with all files of this version.
    fn start(&self, path: &str) {
        for (name, text) in self.files() {
            let file = self.file(path, name);
            let _ = fs::create_dir_all(file.parent().unwrap());
            fs::write(file.with_file_name("cgroup.procs"), "0\n").unwrap();
            fs::write(file, text).unwrap();
        }
    }

    fn stop(&self, path: &str) {
        for tree in ["", "cpu,cpuacct", "memory", "blkio", "pids", "unified"] {
            let _ = fs::remove_dir_all(self.cgroups().join(tree).join(path));
        }
    }

    /// The process of a container, which was started 60 seconds after the machine.
    fn process(&self, pid: u32, path: &str) {
        self.proc(&format!("{pid}/cgroup"), &format!("0::/../../{path}\n"));
        self.proc(&format!("{pid}/net/dev"), INTERFACES);
        self.proc(&format!("{pid}/stat"), &format!("{pid} (a) S{} 6000 1\n", " 0".repeat(18)));
    }

    fn reader(&self) -> (ContainerReader, Arc<Unavailable>) {
        let roots = Roots {
            procfs: self.root.join("proc"),
            sysfs: self.root.join("sys"),
            ..Roots::default()
        };
        let unavailable = Arc::new(Unavailable::default());
        (ContainerReader::new(roots, Arc::clone(&unavailable)), unavailable)
    }
}

/// A container that the kernel ends between two scrapes leaves its count in the cgroup above: the kernel
/// counts an event in each cgroup up to the root (Linux mm/memcontrol.c, memcg_memory_event).
#[test]
fn kills_in_containers_that_have_ended_are_counted_by_service() {
    for (driver, parent, unit) in
        [("cgroupfs", "docker", ""), ("systemd", "system.slice", "ssh.service")]
    {
        let machine = Machine::new(&format!("kills-{driver}"), false);
        let path = |number| match driver {
            "cgroupfs" => format!("docker/{}", id(number)),
            _ => format!("system.slice/docker-{}.scope", id(number)),
        };
        let events = |path: &str, kills: u64| {
            let text =
                format!("low 0\nhigh 0\nmax 9\noom {kills}\noom_kill {kills}\noom_group_kill 0\n");
            write(&machine.cgroups().join(path).join("memory.events"), text);
        };
        let ends = Arc::<Ends>::default();
        let (reader, unavailable) = machine.reader();
        let mut reader = reader.counting_kills(Arc::clone(&ends), false);
        let (mut facts, mut at) = (set_of([facts(1, 1), facts(2, 2)]), now());
        facts.containers.values().for_each(|facts| ends.add_service(Service::of_facts(facts)));
        let service = Service::of_facts(&facts.containers[&id(2)]);
        let mut scrape = |facts: &mut FactsSet| {
            at += Duration::from_secs(15);
            facts.as_of = Some(at);
            reader.read(facts, at);
            let mut out = Families::new(Format::Text);
            ends.write(&mut out);
            let text = out.finish();
            let kills = text.lines().filter_map(|line| line.split_once("oom_kills_total"));
            (at, kills.map(|(_, labels)| labels.to_owned()).collect::<Vec<_>>())
        };
        let of_web = |kills: u64| {
            let (stack, service) = (
                "com_docker_stack_namespace=\"shop\"",
                "com_docker_swarm_service_name=\"shop_web\"",
            );
            format!("{{container_label_{stack},container_label_{service}}} {kills}")
        };
        for (number, kills) in [(1, 0), (2, 3)] {
            machine.start(&path(number));
            events(&path(number), kills);
        }
        if !unit.is_empty() {
            events(&format!("{parent}/{unit}"), 1);
        }
        // What was before the first scrape does not count.
        events(parent, 4);
        assert_eq!(scrape(&mut facts).1.last(), Some(&of_web(0)), "{driver}");
        // In a container that goes on.
        events(&path(1), 1);
        events(parent, 5);
        assert_eq!(scrape(&mut facts).1.last(), Some(&of_web(1)), "{driver}");
        // In one that ends, with a second process of it: both are of its task.
        machine.stop(&path(2));
        events(parent, 7);
        let (at, written) = scrape(&mut facts);
        assert_eq!(written.last(), Some(&of_web(1)), "{driver}");
        let (id, exit_code) = (id(2), Some(137));
        ends.ended(service, &End { container: &id, exit_code, at, out_of_memory: None });
        assert_eq!(scrape(&mut facts).1.last(), Some(&of_web(3)), "{driver}");
        // In one whose task is not known.
        events(parent, 8);
        scrape(&mut facts);
        assert!(scrape(&mut facts).1.contains(&" 1".to_owned()), "{driver}");
        assert_eq!(unavailable.list().iter().find(|(what, _)| what == "oom_ended"), None);
    }
}

#[test]
fn version_1_forgets_kills_in_containers_that_have_ended() {
    let machine = Machine::new("kills-v1", true);
    machine.start(&format!("docker/{}", id(1)));
    let ends = Arc::<Ends>::default();
    let (reader, unavailable) = machine.reader();
    let mut reader = reader.counting_kills(Arc::clone(&ends), false);
    ends.add_service(Service::of_facts(&facts(1, 1)));
    reader.read(&set_of([facts(1, 1)]), now());
    let mut out = Families::new(Format::Text);
    ends.write(&mut out);
    assert!(!out.finish().contains("oom_kills"));
    assert!(unavailable.list().iter().any(|(what, _)| what == "oom_ended"));
}

/// With cgroup version 2 an Engine (20.10, 29) may not report that the kernel killed the first process of a
/// container.
#[test]
fn what_an_engine_reports_counts_where_the_kernel_does_not() {
    for (case, is_v1, expected) in [
        ("version 1", true, Some(1)),
        ("version 2", false, Some(0)),
        ("no container yet", false, Some(1)),
        ("memory controller off", false, None),
    ] {
        let machine = Machine::new(&format!("kills-{case}"), is_v1);
        if case != "no container yet" {
            machine.start(&format!("docker/{}", id(1)));
        }
        if case == "version 2" {
            let text = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n";
            write(&machine.cgroups().join("docker/memory.events"), text);
        }
        let ends = Arc::<Ends>::default();
        let (reader, unavailable) = machine.reader();
        let mut reader = reader.counting_kills(Arc::clone(&ends), true);
        reader.read(&set_of([facts(1, 1)]), now());
        let service = Service::of_facts(&facts(1, 1));
        ends.reported_out_of_memory(service.clone());
        let end = End { container: &id(1), exit_code: Some(1), at: now(), out_of_memory: None };
        ends.ended(service, &end);
        let mut out = Families::new(Format::Text);
        ends.write(&mut out);
        let text = out.finish();
        let mut kills =
            text.lines().filter(|line| line.starts_with("swarmscout_container_oom_kills"));
        let kills = kills.next().and_then(|series| series.rsplit(' ').next()?.parse().ok());
        assert_eq!(kills, expected, "{case}: {text}");
        assert!(!unavailable.list().iter().any(|(what, _)| what == "oom_ended"));
    }
}

#[test]
fn a_kernel_that_counts_each_cgroup_alone_cannot_say_who_was_killed() {
    let machine = Machine::new("kills-local", false);
    machine.proc(
        "1/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,memory_localevents\n",
    );
    let (reader, unavailable) = machine.reader();
    reader.counting_kills(Arc::default(), false).read(&set_of([]), now());
    assert!(unavailable.list().iter().any(|(what, _)| what == "oom_ended"));
}

fn id(number: u32) -> String {
    format!("{number:064x}")
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_764_470_000)
}

fn set_of(all: impl IntoIterator<Item = Facts>) -> FactsSet {
    let containers = all.into_iter().map(|facts| (facts.id.clone(), Arc::new(facts)));
    FactsSet { containers: containers.collect(), ..FactsSet::default() }
}

/// Facts of the container `number`, with this PID.
fn facts(number: u32, pid: u32) -> Facts {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Facts {
        id: id(number),
        name: Some(format!("web.1.{number}")),
        image: Some("nginx:1.27@sha256:0123".to_owned()),
        labels: vec![
            label("com.docker.stack.namespace", "shop"),
            label("com.docker.swarm.service.name", "shop_web"),
        ],
        pid: Some(pid),
        created: Some(UNIX_EPOCH + Duration::from_millis(1_764_468_900_500)),
        started: Some(UNIX_EPOCH + Duration::from_secs(1_764_468_901)),
        network: Some(NetworkMode::Own),
        networks: Vec::new(),
        state: Some(ContainerState::Running),
        health: Some(Health::Healthy),
        last_exit_code: None,
    }
}

fn text_of(reading: &Reading) -> String {
    let mut out = Families::new(Format::Text);
    reading.write(&mut out);
    out.finish()
}

/// The series whose name begins with `name`, without their labels' `id`.
fn series(reading: &Reading, name: &str) -> Vec<String> {
    let text = text_of(reading);
    let found = text.lines().filter(|line| line.starts_with(name));
    found.map(str::to_owned).collect()
}

fn is_there(reading: &Reading, name: &str) -> bool {
    !series(reading, name).is_empty()
}

#[test]
fn a_container_of_version_1_has_all_its_series() {
    let machine = Machine::new("whole-1", true);
    let path = format!("docker/{}", id(1));
    machine.start(&path);
    machine.process(4242, &path);
    let (mut reader, unavailable) = machine.reader();
    let reading = reader.read(&set_of([facts(1, 4242)]), now());
    expect_file!["../../tests/expositions/v1.prom"].assert_eq(&text_of(&reading));
    assert_eq!(unavailable.list(), []);
}

#[test]
fn a_container_of_version_2_has_all_its_series_and_the_machine_is_one_more() {
    let machine = Machine::new("whole-2", false);
    let path = format!("system.slice/docker-{}.scope", id(1));
    machine.start(&path);
    machine.process(4242, &path);
    let (mut reader, unavailable) = machine.reader();
    let mut reading = reader.read(&set_of([facts(1, 4242)]), now());
    let filesystem = FilesystemSample {
        device: "/dev/vda1".into(),
        used: Some(10),
        size: Some(20),
        free_inodes: Some(3),
        inodes: Some(4),
    };
    let sample = Sample { tasks: Some(300), filesystems: vec![filesystem], ..Sample::default() };
    reading.add_machine(sample, Some(UNIX_EPOCH));
    let mut out = Families::new(Format::OpenMetrics);
    reading.write(&mut out);
    expect_file!["../../tests/expositions/v2.openmetrics"].assert_eq(&out.finish());
    assert_eq!(unavailable.list(), []);
}

/// Each name of the families in `docs/containers.md`, and no other.
#[test]
fn the_documentation_has_every_family() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/containers.md");
    let docs = fs::read_to_string(docs).unwrap();
    let (before, docs) = docs.split_once("\n## Every name\n").unwrap();
    let files = [Version::V1, Version::V2].into_iter().flat_map(FileSpec::all);
    for (what, _) in files.filter_map(|spec| spec.missing) {
        assert!(before.contains(&format!("`{what}`")), "docs/containers.md does not say {what}");
    }
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: Vec<_> = rows.filter(|name| !name.contains('.')).collect();
    let mut names = families::names();
    names.extend([
        "container_last_seen",
        "container_start_time_seconds",
        "container_creation_time_seconds",
        "container_health_state",
        "swarmscout_container_state",
        "swarmscout_container_health",
        "swarmscout_container_last_exit_code",
        "swarmscout_container_deaths_total",
        "swarmscout_container_oom_kills_total",
        "swarmscout_node_file_errors_total",
        "swarmscout_node_unavailable",
    ]);
    for name in &names {
        assert!(documented.contains(name), "docs/containers.md does not have {name}");
    }
    for name in documented {
        assert!(names.contains(&name), "docs/containers.md has {name}, which is not a family");
    }
}

#[test]
fn containers_are_found_below_any_parent() {
    let machine = Machine::new("parents", false);
    let paths = [
        format!("docker/{}", id(1)),
        format!("system.slice/docker-{}.scope", id(2)),
        format!("user.slice/user-1000.slice/user@1000.service/user.slice/docker-{}.scope", id(3)),
        format!("my/own/parent/{}", id(4)),
        id(5),
    ];
    for path in &paths {
        machine.start(path);
    }
    // A container of a container is not one of this node.
    machine.start(&format!("docker/{}/docker/{}", id(1), id(6)));
    fs::create_dir_all(machine.cgroups().join("docker/buildkit/not-an-id")).unwrap();
    let (mut reader, _) = machine.reader();
    let reading = reader.read(&FactsSet::default(), now());
    let seen = series(&reading, "container_last_seen");
    assert_eq!(seen.len(), paths.len(), "{seen:?}");
    for path in paths {
        let labels = format!("{{id=\"/{path}\"}}");
        assert!(seen.iter().any(|line| line.contains(&labels)), "{path}: {seen:?}");
    }
}

#[test]
fn a_container_is_there_from_its_start_to_its_end() {
    let machine = Machine::new("life", true);
    let (mut reader, _) = machine.reader();
    assert!(reader.read(&FactsSet::default(), now()).is_empty());
    machine.start(&format!("docker/{}", id(1)));
    assert_eq!(reader.read(&FactsSet::default(), now()).len(), 1);
    machine.start(&format!("docker/{}", id(2)));
    assert_eq!(reader.read(&FactsSet::default(), now()).len(), 2);
    machine.stop(&format!("docker/{}", id(1)));
    let reading = reader.read(&FactsSet::default(), now());
    assert_eq!(reading.len(), 1);
    assert!(!text_of(&reading).contains(&id(1)));
}

#[test]
fn no_descriptor_is_left_of_a_thousand_containers() {
    let machine = Machine::new("descriptors", true);
    let open = || {
        let links = fs::read_dir("/proc/self/fd").unwrap();
        let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(&machine.root)).count()
    };
    for number in 0..100 {
        machine.start(&format!("docker/{}", id(number)));
        machine.process(100_000 + number, "");
    }
    // Folders are moved, which is faster than to make them again.
    let trees = ["cpu,cpuacct", "memory", "blkio", "pids", "unified"];
    let docker = trees.map(|tree| machine.cgroups().join(tree).join("docker"));
    let away = trees.map(|tree| machine.root.join(tree));
    let move_all = |from: &[PathBuf], to: &[PathBuf]| {
        from.iter().zip(to).for_each(|(from, to)| fs::rename(from, to).unwrap());
    };
    move_all(&docker, &away);
    let (mut reader, _) = machine.reader();
    reader.read(&FactsSet::default(), now());
    let before = open();
    for batch in 0..10_u32 {
        let mut containers = Vec::new();
        for place in 0..100 {
            let (number, pid) = (batch * 100 + place, 100_000 + place);
            let old = id(number.saturating_sub(100));
            for tree in away.iter().filter(|_| batch > 0) {
                fs::rename(tree.join(&old), tree.join(id(number))).unwrap();
            }
            machine.proc(&format!("{pid}/cgroup"), &format!("0::/docker/{}\n", id(number)));
            containers.push(facts(number, pid));
        }
        move_all(&away, &docker);
        let facts = set_of(containers);
        assert_eq!(reader.read(&facts, now()).len(), 100);
        assert_eq!(open() - before, 100 * MOST_DESCRIPTORS, "all of them, and no more");
        move_all(&docker, &away);
        assert!(reader.read(&facts, now()).is_empty());
        assert_eq!(open(), before);
    }
}

#[test]
fn limits_follow_an_update() {
    let machine = Machine::new("limits", false);
    let path = format!("docker/{}", id(1));
    machine.start(&path);
    let (mut reader, _) = machine.reader();
    let known = set_of([facts(1, 0)]);
    let mut read = |facts: &FactsSet, name| {
        let found = series(&reader.read(facts, now()), name);
        found.first().and_then(|line| line.rsplit(' ').next().map(str::to_owned))
    };
    for _ in 0..3 {
        read(&known, "container_spec_cpu_shares");
    }
    // These are read each time.
    fs::write(machine.file(&path, "memory.max"), "max\n").unwrap();
    assert_eq!(read(&known, "container_spec_memory_limit_bytes").as_deref(), Some("0"));
    fs::write(machine.file(&path, "cpu.max"), "max 100000\n").unwrap();
    assert_eq!(read(&known, "container_spec_cpu_quota"), None);
    assert_eq!(read(&known, "container_cpu_cfs_periods_total"), None);
    // Others when facts are new, or after some scrapes.
    fs::write(machine.file(&path, "cpu.weight"), "100\n").unwrap();
    let new = set_of([facts(1, 0)]);
    assert_eq!(read(&new, "container_spec_cpu_shares").as_deref(), Some("1024"));
    fs::write(machine.file(&path, "cpu.weight"), "1\n").unwrap();
    let found: Vec<_> = (0..10).map(|_| read(&new, "container_spec_cpu_shares")).collect();
    assert!(found.contains(&Some("2".to_owned())), "{found:?}");
}

#[test]
fn what_the_kernel_does_not_have_is_absent_and_named() {
    let machine = Machine::new("missing", false);
    let path = format!("docker/{}", id(1));
    machine.start(&path);
    for (name, _) in V2 {
        if name.starts_with("memory") || name.ends_with("pressure") {
            fs::remove_file(machine.file(&path, name)).unwrap();
        }
    }
    let (mut reader, unavailable) = machine.reader();
    reader.read(&set_of([facts(1, 0)]), now());
    reader.read(&set_of([facts(1, 0)]), now());
    let reading = reader.read(&set_of([facts(1, 0)]), now());
    assert!(is_there(&reading, "container_cpu_usage_seconds_total"));
    assert!(is_there(&reading, "container_tasks_state"));
    for name in ["container_memory", "container_spec_memory", "container_oom", "container_pressure"]
    {
        assert!(!is_there(&reading, name), "{name}");
    }
    let list = unavailable.list();
    assert!(list.contains(&("pressure".to_owned(), NO_PRESSURE.to_owned())), "{list:?}");
    let named: Vec<_> = list.into_iter().map(|(what, _)| what).collect();
    // Memory is off, so nothing else is wrong with swap.
    assert_eq!(named, ["memory", "network", "pressure"]);
}

#[test]
fn without_cgroups_the_reason_is_named() {
    let machine = Machine::new("none", true);
    fs::remove_dir_all(machine.cgroups()).unwrap();
    let (mut reader, unavailable) = machine.reader();
    assert!(reader.read(&FactsSet::default(), now()).is_empty());
    assert!(unavailable.list()[0].1.starts_with("cannot open "), "{:?}", unavailable.list());
    fs::create_dir_all(machine.cgroups().join("memory")).unwrap();
    reader.read(&FactsSet::default(), now());
    assert!(unavailable.list()[0].1.contains("bind the host's"), "{:?}", unavailable.list());
    // In the container's own cgroup namespace.
    write(&machine.cgroups().join("memory/cgroup.procs"), "1\n");
    for _ in 0..2 {
        reader.read(&set_of([facts(1, 0)]), now());
        assert_eq!(unavailable.list(), [], "the facts may be those from before");
    }
    reader.read(&set_of([facts(1, 0)]), now());
    let list = unavailable.list();
    assert_eq!(list.len(), 1);
    assert!(list[0].1.starts_with("containers run (1), but none has its cgroup below"), "{list:?}");
}

#[test]
fn garbage_is_counted_and_gives_no_series() {
    let machine = Machine::new("garbage", false);
    let path = format!("docker/{}", id(1));
    machine.start(&path);
    fs::write(machine.file(&path, "memory.current"), "garbage\n").unwrap();
    fs::write(machine.file(&path, "memory.stat"), vec![b'x'; 1 << 20]).unwrap();
    let (mut reader, _) = machine.reader();
    reader.read(&FactsSet::default(), now());
    let reading = reader.read(&FactsSet::default(), now());
    assert!(!is_there(&reading, "container_memory_usage_bytes"));
    assert!(!is_there(&reading, "container_memory_working_set_bytes"));
    assert!(!is_there(&reading, "container_memory_rss"));
    assert!(is_there(&reading, "container_memory_max_usage_bytes"));
    let errors = series(&reading, "swarmscout_node_file_errors_total");
    assert_eq!(
        errors,
        [
            "swarmscout_node_file_errors_total{file=\"memory.current\",reason=\"garbage\"} 2",
            "swarmscout_node_file_errors_total{file=\"memory.stat\",reason=\"too_large\"} 2"
        ]
    );
}

/// Whatever is in files: no panic, and an exposition whose lines have a name, labels and a number.
#[test]
fn no_content_of_files_makes_the_reader_panic() {
    for is_v1 in [true, false] {
        let machine = Machine::new(&format!("fuzz-{is_v1}"), is_v1);
        let path = format!("docker/{}", id(1));
        let names: Vec<_> = machine.files().iter().map(|(name, _)| *name).collect();
        let edit = (prop::sample::select(names), prop::collection::vec(any::<u8>(), 0..200));
        let edits = prop::collection::vec(edit, 1..6);
        let process = prop::collection::vec(any::<u8>(), 0..100);
        let mut runner =
            TestRunner::new(Config { cases: 32, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&(edits, process), |(edits, process)| {
            machine.start(&path);
            machine.process(7, &path);
            for (name, text) in edits {
                fs::write(machine.file(&path, name), text).unwrap();
            }
            fs::write(machine.root.join("proc/7/net/dev"), &process).unwrap();
            fs::write(machine.root.join("proc/7/stat"), &process).unwrap();
            fs::write(machine.root.join("proc/diskstats"), process).unwrap();
            let (mut reader, _) = machine.reader();
            for _ in 0..2 {
                let text = text_of(&reader.read(&set_of([facts(1, 7)]), now()));
                for line in text.lines().filter(|line| !line.starts_with('#')) {
                    let number = line.rsplit(' ').next().unwrap();
                    prop_assert!(number.parse::<f64>().is_ok(), "{}", line);
                }
            }
            Ok(())
        });
        outcome.unwrap();
    }
}

mod network {
    use super::*;

    const BYTES: &str = "container_network_receive_bytes_total";

    #[test]
    fn only_a_network_of_its_own_is_that_of_a_container() {
        let machine = Machine::new("modes", false);
        let path = |number| format!("docker/{}", id(number));
        for number in 1..=5 {
            machine.start(&path(number));
            machine.process(number + 10, &path(number));
        }
        // The facts do not say so, but it is in the network namespace of PID 1.
        fs::remove_file(machine.root.join("proc/15/net/dev")).unwrap();
        fs::hard_link(machine.root.join("proc/1/net/dev"), machine.root.join("proc/15/net/dev"))
            .unwrap();
        let modes = [
            Some(NetworkMode::Own),
            Some(NetworkMode::Host),
            Some(NetworkMode::Shared),
            Some(NetworkMode::None),
            None,
        ];
        let all = (1..).zip(modes).map(|(n, network)| Facts { network, ..facts(n, n + 10) });
        let (mut reader, unavailable) = machine.reader();
        let found = series(&reader.read(&set_of(all), now()), BYTES);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&path(1)));
        assert_eq!(unavailable.list(), []);
    }

    #[test]
    fn a_reused_pid_is_not_read() {
        let machine = Machine::new("reused", false);
        let path = |number| format!("docker/{}", id(number));
        machine.start(&path(1));
        machine.process(11, &path(2));
        let (mut reader, unavailable) = machine.reader();
        let known = set_of([facts(1, 11)]);
        for _ in 0..3 {
            assert!(!is_there(&reader.read(&known, now()), BYTES));
        }
        assert_eq!(unavailable.list()[0].0, "network");
        // Not again, as long as the facts have the same PID.
        machine.process(11, &path(1));
        assert!(!is_there(&reader.read(&known, now()), BYTES));
        machine.process(12, &path(1));
        assert!(is_there(&reader.read(&set_of([facts(1, 12)]), now()), BYTES));
        assert_eq!(unavailable.list(), []);
        // The folder is that of the process, whatever has its number now.
        fs::rename(machine.root.join("proc/12"), machine.root.join("proc/12-ended")).unwrap();
        fs::remove_dir_all(machine.root.join("proc/12-ended")).unwrap();
        machine.process(12, &path(1));
        assert!(!is_there(&reader.read(&set_of([facts(1, 12)]), now()), BYTES));
    }

    #[test]
    fn the_readers_own_container_is_at_the_root_of_its_namespace() {
        let machine = Machine::new("own", false);
        machine.start(&format!("docker/{}", id(1)));
        machine.process(11, "x");
        machine.proc("11/cgroup", "0::/\n");
        let (mut reader, _) = machine.reader();
        let known = set_of([facts(1, 11)]);
        assert!(!is_there(&reader.read(&known, now()), BYTES));
        machine.proc("1/cgroup", "0::/../../init.scope\n");
        let (mut reader, _) = machine.reader();
        assert!(is_there(&reader.read(&known, now()), BYTES));
    }

    #[test]
    fn without_facts_the_start_is_that_of_the_process() {
        let machine = Machine::new("start", false);
        let path = format!("docker/{}", id(1));
        machine.start(&path);
        machine.process(11, &path);
        fs::write(machine.file(&path, "cgroup.procs"), "11\n12\n").unwrap();
        let (mut reader, _) = machine.reader();
        let reading = reader.read(&FactsSet::default(), now());
        let found = series(&reading, "container_start_time_seconds");
        assert!(found[0].ends_with(" 1764468060"), "{found:?}");
        assert!(is_there(&reading, BYTES));
    }
}

#[test]
fn a_container_that_has_ended_keeps_the_series_of_its_facts() {
    let machine = Machine::new("ended", false);
    let ended = Facts {
        state: Some(ContainerState::Exited),
        last_exit_code: Some(137),
        health: Some(Health::Unhealthy),
        ..facts(1, 0)
    };
    let starting = Facts { health: Some(Health::Starting), ..facts(2, 0) };
    machine.start(&format!("docker/{}", id(2)));
    let (mut reader, _) = machine.reader();
    let reading = reader.read(&set_of([ended, starting]), now());
    let state = series(&reading, "swarmscout_container_state");
    assert_eq!(state.len(), 2);
    assert!(state[0].contains(&id(1)) && state[0].ends_with("state=\"exited\"} 1"), "{state:?}");
    let code = series(&reading, "swarmscout_container_last_exit_code");
    assert!(code.len() == 1 && code[0].ends_with(" 137"), "{code:?}");
    let health = series(&reading, "swarmscout_container_health");
    assert!(health[0].ends_with("health=\"unhealthy\"} 1"), "{health:?}");
    assert!(health[1].ends_with("health=\"starting\"} 1"), "{health:?}");
    assert!(!is_there(&reading, "container_health_state"), "it is not known as long as it starts");
}
