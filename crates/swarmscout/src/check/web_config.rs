//! `check web-config`: everything that a start with `--web.config.file` would refuse, and what works,
//! but not for long.

use std::path::Path;

use swarmscout_web_config::load;

use crate::output::{print_error, printable};

/// Checks each of the files and those that it names, in promtool's words. Whether all of them are good.
pub(super) fn check(files: &[std::path::PathBuf]) -> bool {
    let mut all_good = true;
    for file in files {
        all_good &= check_file(file);
    }
    all_good
}

fn check_file(file: &Path) -> bool {
    let shown = printable(&file.display().to_string());
    match load(file) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                print_error(&format!("{shown} WARNING: {}\n", printable(warning)));
            }
            print_error(&format!("{shown} SUCCESS\n"));
            true
        }
        Err(errors) => {
            for error in &errors {
                print_error(&format!("{shown} FAILED: {}\n", printable(&error.to_string())));
            }
            false
        }
    }
}
