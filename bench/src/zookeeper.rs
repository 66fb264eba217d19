//! Writes to a `ZooKeeper` as Swarm does, at once: its own command line takes longer to write than
//! a watch takes to report it. Frames as in `zookeeper.jute` of Apache `ZooKeeper`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};

const CREATE: i32 = 1;
const SET_DATA: i32 = 5;
const NODE_EXISTS: i32 = -110;
const SESSION_TIMEOUT_MS: i32 = 10_000;
/// Of an answer, in bytes.
const LONGEST: usize = 1 << 20;

/// A session. It lives as long as it writes now and then.
pub struct Writer {
    stream: TcpStream,
    xid: i32,
}

impl Writer {
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        let mut writer = Self { stream, xid: 0 };
        // Version of the protocol, last change that was seen, timeout, session, password.
        let mut hello = [[0; 4].as_slice(), &[0; 8], &SESSION_TIMEOUT_MS.to_be_bytes()].concat();
        hello.extend([0; 8]);
        push(&mut hello, &[0; 16])?;
        writer.exchange(&hello)?;
        Ok(writer)
    }

    /// As Swarm's library does: a node is made without content, if it is not there, and then it
    /// gets its content. What is above it is there.
    pub fn put(&mut self, path: &str, value: &str) -> Result<()> {
        self.create(path)?;
        self.set(path, value)
    }

    fn create(&mut self, path: &str) -> Result<()> {
        let mut request = Vec::new();
        push(&mut request, path.as_bytes())?;
        push(&mut request, b"")?;
        // One rule: all rights, for anyone. No flags.
        request.extend([1, 31].map(i32::to_be_bytes).concat());
        push(&mut request, b"world")?;
        push(&mut request, b"anyone")?;
        request.extend(0_i32.to_be_bytes());
        let code = self.ask(CREATE, &request)?;
        ensure!([0, NODE_EXISTS].contains(&code), "create {path}: ZooKeeper says {code}");
        Ok(())
    }

    fn set(&mut self, path: &str, value: &str) -> Result<()> {
        let mut request = Vec::new();
        push(&mut request, path.as_bytes())?;
        push(&mut request, value.as_bytes())?;
        // Whatever version it has.
        request.extend((-1_i32).to_be_bytes());
        let code = self.ask(SET_DATA, &request)?;
        ensure!(code == 0, "set {path}: ZooKeeper says {code}");
        Ok(())
    }

    /// The code of the answer.
    fn ask(&mut self, operation: i32, request: &[u8]) -> Result<i32> {
        self.xid += 1;
        let header = [self.xid, operation].map(i32::to_be_bytes).concat();
        let answer = self.exchange(&[&header, request].concat())?;
        // Number of the request, number of the last change, code.
        ensure!(answer.len() >= 16, "an answer of {} bytes", answer.len());
        Ok(i32::from_be_bytes(answer[12..16].try_into()?))
    }

    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        push(&mut whole, frame)?;
        self.stream.write_all(&whole)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length))?;
        ensure!(length <= LONGEST, "an answer of {length} bytes");
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// Bytes with their number before them.
fn push(to: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    to.extend(i32::try_from(bytes.len())?.to_be_bytes());
    to.extend(bytes);
    Ok(())
}
