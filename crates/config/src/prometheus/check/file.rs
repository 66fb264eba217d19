//! The file as a whole.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use swarmscout_config_decoder::{Cx, is_glob};
use swarmscout_model::quote::Quoted;

use super::{global, remote, scrape, server};
use crate::prometheus::raw::{self, File, Global};
use crate::{Config, RemoteWrite, ScrapeConfig};

/// Checks `file` and fills in what is absent from it. What is wrong is noted in `cx`; the result is
/// of use only where nothing was.
pub(crate) fn check(mut file: File, places: &mut JobPlaces, cx: &mut Cx<'_>) -> Config {
    cx.within("global", |cx| {
        scrape::warn_of_kept(&file.global.at, &scrape::kept_keys::<Global>(), cx);
        global::check(&mut file.global, cx);
    });
    if file.runtime.gogc == 0 {
        file.runtime.gogc = raw::Runtime::default().gogc;
    }
    globs(&file, cx);
    let jobs = jobs(&mut file.scrape_configs, &file.global, places, cx);
    let scheme = global::scheme(&file.global);
    server::check(&mut file, scheme, cx);
    let remote_write = remote_writes(&mut file, cx);
    Config { jobs, remote_write, file, more: Vec::new(), to_save: None, superseded: Vec::new() }
}

fn globs(file: &File, cx: &mut Cx<'_>) {
    for (key, paths, what) in [
        ("rule_files", &file.rule_files, "rule file"),
        ("scrape_config_files", &file.scrape_config_files, "scrape config file"),
    ] {
        cx.within(key, |cx| {
            for (i, path) in paths.iter().enumerate().filter(|(_, path)| !is_glob(&path.0)) {
                let text = format!("invalid {what} path {}", Quoted(&path.0));
                cx.item(i, |cx| cx.error_here(text));
            }
        });
    }
}

/// Where the jobs of all files stand, by their names.
pub(crate) type JobPlaces = HashMap<String, String>;

/// Checks the jobs of the main file, or of one of `scrape_config_files`, and fills in what they take
/// from the main file's `global` section. Their names are added to `places`.
pub(crate) fn jobs(
    jobs: &mut [Option<raw::ScrapeConfig>],
    global: &Global,
    places: &mut JobPlaces,
    cx: &mut Cx<'_>,
) -> Vec<ScrapeConfig> {
    let mut checked = Vec::with_capacity(jobs.len());
    let kept = scrape::kept_keys::<raw::ScrapeConfig>();
    cx.within("scrape_configs", |cx| {
        for (i, job) in jobs.iter_mut().enumerate() {
            cx.item(i, |cx| {
                let Some(job) = job else {
                    cx.missing_here("empty or null scrape config section");
                    return;
                };
                is_unique(job, places, cx);
                scrape::warn_of_kept(&job.at, &kept, cx);
                checked.push(ScrapeConfig { job: scrape::check(job, global, cx) });
            });
        }
    });
    checked
}

fn is_unique(job: &raw::ScrapeConfig, places: &mut JobPlaces, cx: &mut Cx<'_>) {
    if job.job_name.is_empty() {
        return;
    }
    let at = job.at.key("job_name");
    match places.entry(job.job_name.clone()) {
        Entry::Vacant(place) => {
            place.insert(format!("{}:{}:{}", cx.file.display(), at.line, at.column));
        }
        Entry::Occupied(first) => {
            let (name, first) = (Quoted(&job.job_name), first.get());
            let text = format!(
                "found multiple scrape configs with job name {name}, first found in {first}"
            );
            cx.error(at, text);
        }
    }
}

fn remote_writes(file: &mut File, cx: &mut Cx<'_>) -> Vec<RemoteWrite> {
    let scheme = global::scheme(&file.global);
    let mut names = HashSet::new();
    let mut checked = Vec::with_capacity(file.remote_write.len());
    cx.within("remote_write", |cx| {
        for (i, write) in file.remote_write.iter_mut().enumerate() {
            cx.item(i, |cx| {
                let Some(write) = write else {
                    cx.missing_here("empty or null remote write config section");
                    return;
                };
                if !write.name.is_empty() && !names.insert(write.name.clone()) {
                    let name = Quoted(&write.name);
                    let text = format!("found multiple remote write configs with job name {name}");
                    cx.error(write.at.key("name"), text);
                }
                checked.extend(remote::write(write, scheme, cx));
            });
        }
        if !checked.is_empty() {
            cx.warn_here(
                "nothing is sent: this version does not scrape; let Prometheus scrape the targets \
                 from /sd and write",
            );
        }
    });
    checked
}
