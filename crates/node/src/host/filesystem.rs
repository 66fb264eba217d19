//! Sizes of the host's file systems.
//!
//! What is mounted is what PID 1 of the host sees. How large it is, this process finds out where the
//! same file system is mounted for itself: below a bind of the host's root, or as any one file of it,
//! such as the `/etc/hostname` that Docker puts into each container. The device number says which
//! is which, so that a mount that is missing here never has the numbers of another one.

use std::path::Path as FsPath;
use std::sync::Arc;

use rustix::io::Errno;
use swarmscout_exposition::families::{Families, Family};
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

use super::mounts::{self, Device};
use super::statfs::{Answer, Path, Prober, Question, Size};
use crate::containers::sample::FilesystemSample;
use crate::roots::Roots;
use crate::unavailable::Unavailable;

const NOT_HERE: &str = "filesystem_not_mounted";
const LATE: &str = "filesystem_timeout";

/// How many mount points a message names.
const NAMED: usize = 5;

/// The most paths that lead to one file system and are tried.
const MOST_PATHS: usize = 4;

/// A name, its help, and its part of a size.
type SizeFamily = (&'static str, &'static str, fn(&Size) -> u64);

/// The host's mounts, and their file systems.
#[derive(Debug, Default)]
pub(super) struct Filesystems {
    /// `mountinfo` of the host and of this process, as they were parsed.
    texts: [Vec<u8>; 2],
    mounts: Vec<HostMount>,
    questions: Arc<[Question]>,
    answers: Vec<Answer>,
    prober: Prober,
}

#[derive(Debug)]
struct HostMount {
    point: String,
    device: String,
    labels: SeriesLabels,
    number: Device,
    is_read_only: bool,
    /// On a disk: not in memory, not of a server.
    is_partition: bool,
    /// Which question is about it; `None` if it is not mounted here.
    question: Option<usize>,
}

impl Filesystems {
    /// Whether `text`, the `mountinfo` of the host, is another one than before.
    pub(super) fn is_new(&self, text: &[u8]) -> bool {
        self.texts[0] != text
    }

    /// Takes over what is mounted on the host, and in this process.
    pub(super) fn set_mounts(&mut self, host: &[u8], own: &[u8], roots: &Roots) {
        for (known, text) in self.texts.iter_mut().zip([host, own]) {
            known.clear();
            known.extend_from_slice(text);
        }
        self.parse(roots);
    }

    fn parse(&mut self, roots: &Roots) {
        let [host, own] = &self.texts;
        let own: Vec<_> = mounts::mounts(own).collect();
        let (mut shown, mut questions) = (Vec::<HostMount>::new(), Vec::<Question>::new());
        for mount in mounts::mounts(host) {
            let point = mounts::shown(mount.point);
            if mounts::is_point_excluded(&point) || mounts::is_type_excluded(mount.fs_type) {
                continue;
            }
            let here = paths(&mount, &own, &point, roots);
            let question = (!here.is_empty()).then(|| {
                let question = Question { paths: here };
                questions.iter().position(|known| *known == question).unwrap_or_else(|| {
                    questions.push(question);
                    questions.len() - 1
                })
            });
            let (device, fs_type) = (mounts::shown(mount.source), mounts::shown(mount.fs_type));
            let mut labels = SeriesLabels::default();
            labels.push("device", &device);
            labels.push("fstype", &fs_type);
            labels.push("mountpoint", &point);
            // Of two mounts at one place only the later one is seen.
            shown.retain(|known| known.labels != labels);
            shown.push(HostMount {
                point,
                device,
                labels,
                number: mount.device,
                is_read_only: mount.is_read_only,
                is_partition: mount.device.major != 0
                    || matches!(mount.fs_type, b"btrfs" | b"zfs" | b"bcachefs"),
                question,
            });
        }
        self.mounts = shown;
        self.questions = questions.into();
    }

    /// Asks the file systems. Waits some seconds at most.
    pub(super) fn ask(&mut self, unavailable: &Unavailable) {
        self.answers = self.prober.ask(&self.questions);
        let listed = |state: fn(Option<Answer>) -> bool| {
            let points = self.mounts.iter().filter(|mount| {
                // What is in memory belongs to the host alone.
                (mount.is_partition || mount.question.is_some()) && state(self.answer(mount))
            });
            let mut points: Vec<_> = points.map(|mount| &*mount.point).collect();
            points.sort_unstable();
            let more = points.len().saturating_sub(NAMED);
            points.truncate(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (!points.is_empty()).then(|| format!("{}{more}", points.join(", ")))
        };
        let not_here = listed(|answer| matches!(answer, None | Some(Answer::Hidden)));
        let help = "not mounted in this container; bind one file of each, or the root of the host \
                    with --path.rootfs";
        unavailable.note(NOT_HERE, not_here.map(|points| format!("{points}: {help}")));
        let late = listed(|answer| answer == Some(Answer::Late));
        let help = "no answer to statfs; the mounts are skipped until they answer";
        unavailable.note(LATE, late.map(|points| format!("{points}: {help}")));
    }

    fn answer(&self, mount: &HostMount) -> Option<Answer> {
        mount.question.and_then(|at| self.answers.get(at).copied())
    }

    pub(super) fn clear(&mut self) {
        self.texts = [Vec::new(), Vec::new()];
        self.mounts.clear();
        self.questions = Arc::default();
        self.answers.clear();
    }

    /// Collector `filesystem`.
    pub(super) fn write(&self, out: &mut Families) {
        let families: [SizeFamily; 5] = [
            ("node_filesystem_size_bytes", "Filesystem size in bytes.", |size| size.all),
            ("node_filesystem_free_bytes", "Filesystem free space in bytes.", |size| size.free),
            (
                "node_filesystem_avail_bytes",
                "Filesystem space available to non-root users in bytes.",
                |size| size.available,
            ),
            ("node_filesystem_files", "Filesystem total file nodes.", |size| size.files),
            ("node_filesystem_files_free", "Filesystem total free file nodes.", |size| {
                size.files_free
            }),
        ];
        for (name, help, value) in families {
            let mut family = out.family(name, Kind::Gauge, help);
            for mount in &self.mounts {
                if let Some(Answer::Size(size)) = self.answer(mount) {
                    family.series(&mount.labels, value(&size));
                }
            }
        }
        let help = "Filesystem read-only status.";
        let mut family = out.family("node_filesystem_readonly", Kind::Gauge, help);
        self.write_states(&mut family, |mount, _| mount.is_read_only);
        let help = "Whether an error occurred while getting statistics for the given device.";
        let mut family = out.family("node_filesystem_device_error", Kind::Gauge, help);
        self.write_states(&mut family, |_, error| error.is_some());
        let help = "Filesystem mount information.";
        let mut family = out.family("node_filesystem_mount_info", Kind::Gauge, help);
        for mount in &self.mounts {
            if matches!(self.answer(mount), Some(Answer::Size(_))) {
                let Device { major, minor } = mount.number;
                let mut labels = SeriesLabels::default();
                labels.push("device", &mount.device);
                labels.push("major", &major.to_string());
                labels.push("minor", &minor.to_string());
                labels.push("mountpoint", &mount.point);
                family.series(&labels, 1_u64);
            }
        }
    }

    fn write_states(
        &self,
        family: &mut Family<'_>,
        value: impl Fn(&HostMount, Option<&str>) -> bool,
    ) {
        for mount in &self.mounts {
            let error = match self.answer(mount) {
                None | Some(Answer::Hidden) => continue,
                Some(Answer::Size(_)) => None,
                Some(Answer::Late) => Some("mountpoint timeout".to_owned()),
                Some(Answer::Failed(error)) => Some(in_words(error)),
            };
            let error = error.as_deref();
            let more = [("device_error", error.unwrap_or_default())];
            family.series_with(&mount.labels, &more, u64::from(value(mount, error)));
        }
    }

    /// Partitions, each once, for the root of all containers.
    pub(super) fn samples(&self) -> Vec<FilesystemSample> {
        let (mut seen, mut samples) = (Vec::<Device>::new(), Vec::new());
        for mount in self.mounts.iter().filter(|mount| mount.is_partition) {
            let Some(Answer::Size(size)) = self.answer(mount) else { continue };
            let is_named = |sample: &FilesystemSample| *sample.device == *mount.device;
            if seen.contains(&mount.number) || samples.iter().any(is_named) {
                continue;
            }
            seen.push(mount.number);
            samples.push(FilesystemSample {
                device: (*mount.device).into(),
                used: Some(size.all.saturating_sub(size.free)),
                size: Some(size.all),
                free_inodes: Some(size.files_free),
                inodes: Some(size.files),
            });
        }
        samples
    }
}

/// Where this process finds the file system of a mount of the host: at the same place first, then
/// the same folder of it, then any other part.
fn paths(
    mount: &mounts::Mount<'_>,
    own: &[mounts::Mount<'_>],
    point: &str,
    roots: &Roots,
) -> Vec<Path> {
    let same_place = roots.on_host(FsPath::new(point));
    let mut here: Vec<_> = own.iter().filter(|here| here.device == mount.device).collect();
    here.sort_by_key(|here| {
        if FsPath::new(&mounts::shown(here.point)) == same_place {
            0
        } else if here.root == mount.root {
            1
        } else {
            2
        }
    });
    let path = |here: &&mounts::Mount<'_>| {
        Some(Path { path: mounts::path(here.point)?, mount: Some(here.id) })
    };
    here.iter().take(MOST_PATHS).filter_map(path).collect()
}

/// As node exporter writes it: `permission denied`.
fn in_words(error: Errno) -> String {
    let words = std::io::Error::from(error).to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(host: &str, own: &str, host_root: &str) -> Vec<String> {
        let mut all = Filesystems::default();
        let roots = Roots { rootfs: host_root.into(), ..Roots::default() };
        all.set_mounts(host.as_bytes(), own.as_bytes(), &roots);
        let line = |mount: &HostMount| {
            let paths = mount.question.map_or_else(Vec::new, |at| {
                let paths = all.questions[at].paths.iter();
                paths.map(|path| path.path.to_string_lossy().into_owned()).collect()
            });
            format!("{} {}: {}", mount.device, mount.point, paths.join(" "))
        };
        all.mounts.iter().map(line).collect()
    }

    const HOST: &str = "\
        20 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        21 20 0:5 / /proc rw - proc proc rw\n\
        22 20 8:2 / /boot rw - vfat /dev/sda2 rw\n\
        23 20 0:30 / /run rw - tmpfs tmpfs rw\n\
        24 20 8:17 / /data rw - xfs /dev/sdb1 rw\n\
        25 20 8:17 /docker /srv/docker rw - xfs /dev/sdb1 rw\n\
        26 25 0:40 / /srv/docker/overlay2/x/merged rw - overlay overlay rw\n";

    #[test]
    fn a_container_finds_file_systems_by_their_device() {
        let own = "\
            900 800 0:77 / / rw - overlay overlay rw\n\
            901 900 0:78 / /proc rw - proc proc rw\n\
            902 900 8:17 /docker/containers/x/hostname /etc/hostname rw - xfs /dev/sdb1 rw\n\
            903 900 8:1 /etc/os-release /host/root ro - ext4 /dev/sda1 rw\n";
        assert_eq!(
            parsed(HOST, own, "/"),
            [
                "/dev/sda1 /: /host/root",
                "/dev/sda2 /boot: ",
                "tmpfs /run: ",
                "/dev/sdb1 /data: /etc/hostname",
                "/dev/sdb1 /srv/docker: /etc/hostname",
            ]
        );
    }

    #[test]
    fn the_same_place_below_the_root_of_the_host_comes_first() {
        let own = "\
            902 900 8:17 /docker/containers/x/hostname /etc/hostname rw - xfs /dev/sdb1 rw\n\
            903 900 8:1 / /host rw - ext4 /dev/sda1 rw\n\
            904 903 8:17 / /host/data rw - xfs /dev/sdb1 rw\n\
            905 903 8:17 /docker /host/srv/docker rw - xfs /dev/sdb1 rw\n";
        assert_eq!(
            parsed(HOST, own, "/host"),
            [
                "/dev/sda1 /: /host",
                "/dev/sda2 /boot: ",
                "tmpfs /run: ",
                "/dev/sdb1 /data: /host/data /etc/hostname /host/srv/docker",
                "/dev/sdb1 /srv/docker: /host/srv/docker /etc/hostname /host/data",
            ]
        );
        assert_eq!(parsed(HOST, HOST, "/")[1], "/dev/sda2 /boot: /boot");
    }

    #[test]
    fn of_two_equal_mounts_at_one_place_the_later_one_is_shown() {
        let host = "1 0 8:1 / /a rw - ext4 x rw\n2 0 8:2 / /a rw - ext4 x rw\n3 0 8:3 / /a rw - xfs x rw\n";
        assert_eq!(parsed(host, host, "/"), ["x /a: /a", "x /a: /a"]);
    }

    #[test]
    fn errors_are_worded_like_those_of_go() {
        assert_eq!(in_words(Errno::ACCESS), "permission denied");
        assert_eq!(in_words(Errno::NOTCONN), "transport endpoint is not connected");
    }
}
