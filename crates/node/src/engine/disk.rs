//! What takes room on the disk of the Engine, at most once an hour and never at a scrape: the Engine
//! reads every file of every volume for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use swarmscout_docker::engine::{DiskUsage, LocalEngine};
use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};
use swarmscout_refresh::Backoff;

use crate::unavailable::Unavailable;

/// How often the Engine is asked.
const EVERY: Duration = Duration::from_hours(1);

/// What [`Unavailable`] calls it.
const DISK: &str = "disk";

/// The last answer of an Engine about its disk.
#[derive(Debug, Default)]
pub struct Disk(Mutex<Option<Measured>>);

#[derive(Debug)]
struct Measured {
    at: SystemTime,
    took: Duration,
    usage: DiskUsage,
}

impl Disk {
    /// Asks the Engine for ever.
    pub async fn keep(self: Arc<Self>, mut engine: LocalEngine, unavailable: Arc<Unavailable>) {
        let mut backoff = Backoff::new(Duration::from_mins(1));
        loop {
            let at = SystemTime::now();
            let usage = engine.disk_usage().await;
            let took = at.elapsed().unwrap_or_default();
            let pause = match usage {
                Ok(usage) => {
                    self.set(Measured { at, took, usage });
                    unavailable.clear(DISK);
                    backoff.succeeded();
                    EVERY
                }
                Err(error) => {
                    unavailable.set(DISK, error);
                    backoff.failed(EVERY)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn set(&self, measured: Measured) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(measured);
    }

    /// Writes `swarmscout_node_disk_*` and `swarmscout_node_volume_bytes`; nothing before the first
    /// answer. `swarmscout_node_disk_timestamp_seconds` says how old they are.
    pub fn write(&self, out: &mut Families) {
        let measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Measured { at, took, usage }) = &*measured else { return };
        let none = SeriesLabels::default();
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let DiskUsage { images, volumes, build_cache } = usage;
        for (name, help, value) in [
            ("timestamp_seconds", "When the Engine was last asked for its use of the disk", at),
            ("images_bytes", "Size of the layers of all images, each layer once", images.bytes),
            ("images", "Number of images", images.count),
            ("images_unused", "Number of images that no container uses", images.unused),
            (
                "build_cache_bytes",
                "Size of the build cache, shared records left out",
                build_cache.bytes,
            ),
            ("build_cache_records", "Number of records of the build cache", build_cache.count),
            ("volumes", "Number of volumes", volumes.len() as u64),
        ] {
            let name = format!("swarmscout_node_disk_{name}");
            out.family(&name, Kind::Gauge, help).series(&none, value);
        }
        let help = "How long the Engine took to sum up its use of the disk";
        let name = "swarmscout_node_disk_duration_seconds";
        out.family(name, Kind::Gauge, help).series(&none, took.as_secs_f64());
        let help = "Size of the files of a volume";
        let mut family = out.family("swarmscout_node_volume_bytes", Kind::Gauge, help);
        for volume in volumes {
            let labels = [("volume", &*volume.name), ("stack", &volume.stack)];
            if let Some(bytes) = volume.bytes {
                family.series_with(&none, &labels, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use swarmscout_docker::engine::{BuildCache, ImageUsage, VolumeUsage};
    use swarmscout_exposition::Format;

    use super::*;

    #[test]
    fn the_last_answer_is_shown_with_its_age() {
        let disk = Disk::default();
        let written = |disk: &Disk| {
            let mut out = Families::new(Format::Text);
            disk.write(&mut out);
            let text = out.finish();
            let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
            series.join("\n")
        };
        assert_eq!(written(&disk), "");
        let volume = |name: &str, stack: &str, bytes| VolumeUsage {
            name: name.to_owned(),
            stack: stack.to_owned(),
            bytes,
        };
        disk.set(Measured {
            at: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            took: Duration::from_millis(1500),
            usage: DiskUsage {
                images: ImageUsage { bytes: 1000, count: 2, unused: 1 },
                volumes: vec![volume("data", "blog", Some(7)), volume("remote", "", None)],
                build_cache: BuildCache { bytes: 5, count: 1 },
            },
        });
        expect![[r#"
            swarmscout_node_disk_timestamp_seconds 1700000000
            swarmscout_node_disk_images_bytes 1000
            swarmscout_node_disk_images 2
            swarmscout_node_disk_images_unused 1
            swarmscout_node_disk_build_cache_bytes 5
            swarmscout_node_disk_build_cache_records 1
            swarmscout_node_disk_volumes 2
            swarmscout_node_disk_duration_seconds 1.5
            swarmscout_node_volume_bytes{volume="data",stack="blog"} 7"#]]
        .assert_eq(&written(&disk));
    }
}
