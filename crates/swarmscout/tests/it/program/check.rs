//! The sub-commands `check …`.

use expect_test::{Expect, expect};

use super::harness::{Folder, transcript};

#[track_caller]
fn check(folder: &Folder, args: &[&str], expected: &Expect) {
    expected.assert_eq(&transcript(folder, &folder.run(args)));
}

const GOOD: &str = "\
scrape_configs:
- job_name: a
  static_configs:
  - targets: ['h:1', 'h:2', 'h:3/x']
    labels: {note: \"tab\\tescape\\e[2J\"}
  relabel_configs:
  - source_labels: [__address__]
    regex: h:2
    action: drop
- job_name: empty
";

#[test]
fn config_says_which_files_are_good_and_all_that_is_wrong_in_others() {
    let folder = Folder::new();
    folder.write("good.yml", &GOOD.replace(", 'h:3/x'", ""));
    folder.write(
        "bad.yml",
        "scrape_configs:\n- job_name: a\n  scheem: http\n- job_name: a\n  scrape_interval: 5\n",
    );
    check(
        &folder,
        &["check", "config", "good.yml"],
        &expect![[r#"
        exit code 0
        --- stdout
        Checking good.yml
         SUCCESS: good.yml is valid prometheus config file syntax

        --- stderr
    "#]],
    );
    check(
        &folder,
        &["check", "config", "good.yml", "bad.yml", "none.yml"],
        &expect![[r#"
            exit code 1
            --- stdout
            Checking good.yml
             SUCCESS: good.yml is valid prometheus config file syntax

            Checking bad.yml

            Checking none.yml

            --- stderr
              FAILED: bad.yml:3:3: scrape_configs[0]: field scheem not found in type config.ScrapeConfig: did you mean "scheme"?
              FAILED: bad.yml:4:3: scrape_configs[1]: found multiple scrape configs with job name "a", first found in bad.yml:2:3
              FAILED: bad.yml:5:20: scrape_configs[1].scrape_interval: not a valid duration string: "5"
              FAILED: none.yml: cannot read the configuration file: no such file
        "#]],
    );
}

#[test]
fn config_checks_the_files_that_are_named() {
    let folder = Folder::new();
    folder.write(
        "files.yml",
        "scrape_configs:
- job_name: a
  file_sd_configs: [{files: [later.json]}]
- job_name: b
  http_sd_configs:
  - url: http://localhost:1/
    basic_auth: {username: u, password_file: gone}
",
    );
    check(
        &folder,
        &["check", "config", "files.yml"],
        &expect![[r#"
        exit code 1
        --- stdout
        Checking files.yml
          WARNING: file "later.json" for file_sd in scrape job "a" does not exist

        --- stderr
          FAILED: cannot use basic_auth password file gone of job "b": No such file or directory (os error 2)
    "#]],
    );
    check(
        &folder,
        &["check", "config", "--syntax-only", "files.yml"],
        &expect![[r#"
        exit code 0
        --- stdout
        Checking files.yml
         SUCCESS: files.yml is valid prometheus config file syntax

        --- stderr
    "#]],
    );
}

#[test]
fn config_puts_targets_through_the_rules_of_their_job() {
    let folder = Folder::new();
    folder.write(
        "targets.yml",
        "scrape_configs:
- job_name: url
  static_configs: [{targets: ['http://shop.example.com', 'fine:80']}]
  relabel_configs:
  - {source_labels: [__address__], target_label: __param_target}
- job_name: made-a-host
  static_configs: [{targets: ['http://shop.example.com']}]
  relabel_configs:
  - {source_labels: [__address__], target_label: __param_target}
  - {target_label: __address__, replacement: 'blackbox:9115'}
- job_name: no-address
  static_configs: [{targets: ['127.0.0.1:1']}]
  relabel_configs: [{regex: __address__, action: labeldrop}]
- job_name: empty
  static_configs: [{targets: ['']}]
- job_name: interval
  static_configs: [{targets: ['127.0.0.1:1'], labels: {__scrape_interval__: abc}}]
- job_name: files
  file_sd_configs: [{files: [misspelt.yml, broken.json, url.yml, 'none*.yml', good.json]}]
",
    );
    folder.write("misspelt.yml", "- targets: ['127.0.0.1:1']\n  lables: {a: b}\n");
    folder.write("broken.json", "[{\"targets\":[\"127.0.0.1:1\"],}]\n");
    folder.write("url.yml", "- targets: ['http://x/y']\n");
    folder.write("good.json", "[{\"targets\":[\"127.0.0.1:1\"]}]\n");
    check(
        &folder,
        &["check", "config", "targets.yml"],
        &expect![[r#"
        exit code 1
        --- stdout
        Checking targets.yml
          WARNING: file "none*.yml" for file_sd in scrape job "files" does not exist

        --- stderr
          FAILED: job "url": target "http://shop.example.com": "http://shop.example.com" is not a valid hostname
          FAILED: job "no-address": target "127.0.0.1:1": no address
          FAILED: job "empty": target "": no address
          FAILED: job "interval": target "127.0.0.1:1": error parsing scrape interval: not a valid duration string: "abc"
          FAILED: checking SD file misspelt.yml of job "files": line 2, column 3: field lables not found: a target group has targets and labels
          FAILED: checking SD file broken.json of job "files": trailing comma at line 1 column 29
          FAILED: job "files": target "http://x/y" of url.yml: "http://x/y" is not a valid hostname
    "#]],
    );
    check(
        &folder,
        &["check", "config", "--syntax-only", "targets.yml"],
        &expect![[r#"
        exit code 0
        --- stdout
        Checking targets.yml
         SUCCESS: targets.yml is valid prometheus config file syntax

        --- stderr
    "#]],
    );
}

#[test]
fn config_refuses_with_agent_what_prometheus_refuses() {
    let folder = Folder::new();
    folder.write("server.yml", "rule_files: [a.yml]\n");
    check(
        &folder,
        &["check", "config", "server.yml"],
        &expect![[r#"
        exit code 0
        --- stdout
        Checking server.yml
          WARNING: server.yml:1:1: rule_files: has no effect: only a Prometheus server uses it
         SUCCESS: server.yml is valid prometheus config file syntax

        --- stderr
    "#]],
    );
    check(
        &folder,
        &["check", "config", "--agent", "server.yml"],
        &expect![[r#"
        exit code 1
        --- stdout
        Checking server.yml

        --- stderr
          FAILED: server.yml:1:1: field rule_files is not allowed in agent mode
    "#]],
    );
}

#[test]
fn service_discovery_shows_a_table() {
    let folder = Folder::new();
    folder.write("good.yml", GOOD);
    check(
        &folder,
        &["check", "service-discovery", "good.yml", "a"],
        &expect![[r#"
            exit code 0
            --- stdout
            ──────────────────────────────────────────────────────────────────────────────────────────────────────
             STATE                                      LABELS OF ITS METRICS         DISCOVERED LABELS
            ══════════════════════════════════════════════════════════════════════════════════════════════════════
             active                                     instance="h:1"                __address__="h:1"
                                                        job="a"                       note="tab\tescape\u{1b}[2J"
                                                        note="tab\tescape\u{1b}[2J"
            ──────────────────────────────────────────────────────────────────────────────────────────────────────
             refused: "h:3/x" is not a valid hostname                                 __address__="h:3/x"
                                                                                      note="tab\tescape\u{1b}[2J"
            ──────────────────────────────────────────────────────────────────────────────────────────────────────

            1 active, 1 dropped, 1 refused, 0 duplicates
            dropped by relabel_configs[0]: 1
            --all shows each dropped target
            --- stderr
        "#]],
    );
}

#[test]
fn service_discovery_writes_promtools_json() {
    let folder = Folder::new();
    folder.write("good.yml", GOOD);
    let args = ["check", "service-discovery", "good.yml", "a", "--format=json"];
    check(
        &folder,
        &args,
        &expect![[r#"
            exit code 0
            --- stdout
            [
              {
                "discoveredLabels": {
                  "__address__": "h:1",
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "job": "a",
                  "note": "tab\tescape\u001b[2J"
                },
                "labels": {
                  "__address__": "h:1",
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "instance": "h:1",
                  "job": "a",
                  "note": "tab\tescape\u001b[2J"
                }
              },
              {
                "discoveredLabels": {
                  "__address__": "h:2",
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "job": "a",
                  "note": "tab\tescape\u001b[2J"
                },
                "labels": {}
              },
              {
                "discoveredLabels": {
                  "__address__": "h:3/x",
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "job": "a",
                  "note": "tab\tescape\u001b[2J"
                },
                "labels": {},
                "error": "\"h:3/x\" is not a valid hostname"
              }
            ]
            --- stderr
        "#]],
    );
    let args = ["check", "service-discovery", "good.yml", "empty", "--format=json"];
    check(
        &folder,
        &args,
        &expect![[r#"
        exit code 0
        --- stdout
        []
        --- stderr
    "#]],
    );
}

#[test]
fn service_discovery_reports_each_fault() {
    let folder = Folder::new();
    folder.write("good.yml", GOOD);
    check(
        &folder,
        &["check", "service-discovery", "good.yml", "b"],
        &expect![[r#"
        exit code 1
        --- stdout
        --- stderr
        Job b not found. Select one of:
        	a
        	empty
    "#]],
    );
    check(
        &folder,
        &["check", "service-discovery", "none.yml", "b"],
        &expect![[r#"
            exit code 1
            --- stdout
            --- stderr
            Cannot load config: none.yml: cannot read the configuration file: no such file
        "#]],
    );
    folder.write(
        "gone.yml",
        "scrape_configs:\n- job_name: a\n  dockerswarm_sd_configs:\n  - {host: 'unix:///gone.sock', role: nodes}\n",
    );
    let output = folder.run(&["check", "service-discovery", "gone.yml", "a", "--timeout=100ms"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("FAILED: dockerswarm/0 (unix:///gone.sock role nodes)"), "{stderr}");
}

#[test]
fn healthy_and_ready_ask_a_running_program() {
    let folder = Folder::new();
    folder.write("prometheus.yml", GOOD);
    let mut program = folder.start(&["--web.route-prefix=/p"]);
    let address = program.address();
    let url = format!("--url=http://{address}/p/");
    check(
        &folder,
        &["check", "healthy", &url],
        &expect![[r#"
        exit code 0
        --- stdout
        --- stderr
          SUCCESS:  Swarmscout is Healthy.
    "#]],
    );
    check(
        &folder,
        &["check", "ready", &url],
        &expect![[r#"
        exit code 0
        --- stdout
        --- stderr
          SUCCESS:  Swarmscout is Ready.
    "#]],
    );
    // Its own health checks have no prefix. With a file it is the web server that is asked.
    folder.write("http.yml", "follow_redirects: false\n");
    let url_of_another = format!("--url=http://{address}/q");
    let own = folder.run(&["check", "ready", &url_of_another]);
    assert_eq!(own.status.code(), Some(0));
    let wrong = folder.run(&["check", "ready", &url_of_another, "--http.config.file=http.yml"]);
    let stderr = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("status=404"), "{stderr}");
    drop(program);
    let gone = folder.run(&["check", "ready", &url]);
    let stderr = String::from_utf8_lossy(&gone.stderr);
    assert_eq!(gone.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("connection refused"), "{stderr}");
}

/// On a full Swarm most targets are dropped: what is scraped comes first, the rest is counted.
#[test]
fn service_discovery_counts_dropped_targets() {
    let folder = Folder::new();
    folder.write(
        "many.yml",
        "scrape_configs:\n- job_name: a\n  static_configs:\n  \
         - {targets: ['h:3', 'h:1', 'h:2'], labels: {__meta_dockerswarm_service_name: \"w\\teb\"}}\n  \
         - {targets: ['h:4'], labels: {__meta_dockerswarm_service_name: db}}\n  \
         - {targets: ['h:5']}\n  \
         - {targets: ['h:9', '']}\n  \
         relabel_configs:\n  \
         - {source_labels: [__address__], regex: 'h:[1-4]', action: drop}\n  \
         - {source_labels: [__address__], regex: 'h:5', action: drop}\n",
    );
    check(
        &folder,
        &["check", "service-discovery", "many.yml", "a"],
        &expect![[r#"
        exit code 0
        --- stdout
        ─────────────────────────────────────────────────────────────────
         STATE                 LABELS OF ITS METRICS   DISCOVERED LABELS
        ═════════════════════════════════════════════════════════════════
         active                instance="h:9"          __address__="h:9"
                               job="a"
        ─────────────────────────────────────────────────────────────────
         refused: no address
        ─────────────────────────────────────────────────────────────────

        1 active, 5 dropped, 1 refused, 0 duplicates
        dropped by relabel_configs[0]: 4
          service "w\teb": 3
          service "db": 1
        dropped by relabel_configs[1]: 1
        --all shows each dropped target
        --- stderr
    "#]],
    );
    check(
        &folder,
        &["check", "service-discovery", "many.yml", "a", "--all"],
        &expect![[r#"
        exit code 0
        --- stdout
        ─────────────────────────────────────────────────────────────────────────────────────────────────
         STATE                           LABELS OF ITS METRICS   DISCOVERED LABELS
        ═════════════════════════════════════════════════════════════════════════════════════════════════
         active                          instance="h:9"          __address__="h:9"
                                         job="a"
        ─────────────────────────────────────────────────────────────────────────────────────────────────
         refused: no address
        ─────────────────────────────────────────────────────────────────────────────────────────────────
         dropped by relabel_configs[0]                           __address__="h:3"
                                                                 __meta_dockerswarm_service_name="w\teb"
        ─────────────────────────────────────────────────────────────────────────────────────────────────
         dropped by relabel_configs[0]                           __address__="h:1"
                                                                 __meta_dockerswarm_service_name="w\teb"
        ─────────────────────────────────────────────────────────────────────────────────────────────────
         dropped by relabel_configs[0]                           __address__="h:2"
                                                                 __meta_dockerswarm_service_name="w\teb"
        ─────────────────────────────────────────────────────────────────────────────────────────────────
         dropped by relabel_configs[0]                           __address__="h:4"
                                                                 __meta_dockerswarm_service_name="db"
        ─────────────────────────────────────────────────────────────────────────────────────────────────
         dropped by relabel_configs[1]                           __address__="h:5"
        ─────────────────────────────────────────────────────────────────────────────────────────────────

        1 active, 5 dropped, 1 refused, 0 duplicates
        --- stderr
    "#]],
    );
}
