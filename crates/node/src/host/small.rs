//! Files with a few numbers: `loadavg`, `pressure/*`, `sys/fs/file-nr`, `sys/net/netfilter/*`.

use swarmscout_exposition::Decimal;
use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::Kind;

use super::NO_LABELS;
use super::scan::{lines, number, words};

/// The load of 1, 5 and 15 minutes.
#[derive(Debug, Default)]
pub(super) struct Load([Option<Decimal>; 3]);

impl Load {
    pub(super) fn parse(&mut self, text: &[u8]) {
        let mut words = words(text);
        self.0 = std::array::from_fn(|_| words.next().and_then(hundredths));
    }

    /// Collector `loadavg`.
    pub(super) fn write(&self, out: &mut Families) {
        let families = [
            ("node_load1", "1m load average."),
            ("node_load5", "5m load average."),
            ("node_load15", "15m load average."),
        ];
        for ((name, help), load) in families.into_iter().zip(self.0) {
            if let Some(load) = load {
                out.family(name, Kind::Gauge, help).series(&NO_LABELS, load);
            }
        }
    }
}

/// `0.07`, as the kernel writes it.
fn hundredths(word: &[u8]) -> Option<Decimal> {
    let dot = memchr::memchr(b'.', word)?;
    let fraction = word.get(dot + 1..dot + 3).filter(|_| word.len() == dot + 3)?;
    let whole = number(&word[..dot])?.checked_mul(100)?;
    Some(Decimal::new(whole.checked_add(number(fraction)?)?, 2))
}

/// What of a resource is waited for, in order.
pub(super) const RESOURCES: [&str; 4] =
    ["pressure/cpu", "pressure/io", "pressure/memory", "pressure/irq"];

/// Time that was lost by waiting for one resource, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pressure {
    /// Some process waited.
    pub(super) some: Option<u64>,
    /// All processes waited.
    pub(super) full: Option<u64>,
}

impl Pressure {
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut pressure = Self::default();
        for line in lines(text) {
            let mut words = words(line);
            let kind = match words.next() {
                Some(b"some") => &mut pressure.some,
                Some(b"full") => &mut pressure.full,
                _ => continue,
            };
            *kind = words.find_map(|word| word.strip_prefix(b"total=")).and_then(number);
        }
        pressure
    }
}

/// Collector `pressure`.
pub(super) fn write_pressure(of: &[Pressure; 4], out: &mut Families) {
    let [cpu, io, memory, irq] = of;
    let families = [
        (
            cpu.some,
            "node_pressure_cpu_waiting_seconds_total",
            "Total time in seconds that processes have waited for CPU time",
        ),
        (
            io.some,
            "node_pressure_io_waiting_seconds_total",
            "Total time in seconds that processes have waited due to IO congestion",
        ),
        (
            io.full,
            "node_pressure_io_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IO congestion",
        ),
        (
            memory.some,
            "node_pressure_memory_waiting_seconds_total",
            "Total time in seconds that processes have waited for memory",
        ),
        (
            memory.full,
            "node_pressure_memory_stalled_seconds_total",
            "Total time in seconds no process could make progress due to memory congestion",
        ),
        (
            irq.full,
            "node_pressure_irq_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IRQ congestion",
        ),
    ];
    for (micros, name, help) in families {
        if let Some(micros) = micros {
            out.family(name, Kind::Counter, help).series(&NO_LABELS, Decimal::micros(micros));
        }
    }
}

/// Collector `filefd`, of `sys/fs/file-nr`: allocated, free (always 0), the most.
pub(super) fn write_file_descriptors([allocated, _, most]: [u64; 3], out: &mut Families) {
    for (name, help, value) in [
        ("node_filefd_allocated", "File descriptor statistics: allocated.", allocated),
        ("node_filefd_maximum", "File descriptor statistics: maximum.", most),
    ] {
        out.family(name, Kind::Gauge, help).series(&NO_LABELS, value);
    }
}

/// Collector `conntrack`.
pub(super) fn write_conntrack(entries: u64, limit: u64, out: &mut Families) {
    for (name, help, value) in [
        (
            "node_nf_conntrack_entries",
            "Number of currently allocated flow entries for connection tracking.",
            entries,
        ),
        ("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table.", limit),
    ] {
        out.family(name, Kind::Gauge, help).series(&NO_LABELS, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_exact() {
        let mut load = Load::default();
        load.parse(b"0.07 12.30 100.00 4/113 17420\n");
        assert_eq!(load.0, [7, 1230, 10_000].map(|load| Some(Decimal::new(load, 2))));
        load.parse(b"1.2 1.234 .10\n");
        assert_eq!(load.0, [None; 3]);
        load.parse(b"");
        assert_eq!(load.0, [None; 3]);
    }

    #[test]
    fn pressure_is_read_by_kernels_of_any_age() {
        let line = "avg10=0.12 avg60=0.05 avg300=0.00 total=";
        for (text, some, full) in [
            (format!("some {line}5\nfull {line}7\n"), Some(5), Some(7)),
            (format!("some {line}5\n"), Some(5), None),
            (format!("full {line}7\n"), None, Some(7)),
            ("some total=x\nfull\n".to_owned(), None, None),
            (String::new(), None, None),
        ] {
            assert_eq!(Pressure::parse(text.as_bytes()), Pressure { some, full }, "{text}");
        }
    }
}
