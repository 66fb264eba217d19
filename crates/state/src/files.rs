//! The series of configs and secrets. Their content is never read.

use std::collections::HashMap;
use std::sync::Arc;

use swarmscout_docker::engine::{Service, StoredFile};
use swarmscout_swarm::Snapshot;

use crate::families::Family;
use crate::options::Options;
use crate::page::{Page, count};

/// The name of the label, and the families of a kind.
type Kind = (&'static str, [Family; 3]);

const CONFIG: Kind =
    ("config", [Family::ConfigInfo, Family::ConfigCreated, Family::ConfigServices]);

const SECRET: Kind =
    ("secret", [Family::SecretInfo, Family::SecretCreated, Family::SecretServices]);

pub(crate) fn write(page: &mut Page, snapshot: &Snapshot, options: &Options) {
    let files = &snapshot.files;
    if files.configs.is_empty() && files.secrets.is_empty() {
        return;
    }
    let configs = uses(snapshot, |service| &service.configs);
    let secrets = uses(snapshot, |service| &service.secrets);
    write_kind(page, CONFIG, &files.configs, &configs, options);
    write_kind(page, SECRET, &files.secrets, &secrets, options);
}

/// How many services use each, by ID.
fn uses(snapshot: &Snapshot, of: fn(&Service) -> &Vec<Arc<str>>) -> HashMap<&str, usize> {
    let mut uses = HashMap::<&str, usize>::new();
    for service in snapshot.services.objects() {
        let mut ids: Vec<_> = of(service).iter().map(|id| &**id).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            *uses.entry(id).or_default() += 1;
        }
    }
    uses
}

fn write_kind<const SECRET: bool>(
    page: &mut Page,
    (label, [info, created, services]): Kind,
    files: &[Arc<StoredFile<SECRET>>],
    uses: &HashMap<&str, usize>,
    options: &Options,
) {
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    files.dedup_by(|a, b| a.name == b.name);
    for file in files {
        let labels = options.labels().with(label, &file.name);
        page.time(created, &labels, file.created);
        let number = uses.get(&*file.id).copied().unwrap_or_default();
        page.series(services, &labels, count(number));
        page.series(info, &labels.with(&format!("{label}_id"), &file.id), 1.0);
    }
}
