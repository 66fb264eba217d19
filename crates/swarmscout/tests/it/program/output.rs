//! What commands print, where it cannot be written.

use std::fs::File;
use std::process::Stdio;

use super::harness::Folder;

/// Each command that prints, without a running program.
const COMMANDS: [&str; 15] = [
    "--help",
    "--version",
    "rules",
    "rules --inhibit",
    "dashboards",
    "dashboards node",
    "stack",
    "stack complete",
    "stack beside --output=out",
    "check config prometheus.yml",
    "check service-discovery prometheus.yml a",
    "explain x:1 --config.file=prometheus.yml",
    "doctor --config.file=prometheus.yml",
    "status --config.file=prometheus.yml",
    "status --watch --config.file=prometheus.yml",
];

#[test]
fn a_full_disk_is_an_error_of_each_command() {
    let folder = Folder::new();
    let yaml = "scrape_configs: [{job_name: a, static_configs: [{targets: ['x:1']}]}]\n";
    folder.write("prometheus.yml", yaml);
    for arguments in COMMANDS {
        for flags in ["", "--format=json"] {
            let has_flag = flags.is_empty() || arguments.contains("--config.file");
            if !has_flag {
                continue;
            }
            let full = File::options().write(true).open("/dev/full").expect("Linux has it");
            let arguments = arguments.split(' ').chain(flags.split_whitespace());
            let arguments: Vec<_> = arguments.collect();
            let mut command = folder.command();
            let output = command.args(&arguments).stdout(full).output().expect("it starts");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            let expected = "cannot write to stdout: No space left on device (os error 28)\n";
            assert!(said.ends_with(expected), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let folder = Folder::new();
    for arguments in [&["rules"][..], &["stack", "complete"], &["--help"]] {
        let mut command = folder.command();
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{arguments:?}");
    }
}
