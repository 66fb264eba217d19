//! Collector `timex`: what the kernel knows of the accuracy of its clock. No file has it, and no crate that
//! is kept up offers the system call by itself, so this module has the only `unsafe` of this project.

use std::io;

use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::Kind;

use super::NO_LABELS;

/// `struct timex` of the kernel, as far as it is read.
#[repr(C)]
#[derive(Debug, Default)]
struct Raw {
    /// What is set: nothing.
    modes: libc::c_uint,
    offset: libc::c_long,
    frequency: libc::c_long,
    maxerror: libc::c_long,
    esterror: libc::c_long,
    status: libc::c_int,
    /// Room for more than any kernel and C library has behind it: 160 bytes.
    rest: [u64; 32],
}

/// The clock at one scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Timex {
    /// In seconds, as all that follows.
    offset: f64,
    maxerror: f64,
    esterror: f64,
    is_synchronized: bool,
}

impl Timex {
    /// Asks the kernel. That needs no right.
    pub(super) fn read() -> io::Result<Self> {
        let mut raw = Raw::default();
        // SAFETY: the call writes a `struct timex` behind the pointer, and keeps nothing. `Raw` begins with
        // the same fields in the layout of C, is aligned as they are, and is larger. Every bit pattern is
        // valid for its numbers.
        #[expect(unsafe_code, reason = "adjtimex has no safe form, and no file has what it says")]
        let state = unsafe { libc::adjtimex((&raw mut raw).cast()) };
        if state < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self::of(state, &raw))
    }

    fn of(state: libc::c_int, raw: &Raw) -> Self {
        let micros = |count: libc::c_long| count as f64 / 1e6;
        let is_in_nanos = raw.status & libc::STA_NANO != 0;
        Self {
            offset: if is_in_nanos { raw.offset as f64 / 1e9 } else { micros(raw.offset) },
            maxerror: micros(raw.maxerror),
            esterror: micros(raw.esterror),
            is_synchronized: state != libc::TIME_ERROR,
        }
    }

    pub(super) fn write(&self, out: &mut Families) {
        let families = [
            ("node_timex_estimated_error_seconds", "Estimated error in seconds.", self.esterror),
            ("node_timex_maxerror_seconds", "Maximum error in seconds.", self.maxerror),
            (
                "node_timex_offset_seconds",
                "Time offset in between local system and reference clock.",
                self.offset,
            ),
        ];
        for (name, help, value) in families {
            out.family(name, Kind::Gauge, help).series(&NO_LABELS, value);
        }
        let help = "Is clock synchronized to a reliable server (1 = yes, 0 = no).";
        let mut family = out.family("node_timex_sync_status", Kind::Gauge, help);
        family.series(&NO_LABELS, u64::from(self.is_synchronized));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use swarmscout_exposition::Format;

    use super::*;

    #[test]
    fn the_kernel_answers() {
        let timex = Timex::read().unwrap();
        // The kernel lets no error grow beyond 16 seconds (NTP_PHASE_LIMIT).
        assert!((0.0..=16.0).contains(&timex.maxerror), "{timex:?}");
    }

    /// What ntpd, chronyd and systemd-timesyncd leave; without one of them the state is `TIME_ERROR`.
    #[test]
    fn offsets_are_micros_unless_the_status_says_nanos() {
        let raw = |status| Raw {
            offset: -1500,
            maxerror: 16_000_000,
            esterror: 16,
            status,
            ..Raw::default()
        };
        let seconds = |state, status| {
            let Timex { offset, maxerror, esterror, is_synchronized } =
                Timex::of(state, &raw(status));
            (offset, maxerror, esterror, is_synchronized)
        };
        assert_eq!(seconds(0, 0x2001), (-0.000_001_5, 16.0, 0.000_016, true));
        assert_eq!(seconds(5, 0x40), (-0.001_5, 16.0, 0.000_016, false));
        // A leap second is announced: the clock is synchronized all the same.
        assert!(seconds(1, 0x2011).3);
    }

    #[test]
    fn names_are_those_of_node_exporter() {
        let mut out = Families::new(Format::Text);
        Timex { offset: -0.25, maxerror: 0.5, esterror: 0.125, is_synchronized: true }
            .write(&mut out);
        expect![[r#"
            # HELP node_timex_estimated_error_seconds Estimated error in seconds.
            # TYPE node_timex_estimated_error_seconds gauge
            node_timex_estimated_error_seconds 0.125
            # HELP node_timex_maxerror_seconds Maximum error in seconds.
            # TYPE node_timex_maxerror_seconds gauge
            node_timex_maxerror_seconds 0.5
            # HELP node_timex_offset_seconds Time offset in between local system and reference clock.
            # TYPE node_timex_offset_seconds gauge
            node_timex_offset_seconds -0.25
            # HELP node_timex_sync_status Is clock synchronized to a reliable server (1 = yes, 0 = no).
            # TYPE node_timex_sync_status gauge
            node_timex_sync_status 1
        "#]]
        .assert_eq(&out.finish());
    }
}
