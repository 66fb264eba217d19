//! Child processes that end with the value that owns them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A running program. Dropped, it gets TERM and, where that does not help, KILL.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs in the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        Self::spawn(command.stdin(Stdio::null()), log)
    }

    /// The same with an input that is written to by [`Self::write`].
    pub fn start_with_input(command: &mut Command, log: &Path) -> Result<Self> {
        Self::spawn(command.stdin(Stdio::piped()), log)
    }

    fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| file.read_to_end(&mut text));
        read.map_or_else(|error| error.to_string(), |_| String::from_utf8_lossy(&text).into_owned())
    }

    /// Writes a line to its input.
    pub fn write(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("it was started without input")?;
        writeln!(input, "{line}")?;
        Ok(input.flush()?)
    }

    /// Ends it by KILL: it does nothing more, not even what it would do to end in order.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal, by name: `HUP`.
    pub fn signal(&self, name: &str) -> Result<()> {
        run(Command::new("kill").args(["-s", name, &self.pid().to_string()])).map(drop)
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        crate::until("the end of the process", within, || {
            self.child.try_wait()?.context("still running")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.signal("TERM");
        if self.wait(Duration::from_secs(20)).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs a command to its end and gives what it printed; a failure holds what it complained of.
pub fn run(command: &mut Command) -> Result<String> {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {} after {:?}: {}",
            output.status,
            started.elapsed(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
