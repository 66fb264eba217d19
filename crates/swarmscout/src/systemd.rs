//! Notifies systemd, or what speaks its protocol, of the program's state (`sd_notify(3)`), and
//! takes over the sockets that it opened (`sd_listen_fds(3)`).
//!
//! Without `NOTIFY_SOCKET` all of it does nothing. A failure is logged once, and is not a reason
//! to stop.
//!
//! The watchdog is notified from the program's main loop only, and its clock is driven by
//! the runtime's workers: where either hangs, systemd receives nothing and restarts the program.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};
use swarmscout_server::Listener;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{Instant, sleep_until};

/// How often the text of the status is brought up to date at most.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// How long systemd may take to have room for a message.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);

/// The connection to systemd.
#[derive(Debug)]
pub struct Systemd {
    /// `None` without a listener.
    line: Option<Line>,
    /// How often it wants to know that the program lives; half of what it allows.
    watchdog: Option<Duration>,
    next: Instant,
    /// The status that was sent last.
    status: String,
}

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Whether a failure was logged.
    failed: bool,
}

impl Systemd {
    /// The line that the environment names.
    pub fn from_env() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    fn new(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let line = env("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            Line::new(&name)
                .inspect_err(|error| {
                    let socket = name.display().to_string();
                    tracing::warn!(socket, err = %error, "Cannot notify systemd");
                })
                .ok()
        });
        let number = |name| env(name)?.to_str()?.parse::<u64>().ok();
        let of_others =
            number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id()));
        let limit = number("WATCHDOG_USEC").filter(|limit| *limit > 0 && !of_others);
        let watchdog = limit.map(|limit| Duration::from_micros(limit) / 2);
        Self { line, watchdog, next: Instant::now(), status: String::new() }
    }

    /// The program runs, or runs again after [`Self::reloading`].
    pub fn ready(&mut self, status: &str) {
        self.send("READY=1", Some(status));
    }

    /// The configuration is loaded again.
    pub fn reloading(&mut self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"), Some("Reloading"));
    }

    /// The program is on its way out.
    pub fn stopping(&mut self) {
        self.send("STOPPING=1", Some("Ending"));
    }

    /// Waits until [`Self::alive`] should be called again. For ever without a listener.
    /// Cancel-safe.
    pub async fn due(&self) {
        match self.line {
            Some(_) => sleep_until(self.next).await,
            None => std::future::pending().await,
        }
    }

    /// The program lives, and how it is doing.
    pub fn alive(&mut self, status: &str) {
        let interval = self.watchdog.unwrap_or(STATUS_INTERVAL).min(STATUS_INTERVAL);
        self.next = Instant::now() + interval;
        let message = if self.watchdog.is_some() { "WATCHDOG=1" } else { "" };
        let status = (status != self.status).then_some(status);
        if status.is_some() || !message.is_empty() {
            self.send(message, status);
        }
    }

    fn send(&mut self, message: &str, status: Option<&str>) {
        let Some(line) = &mut self.line else { return };
        let mut text = String::from(message);
        if let Some(status) = status {
            // A message has one assignment a line.
            let status = status.replace('\n', " ");
            let separator = if text.is_empty() { "" } else { "\n" };
            write!(text, "{separator}STATUS={status}").expect("a string takes all");
            self.status = status;
        }
        match line.socket.send_to_addr(text.as_bytes(), &line.address) {
            Ok(_) => line.failed = false,
            Err(error) if !line.failed => {
                line.failed = true;
                tracing::warn!(err = %error, "Cannot notify systemd");
            }
            Err(_) => {}
        }
    }
}

impl Line {
    /// To a socket in a folder or, after `@`, an abstract one.
    fn new(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            #[cfg(target_os = "linux")]
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(name),
            _ => Err(io::Error::other("NOTIFY_SOCKET is not a path or an abstract name")),
        }?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self { socket, address, failed: false })
    }
}

/// The sockets that systemd opened for the program, in the order of its unit.
pub fn listeners() -> anyhow::Result<Vec<Listener>> {
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(passed.len());
    for i in 0..passed.len() {
        let listener = listener(&mut passed, i).with_context(|| {
            format!(
                "cannot use socket {i} of systemd: its ListenStream= must be a port, an address or a \
                 path"
            )
        })?;
        listeners.push(listener);
    }
    if listeners.is_empty() {
        bail!(
            "cannot use --web.systemd-socket: systemd has passed no socket: start the .socket unit, \
             or leave the flag out"
        );
    }
    Ok(listeners)
}

fn listener(passed: &mut ListenFd, i: usize) -> io::Result<Listener> {
    let taken = || io::Error::other("it was taken already");
    if let Ok(listener) = passed.take_unix_listener(i) {
        let listener = listener.ok_or_else(taken)?;
        listener.set_nonblocking(true)?;
        return Listener::unix(UnixListener::from_std(listener)?);
    }
    // It stays in its place, and is a TCP socket or none that is of use.
    let listener = passed.take_tcp_listener(i)?.ok_or_else(taken)?;
    listener.set_nonblocking(true)?;
    Listener::tcp(TcpListener::from_std(listener)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays systemd.
    struct Manager {
        socket: UnixDatagram,
        name: String,
    }

    impl Manager {
        /// At an abstract name of its own.
        fn new(name: &str) -> Self {
            let name = format!("swarmscout-test-{}-{name}", std::process::id());
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            let socket = UnixDatagram::bind_addr(&address).unwrap();
            socket.set_nonblocking(true).unwrap();
            Self { socket, name: format!("@{name}") }
        }

        fn line(&self, env: &[(&str, &str)]) -> Systemd {
            Systemd::new(|name| {
                let known = env.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
                let socket = (name == "NOTIFY_SOCKET").then_some(self.name.as_str());
                known.or(socket).map(OsString::from)
            })
        }

        /// What came since it was asked last.
        fn received(&self) -> Vec<String> {
            let mut messages = Vec::new();
            let mut buffer = [0; 1024];
            while let Ok(length) = self.socket.recv(&mut buffer) {
                messages.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            }
            messages
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sends_each_step() {
        let manager = Manager::new("steps");
        let mut systemd = manager.line(&[]);
        systemd.ready("2 jobs\nSTOPPING=1");
        systemd.reloading();
        systemd.ready("3 jobs");
        systemd.stopping();
        let mut received = manager.received();
        let (reloading, rest) = received[1].split_once("\nMONOTONIC_USEC=").unwrap();
        let (micros, status) = rest.split_once('\n').unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0, "{micros}");
        received[1] = format!("{reloading}\n{status}");
        assert_eq!(
            received,
            [
                "READY=1\nSTATUS=2 jobs STOPPING=1",
                "RELOADING=1\nSTATUS=Reloading",
                "READY=1\nSTATUS=3 jobs",
                "STOPPING=1\nSTATUS=Ending",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn feeds_the_watchdog_in_half_its_time_and_sends_the_status_when_it_changes() {
        let pid = std::process::id().to_string();
        let manager = Manager::new("watchdog");
        for (env, interval, message) in [
            (&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", &pid)][..], 1500, "WATCHDOG=1"),
            (&[("WATCHDOG_USEC", "60000000")], 10_000, "WATCHDOG=1"),
            (&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "1")], 10_000, ""),
            (&[("WATCHDOG_USEC", "0")], 10_000, ""),
            (&[], 10_000, ""),
        ] {
            let mut systemd = manager.line(env);
            systemd.due().await;
            systemd.alive("1 job");
            let began = Instant::now();
            systemd.due().await;
            assert_eq!(began.elapsed(), Duration::from_millis(interval), "{env:?}");
            systemd.alive("1 job");
            systemd.alive("2 jobs");
            let text = |status: &str| match message {
                "" => status.to_owned(),
                message => format!("{message}\n{status}"),
            };
            let unchanged = (!message.is_empty()).then(|| message.to_owned());
            let expected: Vec<_> = [text("STATUS=1 job")]
                .into_iter()
                .chain(unchanged)
                .chain([text("STATUS=2 jobs")])
                .collect();
            assert_eq!(manager.received(), expected, "{env:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sends_nothing_without_a_listener() {
        let manager = Manager::new("no-listener");
        for name in ["", "nonsense", "vsock:2:1234"] {
            let mut systemd = manager.line(&[("NOTIFY_SOCKET", name)]);
            systemd.ready("1 job");
            let due = tokio::time::timeout(Duration::from_hours(1), systemd.due()).await;
            assert!(due.is_err(), "{name}");
        }
        assert!(manager.received().is_empty());
        // One that is gone later.
        let mut systemd = manager.line(&[]);
        drop(manager);
        systemd.ready("1 job");
        systemd.alive("1 job");
    }
}
