//! What the machine is: `machine_*` and `cadvisor_version_info`, with the labels of cAdvisor.

use std::collections::BTreeSet;
use std::path::Path;

use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

use super::memory::Meminfo;
use super::scan::{line, lines};
use super::{Identity, NO_LABELS};
use crate::read::{Buffer, Folder};
use crate::roots::Roots;

/// The most bytes of a file.
const MOST: usize = 64 << 10;

/// Versions that the node's metrics show. What is not known has no label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// Of the operating system of the node; else its `os-release` says it.
    pub os: Option<String>,
    /// Of the Docker Engine.
    pub docker: Option<String>,
    /// Of this program.
    pub program: String,
    /// The commit it was built from.
    pub revision: Option<String>,
}

/// The machine's IDs and processors.
#[derive(Debug, Default)]
pub(super) struct Machine {
    ids: SeriesLabels,
    os: Option<String>,
    /// The processors that were counted.
    cpus: Vec<String>,
    cores: Option<usize>,
    sockets: Option<usize>,
}

impl Machine {
    /// Reads what never changes.
    pub(super) fn new(roots: &Roots, buffer: &mut Buffer) -> Self {
        let mut machine = Self::default();
        let mut first_line = |folder: &Path, file| {
            let folder = Folder::open(folder).ok()?;
            let text = line(folder.read(file, buffer, MOST).ok()?).to_owned();
            (!text.is_empty()).then_some(text)
        };
        let of_host = has_root_of_host(roots).then(|| roots.on_host(Path::new("/etc")));
        let ids = [
            ("machine_id", of_host.as_ref().and_then(|etc| first_line(etc, "machine-id"))),
            // Readable for root only.
            ("system_uuid", first_line(&roots.sysfs.join("class/dmi/id"), "product_uuid")),
            ("boot_id", first_line(&roots.procfs.join("sys/kernel/random"), "boot_id")),
        ];
        for (name, id) in ids {
            machine.ids.push(name, id.as_deref().unwrap_or_default());
        }
        machine.os = of_host.and_then(|etc| {
            let folder = Folder::open(&etc).ok()?;
            pretty_name(folder.read("os-release", buffer, MOST).ok()?)
        });
        machine
    }

    /// Counts cores and sockets, if there are other processors than before.
    pub(super) fn count<'s>(
        &mut self,
        cpus: impl ExactSizeIterator<Item = &'s str> + Clone,
        sysfs: &Path,
        buffer: &mut Buffer,
    ) {
        if self.cpus.iter().map(|cpu| &**cpu).eq(cpus.clone()) {
            return;
        }
        self.cpus = cpus.map(str::to_owned).collect();
        let topology = Folder::open(&sysfs.join("devices/system/cpu"));
        let (mut cores, mut sockets) = (BTreeSet::new(), BTreeSet::new());
        for cpu in &self.cpus {
            let Ok(folder) = &topology else { break };
            let mut id = |file| {
                let text = folder.read(&format!("cpu{cpu}/topology/{file}"), buffer, MOST).ok()?;
                line(text).parse::<i64>().ok()
            };
            let Some(socket) = id("physical_package_id") else { continue };
            sockets.insert(socket);
            cores.extend(id("core_id").map(|core| (socket, core)));
        }
        (self.cores, self.sockets) = (some(cores.len()), some(sockets.len()));
    }

    pub(super) fn write(&self, meminfo: &Meminfo, versions: &Versions, out: &mut Families) {
        let families = [
            (some(self.cpus.len()), "machine_cpu_cores", "Number of logical CPU cores."),
            (self.cores, "machine_cpu_physical_cores", "Number of physical CPU cores."),
            (self.sockets, "machine_cpu_sockets", "Number of CPU sockets."),
        ];
        for (count, name, help) in families {
            if let Some(count) = count {
                out.family(name, Kind::Gauge, help).series(&self.ids, count as u64);
            }
        }
        for (field, name, help) in [
            ("MemTotal", "machine_memory_bytes", "Amount of memory installed on the machine."),
            ("SwapTotal", "machine_swap_bytes", "Amount of swap memory available on the machine."),
        ] {
            if let Some(bytes) = meminfo.get(field) {
                out.family(name, Kind::Gauge, help).series(&self.ids, bytes);
            }
        }
        let uname = rustix::system::uname();
        let kernel = uname.release().to_string_lossy();
        let mut labels = NO_LABELS;
        for (name, value) in [
            ("kernelVersion", Some(&*kernel)),
            ("osVersion", versions.os.as_deref().or(self.os.as_deref())),
            ("dockerVersion", versions.docker.as_deref()),
            ("cadvisorVersion", Some(&*versions.program)),
            ("cadvisorRevision", versions.revision.as_deref()),
        ] {
            labels.push(name, value.unwrap_or_default());
        }
        let help = "The versions of the kernel, the operating system, Docker, and of Swarmscout in \
                    place of cAdvisor";
        out.family("cadvisor_version_info", Kind::Gauge, help).series(&labels, 1_u64);
    }
}

/// Collector `uname`, too: dashboards find their nodes by it.
pub(super) fn write_build(versions: &Versions, out: &mut Families) {
    let mut labels = NO_LABELS;
    labels.push("version", &versions.program);
    if let Some(revision) = &versions.revision {
        labels.push("revision", revision);
    }
    let help = "The version of Swarmscout, in place of node exporter";
    out.family("node_exporter_build_info", Kind::Gauge, help).series(&labels, 1_u64);
}

/// Collector `uname`. Inside a container the host name is that of the container: the Swarm knows
/// better.
pub(super) fn write_uname(identity: &Identity, out: &mut Families) {
    let uname = rustix::system::uname();
    let node_name = identity
        .node_name
        .as_deref()
        .map_or_else(|| uname.nodename().to_string_lossy().into_owned(), str::to_owned);
    let mut labels = NO_LABELS;
    for (name, value) in [
        ("sysname", uname.sysname()),
        ("release", uname.release()),
        ("version", uname.version()),
        ("machine", uname.machine()),
        ("domainname", uname.domainname()),
    ] {
        labels.push(name, &value.to_string_lossy());
    }
    labels.push("nodename", &node_name);
    let help = "Labeled system information as provided by the uname system call.";
    out.family("node_uname_info", Kind::Gauge, help).series(&labels, 1_u64);
}

/// Collector `meta`: what dashboards of swarmprom join by.
pub(super) fn write_meta(identity: &Identity, out: &mut Families) {
    let Some(id) = identity.node_id.as_deref().filter(|id| !id.is_empty()) else { return };
    let mut labels = NO_LABELS;
    labels.push("node_id", id);
    labels.push("node_name", identity.node_name.as_deref().unwrap_or_default());
    labels.push("container_label_com_docker_swarm_node_id", id);
    let help = "The ID and the name of the node in the Swarm";
    out.family("node_meta", Kind::Gauge, help).series(&labels, 1_u64);
}

/// Whether `/` of the host is known. In a container without `--path.rootfs`, `/` is its own.
fn has_root_of_host(roots: &Roots) -> bool {
    roots.rootfs != Path::new("/") || super::is_native(roots)
}

fn pretty_name(os_release: &[u8]) -> Option<String> {
    let name = lines(os_release).find_map(|line| line.strip_prefix(b"PRETTY_NAME="))?;
    let name = str::from_utf8(name).ok()?.trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

fn some(count: usize) -> Option<usize> {
    (count > 0).then_some(count)
}
