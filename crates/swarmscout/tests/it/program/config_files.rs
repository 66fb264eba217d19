//! `scrape_config_files`: which files are read, their contents, and their messages.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use expect_test::{Expect, expect};
use swarmscout_config::{Loaded, Options, fingerprint, load};

use super::harness::{Folder, get, request, transcript, wait_for};

/// Makes the files in a new folder.
fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
        folder.write(name, text);
    }
    folder
}

fn read(folder: &Folder) -> Result<Loaded, String> {
    let path = folder.path().join("prometheus.yml");
    let shown = |error: String| error.replace(&folder.path().display().to_string(), "FOLDER");
    load(&path, &Options::default()).map_err(|errors| shown(errors.to_string()))
}

#[track_caller]
fn refused(files: &[(&str, &str)], expected: &Expect) {
    expected.assert_eq(&read(&folder(files)).expect_err("it is refused"));
}

const MAIN: &str = "
global: {scrape_interval: 15s}
scrape_config_files: [conf.d/*.yml, other/jobs.yaml]
scrape_configs: [{job_name: main}]
";

#[test]
fn jobs_come_in_the_order_of_the_files_with_the_defaults_of_the_main_one() {
    let folder = folder(&[
        ("prometheus.yml", MAIN),
        (
            "conf.d/b.yml",
            "scrape_configs:\n- {job_name: b1}\n- {job_name: b2, scrape_interval: 1s}",
        ),
        (
            "conf.d/a.yml",
            "scrape_configs:\n- job_name: a\n  file_sd_configs: [{files: [targets.json, /x.json]}]\n",
        ),
        ("conf.d/empty.yml", ""),
        ("conf.d/comment.yml", "# Nothing yet.\n"),
        ("conf.d/none.yml", "scrape_configs:\n"),
        ("conf.d/notes.txt", "not: {a: job"),
        ("other/jobs.yaml", "scrape_configs: [{job_name: other}]"),
        ("other/more.yaml", "scrape_configs: [{job_name: main}]"),
    ]);
    let loaded = read(&folder).expect("it is good");
    let shown =
        |path: &Path| path.strip_prefix(folder.path()).expect("in it").display().to_string();
    let files: Vec<_> = loaded.files.iter().map(|path| shown(path)).collect();
    let jobs: Vec<_> = loaded.config.job_configs();
    let jobs: Vec<_> = jobs
        .iter()
        .map(|job| format!("{} {}", job.name(), job.pool.defaults.scrape_interval))
        .collect();
    expect![[r#"
        prometheus.yml conf.d/a.yml conf.d/b.yml conf.d/comment.yml conf.d/empty.yml conf.d/none.yml other/jobs.yaml
        main 15s, a 15s, b1 15s, b2 1s, other 15s
    "#]]
    .assert_eq(&format!("{}\n{}\n", files.join(" "), jobs.join(", ")));
    let warned = loaded.warnings.iter().map(|warning| (shown(&warning.file), &*warning.message));
    let empty = "the file is empty: it brings no jobs";
    let expected = ["conf.d/comment.yml", "conf.d/empty.yml"].map(|file| (file.to_owned(), empty));
    assert_eq!(warned.collect::<Vec<_>>(), expected);

    // Paths in a file are relative to its own folder.
    let a = loaded.config.job_yaml("a").expect("it is a job");
    let targets = folder.path().join("conf.d/targets.json");
    assert!(a.contains(&format!("- {}\n", targets.display())) && a.contains("- /x.json\n"), "{a}");
    // The main file is shown as it is.
    let yaml = loaded.config.to_yaml();
    let pattern = folder.path().join("conf.d/*.yml");
    assert!(yaml.contains(&format!("- {}\n", pattern.display())), "{yaml}");
    assert!(yaml.contains("job_name: main") && !yaml.contains("job_name: a"), "{yaml}");
}

#[test]
fn a_pattern_that_names_nothing_is_warned_of() {
    let folder = folder(&[("prometheus.yml", MAIN)]);
    let loaded = read(&folder).expect("it is good");
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let warnings = warnings.join("\n").replace(&folder.path().display().to_string(), "FOLDER");
    expect![[r#"
        FOLDER/prometheus.yml:3:23: scrape_config_files[0]: no file has this name
        FOLDER/prometheus.yml:3:37: scrape_config_files[1]: no file has this name"#]]
    .assert_eq(&warnings);
    assert_eq!(loaded.files.len(), 1);
}

#[test]
fn all_errors_of_all_files_come_with_their_places() {
    refused(
        &[
            (
                "prometheus.yml",
                "scrape_config_files: [conf.d/*.yml, conf.d/d*.yml, '*.yml', 'a/*/b.yml']\n\
                 scrape_configs:\n- {job_name: main}\n- {job_name: main}\n- {scheem: http}\n",
            ),
            (
                "conf.d/a.yml",
                "scrape_configs:\n- job_name: main\n\n- job_name: a\n  scheem: http\n-\n",
            ),
            ("conf.d/b.yml", "global: {}\nscrape_configs: [{job_name: a}]\nfoo: 1\n"),
            ("conf.d/c.yml", "- {job_name: c}\n"),
            ("conf.d/d.yml", "scrape_configs: [\n"),
            ("conf.d/e.yml/x", ""),
        ],
        &expect![[r#"
            FOLDER/prometheus.yml:1:37: scrape_config_files[1]: FOLDER/conf.d/d.yml is named a second time: name it once
            FOLDER/prometheus.yml:1:52: scrape_config_files[2]: the main file itself has this name
            FOLDER/prometheus.yml:1:61: scrape_config_files[3]: invalid scrape config file path "FOLDER/a/*/b.yml"
            FOLDER/prometheus.yml:4:4: scrape_configs[1]: found multiple scrape configs with job name "main", first found in FOLDER/prometheus.yml:3:4
            FOLDER/prometheus.yml:5:3: scrape_configs[2]: job_name is empty
            FOLDER/prometheus.yml:5:4: scrape_configs[2]: field scheem not found in type config.ScrapeConfig: did you mean "scheme"?
            FOLDER/conf.d/a.yml:2:3: scrape_configs[0]: found multiple scrape configs with job name "main", first found in FOLDER/prometheus.yml:3:4
            FOLDER/conf.d/a.yml:5:3: scrape_configs[1]: field scheem not found in type config.ScrapeConfig: did you mean "scheme"?
            FOLDER/conf.d/a.yml:6:1: scrape_configs[2]: empty or null scrape config section
            FOLDER/conf.d/b.yml:1:1: field global not found in type config.ScrapeConfigs: it belongs in the main file, this one is named by scrape_config_files and holds scrape_configs alone
            FOLDER/conf.d/b.yml:2:19: scrape_configs[0]: found multiple scrape configs with job name "a", first found in FOLDER/conf.d/a.yml:4:3
            FOLDER/conf.d/b.yml:3:1: field foo not found in type config.ScrapeConfigs: known keys are scrape_configs
            FOLDER/conf.d/c.yml:1:1: cannot unmarshal !!seq into config.ScrapeConfigs: `scrape_configs:` above the list is due
            FOLDER/conf.d/d.yml:1:17: cannot read YAML: did not find expected node content: the bracket is not closed
            FOLDER/conf.d/e.yml: cannot read the configuration file: is a directory"#]],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let folder = folder(&[("prometheus.yml", MAIN), ("other/a", "")]);
    std::os::unix::fs::symlink("gone", folder.path().join("other/jobs.yaml")).expect("a link");
    expect!["FOLDER/other/jobs.yaml: cannot read the configuration file: no such file"]
        .assert_eq(&read(&folder).expect_err("the link leads nowhere"));

    // Root may read any folder: the rest is for other users.
    let closed = folder.path().join("conf.d");
    std::fs::create_dir(&closed).expect("it is new");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("it is ours");
    if std::fs::read_dir(&closed).is_err() {
        let errors = read(&folder).expect_err("the folder is closed");
        assert!(errors.contains("scrape_config_files[0]: cannot list files:  "), "{errors}");
    }
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
}

#[test]
fn a_warning_is_given_once_for_all_files() {
    let folder = folder(&[
        ("prometheus.yml", MAIN),
        ("conf.d/a.yml", "scrape_configs: [{job_name: a, honor_labels: true}]"),
        ("other/jobs.yaml", "scrape_configs: [{job_name: b, honor_labels: true}]"),
    ]);
    let loaded = read(&folder).expect("it is good");
    let [warning] = &loaded.warnings[..] else { panic!("{:?}", loaded.warnings) };
    assert!(warning.file.ends_with("conf.d/a.yml"), "{warning}");
}

/// Contents and names count, nothing else.
#[test]
fn the_fingerprint_changes_with_the_files() {
    let folder = folder(&[("prometheus.yml", MAIN), ("conf.d/a.yml", "scrape_configs: []")]);
    let path = folder.path().join("prometheus.yml");
    let mut last = fingerprint(&path);
    let mut check = |what: &str, changes: bool| {
        let next = fingerprint(&path);
        assert_eq!(next != last, changes, "{what}");
        last = next;
    };
    check("nothing happened", false);
    folder.write("conf.d/new", "scrape_configs: []");
    check("a file that no pattern names", false);
    std::fs::rename(folder.path().join("conf.d/new"), folder.path().join("conf.d/a.yml"))
        .expect("it is there");
    check("another file of the same content", false);
    folder.write("conf.d/a.yml", "scrape_configs: [{job_name: a}]");
    check("another content", true);
    folder.write("conf.d/b.yml", "");
    check("one more", true);
    std::fs::rename(folder.path().join("conf.d/b.yml"), folder.path().join("conf.d/c.yml"))
        .expect("it is there");
    check("another name", true);
    std::fs::remove_file(folder.path().join("conf.d/c.yml")).expect("it is there");
    check("one less", true);
    folder.write("prometheus.yml", &format!("{MAIN}\n"));
    check("another main file", true);
    folder.write("prometheus.yml", "scrape_config_files: [");
    check("no YAML", true);
    std::fs::remove_file(&path).expect("it is there");
    check("no main file", true);
    check("still none", false);
}

#[test]
fn check_config_counts_the_files_and_leaves_them_alone_for_syntax_only() {
    let folder = folder(&[
        ("prometheus.yml", MAIN),
        ("conf.d/a.yml", "scrape_configs: [{job_name: a}]"),
        ("other/jobs.yaml", "scrape_configs: [{job_name: a}]"),
    ]);
    let check = |args: &[&str], expected: Expect| {
        expected.assert_eq(&transcript(&folder, &folder.run(args)));
    };
    check(
        &["check", "config", "prometheus.yml"],
        expect![[r#"
        exit code 1
        --- stdout
        Checking prometheus.yml

        --- stderr
          FAILED: other/jobs.yaml:1:19: scrape_configs[0]: found multiple scrape configs with job name "a", first found in conf.d/a.yml:1:19
    "#]],
    );
    check(
        &["check", "config", "--syntax-only", "prometheus.yml"],
        expect![[r#"
        exit code 0
        --- stdout
        Checking prometheus.yml
         SUCCESS: prometheus.yml is valid prometheus config file syntax

        --- stderr
    "#]],
    );
    folder.write("other/jobs.yaml", "");
    check(
        &["check", "config", "prometheus.yml"],
        expect![[r#"
            exit code 0
            --- stdout
            Checking prometheus.yml
              WARNING: other/jobs.yaml: the file is empty: it brings no jobs
              SUCCESS: 2 scrape config files found
             SUCCESS: prometheus.yml is valid prometheus config file syntax

            --- stderr
        "#]],
    );
}

#[test]
fn a_reload_finds_new_files() {
    let folder = folder(&[
        ("prometheus.yml", MAIN),
        ("conf.d/a.yml", "scrape_configs: [{job_name: a, static_configs: [{targets: ['a:1']}]}]"),
    ]);
    let mut program = folder.start(&["--web.enable-lifecycle"]);
    let address = program.address();
    wait_for(address, "/sd/a", "a:1");
    let config = get(address, "/api/v1/scrape_pools/config?scrapePool=a");
    assert!(config.status == 200 && config.body.contains("a:1"), "{config:?}");

    folder.write(
        "conf.d/b.yml",
        "scrape_configs: [{job_name: b, static_configs: [{targets: ['b:1']}]}]",
    );
    assert_eq!(request(address, "POST", "/-/reload").status, 200);
    wait_for(address, "/sd/b", "b:1");

    folder.write("conf.d/b.yml", "scrape_configs: [{job_name: a}]");
    let answer = request(address, "POST", "/-/reload");
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("conf.d/b.yml:1:19"), "{}", answer.body);
    wait_for(address, "/sd/b", "b:1");

    std::fs::remove_file(folder.path().join("conf.d/b.yml")).expect("it is there");
    assert_eq!(request(address, "POST", "/-/reload").status, 200);
    assert_eq!(get(address, "/sd/b").status, 404);
}
