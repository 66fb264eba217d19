//! Unix sockets in the file system.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rustix::fs::{FlockOperation, Mode, OFlags};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::time::{sleep, timeout};

/// The permissions of a socket, whatever the umask is: its user and its group may connect.
const MODE: u32 = 0o660;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long another program may take to accept a connection. One that is that busy is alive.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How long another program may take to create a socket in the same folder.
const CREATED_WITHIN: Duration = Duration::from_secs(5);

/// How often to try for the lock of a folder.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// The file of a socket. It is removed with this value, unless another file has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

/// Listens at a path. A socket that a program has left there is replaced; any other file stays, and is
/// an error.
pub(super) async fn listen(path: &Path) -> anyhow::Result<(UnixListener, SocketFile)> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Until it listens, another program would take the socket for one that was left there.
    let _lock = lock(folder).await?;
    warn_of_others(path, folder);
    let open = || UnixSocket::new_stream();
    let mut socket = open()?;
    if let Err(error) = socket.bind(path) {
        if error.kind() != ErrorKind::AddrInUse {
            return Err(explain(error));
        }
        remove_stale(path).await?;
        socket = open()?;
        socket.bind(path).map_err(explain)?;
    }
    // No client can connect before `listen`.
    let file = SocketFile::restrict(path).context("cannot set the permissions of the socket")?;
    let listener = socket.listen(BACKLOG)?;
    Ok((listener, file))
}

/// Keeps other programs like this one from creating a socket in a folder. Some file systems cannot do
/// that, and not every folder may be read; then `None`.
async fn lock(folder: &Path) -> anyhow::Result<Option<File>> {
    let Ok(folder) = File::open(folder) else { return Ok(None) };
    let locking = async {
        loop {
            match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return true,
                Err(rustix::io::Errno::WOULDBLOCK) => sleep(TRY_EVERY).await,
                Err(_) => return false,
            }
        }
    };
    let locked = timeout(CREATED_WITHIN, locking).await;
    let locked = locked.map_err(|_| {
        anyhow!(
            "another program has locked its folder for {CREATED_WITHIN:?}: end it, or choose another \
             folder with --web.listen-address"
        )
    })?;
    Ok(locked.then_some(folder))
}

/// Who can replace the socket receives what is meant for this program, passwords too.
fn warn_of_others(path: &Path, folder: &Path) {
    if can_others_replace(folder) {
        tracing::warn!(
            socket = %path.display(),
            "Every user can replace the socket: deny others to write to its folder, or set its sticky bit"
        );
    }
}

/// Whether every user can remove files of others in a folder.
fn can_others_replace(folder: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mode = fs::metadata(folder).map_or(0, |folder| folder.mode());
    mode & OTHERS_WRITE != 0 && mode & STICKY == 0
}

fn explain(error: io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        ErrorKind::NotFound => "its folder does not exist: create it",
        ErrorKind::PermissionDenied => {
            "this user may not create a file in that folder: change its owner, or choose another"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "its folder is read-only: mount a volume or a tmpfs there, or choose another"
        }
        ErrorKind::AddrInUse => "another program has just created it: stop that one",
        _ => return error.into(),
    };
    anyhow!("{error}: {hint}")
}

/// Removes a socket on which no program listens.
async fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !file.file_type().is_socket() {
        bail!("there is another file, not a socket: remove it, or choose another path");
    }
    match timeout(ANSWER_WITHIN, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {}
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(Err(error)) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "there is a socket of another user, and this user cannot find out whether it is in use: \
             remove it, or choose another path"
        ),
        _ => bail!(
            "another program, perhaps another Swarmscout, listens there: end it, or choose another \
             path with --web.listen-address"
        ),
    }
    fs::remove_file(path).context("cannot remove a socket on which no program listens")
}

impl SocketFile {
    /// Sets the permissions of the socket at a path. Follows no symlink that has taken its place.
    fn restrict(path: &Path) -> io::Result<Self> {
        let file = File::from(rustix::fs::open(
            path,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
        let metadata = file.metadata()?;
        if !metadata.file_type().is_socket() {
            return Err(io::Error::other("another file has taken its place"));
        }
        let socket = Self { path: path.to_owned(), id: (metadata.dev(), metadata.ino()) };
        let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::set_permissions(opened, Permissions::from_mode(MODE))?;
        Ok(socket)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.id);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display().to_string();
            tracing::warn!(path, %error, "Cannot remove the socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder that is removed with its test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("swarmscout-listen-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("s.sock")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    async fn error(path: &Path) -> String {
        format!("{:#}", listen(path).await.expect_err("it fails"))
    }

    #[tokio::test]
    async fn its_file_is_for_user_and_group_and_goes_with_it() {
        let folder = Folder::new("mode");
        let path = folder.socket();
        let (listener, file) = listen(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        let (connected, _) = tokio::join!(UnixStream::connect(&path), listener.accept());
        connected.unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_without_a_listener_is_replaced() {
        let folder = Folder::new("stale");
        let path = folder.socket();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (_listener, _file) = listen(&path).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
    }

    /// One of them listens, and the others see that.
    #[tokio::test]
    async fn of_programs_that_start_at_once_only_one_takes_a_socket() {
        let folder = Folder::new("race");
        let path = folder.socket();
        for _ in 0..20 {
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let mut starting = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let path = path.clone();
                starting.spawn(async move { listen(&path).await });
            }
            let started = starting.join_all().await;
            let winners: Vec<_> = started.iter().filter(|started| started.is_ok()).collect();
            assert_eq!(winners.len(), 1, "{started:?}");
            UnixStream::connect(&path).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_folder_that_stays_locked_is_an_error() {
        let folder = Folder::new("locked");
        let held = lock(&folder.0).await.unwrap();
        assert!(held.is_some());
        tokio::time::pause();
        assert!(error(&folder.socket()).await.contains("another program has locked its folder"));
        tokio::time::resume();
        drop(held);
        listen(&folder.socket()).await.unwrap();
    }

    #[test]
    fn a_folder_is_safe_if_others_cannot_remove_files_of_it() {
        let folder = Folder::new("writable");
        for (mode, expected) in
            [(0o755, false), (0o775, false), (0o777, true), (0o757, true), (0o1777, false)]
        {
            fs::set_permissions(&folder.0, Permissions::from_mode(mode)).unwrap();
            assert_eq!(can_others_replace(&folder.0), expected, "{mode:o}");
        }
    }

    #[tokio::test]
    async fn a_socket_in_use_stays() {
        let folder = Folder::new("live");
        let path = folder.socket();
        let (listener, _file) = listen(&path).await.unwrap();
        assert!(error(&path).await.contains("another program"), "{}", error(&path).await);
        let (connected, _) = tokio::join!(UnixStream::connect(&path), listener.accept());
        connected.unwrap();
    }

    #[tokio::test]
    async fn no_other_file_is_touched() {
        let folder = Folder::new("file");
        let path = folder.socket();
        fs::write(&path, "text").unwrap();
        assert!(error(&path).await.contains("not a socket"), "{}", error(&path).await);
        let link = folder.0.join("link.sock");
        symlink(folder.0.join("nothing"), &link).unwrap();
        assert!(error(&link).await.contains("not a socket"), "{}", error(&link).await);
        assert!(SocketFile::restrict(&link).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let missing = folder.0.join("missing/s.sock");
        assert!(error(&missing).await.contains("its folder does not exist"));
    }

    #[tokio::test]
    async fn a_file_that_has_taken_its_place_stays() {
        let folder = Folder::new("replaced");
        let path = folder.socket();
        let (_listener, file) = listen(&path).await.unwrap();
        fs::rename(&path, folder.0.join("moved.sock")).unwrap();
        fs::write(&path, "another").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "another");
    }
}
