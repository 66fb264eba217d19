//! `check config`: everything that a start would refuse, and what the files that it names would
//! make of it later: files that are not there, target files that cannot be understood, and targets
//! that no Prometheus could scrape.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use swarmscout_config::{Config, Options, load, load_main};
use swarmscout_discovery::source::file;
use swarmscout_discovery::source::static_configs::static_groups;
use swarmscout_discovery::{Groups, JobConfig, SdConfig};
use swarmscout_model::LabelsBuilder;
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::quote::Quoted;
use swarmscout_model::target::relabel_group;
use swarmscout_net::HttpConfig;

use crate::cli::CheckConfigArgs;
use crate::output::{print, print_error, printable};

/// Checks each of the files. Whether all of them are good.
pub(super) fn check(args: &CheckConfigArgs) -> bool {
    let options = Options { agent: args.agent, ..Options::default() };
    let mut all_good = true;
    for file in &args.files {
        all_good &= check_file(file, &options, args.syntax_only);
    }
    all_good
}

fn check_file(file: &Path, options: &Options, syntax_only: bool) -> bool {
    let shown = printable(&file.display().to_string());
    let is_printed = print(&format!("Checking {shown}\n"));
    let loaded = if syntax_only { load_main(file, options) } else { load(file, options) };
    let mut found = 0;
    let (errors, warnings) = match loaded {
        Ok(loaded) => {
            found = loaded.files.len() - 1;
            let mut warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
            let mut errors = Vec::new();
            if !syntax_only {
                check_files(&loaded.config, &mut errors, &mut warnings);
            }
            (errors, warnings)
        }
        Err(errors) => (errors.iter().map(ToString::to_string).collect(), Vec::new()),
    };
    let mut text = String::new();
    for warning in &warnings {
        writeln!(text, "  WARNING: {}", printable(warning)).expect("a string takes all");
    }
    if errors.is_empty() {
        if found > 0 {
            let files = if found == 1 { "file" } else { "files" };
            writeln!(text, "  SUCCESS: {found} scrape config {files} found")
                .expect("a string takes all");
        }
        writeln!(text, " SUCCESS: {shown} is valid prometheus config file syntax\n")
            .expect("a string takes all");
        return is_printed && print(&text);
    }
    let is_printed = is_printed && print(&text);
    let mut text = String::new();
    for error in &errors {
        writeln!(text, "  FAILED: {}", printable(error)).expect("a string takes all");
    }
    print_error(&text);
    let _ = is_printed && print("\n");
    false
}

/// Checks the files that the jobs name, and the targets that are known without asking anybody. As
/// promtool has it, what a request needs must be there; targets may come later, but what is there
/// must be understood, and a target must be one that can be scraped after the job's rules.
fn check_files(config: &Config, errors: &mut Vec<String>, warnings: &mut Vec<String>) {
    for job in config.job_configs() {
        let name = job.name();
        for source in &job.sources {
            for (what, path) in source.source().http().map(HttpConfig::files).unwrap_or_default() {
                if let Err(error) = std::fs::metadata(path) {
                    let path = path.display();
                    errors.push(format!("cannot use {what} file {path} of job {name:?}: {error}"));
                }
            }
            match source {
                SdConfig::Static(config) => match static_groups(config) {
                    Ok(groups) => check_targets(&job, &groups, None, errors),
                    Err(error) => errors.push(format!("job {:?}: {error}", job.name())),
                },
                SdConfig::File(config) => {
                    for pattern in &config.files {
                        check_target_files(&job, pattern, errors, warnings);
                    }
                }
                _ => {}
            }
        }
    }
}

fn check_target_files(
    job: &JobConfig,
    pattern: &Path,
    errors: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let shown = Quoted(&pattern.display().to_string()).to_string();
    let name = Quoted(job.name()).to_string();
    match file::glob(pattern) {
        Ok(files) if files.is_empty() => {
            warnings.push(format!("file {shown} for file_sd in scrape job {name} does not exist"));
        }
        Ok(files) => {
            for path in files {
                match file::read_groups(&path) {
                    Ok((groups, problems)) => {
                        let path = path.as_path();
                        warnings.extend(problems.iter().map(|problem| {
                            format!("{} of {}: {}", problem.object, path.display(), problem.reason)
                        }));
                        check_targets(job, &groups, Some(path), errors);
                    }
                    Err(error) => {
                        let path = path.display();
                        errors.push(format!("checking SD file {path} of job {name}: {error}"));
                    }
                }
            }
        }
        Err(error) => errors.push(format!("cannot list {shown} of job {name}: {error}")),
    }
}

/// Puts targets through the rules of their job, and notes those that no Prometheus could scrape.
fn check_targets(job: &JobConfig, groups: &Groups, path: Option<&Path>, errors: &mut Vec<String>) {
    let mut builder = LabelsBuilder::new();
    let of_file = path.map(|path| format!(" of {}", path.display())).unwrap_or_default();
    for group in groups {
        let made =
            relabel_group(Arc::clone(group), &job.pool.defaults, &job.pool.relabel, &mut builder);
        for refused in made.refused {
            let index = usize::try_from(refused.index).expect("an index of a list in memory");
            let address = Quoted(group.targets[index].get(ADDRESS).unwrap_or_default());
            let (name, reason) = (Quoted(job.name()), refused.reason);
            errors.push(format!("job {name}: target {address}{of_file}: {reason}"));
        }
    }
}
