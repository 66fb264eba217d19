//! Starts the binary and watches it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is busy with other tests.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A folder that is removed with its test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "swarmscout-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the folder is new");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the folder can be written to");
        path
    }

    /// The binary in this folder, with an environment of its own.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swarmscout"));
        command.current_dir(&self.0).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs a sub-command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().expect("the binary is there")
    }

    /// Starts the program on a free port.
    pub(crate) fn start(&self, args: &[&str]) -> Program {
        let mut command = self.command();
        command.arg("--web.listen-address=127.0.0.1:0").args(args);
        Program::spawn(&mut command)
    }

    /// Starts the demo, and waits until it shows what to try.
    pub(crate) fn demo(&self, pace: &str) -> (Program, SocketAddr) {
        let mut command = self.command();
        let pace = format!("--pace={pace}");
        let args = ["demo", "--web.listen-address=127.0.0.1:0", "--log.level=info", &pace];
        let mut program = Program::spawn(command.args(args));
        // Not from the log: that is another pipe, whose lines may come before these or after them.
        let line = program.line("swarmscout status --url=http://");
        let (_, address) = line.split_once("http://").expect("the line has a URL");
        let address = address.parse().expect("an address");
        program.line("Ctrl-C ends it");
        (program, address)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, running. Killed with its test.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// Gone once the test stops reading what it writes.
    lines: Option<Receiver<String>>,
    /// Its stderr and stdout, up to the last line that a test waited for.
    pub(crate) log: Vec<String>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl Program {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is there");
        let (sender, lines) = channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|out| Box::new(out) as _),
            child.stderr.take().map(|out| Box::new(out) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, lines: Some(lines), log: Vec::new() }
    }

    /// The next line that holds `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines().recv_timeout(left) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("{error}: no line with {text:?}:\n{}", self.log.join("\n")),
            }
        }
    }

    /// Where it listens, once it does.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.line("Listening on");
        let (_, address) = line.split_once("address=").expect("the line names the address");
        address.parse().expect("an address")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had, in MiB.
    pub(crate) fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    pub(crate) fn signal(&self, name: &str) {
        // The shell's own: not every machine has a program of that name.
        let kill = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("there is a shell").success());
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        // Its output ends with it, unless it never does.
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines().recv_timeout(left) {
                Ok(line) => self.log.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("it does not end:\n{}", self.log.join("\n"))
                }
            }
        }
        (self.wait(), self.log.join("\n"))
    }

    /// Stops to read what it writes: each pipe is closed with the next line that comes through it.
    pub(crate) fn close_log(&mut self) {
        self.lines = None;
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it is a child of this process")
    }

    fn lines(&self) -> &Receiver<String> {
        self.lines.as_ref().expect("the log is still read")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks `address` for `path`.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path)
}

/// Asks `address` for `path` until it answers 200 with `text` in it: a source is refreshed, and a
/// changed job takes its place, at a time of its own.
pub(crate) fn wait_for(address: SocketAddr, path: &str, text: &str) {
    let until = Instant::now() + DEADLINE;
    loop {
        let answer = get(address, path);
        if answer.status == 200 && answer.body.contains(text) {
            return;
        }
        assert!(Instant::now() < until, "no {text:?} at {path}, but {answer:?}");
    }
}

pub(crate) fn request(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
    // A server must not chunk its answer to HTTP/1.0, and ends the connection after it.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")
        .expect("it reads");
    answer(stream)
}

/// Sends this request to a unix socket.
pub(crate) fn request_to_socket(path: &Path, request: &str) -> Answer {
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
    stream.write_all(request.as_bytes()).expect("it reads");
    answer(stream)
}

fn answer(mut stream: impl Read) -> Answer {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).expect("it answers");
    let text = String::from_utf8(text).expect("it answers in UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
}

/// What a sub-command wrote, for a snapshot: exit code, stdout, stderr, the folder's name replaced.
pub(crate) fn transcript(folder: &Folder, output: &Output) -> String {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.replace(&folder.path().display().to_string(), "FOLDER")
    };
    format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().map_or_else(|| String::from("none"), |code| code.to_string()),
        text(&output.stdout),
        text(&output.stderr)
    )
}
