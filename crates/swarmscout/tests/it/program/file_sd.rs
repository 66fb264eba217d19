//! Targets in files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::harness::{Folder, get, request, wait_for};

const TWO_JOBS: &str = "scrape_configs:
- job_name: web/1
  static_configs: [{targets: ['h:1', 'h:2'], labels: {x: y}}]
- job_name: old
  static_configs: [{targets: ['o:1']}]
";

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("the file is there")
}

#[test]
fn each_job_has_a_file_that_stays_when_the_program_ends() {
    let folder = Folder::new();
    folder.write("prometheus.yml", TWO_JOBS);
    let targets = folder.path().join("targets");
    fs::create_dir(&targets).expect("the folder is new");
    let flags = ["--file-sd.directory=targets", "--web.enable-lifecycle"];
    let mut program = folder.start(&flags);
    let address = program.address();
    for job in ["web%2F1", "old"] {
        let metric =
            format!("swarmscout_file_sd_writes_total{{job=\"{}\"}} 1", job.replace("%2F", "/"));
        wait_for(address, "/metrics", &metric);
        assert_eq!(
            read(&targets, &format!("{job}.json")),
            get(address, &format!("/sd/{job}")).body
        );
    }
    wait_for(address, "/api/v1/sources", r#""path":"targets/web%2F1.json","health":"up""#);
    wait_for(address, "/", "targets/web%2F1.json");
    let metadata = fs::metadata(targets.join("old.json")).expect("the file is there");
    assert_eq!(metadata.mode() & 0o7777, 0o644);

    // A reload without a job empties its file; the end of the program does not.
    folder.write("prometheus.yml", &TWO_JOBS.replace("job_name: old", "job_name: new"));
    assert_eq!(request(address, "POST", "/-/reload").status, 200);
    program.line("Emptied the file of a job that is gone");
    wait_for(address, "/metrics", "swarmscout_file_sd_writes_total{job=\"new\"} 1");
    assert_eq!(read(&targets, "old.json"), "[]\n");
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(read(&targets, "web%2F1.json").contains("h:1"));
    assert!(read(&targets, "new.json").contains("o:1"));
}

#[test]
fn a_folder_that_cannot_be_used_is_reported_and_holds_nothing_up() {
    let folder = Folder::new();
    folder.write("prometheus.yml", TWO_JOBS);
    let flags = ["--file-sd.directory=nowhere", "--file-sd.format=yaml", "--file-sd.mode=0600"];
    let mut program = folder.start(&flags);
    let address = program.address();
    wait_for(address, "/sd/web%2F1", "h:1");
    wait_for(address, "/api/v1/sources", r#""path":"nowhere/web%2F1.yml","health":"down""#);
    wait_for(address, "/", "cannot open the folder nowhere");
    fs::create_dir(folder.path().join("nowhere")).expect("the folder is new");
    program.line("Files for file SD are written again");
    let reports = |line: &&String| line.contains("Cannot write files for file SD");
    let lines: Vec<_> = program.log.iter().filter(reports).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("cannot open the folder nowhere"), "{lines:?}");
    wait_for(address, "/metrics", "swarmscout_file_sd_writes_total{job=\"old\"} 1");
    let file = folder.path().join("nowhere/old.yml");
    assert_eq!(fs::metadata(file).expect("it is there").mode() & 0o7777, 0o600);
    let flags = get(address, "/api/v1/status/flags").body;
    assert!(flags.contains(r#""file-sd.mode":"0600""#), "{flags}");
}

#[test]
fn flags_of_file_sd_need_a_folder() {
    let folder = Folder::new();
    for flag in ["--file-sd.format=json", "--file-sd.mode=0644", "--file-sd.removed=keep"] {
        let output = folder.run(&[flag]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("--file-sd.directory <DIR>"), "{text}");
    }
}
