//! One container, as `/containers/ID/json` reports it.

use super::super::de;
use super::super::labels::LabelMap;
use super::super::messages as sent;
use super::super::read::{Fault, Reader};
use super::super::time;

/// The most containers that are listed.
const MOST_CONTAINERS: usize = 100_000;

/// The most networks of a container that are kept.
const MOST_NETWORKS: usize = 64;

/// The longest text that is kept of a container.
const LONGEST: usize = 4 << 10;

/// A container of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedContainer {
    /// 64 hexadecimal digits.
    pub id: String,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub state: String,
}

/// One container. Times are in microseconds since 1970, 0 if unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerDetail {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the slash in front.
    pub name: String,
    /// As it was written when the container was made.
    pub image: String,
    /// Those that were asked for, of the image's, too.
    pub labels: LabelMap,
    /// When it was made.
    pub created: i64,
    /// `created`, `running`, …
    pub state: String,
    /// Its first process, as the host counts; 0 while it does not run.
    pub pid: u32,
    /// When it was started last.
    pub started: i64,
    /// How it ended last; `None` if it never did.
    pub end: Option<ContainerEnd>,
    /// `starting`, `healthy`, `unhealthy`; `none` or empty without a health check.
    pub health: String,
    /// `default`, `bridge`, `host`, `none`, a network, or `container:<ID>`.
    pub network_mode: String,
    /// The names of its networks, in order.
    pub networks: Vec<String>,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerEnd {
    /// When.
    pub at: i64,
    /// Its exit code.
    pub exit_code: i32,
    /// Whether the kernel killed it for want of memory.
    pub out_of_memory: bool,
}

impl ListedContainer {
    pub(super) fn read_all(text: &[u8]) -> Result<Vec<Self>, Fault> {
        let mut all = Vec::new();
        Reader::new(text).array(|reader| {
            let sent: sent::ListedContainer<'_> = de::read(reader)?;
            if all.len() < MOST_CONTAINERS {
                all.push(Self { id: cut(&sent.id), state: cut(&sent.state) });
            }
            Ok(())
        })?;
        Ok(all)
    }
}

impl ContainerDetail {
    pub(super) fn read(text: &[u8], keeps: impl Fn(&str) -> bool) -> Result<Self, Fault> {
        let sent: sent::ContainerDetail<'_> = de::read(&mut Reader::new(text))?;
        let mut labels = Vec::new();
        sent.labels.reader().map(|reader, key| {
            let value = reader.string()?;
            if keeps(&key) {
                labels.push((cut(&key), cut(&value)));
            }
            Ok(())
        })?;
        let mut networks = Vec::new();
        sent.networks.reader().map(|reader, name| {
            reader.skip()?;
            if networks.len() < MOST_NETWORKS {
                networks.push(cut(&name));
            }
            Ok(())
        })?;
        networks.sort_unstable();
        let at = time::micros(sent.finished.text()?);
        let exit_code = i32::try_from(sent.exit_code).unwrap_or_default();
        let end = ContainerEnd { at, exit_code, out_of_memory: sent.out_of_memory };
        Ok(Self {
            id: cut(&sent.id),
            name: cut(sent.name.trim_start_matches('/')),
            image: cut(&sent.image),
            labels: LabelMap::new(labels),
            created: time::micros(sent.created.text()?),
            state: cut(&sent.state),
            pid: u32::try_from(sent.pid).unwrap_or_default(),
            started: time::micros(sent.started.text()?),
            end: (at > 0).then_some(end),
            health: cut(&sent.health),
            network_mode: cut(&sent.network_mode),
            networks,
        })
    }
}

/// The beginning of a text, up to what is kept.
pub(super) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}
