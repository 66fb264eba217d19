//! Sources that do not answer when the program starts.

use crate::harness::{Folder, get, wait_for};

/// Managers as entries of their own, none of which is there, beside targets that are.
const DEAD_SIBLINGS: &str = "scrape_configs:
- job_name: tasks
  static_configs: [{targets: ['h:1']}]
  dockerswarm_sd_configs:
  - {host: 'http://127.0.0.1:1', role: tasks}
  - {host: 'http://127.0.0.1:2', role: tasks}
- job_name: dead
  dockerswarm_sd_configs: [{host: 'http://127.0.0.1:1', role: nodes}]
";

#[test]
fn a_job_is_served_without_the_sources_that_never_answer() {
    let folder = Folder::new();
    folder.write("prometheus.yml", DEAD_SIBLINGS);
    let mut program = folder.start(&["--sd.startup-timeout=0s"]);
    let address = program.address();
    wait_for(address, "/sd/tasks", "h:1");
    let answer = get(address, "/sd/tasks");
    assert_eq!(answer.header("x-swarmscout-missing-sources"), Some("dockerswarm/0, dockerswarm/1"));
    let line = program.line("Targets are served without sources that have not answered");
    for expected in ["level=WARN", "config=tasks", "dockerswarm/1", "hosts: [manager-1, manager-2]"]
    {
        assert!(line.contains(expected), "{line}");
    }
    wait_for(address, "/metrics", "swarmscout_sd_incomplete{job=\"tasks\"} 1");
    // A job without any answer has no list.
    wait_for(address, "/sd", r#""job":"dead","url":"#);
    let dead = get(address, "/sd/dead");
    assert_eq!(dead.status, 503);
    assert!(dead.body.starts_with("job \"dead\": 1 of 1 sources have not answered yet\n"));
}
