//! `check config`: everything that a start would refuse, and files that are named but not there.

use std::fmt::Write as _;
use std::path::Path;

use swarmscout_discovery::SdConfig;
use swarmscout_net::HttpConfig;

use crate::cli::CheckConfigArgs;
use crate::config::{self, Config};
use crate::output::{print, print_error, printable};

/// Checks each of the files. Whether all of them are good.
pub(super) fn check(args: &CheckConfigArgs) -> bool {
    let options = config::Options { agent: args.agent, ..config::Options::default() };
    let mut all_good = true;
    for file in &args.files {
        all_good &= check_file(file, &options, args.syntax_only);
    }
    all_good
}

fn check_file(file: &Path, options: &config::Options, syntax_only: bool) -> bool {
    let shown = printable(&file.display().to_string());
    print(&format!("Checking {shown}\n"));
    let loaded =
        if syntax_only { config::load_main(file, options) } else { config::load(file, options) };
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
        print(&text);
        return true;
    }
    print(&text);
    let mut text = String::new();
    for error in &errors {
        writeln!(text, "  FAILED: {}", printable(error)).expect("a string takes all");
    }
    print_error(&text);
    print("\n");
    false
}

/// Looks for the files that the jobs name: those that a request needs must be there, as promtool
/// has it; targets may come later.
fn check_files(config: &Config, errors: &mut Vec<String>, warnings: &mut Vec<String>) {
    for job in config.job_configs() {
        let name = job.name();
        for source in &job.sources {
            for (what, path) in source_http(source).map(HttpConfig::files).unwrap_or_default() {
                if let Err(error) = std::fs::metadata(path) {
                    let path = path.display();
                    errors.push(format!("cannot use {what} file {path} of job {name:?}: {error}"));
                }
            }
            if let SdConfig::File(file) = source {
                for pattern in
                    file.files.iter().filter(|path| !path.display().to_string().contains('*'))
                {
                    if !pattern.exists() {
                        warnings.push(format!(
                            "file {:?} for file_sd in scrape job {name:?} does not exist",
                            pattern.display().to_string()
                        ));
                    }
                }
            }
        }
    }
}

fn source_http(source: &SdConfig) -> Option<&HttpConfig> {
    match source {
        SdConfig::Http(config) => Some(&config.http),
        SdConfig::Classic(config) => Some(&config.http),
        SdConfig::NodeList(config) => Some(&config.http),
        SdConfig::DockerSwarm(config) => Some(&config.engine.http),
        SdConfig::Docker(config) => Some(&config.engine.http),
        _ => None,
    }
}
