//! The file as a whole.

use std::collections::HashSet;

use swarmscout_model::quote::Quoted;

use super::{NOT_YET, global, is_glob, remote, scrape, server};
use crate::config::decode::Cx;
use crate::config::raw::{self, File};
use crate::config::{Config, Options, RemoteWrite, ScrapeConfig};

/// Checks `file` and fills in what is absent from it. What is wrong is noted in `cx`; the result is
/// of use only where nothing was.
pub(in crate::config) fn check(mut file: File, options: &Options, cx: &mut Cx<'_>) -> Config {
    cx.within("global", |cx| {
        scrape::warn_of_kept(&file.global.at, &scrape::kept_keys::<raw::Global>(), cx);
        global::check(&mut file.global, options, cx);
    });
    globs(&file, cx);
    let jobs = jobs(&mut file, cx);
    let scheme = global::scheme(&file.global);
    server::check(&mut file, scheme, options, cx);
    let remote_write = remote_writes(&mut file, cx);
    Config { jobs, remote_write, file }
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
    if !file.scrape_config_files.is_empty() {
        cx.within("scrape_config_files", |cx| {
            cx.error_here(format!("{NOT_YET}: put the jobs under scrape_configs"));
        });
    }
}

fn jobs(file: &mut File, cx: &mut Cx<'_>) -> Vec<ScrapeConfig> {
    let mut names = HashSet::new();
    let mut checked = Vec::with_capacity(file.scrape_configs.len());
    let kept = scrape::kept_keys::<raw::ScrapeConfig>();
    cx.within("scrape_configs", |cx| {
        for (i, job) in file.scrape_configs.iter_mut().enumerate() {
            cx.item(i, |cx| {
                let Some(job) = job else {
                    cx.missing_here("empty or null scrape config section");
                    return;
                };
                if !job.job_name.is_empty() && !names.insert(job.job_name.clone()) {
                    let name = Quoted(&job.job_name);
                    let text = format!("found multiple scrape configs with job name {name}");
                    cx.error(job.at.key("job_name"), text);
                }
                scrape::warn_of_kept(&job.at, &kept, cx);
                checked.push(ScrapeConfig { job: scrape::check(job, &file.global, cx) });
            });
        }
    });
    checked
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
