//! `/proc/diskstats`.

use swarmscout_exposition::Decimal;
use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::Kind;

use super::scan::{lines, numbers, words};
use super::table::{Row, Table};
use crate::containers::sample::DeviceSample;

/// The kernel counts in sectors of this size, whatever the device has.
const SECTOR: u64 = 512;

const READS: usize = 0;
const SECTORS_READ: usize = 2;
const WRITES: usize = 4;
const SECTORS_WRITTEN: usize = 6;

/// What a column counts.
#[derive(Clone, Copy)]
enum Unit {
    One,
    Sectors,
    Milliseconds,
}

/// The columns behind the name of the device.
const COLUMNS: [(&str, &str, Unit); 17] = [
    (
        "node_disk_reads_completed_total",
        "The total number of reads completed successfully.",
        Unit::One,
    ),
    ("node_disk_reads_merged_total", "The total number of reads merged.", Unit::One),
    ("node_disk_read_bytes_total", "The total number of bytes read successfully.", Unit::Sectors),
    (
        "node_disk_read_time_seconds_total",
        "The total number of seconds spent by all reads.",
        Unit::Milliseconds,
    ),
    (
        "node_disk_writes_completed_total",
        "The total number of writes completed successfully.",
        Unit::One,
    ),
    ("node_disk_writes_merged_total", "The number of writes merged.", Unit::One),
    (
        "node_disk_written_bytes_total",
        "The total number of bytes written successfully.",
        Unit::Sectors,
    ),
    (
        "node_disk_write_time_seconds_total",
        "This is the total number of seconds spent by all writes.",
        Unit::Milliseconds,
    ),
    ("node_disk_io_now", "The number of I/Os currently in progress.", Unit::One),
    ("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.", Unit::Milliseconds),
    (
        "node_disk_io_time_weighted_seconds_total",
        "The weighted # of seconds spent doing I/Os.",
        Unit::Milliseconds,
    ),
    (
        "node_disk_discards_completed_total",
        "The total number of discards completed successfully.",
        Unit::One,
    ),
    ("node_disk_discards_merged_total", "The total number of discards merged.", Unit::One),
    (
        "node_disk_discarded_sectors_total",
        "The total number of sectors discarded successfully.",
        Unit::One,
    ),
    (
        "node_disk_discard_time_seconds_total",
        "This is the total number of seconds spent by all discards.",
        Unit::Milliseconds,
    ),
    (
        "node_disk_flush_requests_total",
        "The total number of flush requests completed successfully",
        Unit::One,
    ),
    (
        "node_disk_flush_requests_time_seconds_total",
        "This is the total number of seconds spent by all flush requests.",
        Unit::Milliseconds,
    ),
];

/// What `/proc/diskstats` said of whole disks.
#[derive(Debug)]
pub(super) struct Disks(Table<17>);

impl Default for Disks {
    fn default() -> Self {
        Self(Table::new("device"))
    }
}

impl Disks {
    pub(super) fn parse(&mut self, text: &[u8]) {
        self.0.begin();
        for line in lines(text) {
            let mut words = words(line).skip(2);
            let name = words.next().filter(|name| !is_excluded(name));
            if let Some(row) = name.and_then(|name| self.0.row(name)) {
                row.count = numbers(words, &mut row.values);
            }
        }
        self.0.end();
    }

    /// Collector `diskstats`.
    pub(super) fn write(&self, out: &mut Families) {
        for (at, (name, help, unit)) in COLUMNS.into_iter().enumerate() {
            let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            let mut family = out.family(name, kind, help);
            for row in self.0.rows().iter().filter(|row| at < row.count) {
                let value = row.values[at];
                match unit {
                    Unit::One => family.series(&row.labels, value),
                    Unit::Sectors => family.series(&row.labels, value.saturating_mul(SECTOR)),
                    Unit::Milliseconds => family.series(&row.labels, Decimal::millis(value)),
                }
            }
        }
    }

    /// What whole disks did, for the root of all containers.
    pub(super) fn samples(&self) -> Vec<DeviceSample> {
        let rows = self.0.rows();
        let is_partition = |name: &str| rows.iter().any(|disk| is_part_of(&disk.name, name));
        let has_numbers = |row: &&Row<17>| row.count > SECTORS_WRITTEN;
        let disks = rows.iter().filter(has_numbers).filter(|row| !is_partition(&row.name));
        let bytes = |sectors: u64| Some(sectors.saturating_mul(SECTOR));
        let sample = |row: &Row<17>| DeviceSample {
            // The kernel writes a slash in a name as an exclamation mark.
            device: format!("/dev/{}", row.name.replace('!', "/")).into(),
            read_bytes: bytes(row.values[SECTORS_READ]),
            written_bytes: bytes(row.values[SECTORS_WRITTEN]),
            reads: Some(row.values[READS]),
            writes: Some(row.values[WRITES]),
        };
        disks.map(sample).collect()
    }
}

/// Node exporter's `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`: memory, files, diskettes and
/// partitions.
fn is_excluded(name: &[u8]) -> bool {
    let start = name.trim_ascii_end_digits();
    if start.len() == name.len() {
        return false;
    }
    match start {
        b"ram" | b"zram" | b"loop" | b"fd" => true,
        [b'n', b'v', b'm', b'e', rest @ .., b'p'] => {
            let namespace = rest.trim_ascii_end_digits();
            let controller = namespace.strip_suffix(b"n").unwrap_or_default();
            let has_numbers = namespace.len() < rest.len() && !controller.is_empty();
            has_numbers && controller.trim_ascii_end_digits().is_empty()
        }
        [disk @ .., b'a'..=b'z'] => matches!(disk, b"hd" | b"sd" | b"vd" | b"xvd"),
        _ => false,
    }
}

/// Whether `name` is a partition of `disk`. The kernel puts a `p` between them, if the name of the disk
/// ends in a digit. Node exporter's pattern does not know all of these disks.
fn is_part_of(disk: &str, name: &str) -> bool {
    let number = name.strip_prefix(disk).and_then(|rest| {
        if disk.ends_with(|c: char| c.is_ascii_digit()) {
            rest.strip_prefix('p')
        } else {
            Some(rest)
        }
    });
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

trait Digits {
    /// Without the digits at its end.
    fn trim_ascii_end_digits(&self) -> &Self;
}

impl Digits for [u8] {
    fn trim_ascii_end_digits(&self) -> &Self {
        let end = self.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |at| at + 1);
        &self[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from the regular expression of node exporter in Go.
    #[test]
    fn excludes_what_node_exporter_excludes() {
        let shown = "sda vda xvda nvme0n1 nvme10n12 mmcblk0 mmcblk0p1 dm-0 md0 md127p1 sr0 nbd0 \
                     rbd0 sdaa1 zram ram loop fd xvdz nvme0n1p nvmen1p1 nvme0p1 nvme0np1 xfd0 0 ram1x \
                     bcache0 drbd1000 vdA1 d1";
        let hidden = "ram0 zram0 loop17 fd0 sda1 vdz99 xvda1 hdb2 nvme0n1p1 nvme10n12p345";
        for name in shown.split_whitespace() {
            assert!(!is_excluded(name.as_bytes()), "{name}");
        }
        for name in hidden.split_whitespace() {
            assert!(is_excluded(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn partitions_belong_to_their_disk() {
        for (disk, name, expected) in [
            ("mmcblk0", "mmcblk0p1", true),
            ("mmcblk0", "mmcblk0boot0", false),
            ("sda", "sda1", true),
            ("sda", "sdaa", false),
            ("sda", "sda", false),
            ("dm-1", "dm-10", false),
            ("md0", "md0p2", true),
        ] {
            assert_eq!(is_part_of(disk, name), expected, "{name}");
        }
    }

    #[test]
    fn old_kernels_have_fewer_columns() {
        let mut disks = Disks::default();
        disks.parse(b"   8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n 8 16 sdb 1 2 x\n 8\n\n 8 32 sdc\n");
        let counts: Vec<_> = disks.0.rows().iter().map(|row| (&*row.name, row.count)).collect();
        assert_eq!(counts, [("sda", 11), ("sdb", 2), ("sdc", 0)]);
    }
}
