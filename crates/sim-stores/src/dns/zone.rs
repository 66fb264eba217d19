//! What a DNS server knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::message::{Data, Record, code, kind};

/// Aliases are followed so far.
const ALIASES: usize = 8;

/// Names and their records. Clones share them. A name is found in any case, and answered as it was
/// asked for.
#[derive(Clone, Debug, Default)]
pub struct Zone(Arc<Mutex<BTreeMap<String, Vec<Data>>>>);

impl Zone {
    /// Gives a name these records in place of those it had. Without any it exists all the same.
    pub fn set(&self, name: &str, records: impl IntoIterator<Item = Data>) {
        self.lock().insert(key(name), records.into_iter().collect());
    }

    /// The name no longer exists.
    pub fn remove(&self, name: &str) {
        self.lock().remove(&key(name));
    }

    /// The code and the records that a server answers.
    pub(super) fn look_up(&self, name: &str, wanted: u16) -> (u16, Vec<Record>) {
        let names = self.lock();
        let mut records = Vec::new();
        let mut name = name.to_owned();
        for _ in 0..ALIASES {
            let Some(known) = names.get(&key(&name)) else { return (code::NXDOMAIN, records) };
            let of_kind = |kind| known.iter().filter(move |data| data.kind() == kind);
            let record = |data: &Data| Record::new(&name, data.clone());
            let alias = of_kind(kind::CNAME).next().filter(|_| wanted != kind::CNAME);
            let Some(Data::Cname(target)) = alias else {
                records.extend(of_kind(wanted).map(record));
                break;
            };
            records.push(record(&Data::Cname(target.clone())));
            name.clone_from(target);
        }
        (code::NOERROR, records)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Data>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
