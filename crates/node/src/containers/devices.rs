//! Names of block devices.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::cgroup::parse;
use crate::read::{Buffer, Folder};

/// The largest `/proc/diskstats` that is read, in bytes.
const LIMIT: usize = 1 << 20;

/// Names of block devices by their numbers. The kernel's list is read when a number is not known.
#[derive(Debug, Default)]
pub(super) struct Devices {
    names: HashMap<(u32, u32), Arc<str>>,
    /// Whether the list was read at this scrape.
    is_new: bool,
}

impl Devices {
    /// Allows the list to be read once more.
    pub(super) fn start_scrape(&mut self) {
        self.is_new = false;
    }

    /// `/dev/sda`, or `8:0` if the kernel's list does not have the device.
    pub(super) fn name(&mut self, number: (u32, u32), procfs: &Path) -> Arc<str> {
        if !self.names.contains_key(&number) && !std::mem::replace(&mut self.is_new, true) {
            self.read(procfs);
        }
        match self.names.get(&number) {
            Some(name) => Arc::clone(name),
            None => format!("{}:{}", number.0, number.1).into(),
        }
    }

    fn read(&mut self, procfs: &Path) {
        let mut buffer = Buffer::default();
        let text = Folder::open(procfs)
            .and_then(|procfs| procfs.read("diskstats", &mut buffer, LIMIT).map(<[u8]>::to_vec));
        self.names.clear();
        parse::diskstats(&text.unwrap_or_default(), |number, name| {
            // The kernel writes a slash in a name as an exclamation mark.
            self.names.insert(number, format!("/dev/{}", name.replace('!', "/")).into());
        });
    }
}
