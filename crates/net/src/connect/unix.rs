//! Unix sockets, and errors that help where Docker's cannot be opened.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use tokio::net::UnixStream;

use crate::error::{ConnectCause, ConnectFailure, Error, io_words};
use crate::{disk, lane};

/// Scheme of the URIs that name a socket to hyper's pool.
pub(crate) const UNIX_SCHEME: &str = "unix";

/// The user of a container image without root, as in the one that this program is shipped in.
const UNPRIVILEGED_USER: u32 = 65532;

/// How long the file system may take for the path of a socket.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most bytes of `/etc/group`.
const MAX_GROUPS: u64 = 4 << 20;

/// A path as the authority of a URI: its bytes in hexadecimal.
pub(crate) fn socket_uri_authority(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The path that [`socket_uri_authority`] wrote.
pub(super) fn socket_path(uri: &Uri) -> Option<PathBuf> {
    if uri.scheme_str() != Some(UNIX_SCHEME) {
        return None;
    }
    let (pairs, _) = uri.host()?.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
    Some(OsString::from_vec(bytes).into())
}

/// What to do about a socket that cannot be opened.
#[derive(Clone, Copy, Debug)]
pub struct SocketAdvice {
    /// Where no file is there.
    pub missing: &'static str,
    /// Where the file is there, but nothing listens.
    pub stale: &'static str,
    /// Where a folder on the way to it cannot be entered.
    pub closed: &'static str,
}

impl SocketAdvice {
    /// For Docker's own socket.
    pub const DOCKER: Self = Self {
        missing: "in a container, mount it (volumes: \
                  [\"/var/run/docker.sock:/var/run/docker.sock\"])",
        stale: "is the engine running? A container keeps a socket that the engine has since \
                replaced: restart the container",
        closed: "a folder above the socket cannot be entered",
    };
}

/// The error is the cause, and what to do.
pub(super) async fn open(uri: &Uri, advice: SocketAdvice) -> Result<UnixStream, ConnectFailure> {
    open_path(&socket_path(uri).unwrap_or_default(), advice).await
}

/// Opens a unix socket for what speaks no HTTP/1.
pub async fn connect_unix(path: &Path, advice: SocketAdvice) -> Result<UnixStream, Error> {
    let opened = open_path(path, advice).await;
    opened.map_err(|failure| failure.to(format!("unix://{}", path.display())))
}

/// Who may use a unix socket, by its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOwner {
    /// The user that this program runs as; `None` if that cannot be found out.
    pub user: Option<u32>,
    /// The group of the socket.
    pub gid: u32,
    /// Its name, as `/etc/group` has it here.
    pub group: Option<String>,
    /// The permissions, without the type of the file.
    pub mode: u32,
}

impl SocketOwner {
    /// Whether the group may use it.
    pub fn group_may_write(&self) -> bool {
        const GROUP_MAY_WRITE: u32 = 0o020;
        self.mode & GROUP_MAY_WRITE != 0
    }

    /// The user for a container without root: that of this program, or of its image.
    pub fn unprivileged_user(&self) -> u32 {
        self.user.unwrap_or(UNPRIVILEGED_USER)
    }

    /// Blocks.
    fn of(socket: &fs::Metadata) -> Self {
        let groups = disk::open(Path::new("/etc/group"))
            .and_then(|file| disk::whole(file, MAX_GROUPS))
            .unwrap_or_default();
        let user = fs::metadata("/proc/self").map(|me| me.uid()).ok();
        Self::new(user, socket.gid(), socket.mode(), &String::from_utf8_lossy(&groups))
    }

    /// `groups` is the text of `/etc/group`.
    fn new(user: Option<u32>, gid: u32, mode: u32, groups: &str) -> Self {
        let group = group_name(gid, groups).map(str::to_owned);
        Self { user, gid, group, mode: mode & 0o7777 }
    }
}

/// Who may use the socket at a path; `None` if no file can be seen there.
pub async fn socket_owner(path: &Path) -> Option<SocketOwner> {
    let own = path.to_owned();
    let owner = move || fs::metadata(own).ok().map(|socket| SocketOwner::of(&socket));
    lane::read(path, PATIENCE, owner).await.ok().flatten()
}

async fn open_path(path: &Path, advice: SocketAdvice) -> Result<UnixStream, ConnectFailure> {
    // Connecting resolves the path on this very thread, whatever mount it is on.
    let own = path.to_owned();
    let look_up = move || drop(fs::metadata(own));
    lane::read(path, PATIENCE, look_up).await.map_err(|stuck| stuck.reason)?;
    match UnixStream::connect(path).await {
        Ok(socket) => Ok(socket),
        Err(error) => {
            let own = path.to_owned();
            let cause = match error.kind() {
                io::ErrorKind::NotFound => ConnectCause::Missing,
                io::ErrorKind::PermissionDenied => ConnectCause::Denied,
                io::ErrorKind::ConnectionRefused => ConnectCause::Refused,
                _ => ConnectCause::Other,
            };
            let explain = move || explain(&own, &error, advice);
            let reason = lane::read(path, PATIENCE, explain).await;
            let reason = reason.unwrap_or_else(|stuck| stuck.reason);
            Err(ConnectFailure { cause, reason })
        }
    }
}

/// Blocks.
fn explain(path: &Path, error: &io::Error, advice: SocketAdvice) -> String {
    match (error.kind(), fs::metadata(path)) {
        (io::ErrorKind::PermissionDenied, Ok(socket)) => denied(&SocketOwner::of(&socket)),
        (io::ErrorKind::PermissionDenied, Err(_)) => {
            format!("permission denied: {}", advice.closed)
        }
        (io::ErrorKind::NotFound, _) => format!("no such socket: {}", advice.missing),
        (_, Ok(file)) if file.is_dir() => "is a folder, not a socket: Docker makes one where a \
             mounted socket did not exist; remove it and start the engine"
            .to_owned(),
        (_, Ok(file)) if !file.file_type().is_socket() => "not a socket".to_owned(),
        (io::ErrorKind::ConnectionRefused, _) => {
            format!("connection refused: nothing listens on this socket: {}", advice.stale)
        }
        (io::ErrorKind::InvalidInput, _) => {
            "the path is longer than a socket's may be (107 bytes)".to_owned()
        }
        _ => io_words(error),
    }
}

/// What a user without permission can do.
fn denied(owner: &SocketOwner) -> String {
    let SocketOwner { user, gid, group, mode } = owner;
    if *user == Some(0) {
        return "permission denied although running as root: a security profile (SELinux, \
             AppArmor) or a dropped capability stands in between"
            .to_owned();
    }
    let group = match group {
        Some(name) => format!("group {name} (gid {gid})"),
        None => format!("the group with gid {gid}"),
    };
    if !owner.group_may_write() {
        return format!(
            "permission denied: the socket has mode {mode:04o}, so that {group} may not use it"
        );
    }
    let user = owner.unprivileged_user();
    format!(
        "permission denied: the socket belongs to {group}; on Swarm write \
         user: \"{user}:{gid}\" into the service (docker stack deploy drops group_add), \
         elsewhere add the group: docker run --group-add {gid}"
    )
}

fn group_name(gid: u32, groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?;
        (id.parse() == Ok(gid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn any_path_survives_as_an_authority() {
        for bytes in [&b"/var/run/docker.sock"[..], b"/tmp/\xff b:%41", b"relative"] {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            let uri: Uri =
                format!("{UNIX_SCHEME}://{}/x", socket_uri_authority(&path)).parse().unwrap();
            assert_eq!(socket_path(&uri), Some(path));
        }
    }

    #[test]
    fn says_which_group_and_what_to_write() {
        let groups = "root:x:0:\ndocker:x:998:alice\n";
        expect![[r#"permission denied: the socket belongs to group docker (gid 998); on Swarm write user: "65532:998" into the service (docker stack deploy drops group_add), elsewhere add the group: docker run --group-add 998"#]]
            .assert_eq(&denied(&SocketOwner::new(Some(65532), 998, 0o140_660, groups)));
        expect![[r#"permission denied: the socket belongs to the group with gid 119; on Swarm write user: "65532:119" into the service (docker stack deploy drops group_add), elsewhere add the group: docker run --group-add 119"#]]
            .assert_eq(&denied(&SocketOwner::new(None, 119, 0o140_660, groups)));
        expect![
            "permission denied: the socket has mode 0600, so that group root (gid 0) may not use it"
        ]
        .assert_eq(&denied(&SocketOwner::new(Some(1000), 0, 0o140_600, groups)));
        expect!["permission denied although running as root: a security profile (SELinux, AppArmor) or a dropped capability stands in between"]
            .assert_eq(&denied(&SocketOwner::new(Some(0), 998, 0o140_660, groups)));
    }
}
