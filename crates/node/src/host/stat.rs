//! `/proc/stat`: time of the processors, and counters of the kernel.

use swarmscout_exposition::Decimal;
use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::Kind;

use super::NO_LABELS;
use super::scan::{lines, number, numbers, words};
use super::table::{Row, Table};

/// Decimal places of a tick: `/proc` counts in hundredths of a second on every processor.
const PLACES: u8 = 2;

/// How far the idle time of a processor falls when it was taken out and put back, in ticks. A
/// smaller step back is an error of the kernel's accounting.
const REPLUGGED: u64 = 300;

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;
const GUEST: usize = 8;
const GUEST_NICE: usize = 9;

/// What `/proc/stat` said.
#[derive(Debug)]
pub(super) struct Stat {
    cpus: Table<10>,
    pub(super) interrupts: Option<u64>,
    pub(super) context_switches: Option<u64>,
    pub(super) boot_time: Option<u64>,
    pub(super) forks: Option<u64>,
    pub(super) running: Option<u64>,
    pub(super) blocked: Option<u64>,
}

impl Default for Stat {
    fn default() -> Self {
        Self {
            cpus: Table::new("cpu"),
            interrupts: None,
            context_switches: None,
            boot_time: None,
            forks: None,
            running: None,
            blocked: None,
        }
    }
}

impl Stat {
    pub(super) fn parse(&mut self, text: &[u8]) {
        let Self { cpus, .. } = self;
        let (mut interrupts, mut context_switches, mut boot_time) = (None, None, None);
        let (mut forks, mut running, mut blocked) = (None, None, None);
        cpus.begin();
        for line in lines(text) {
            let mut words = words(line);
            let Some(name) = words.next() else { continue };
            let counter = match name {
                b"intr" => &mut interrupts,
                b"ctxt" => &mut context_switches,
                b"btime" => &mut boot_time,
                b"processes" => &mut forks,
                b"procs_running" => &mut running,
                b"procs_blocked" => &mut blocked,
                _ => {
                    let cpu = name.strip_prefix(b"cpu").filter(|cpu| number(cpu).is_some());
                    if let Some(row) = cpu.and_then(|cpu| cpus.row(cpu)) {
                        let mut ticks = [0; 10];
                        row.count = numbers(words, &mut ticks);
                        advance(row, ticks);
                    }
                    continue;
                }
            };
            *counter = words.next().and_then(number);
        }
        cpus.end();
        (self.interrupts, self.context_switches, self.boot_time) =
            (interrupts, context_switches, boot_time);
        (self.forks, self.running, self.blocked) = (forks, running, blocked);
    }

    /// The numbers of the processors that are on.
    pub(super) fn cpus(&self) -> impl ExactSizeIterator<Item = &str> {
        self.cpus.rows().iter().map(|row| &*row.name)
    }

    /// Time in `modes`, of all processors.
    fn ticks(&self, modes: &[usize]) -> u64 {
        let of_row = |row: &Row<10>| modes.iter().map(|mode| row.values[*mode]).sum::<u64>();
        self.cpus.rows().iter().map(of_row).sum()
    }

    /// Time in programs, those of guests included.
    pub(super) fn user(&self) -> Decimal {
        Decimal::new(self.ticks(&[0, 1]), PLACES)
    }

    /// Time in the kernel, interrupts included.
    pub(super) fn system(&self) -> Decimal {
        Decimal::new(self.ticks(&[2, 5, 6]), PLACES)
    }

    /// Time in use: as the root of the cgroups has it on v2, what the hypervisor took included.
    pub(super) fn usage(&self) -> Decimal {
        Decimal::new(self.ticks(&[0, 1, 2, 5, 6, 7]), PLACES)
    }

    /// Collector `cpu`.
    pub(super) fn write_cpu(&self, out: &mut Families) {
        let help = "Seconds the CPUs spent in each mode.";
        let mut family = out.family("node_cpu_seconds_total", Kind::Counter, help);
        for row in self.cpus.rows() {
            for (mode, ticks) in MODES.into_iter().zip(row.values).take(row.count) {
                family.series_with(&row.labels, &[("mode", mode)], Decimal::new(ticks, PLACES));
            }
        }
        let help = "Seconds the CPUs spent in guests (VMs) for each mode.";
        let mut family = out.family("node_cpu_guest_seconds_total", Kind::Counter, help);
        for row in self.cpus.rows() {
            for (mode, at) in [("user", GUEST), ("nice", GUEST_NICE)] {
                if at < row.count {
                    let seconds = Decimal::new(row.values[at], PLACES);
                    family.series_with(&row.labels, &[("mode", mode)], seconds);
                }
            }
        }
    }

    /// Collector `stat`.
    pub(super) fn write_stat(&self, out: &mut Families) {
        let families = [
            (self.interrupts, "node_intr_total", "Total number of interrupts serviced."),
            (
                self.context_switches,
                "node_context_switches_total",
                "Total number of context switches.",
            ),
            (self.forks, "node_forks_total", "Total number of forks."),
            (self.boot_time, "node_boot_time_seconds", "Node boot time, in unixtime."),
            (self.running, "node_procs_running", "Number of processes in runnable state."),
            (
                self.blocked,
                "node_procs_blocked",
                "Number of processes blocked waiting for I/O to complete.",
            ),
        ];
        for (value, name, help) in families {
            let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            if let Some(value) = value {
                out.family(name, kind, help).series(&NO_LABELS, value);
            }
        }
    }
}

/// Takes over the ticks that grew. The kernel's may fall: idle and iowait by rounding, all of them
/// when a processor was taken out.
fn advance(row: &mut Row<10>, ticks: [u64; 10]) {
    if row.values[IDLE].saturating_sub(ticks[IDLE]) >= REPLUGGED {
        row.values = ticks;
        return;
    }
    for (value, ticks) in row.values.iter_mut().zip(ticks) {
        *value = ticks.max(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(stat: &mut Stat, ticks: &str) -> u64 {
        stat.parse(format!("cpu  1 2 3 4\ncpu0 1 2 3 {ticks} 5 6 7 8 0 0\n").as_bytes());
        stat.cpus.rows()[0].values[IDLE]
    }

    #[test]
    fn a_counter_falls_only_when_a_processor_was_taken_out() {
        let mut stat = Stat::default();
        assert_eq!(idle(&mut stat, "1000"), 1000);
        assert_eq!(idle(&mut stat, "990"), 1000);
        assert_eq!(idle(&mut stat, "701"), 1000);
        assert_eq!(idle(&mut stat, "700"), 700);
        assert_eq!(idle(&mut stat, "0"), 0);
    }

    #[test]
    fn a_processor_that_is_off_has_no_series() {
        let mut stat = Stat::default();
        stat.parse(b"cpu0 1 0 0 1\ncpu1 1 0 0 1\ncpux 1\ncpu\n");
        assert_eq!(stat.cpus().collect::<Vec<_>>(), ["0", "1"]);
        stat.parse(b"cpu1 2 0 0 1\nprocesses 9 9\nctxt -1\n");
        assert_eq!(stat.cpus().collect::<Vec<_>>(), ["1"]);
        assert_eq!(
            (stat.forks, stat.context_switches, stat.user()),
            (Some(9), None, Decimal::new(2, 2))
        );
    }
}
