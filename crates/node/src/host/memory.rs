//! `/proc/meminfo` and `/proc/vmstat`.

use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::Kind;

use super::NO_LABELS;
use super::scan::{lines, number, words};

/// The fields that node exporter 1.12 knows, in the order of the file, with the end of its name and
/// the help of the family.
macro_rules! fields {
    ($(($field:literal, $name:literal)),* $(,)?) => {
        &[$((
            $field,
            concat!("node_memory_", $name),
            concat!("Memory information field ", $name, "."),
        )),*]
    };
}

const FIELDS: &[(&str, &str, &str)] = fields![
    ("MemTotal", "MemTotal_bytes"),
    ("MemFree", "MemFree_bytes"),
    ("MemAvailable", "MemAvailable_bytes"),
    ("Buffers", "Buffers_bytes"),
    ("Cached", "Cached_bytes"),
    ("SwapCached", "SwapCached_bytes"),
    ("Active", "Active_bytes"),
    ("Inactive", "Inactive_bytes"),
    ("Active(anon)", "Active_anon_bytes"),
    ("Inactive(anon)", "Inactive_anon_bytes"),
    ("Active(file)", "Active_file_bytes"),
    ("Inactive(file)", "Inactive_file_bytes"),
    ("Unevictable", "Unevictable_bytes"),
    ("Mlocked", "Mlocked_bytes"),
    ("SwapTotal", "SwapTotal_bytes"),
    ("SwapFree", "SwapFree_bytes"),
    ("Zswap", "Zswap_bytes"),
    ("Zswapped", "Zswapped_bytes"),
    ("Dirty", "Dirty_bytes"),
    ("Writeback", "Writeback_bytes"),
    ("AnonPages", "AnonPages_bytes"),
    ("Mapped", "Mapped_bytes"),
    ("Shmem", "Shmem_bytes"),
    ("Slab", "Slab_bytes"),
    ("SReclaimable", "SReclaimable_bytes"),
    ("SUnreclaim", "SUnreclaim_bytes"),
    ("KernelStack", "KernelStack_bytes"),
    ("PageTables", "PageTables_bytes"),
    ("NFS_Unstable", "NFS_Unstable_bytes"),
    ("Bounce", "Bounce_bytes"),
    ("WritebackTmp", "WritebackTmp_bytes"),
    ("CommitLimit", "CommitLimit_bytes"),
    ("Committed_AS", "Committed_AS_bytes"),
    ("VmallocTotal", "VmallocTotal_bytes"),
    ("VmallocUsed", "VmallocUsed_bytes"),
    ("VmallocChunk", "VmallocChunk_bytes"),
    ("Percpu", "Percpu_bytes"),
    ("HardwareCorrupted", "HardwareCorrupted_bytes"),
    ("AnonHugePages", "AnonHugePages_bytes"),
    ("ShmemHugePages", "ShmemHugePages_bytes"),
    ("ShmemPmdMapped", "ShmemPmdMapped_bytes"),
    ("CmaTotal", "CmaTotal_bytes"),
    ("CmaFree", "CmaFree_bytes"),
    ("HugePages_Total", "HugePages_Total"),
    ("HugePages_Free", "HugePages_Free"),
    ("HugePages_Rsvd", "HugePages_Rsvd"),
    ("HugePages_Surp", "HugePages_Surp"),
    ("Hugepagesize", "Hugepagesize_bytes"),
    ("DirectMap4k", "DirectMap4k_bytes"),
    ("DirectMap2M", "DirectMap2M_bytes"),
    ("DirectMap1G", "DirectMap1G_bytes"),
];

/// What `/proc/meminfo` said.
#[derive(Debug)]
pub(super) struct Meminfo([Option<u64>; FIELDS.len()]);

impl Default for Meminfo {
    fn default() -> Self {
        Self([None; FIELDS.len()])
    }
}

impl Meminfo {
    pub(super) fn parse(&mut self, text: &[u8]) {
        self.0 = [None; FIELDS.len()];
        // The fields come in the order of the list: the next one is behind the last one.
        let mut next = 0;
        for line in lines(text) {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (field, rest) = line.split_at(colon);
            let is_field = |(name, ..): &(&str, &str, &str)| name.as_bytes() == field;
            let found = FIELDS[next..].iter().position(is_field).map(|at| next + at);
            let Some(at) = found.or_else(|| FIELDS[..next].iter().position(is_field)) else {
                continue;
            };
            next = at + 1;
            let mut words = words(&rest[1..]);
            let value = words.next().and_then(number);
            let unit = if words.next() == Some(b"kB") { 1024 } else { 1 };
            self.0[at] = value.and_then(|value| value.checked_mul(unit));
        }
    }

    /// A field by its name in the file, in bytes.
    pub(super) fn get(&self, field: &str) -> Option<u64> {
        FIELDS.iter().position(|(name, ..)| *name == field).and_then(|at| self.0[at])
    }

    /// Collector `meminfo`.
    pub(super) fn write(&self, out: &mut Families) {
        for ((_, name, help), value) in FIELDS.iter().zip(self.0) {
            if let Some(value) = value {
                out.family(name, Kind::Gauge, help).series(&NO_LABELS, value);
            }
        }
    }
}

/// What `/proc/vmstat` said.
#[derive(Debug, Default)]
pub(super) struct Vmstat(Vec<Field>);

#[derive(Debug)]
struct Field {
    /// In the file.
    key: String,
    name: String,
    help: String,
    value: u64,
}

/// More fields than any kernel has that are shown.
const MOST_FIELDS: usize = 64;

impl Vmstat {
    pub(super) fn parse(&mut self, text: &[u8]) {
        let mut used = 0;
        for line in lines(text) {
            let mut words = words(line);
            let Some(field) = words.next().filter(|field| is_shown(field)) else { continue };
            let Some(value) = words.next().and_then(number) else { continue };
            if self.0.get(used).is_none_or(|known| known.key.as_bytes() != field) {
                let field = str::from_utf8(field).expect("what is shown is ASCII");
                self.0.truncate(used);
                if used == MOST_FIELDS || self.0.iter().any(|known| known.key == field) {
                    continue;
                }
                self.0.push(Field {
                    key: field.to_owned(),
                    name: format!("node_vmstat_{field}"),
                    help: format!("/proc/vmstat information field {field}."),
                    value,
                });
            }
            self.0[used].value = value;
            used += 1;
        }
        self.0.truncate(used);
    }

    /// A field that is shown.
    pub(super) fn get(&self, field: &str) -> Option<u64> {
        self.0.iter().find(|known| known.key == field).map(|known| known.value)
    }

    /// Collector `vmstat`.
    pub(super) fn write(&self, out: &mut Families) {
        for field in &self.0 {
            out.family(&field.name, Kind::Untyped, &field.help).series(&NO_LABELS, field.value);
        }
    }
}

/// Node exporter's `^(oom_kill|pgpg|pswp|pg.*fault).*`, of what may be a name.
fn is_shown(field: &[u8]) -> bool {
    let fault = |rest| memchr::memmem::find(rest, b"fault").is_some();
    let is_wanted =
        [&b"oom_kill"[..], b"pgpg", b"pswp"].iter().any(|start| field.starts_with(start))
            || field.strip_prefix(b"pg").is_some_and(fault);
    is_wanted && field.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_any_order() {
        let mut meminfo = Meminfo::default();
        meminfo.parse(b"Cached:  3 kB\nMemTotal: 18014398509481985 kB\nMemFree:\t2 kB\nNew: 1 kB\nHugePages_Free: 7\nSlab 1\nBuffers: x kB");
        let get = |field| meminfo.get(field);
        assert_eq!(
            [
                get("Cached"),
                get("MemTotal"),
                get("MemFree"),
                get("HugePages_Free"),
                get("Slab"),
                get("Buffers")
            ],
            [Some(3072), None, Some(2048), Some(7), None, None]
        );
    }

    #[test]
    fn vmstat_shows_what_node_exporter_shows() {
        let mut vmstat = Vmstat::default();
        let text = "nr_free_pages 1\npgpgin 2\npswpin 3\npgfault 4\npgmajfault 5\npgpgin 6\npgsteal_kswapd 7\nthp_fault_alloc 8\noom_kill 9\npg\u{e9}fault 1\npgfault\npgpg{} 1\n";
        let list = |vmstat: &Vmstat| {
            vmstat.0.iter().map(|f| format!("{}={}", f.key, f.value)).collect::<Vec<_>>().join(" ")
        };
        for _ in 0..2 {
            vmstat.parse(text.as_bytes());
            assert_eq!(list(&vmstat), "pgpgin=2 pswpin=3 pgfault=4 pgmajfault=5 oom_kill=9");
        }
        vmstat.parse(b"pgfault 1\noom_kill 2\n");
        assert_eq!(list(&vmstat), "pgfault=1 oom_kill=2");
        assert_eq!(vmstat.get("oom_kill"), Some(2));
    }
}
