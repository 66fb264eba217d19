//! Sources of targets.

use swarmscout_config_decoder::{At, Cx, Position, Section as _};
use swarmscout_discovery::source::SourceKeys;
use swarmscout_discovery::{SdConfig, for_each_source};

use crate::prometheus::{not_supported, raw};

macro_rules! check_all {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $($variant:ident($folder:ident::$config:ident))|+,
            keys $keys_folder:ident::$keys:ident, faults [$($fault:ident),*] $(, $mark:ident)?;
    )+) => {
        /// Checks all sources; each comes back with the place of its key. Sources of Alertmanagers
        /// are checked too, but do not run here, so those of other kinds are accepted.
        pub(super) fn check_all(
            sd: &mut raw::SdConfigs,
            relabels: bool,
            cx: &mut Cx<'_>,
        ) -> Vec<(Position, SdConfig)> {
            let at = sd.at.clone();
            let mut sources = Vec::new();
            $(sources.extend(list(&mut sd.$key, stringify!($key), &at, relabels, cx));)+
            sources
        }
    };
}

for_each_source!(check_all);

/// Checks the sources of a job, in the order in which the file has them.
pub(super) fn check(sd: &mut raw::SdConfigs, relabels: bool, cx: &mut Cx<'_>) -> Vec<SdConfig> {
    let mut sources = check_all(sd, relabels, cx);
    refuse_foreign(sd, cx);
    // Lists of one key stay in order: the sort is stable.
    sources.sort_by_key(|(at, _)| *at);
    let mut merged = Vec::<SdConfig>::new();
    for (_, source) in sources {
        match (merged.last_mut(), source) {
            // All static groups of a job are one source.
            (Some(SdConfig::Static(all)), SdConfig::Static(more)) => all.groups.extend(more.groups),
            (_, source) => merged.push(source),
        }
    }
    merged
}

/// Checks every item below `key`; each comes back with the place of the key.
fn list<T: SourceKeys>(
    items: &mut [Option<T>],
    key: &str,
    at: &At,
    relabels: bool,
    cx: &mut Cx<'_>,
) -> Vec<(Position, SdConfig)> {
    let mut checked = Vec::with_capacity(items.len());
    let at = at.key(key);
    cx.within(key, |cx| {
        for (i, item) in items.iter_mut().enumerate() {
            cx.item(i, |cx| match item {
                None => cx.missing_here(format!("empty or null section in {key}")),
                Some(item) => {
                    let sources = item.check_each(relabels, cx);
                    checked.extend(sources.into_iter().map(|source| (at, source)));
                }
            });
        }
    });
    checked
}

/// Refuses by name the sources that this program does not have.
fn refuse_foreign(sd: &raw::SdConfigs, cx: &mut Cx<'_>) {
    let mut foreign = Vec::new();
    sd.foreign.write(&mut foreign);
    for (key, _) in foreign {
        cx.within(&key, |cx| {
            cx.error(sd.foreign.at.key(&key), not_supported(&key));
        });
    }
}
