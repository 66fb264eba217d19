//! What takes room on the disk of an Engine: `/system/df`.

use super::super::de;
use super::super::messages as sent;
use super::super::read::{Fault, Reader};
use super::super::version::ApiVersion;
use super::detail::cut;

/// The newest version whose answer is read: the next one (Docker 29) sums up, unless asked otherwise.
pub(super) const NEWEST: ApiVersion = ApiVersion::of(1, 51);

/// The most volumes that are listed by name.
const MOST_VOLUMES: usize = 10_000;

/// The label that `docker stack deploy` gives a volume.
const STACK: &str = "com.docker.stack.namespace";

/// The label that Compose gives a volume.
const PROJECT: &str = "com.docker.compose.project";

/// What takes room. Sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// All images together.
    pub images: ImageUsage,
    /// Each volume, by name.
    pub volumes: Vec<VolumeUsage>,
    /// The build cache.
    pub build_cache: BuildCache,
}

/// What images take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageUsage {
    /// All layers, each once.
    pub bytes: u64,
    /// How many there are.
    pub count: u64,
    /// How many of them no container uses.
    pub unused: u64,
}

/// What a volume takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Its name.
    pub name: String,
    /// The stack or the project of Compose that made it; empty without one.
    pub stack: String,
    /// What its files take; `None` if the Engine does not know, as for other drivers than `local`.
    pub bytes: Option<u64>,
}

/// What the build cache takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildCache {
    /// All records, those that are shared with others once.
    pub bytes: u64,
    /// How many records there are.
    pub count: u64,
}

impl DiskUsage {
    pub(super) fn read(text: &[u8]) -> Result<Self, Fault> {
        let sent: sent::DiskUsage<'_> = de::read(&mut Reader::new(text))?;
        let mut images =
            ImageUsage { bytes: positive(sent.layers).unwrap_or(0), ..Default::default() };
        sent.images.reader().array(|reader| {
            let image: sent::ImageUsage = de::read(reader)?;
            images.count += 1;
            images.unused += u64::from(image.containers == 0);
            Ok(())
        })?;
        let mut volumes = Vec::new();
        sent.volumes.reader().array(|reader| {
            let volume: sent::VolumeUsage<'_> = de::read(reader)?;
            if volumes.len() < MOST_VOLUMES {
                volumes.push(VolumeUsage {
                    name: cut(&volume.name),
                    stack: stack(&volume)?,
                    bytes: positive(volume.size),
                });
            }
            Ok(())
        })?;
        let mut build_cache = BuildCache::default();
        sent.build_cache.reader().array(|reader| {
            let record: sent::BuildRecord = de::read(reader)?;
            build_cache.count += 1;
            if !record.shared {
                build_cache.bytes =
                    build_cache.bytes.saturating_add(positive(record.size).unwrap_or(0));
            }
            Ok(())
        })?;
        Ok(Self { images, volumes, build_cache })
    }
}

fn stack(volume: &sent::VolumeUsage<'_>) -> Result<String, Fault> {
    let (mut of_stack, mut of_project) = (String::new(), String::new());
    volume.labels.reader().map(|reader, key| {
        match &*key {
            STACK => of_stack = cut(&reader.string()?),
            PROJECT => of_project = cut(&reader.string()?),
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(if of_stack.is_empty() { of_project } else { of_stack })
}

/// A size; the Engine says −1 where it does not know.
fn positive(bytes: i64) -> Option<u64> {
    u64::try_from(bytes).ok()
}
