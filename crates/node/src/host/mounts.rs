//! `mountinfo`: what is mounted where, for the host and for this process.

use std::borrow::Cow;
use std::ffi::CString;

use super::scan::{lines, number};

/// One line of `mountinfo`, with its escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mount<'t> {
    pub(super) id: u64,
    pub(super) device: Device,
    /// The folder of its file system that is mounted.
    pub(super) root: &'t [u8],
    pub(super) point: &'t [u8],
    pub(super) is_read_only: bool,
    pub(super) fs_type: &'t [u8],
    pub(super) source: &'t [u8],
}

/// What a file system is to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) major: u64,
    pub(super) minor: u64,
}

/// The mounts, in their order. Other lines are skipped.
pub(super) fn mounts(text: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    lines(text).filter_map(mount)
}

/// `36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/root rw`: only one blank stands between two
/// fields, and a field may be empty.
fn mount(line: &[u8]) -> Option<Mount<'_>> {
    let mut fields = line.split(|b| *b == b' ');
    let id = number(fields.next()?)?;
    let device = fields.nth(1)?;
    let colon = memchr::memchr(b':', device)?;
    let device = Device { major: number(&device[..colon])?, minor: number(&device[colon + 1..])? };
    let (root, point, options) = (fields.next()?, fields.next()?, fields.next()?);
    fields.find(|field| *field == b"-")?;
    let (fs_type, source) = (fields.next()?, fields.next()?);
    let of_fs = fields.next().unwrap_or_default();
    let is_read_only =
        has_option(options, &[b"ro"]) || has_option(of_fs, &[b"ro", b"emergency_ro"]);
    Some(Mount { id, device, root, point, is_read_only, fs_type, source })
}

fn has_option(options: &[u8], any_of: &[&[u8]]) -> bool {
    options.split(|b| *b == b',').any(|option| any_of.contains(&option))
}

/// Without the escapes of the kernel, three octal digits each: `\040` is a blank.
pub(super) fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', field) else { return Cow::Borrowed(field) };
    let mut plain = field[..first].to_vec();
    let mut rest = &field[first..];
    while let Some((byte, behind)) = rest.split_first() {
        let digits =
            behind.get(..3).filter(|digits| digits.iter().all(|b| (b'0'..b'8').contains(b)));
        let code = digits
            .map(|digits| digits.iter().fold(0, |code, digit| code * 8 + u32::from(digit - b'0')));
        match code.and_then(|code| u8::try_from(code).ok()) {
            Some(escaped) if *byte == b'\\' => {
                plain.push(escaped);
                rest = &behind[3..];
            }
            _ => {
                plain.push(*byte);
                rest = behind;
            }
        }
    }
    Cow::Owned(plain)
}

/// As a label.
pub(super) fn shown(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescaped(field)).into_owned()
}

/// As a path of this process; `None` if it cannot be one.
pub(super) fn path(field: &[u8]) -> Option<CString> {
    CString::new(unescaped(field)).ok()
}

/// Whether node exporter leaves out what is mounted there:
/// `^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)`.
pub(super) fn is_point_excluded(point: &str) -> bool {
    let is_in = |folder| {
        point
            .strip_prefix(folder)
            .is_some_and(|rest: &str| rest.is_empty() || rest.starts_with('/'))
    };
    let is_below = |folder| point.strip_prefix(folder).is_some_and(|rest: &str| !rest.is_empty());
    ["/dev", "/proc", "/sys"].into_iter().any(is_in)
        || ["/run/credentials/", "/var/lib/docker/", "/var/lib/containers/storage/"]
            .into_iter()
            .any(is_below)
}

/// Whether node exporter leaves out file systems of this type.
pub(super) fn is_type_excluded(fs_type: &[u8]) -> bool {
    const EXCLUDED: [&[u8]; 25] = [
        b"autofs",
        b"binfmt_misc",
        b"bpf",
        b"cgroup",
        b"cgroup2",
        b"configfs",
        b"debugfs",
        b"devpts",
        b"devtmpfs",
        b"fusectl",
        b"hugetlbfs",
        b"iso9660",
        b"mqueue",
        b"nsfs",
        b"overlay",
        b"proc",
        b"procfs",
        b"pstore",
        b"rpc_pipefs",
        b"securityfs",
        b"selinuxfs",
        b"squashfs",
        b"erofs",
        b"sysfs",
        b"tracefs",
    ];
    EXCLUDED.contains(&fs_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_fields_hold() {
        let line = b"36 35 98:1 /mnt1 /mnt\\0402 rw,ro shared:1 master:2 - fuse.s3 a\\134b rw\n";
        let found: Vec<_> = mounts(line).collect();
        let expected = Mount {
            id: 36,
            device: Device { major: 98, minor: 1 },
            root: b"/mnt1",
            point: b"/mnt\\0402",
            is_read_only: true,
            fs_type: b"fuse.s3",
            source: b"a\\134b",
        };
        assert_eq!(found, [expected]);
        for (line, is_read_only) in [
            ("1 0 0:1 / / rw - tmpfs  rw", Some(false)),
            ("1 0 0:1 / / rw - ext4 - ro", Some(true)),
            ("1 0 0:1 / / rw - ext4 - rw,emergency_ro", Some(true)),
            ("1 0 0:1 / / rw - ext4 - rw,errors=remount-ro", Some(false)),
            ("1 0 0:1 / / rw - ext4 -", Some(false)),
            ("1 0 0:1 / / rw - ext4", None),
            ("1 0 0:1 / / rw ext4 x rw", None),
            ("1 0 01 / / rw - ext4 x rw", None),
            ("x 0 0:1 / / rw - ext4 x rw", None),
            ("", None),
        ] {
            let found = mount(line.as_bytes()).map(|mount| mount.is_read_only);
            assert_eq!(found, is_read_only, "{line}");
        }
    }

    #[test]
    fn escapes_of_the_kernel_are_undone() {
        for (field, expected) in [
            ("/mnt/a\\040b\\011c\\012d\\134e\\043", "/mnt/a b\tc\nd\\e#"),
            ("/plain", "/plain"),
            ("\\", "\\"),
            ("\\04", "\\04"),
            ("\\0400", " 0"),
            ("\\777x\\089", "\\777x\\089"),
            ("\\303\\274", "\u{fc}"),
        ] {
            assert_eq!(shown(field.as_bytes()), expected, "{field}");
        }
        assert_eq!(shown(b"\\377"), "\u{fffd}");
        assert_eq!(path(b"/a\\000b"), None);
    }

    /// Recorded from the regular expression of node exporter in Go.
    #[test]
    fn excludes_what_node_exporter_excludes() {
        for point in [
            "/dev",
            "/dev/shm",
            "/proc/sys/fs/binfmt_misc",
            "/sys",
            "/sys/fs/cgroup",
            "/run/credentials/systemd-sysusers.service",
            "/var/lib/docker/overlay2/x/merged",
            "/var/lib/docker//",
            "/var/lib/containers/storage/overlay",
        ] {
            assert!(is_point_excluded(point), "{point:?}");
        }
        for point in [
            "/",
            "/device",
            "/home/dev",
            "/run",
            "/run/credentials",
            "/run/credentials/",
            "/var/lib/docker",
            "/var/lib/docker/",
            "/var/lib/dockerx/y",
            "/processes",
            "dev",
            "",
        ] {
            assert!(!is_point_excluded(point), "{point:?}");
        }
    }
}
