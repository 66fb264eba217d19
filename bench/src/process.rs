//! A program under measurement, seen through `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process(Child);

/// What one thread has taken so far.
#[derive(Debug)]
pub struct Thread {
    pub name: String,
    /// Seconds on a processor.
    pub cpu: f64,
    /// How often it was put on one.
    pub slices: f64,
}

impl Process {
    /// Starts it with its log in a file.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = fs::File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Self(child.with_context(|| format!("cannot start {command:?}"))?))
    }

    /// User and system seconds of CPU so far, all threads.
    pub fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // The command's name is in brackets and may hold anything; count from its end.
        let fields = stat.rsplit_once(')').context("no command")?.1;
        let mut ticks = 0.0;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<f64>()?;
        }
        // USER_HZ is 100 on every Linux that Rust supports.
        Ok(ticks / 100.0)
    }

    /// Its threads now, by ID. To the nanosecond, other than [`Self::cpu`]; one that has ended is
    /// not counted.
    pub fn threads(&self) -> Result<BTreeMap<String, Thread>> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let entry = entry?;
            let read = |file| fs::read_to_string(entry.path().join(file));
            // It may end meanwhile.
            let (Ok(name), Ok(stat)) = (read("comm"), read("schedstat")) else { continue };
            let mut fields = stat.split_whitespace().map(str::parse::<f64>);
            let mut field = || fields.next().context("schedstat has three fields");
            let (nanoseconds, _, slices) = (field()??, field()??, field()??);
            let thread = Thread { name: name.trim().to_owned(), cpu: nanoseconds / 1e9, slices };
            threads.insert(entry.file_name().to_string_lossy().into_owned(), thread);
        }
        Ok(threads)
    }

    /// Asks it to end, and waits for that.
    pub fn terminate(&mut self, within: Duration) -> Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::TERM)?;
        until("the end of a program", within, || Ok(self.0.try_wait()?.map(drop)))
    }

    /// The most resident memory so far, in bytes.
    pub fn peak_memory(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    /// From now on [`Self::peak_memory`] counts.
    pub fn reset_peak_memory(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5")?)
    }

    /// Resident memory now, in bytes.
    pub fn memory(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    /// Open file descriptors now, and how many of them are sockets.
    pub fn descriptors(&self) -> Result<(f64, f64)> {
        let (mut all, mut sockets) = (0.0, 0.0);
        for entry in fs::read_dir(format!("/proc/{}/fd", self.0.id()))? {
            all += 1.0;
            // One may be closed meanwhile.
            let is_socket = fs::read_link(entry?.path())
                .is_ok_and(|link| link.to_string_lossy().starts_with("socket:"));
            sockets += f64::from(u8::from(is_socket));
        }
        Ok((all, sockets))
    }

    fn status(&self, key: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks `probe` until it gives something.
#[expect(clippy::disallowed_methods, reason = "another process is watched; it cannot wake us")]
pub fn until<T>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("{what}: not within {within:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Lets time pass until this moment.
#[expect(clippy::disallowed_methods, reason = "a load has a pace")]
pub fn pause_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}
