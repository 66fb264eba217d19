//! The configuration file, through the interface that the program uses.
//!
//! `tests/files` holds files that are read (`*.good.yml`) and files that are refused
//! (`*.bad.yml`). Their messages are in `warnings.txt` and `errors.txt`, which hold every
//! message that a user can get: `UPDATE_EXPECT=1 cargo test` rewrites both. A file whose first
//! line is `# agent` is read as with `--agent`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use expect_test::{expect, expect_file};
use swarmscout_config::{Errors, Loaded, Options, load, parse, reference};
use swarmscout_discovery::SdConfig;

/// Reads `text` as `/etc/prometheus.yml`, in an environment where only `HOST` and `EMPTY` are set.
fn read(text: &[u8]) -> Result<Loaded, Errors> {
    let env = |name: &str| match name {
        "HOST" => Some("swarm-1".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let options = Options { agent: text.starts_with(b"# agent\n"), env };
    parse(text, Path::new("/etc/prometheus.yml"), &options)
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The files of this name in the folders of sources.
fn of_sources(name: &str) -> Vec<PathBuf> {
    let folders = entries("../discovery/src/source").into_iter();
    folders.map(|folder| folder.join(name)).filter(|path| path.exists()).collect()
}

/// The listings of errors.
fn every_error() -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/errors.txt");
    let listings = of_sources("keys.errors.txt").into_iter().chain([own]);
    listings.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn files(ending: &str) -> Vec<(String, Vec<u8>)> {
    entries("tests/files")
        .into_iter()
        .filter_map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            name.ends_with(ending).then(|| (name, std::fs::read(&path).unwrap()))
        })
        .collect()
}

#[test]
fn every_bad_file_is_refused_with_its_errors() {
    let mut listing = String::new();
    for (name, text) in files(".bad.yml") {
        let Err(errors) = read(&text) else { panic!("{name} was not refused") };
        writeln!(listing, "=== {name}\n{errors}").unwrap();
    }
    expect_file!["../files/errors.txt"].assert_eq(&listing);
}

#[test]
fn the_bad_file_of_every_source_is_refused_with_its_errors() {
    for path in of_sources("keys.bad.yml") {
        let Err(errors) = read(&std::fs::read(&path).unwrap()) else {
            panic!("{} was not refused", path.display())
        };
        expect_file![path.with_file_name("keys.errors.txt")].assert_eq(&format!("{errors}\n"));
    }
}

#[test]
fn every_good_file_is_read_with_its_warnings_and_written_back_the_same() {
    let mut listing = String::new();
    for (name, text) in files(".good.yml") {
        writeln!(listing, "=== {name}").unwrap();
        for warning in written_back_the_same(&name, &text).warnings {
            writeln!(listing, "{warning}").unwrap();
        }
    }
    expect_file!["../files/warnings.txt"].assert_eq(&listing);
}

#[test]
fn the_good_file_of_every_source_is_written_back_the_same_without_a_warning() {
    for path in of_sources("keys.good.yml") {
        let name = path.display().to_string();
        let loaded = written_back_the_same(&name, &std::fs::read(&path).unwrap());
        assert_eq!(loaded.warnings, [], "{name}");
    }
}

fn written_back_the_same(name: &str, text: &[u8]) -> Loaded {
    let loaded = read(text).unwrap_or_else(|errors| panic!("{name}:\n{errors}"));
    let written = loaded.config.to_yaml();
    let again = read(written.as_bytes())
        .unwrap_or_else(|errors| panic!("{name}, written back:\n{errors}\n{written}"));
    assert_eq!(again.config.to_yaml(), written, "{name}");
    assert!(again.config == loaded.config, "{name}: another when written back:\n{written}");
    loaded
}

/// The file is large on purpose: a key that is added to the tables is added there too. A source may
/// have its keys in a file of its own.
#[test]
fn the_file_with_every_key_has_every_key() {
    // Two keys exclude each other: one of them has a file of its own.
    let mut text =
        concat!(include_str!("../files/all.good.yml"), include_str!("../files/otlp.good.yml"))
            .to_owned();
    for path in of_sources("keys.good.yml") {
        text += &std::fs::read_to_string(path).unwrap();
    }
    let missing: Vec<String> = reference_rows()
        .into_iter()
        .filter(|row| row.state != "refused" || row.key.starts_with("proxy"))
        .filter(|row| !text.contains(&format!("{}:", row.key)))
        .map(|row| row.key)
        .collect();
    assert!(missing.is_empty(), "not in all.good.yml: {missing:?}");
}

struct Row {
    key: String,
    value: String,
    state: String,
}

fn reference_rows() -> Vec<Row> {
    let reference = reference();
    let mut rows = Vec::new();
    for line in reference.lines() {
        if let Some(row) = line.strip_prefix("| `") {
            let mut cells = row.split(" | ");
            let mut cell = || cells.next().unwrap().to_owned();
            let key = cell().split('`').next().unwrap().to_owned();
            let (value, _default, state) = (cell(), cell(), cell());
            rows.push(Row { key, value, state });
        }
    }
    assert!(rows.len() > 250, "the reference has another form than this reads: {}", rows.len());
    rows
}

#[test]
fn the_documentation_has_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let begin = text.find("<!-- keys").unwrap();
    let begin = begin + text[begin..].find("-->").unwrap() + "-->\n".len();
    let end = text.find("<!-- end of keys").unwrap();
    let expected = format!("{}\n{}{}", &text[..begin], reference(), &text[end..]);
    expect_file![path].assert_eq(&expected);
}

/// Both ways, against the string literals of the sources.
#[test]
fn the_documentation_has_every_meta_label() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../discovery/src/source");
    let mut source = String::new();
    read_sources(&folder, &mut source);
    source.push_str(include_str!("../../../model/src/target_list.rs"));
    let mut built = std::collections::BTreeSet::new();
    for literal in source.split('"').filter(|literal| literal.starts_with("__meta_")) {
        match literal {
            // These two begin the labels of networks, which both sources have.
            "__meta_docker_" | "__meta_dockerswarm_" => {
                for suffix in ["id", "ingress", "internal", "label_", "name", "scope"] {
                    assert!(source.contains(&format!("name(\"{suffix}\")")), "network_{suffix}");
                    built.insert(format!("{literal}network_{suffix}"));
                }
            }
            _ => drop(built.insert(literal.to_owned())),
        }
    }
    let text = include_str!("../../../../docs/configuration.md");
    let documented: std::collections::BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `__meta_")?.split('`').next())
        .map(|name| format!("__meta_{}", name.trim_end_matches("<l>")))
        .collect();
    let differ: Vec<_> = built.symmetric_difference(&documented).collect();
    assert!(differ.is_empty(), "in one of the two only: {differ:#?}");
}

/// All Rust code below `folder` but for its tests.
fn read_sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            read_sources(&path, text);
        } else if path.is_file() && name != "tests" {
            let code = std::fs::read_to_string(&path).unwrap();
            text.push_str(code.split("#[cfg(test)]\nmod tests {").next().unwrap());
        }
    }
}

/// The refusals of Prometheus' that people search for. Each is in the listing, as it is there.
#[test]
fn the_texts_are_those_of_prometheus() {
    let listing = every_error();
    let texts = [
        "at most one of bearer_token & bearer_token_file must be configured",
        "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        "at most one of basic_auth username, username_file & username_ref must be configured",
        "at most one of basic_auth password, password_file & password_ref must be configured",
        "authorization is not compatible with bearer_token & bearer_token_file",
        "at most one of authorization credentials & credentials_file must be configured",
        "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
        "at most one of basic_auth, oauth2 & authorization must be configured",
        "oauth2 client_id must be configured",
        "oauth2 token_url must be configured",
        "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be \
         configured using grant-type=client_credentials",
        "valid signature algorithms are RS256, RS384 and RS512",
        "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be \
         configured",
        "if proxy_from_environment is configured, proxy_url must not be configured",
        "if proxy_from_environment is configured, no_proxy must not be configured",
        "if no_proxy is configured, proxy_url must also be configured",
        "setting header \"X-Amz-Date\" is not allowed",
        "at most one of ca, ca_file & ca_ref must be configured",
        "at most one of cert, cert_file & cert_ref must be configured",
        "at most one of key and key_file must be configured",
        "exactly one of key or key_file must be configured when a client certificate is configured",
        "exactly one of cert or cert_file must be configured when a client key is configured",
        "unknown TLS version: TLS1.3",
        "tls_config.max_version must be greater than or equal to tls_config.min_version if both \
         are specified",
        "cannot use secret ref without manager",
        "invalid scrape config file path \"",
        "field alerting is not allowed in agent mode",
        "field rule_files is not allowed in agent mode",
        "field remote_read is not allowed in agent mode",
        "job_name is empty",
        "empty or null scrape config section",
        "found multiple scrape configs with job name \"a\"",
        "scrape timeout greater than scrape interval for scrape config with job name \"times\"",
        "global scrape timeout greater than scrape interval",
        "scrape_protocols cannot be empty for scrape config with job name \"no-protocols\"",
        "duplicated protocol in scrape_protocols, got [PrometheusText0.0.4 PrometheusText0.0.4] \
         for scrape config with job name \"twice\"",
        "field scrapeInterval not found in type config.ScrapeConfig",
        "utf8 metric names requested but validation scheme is not set to UTF8",
        "url for remote_write is empty",
        "empty or null remote write config section",
        "found multiple remote write configs with job name \"a\"",
        "remote write queue max_shards must be positive",
        "remote write queue min_shards must be positive",
        "remote write queue max_samples_per_send must be positive",
        "remote write queue capacity must be positive",
        "remote write queue min_shards must not be greater than max_shards",
        "remote write queue max_backoff must not be less than min_backoff",
        "invalid protobuf_message value: unknown type for remote write protobuf message v2, \
         supported: prometheus.WriteRequest, io.prometheus.write.v2.Request",
        "content-type is a reserved header. It must not be changed",
        "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, \
         azuread or google_iam parameter",
        "Currently configured: [basic_auth sigv4]",
        "Swarm SD configuration requires at least one Swarm master",
        "unknown fields in swarm_sd_config",
        "host missing",
        "role missing (one of: tasks, services, nodes)",
        "invalid role managers, expected tasks, services, or nodes",
        "parse \"127.0.0.1:2375\": first path segment in URL cannot contain colon",
        "\"http://example.com/metrics\" is not a valid hostname",
        "empty or null section in static_configs",
        "is not valid for file discovery",
        "file service discovery config must contain at least one path name",
        "\"\" is not a valid label name",
        "URL is missing",
        "URL scheme must be 'http' or 'https'",
        "host is missing in URL",
        "DNS-SD config must contain at least one SRV record name",
        "a port is required in DNS-SD configs for all record types except SRV",
        "invalid DNS-SD records type TXT",
        "relabel action cannot be empty",
        "unknown relabel action \"move\"",
        "relabel configuration for hashmod requires non-zero modulus",
        "relabel configuration for replace action requires 'target_label' value",
        "is invalid 'target_label' for replace action",
        "is invalid 'replacement' for labelmap action",
        "'replacement' can not be set for uppercase action",
        "dropequal action requires only 'source_labels' and `target_label`, and no other fields",
        "labeldrop action requires only 'regex', and no other fields",
        "error parsing regexp: ",
        "empty or null target relabeling rule in scrape config",
        "empty or null metric relabeling rule in scrape config",
        "empty or null relabeling rule in remote write config",
        "not a valid duration string: \"fast\"",
        "unknown unit \" second\" in duration \"1 second\"",
    ];
    let missing: Vec<_> = texts.into_iter().filter(|text| !listing.contains(text)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Every secret of the tables and every password of a URL: in what is kept, in what is written back,
/// and in every error of a file that is broken at the secret.
#[test]
fn no_secret_shows_again() {
    let template = include_str!("../files/all.good.yml").replace("xxxxx", "<secret>");
    let mut text = String::new();
    for (i, piece) in template.split("<secret>").enumerate() {
        if i > 0 {
            write!(text, "s3cret-{i}").unwrap();
        }
        text.push_str(piece);
    }
    for row in reference_rows().iter().filter(|row| row.value == "secret") {
        assert!(text.contains(&format!("{}: s3cret-", row.key)), "{} is not tried", row.key);
    }

    let loaded = read(text.as_bytes()).unwrap();
    let yaml = loaded.config.to_yaml();
    let job = loaded.config.job_yaml("everything").unwrap();
    assert!(yaml.contains("client_secret: <secret>") && yaml.contains("user:xxxxx@"));
    for shown in [yaml, job, format!("{loaded:?}"), format!("{:#?}", loaded.config.job_configs())] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("s3cret")) {
        for broken in [
            line.replacen("s3cret", "[s3cret", 1),
            line.replacen("s3cret", "{s3cret", 1),
            line.replacen("s3cret", "\"s3cret", 1),
            line.replacen("s3cret", "[[{a: s3cret}]] #", 1),
            line.replacen("s3cret", "\u{7}s3cret", 1),
            line.replacen(": ", " ", 1),
            format!("{line}: s3cret"),
            format!("    {line}"),
        ] {
            let mut lines = lines.clone();
            lines[i] = &broken;
            if let Err(errors) = read(lines.join("\n").as_bytes()) {
                let shown = format!("{errors}\n{errors:?}");
                // A key is shown: that is what is unknown about it.
                let shown = shown.replace("field client_secret s3cret", "");
                assert!(!shown.contains("s3cret"), "{broken}\n{shown}");
            }
        }
    }
    assert!(!every_error().contains("s3cret"));
}

#[test]
fn a_job_that_only_moved_is_the_same_job() {
    let before = read(b"scrape_configs:\n- job_name: a\n  scheme: https\n").unwrap().config;
    let moved = read(b"\n# Hello.\nscrape_configs: [{scheme: https, job_name: a}]").unwrap().config;
    assert!(before == moved);
    let other = read(b"scrape_configs:\n- job_name: a\n  scheme: http\n").unwrap().config;
    assert!(before.job_configs() != other.job_configs());
}

/// The job that absent keys and keys without a value give.
#[test]
fn a_null_is_the_types_zero_and_not_the_default() {
    let job = |name: &str, text: &[u8]| read(text).unwrap().config.job_yaml(name).unwrap();
    expect![[r#"
        job_name: a
        honor_timestamps: true
        track_timestamps_staleness: false
        scrape_interval: 1m
        scrape_timeout: 10s
        scrape_protocols:
        - OpenMetricsText1.0.0
        - OpenMetricsText0.0.1
        - PrometheusText1.0.0
        - PrometheusText0.0.4
        scrape_native_histograms: false
        always_scrape_classic_histograms: false
        convert_classic_histograms_to_nhcb: false
        metrics_path: /metrics
        scheme: http
        enable_compression: true
        metric_name_validation_scheme: utf8
        metric_name_escaping_scheme: allow-utf-8
        extra_scrape_metrics: false
        follow_redirects: true
        enable_http2: true
    "#]]
    .assert_eq(&job("a", b"scrape_configs: [{job_name: a}]"));
    expect![[r#"
        job_name: nulls
        honor_timestamps: false
        track_timestamps_staleness: false
        scrape_interval: 1m
        scrape_timeout: 10s
        scrape_protocols:
        - OpenMetricsText1.0.0
        - OpenMetricsText0.0.1
        - PrometheusText1.0.0
        - PrometheusText0.0.4
        scrape_native_histograms: false
        always_scrape_classic_histograms: false
        convert_classic_histograms_to_nhcb: false
        metrics_path: ""
        scheme: ""
        enable_compression: false
        metric_name_validation_scheme: utf8
        metric_name_escaping_scheme: allow-utf-8
        extra_scrape_metrics: false
        follow_redirects: false
        enable_http2: true
        relabel_configs:
        - separator: ""
          regex: ""
          target_label: a
          replacement: ""
          action: replace
        static_configs:
        - targets: []
    "#]]
    .assert_eq(&job("nulls", include_bytes!("../files/null.good.yml")));
}

#[test]
fn strings_keep_their_text_and_others_follow_yaml_1_1() {
    let config = read(include_bytes!("../files/yaml.good.yml")).unwrap().config;
    let yaml = config.to_yaml();
    expect![[r#"
        global:
          scrape_interval: 30s
          scrape_timeout: 10s
          evaluation_interval: 1m
          external_labels:
            boolean: "yes"
            date: "2026-11-23"
            exponent: "1e3"
            float: "1.10"
            folded: |
              one two
            hex: "0x10"
            long: plain text over two lines
            nothing: ""
            null_word: ""
            octal: "010"
            quoted: "yes"
            tagged: "5"
            tilde: ""
            "ä\n": "tab\there"
          sample_limit: 1000
          target_limit: 16
          label_limit: 1000
          label_value_length_limit: 1
          metric_name_validation_scheme: utf8
          scrape_native_histograms: false
          extra_scrape_metrics: false
    "#]]
    .assert_eq(yaml.split("runtime:").next().unwrap());
    let jobs: Vec<_> = config
        .job_configs()
        .iter()
        .map(|job| (job.name().to_string(), job.pool.defaults.scheme.clone(), job.sources.len()))
        .collect();
    expect![[r#"[("one", "http", 1), ("two", "http", 1), ("three", "https", 1), ("four", "http", 1), ("five", "ftp", 0)]"#]]
        .assert_eq(&format!("{jobs:?}"));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_name() {
    let check = |path: &Path, expected: expect_test::Expect| {
        let errors = load(path, &Options::default()).unwrap_err();
        expected.assert_eq(&errors.to_string());
    };
    check(
        Path::new("/nowhere/prometheus.yml"),
        expect!["/nowhere/prometheus.yml: cannot read the configuration file: no such file"],
    );
    check(Path::new("/"), expect!["/: cannot read the configuration file: is a directory"]);
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let text = b"scrape_configs: [{job_name: a, file_sd_configs: [{files: [./a.yml, /b.yml]}]}]";
    let yaml = |path: &str| {
        let config = parse(text, Path::new(path), &Options::default()).unwrap().config;
        let yaml = config.job_yaml("a").unwrap();
        let files = yaml.split("files:").nth(1).unwrap().lines().skip(1).take(2);
        files.map(str::trim).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(yaml("prometheus.yml"), "- a.yml - /b.yml");
    assert_eq!(yaml("conf/prometheus.yml"), "- conf/a.yml - /b.yml");
}

/// Every file that a source's requests need, as `check config` checks them and the client reads
/// them. Prometheus joins all but `client_certificate_key_file`.
#[test]
fn all_files_of_http_config_start_at_the_folder_of_the_file() {
    let check = |keys: &str, expected: &str| {
        let text = format!(
            "scrape_configs: [{{job_name: a, http_sd_configs: [{{url: 'http://b', {keys}}}]}}]"
        );
        let config = parse(text.as_bytes(), Path::new("conf/a.yml"), &Options::default());
        let jobs = config.unwrap().config.job_configs();
        let SdConfig::Http(source) = &jobs[0].sources[0] else { panic!("no http_sd_config") };
        let files = source.http.files();
        let files: Vec<_> = files.iter().map(|(_, path)| path.to_str().unwrap()).collect();
        assert_eq!(files.join(" "), expected);
    };
    check("bearer_token_file: a", "conf/a");
    check("authorization: {credentials_file: ./a}", "conf/a");
    check("basic_auth: {username_file: a, password_file: /b}", "conf/a /b");
    check("tls_config: {ca_file: a, cert_file: b, key_file: ../c}", "conf/a conf/b conf/../c");
    check("http_headers: {A: {files: [a, /b]}, B: {files: [c]}}", "conf/a /b conf/c");
    let oauth2 = "client_id: id, token_url: 'http://c'";
    let tls = "tls_config: {ca_file: d}";
    check(&format!("oauth2: {{{oauth2}, client_secret_file: a, {tls}}}"), "conf/a conf/d");
    let grant = "grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'";
    check(&format!("oauth2: {{{oauth2}, {grant}, client_certificate_key_file: a}}"), "conf/a");
}

/// One source runs for all that say the same; a difference in any key makes another one.
#[test]
fn sources_are_the_same_where_all_of_http_config_is() {
    let oauth2 = "client_id: a, token_url: 'http://t'";
    let jwt = format!(
        "{oauth2}, client_certificate_key_file: k, \
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'"
    );
    let variants = [
        "proxy_url: 'http://p'".to_owned(),
        "proxy_url: 'http://p:81'".to_owned(),
        "proxy_url: 'http://u@p'".to_owned(),
        "proxy_url: 'http://u:s@p'".to_owned(),
        "proxy_url: 'http://p', no_proxy: a".to_owned(),
        "proxy_url: 'http://p', proxy_connect_header: {A: [s]}".to_owned(),
        "proxy_url: 'http://p', proxy_connect_header: {A: [t]}".to_owned(),
        "http_headers: {A: {values: [s]}}".to_owned(),
        "http_headers: {A: {secrets: [s]}}".to_owned(),
        "http_headers: {A: {files: [s]}}".to_owned(),
        format!("oauth2: {{{oauth2}}}"),
        format!("oauth2: {{{oauth2}, client_secret: s}}"),
        format!("oauth2: {{{oauth2}, client_secret: t}}"),
        format!("oauth2: {{{oauth2}, scopes: [a]}}"),
        format!("oauth2: {{{oauth2}, endpoint_params: {{a: b}}}}"),
        format!("oauth2: {{{oauth2}, tls_config: {{ca_file: a}}}}"),
        format!("oauth2: {{{oauth2}, proxy_url: 'http://p'}}"),
        format!("oauth2: {{{jwt}}}"),
        format!("oauth2: {{{jwt}, iss: a}}"),
        format!("oauth2: {{{jwt}, audience: a}}"),
        format!("oauth2: {{{jwt}, client_certificate_key_id: a}}"),
        format!("oauth2: {{{jwt}, signature_algorithm: RS384}}"),
        format!("oauth2: {{{jwt}, claims: {{a: 1}}}}"),
        format!("oauth2: {{{jwt}, claims: {{a: '1'}}}}"),
    ];
    let sources = variants.each_ref().map(|keys| {
        let text = format!(
            "scrape_configs: [{{job_name: a, http_sd_configs: [{{url: 'http://b', {keys}}}]}}]"
        );
        let read = || read(text.as_bytes()).unwrap().config.job_configs()[0].sources[0].clone();
        assert!(read() == read(), "{keys}");
        read()
    });
    for (i, one) in sources.iter().enumerate() {
        for (j, other) in sources.iter().enumerate().filter(|(j, _)| *j != i) {
            assert!(one != other, "{} | {}", variants[i], variants[j]);
        }
    }
}

#[test]
fn external_labels_are_taken_from_the_environment_and_nothing_else_is() {
    let text = b"global: {external_labels: {a: '$HOST-${HOST}-$$5-$NONE'}, query_log_file: /$HOST}";
    let loaded = read(text).unwrap();
    let yaml = loaded.config.to_yaml();
    assert!(yaml.contains("a: swarm-1-swarm-1-$5-\n"), "{yaml}");
    assert!(yaml.contains("query_log_file: /$HOST\n"), "{yaml}");
    assert_eq!(
        loaded.warnings[0].to_string(),
        "/etc/prometheus.yml:1:28: global.external_labels.a: environment variable NONE is empty or \
         not set"
    );
}

#[test]
fn proxies_are_taken_from_the_environment_that_is_given() {
    let text = b"scrape_configs: [{job_name: a, http_sd_configs: [{url: 'http://b', \
        proxy_from_environment: true}]}]";
    let read = |env| {
        parse(text, Path::new("prometheus.yml"), &Options { agent: false, env })
            .map(|loaded| format!("{:?}", loaded.config.job_configs()[0].sources[0]))
            .map_err(|errors| errors.to_string())
    };
    let good = read(|name| (name == "HTTPS_PROXY").then(|| "u:s3cret@proxy:3128".to_owned()));
    let shown = good.unwrap();
    assert!(shown.contains(r#"https: Some("http://proxy:3128")"#), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let bad = read(|name| (name == "http_proxy").then(|| "ftp://u:s3cret@proxy".to_owned()));
    expect![[r#"prometheus.yml:1:68: scrape_configs[0].http_sd_configs[0].proxy_from_environment: cannot use environment variable http_proxy: parse "ftp://u:xxxxx@proxy": the URL of a proxy starts with http://, https://, socks5:// or socks5h://"#]].assert_eq(&bad.unwrap_err());
}

/// The result is a configuration or an error, and never a panic.
#[test]
fn a_file_may_be_cut_anywhere() {
    let text = include_bytes!("../files/all.good.yml");
    let refused = (0..text.len()).step_by(61).filter(|end| read(&text[..*end]).is_err()).count();
    assert!(refused > 20, "{refused}");
}

/// A file of some 5 MB: half a million values, every one in its place.
#[test]
fn a_large_file_is_read_whole() {
    let mut text = String::from("scrape_configs:\n");
    for job in 0..250 {
        writeln!(text, "- job_name: job-{job}\n  static_configs:").unwrap();
        for group in 0..60 {
            writeln!(text, "  - labels: {{group: '{group}'}}\n    targets:").unwrap();
            for target in 0..15 {
                writeln!(text, "    - 10.{job}.{group}.{target}:9100").unwrap();
            }
        }
    }
    assert!(text.len() > 5_000_000, "{}", text.len());
    let jobs = read(text.as_bytes()).unwrap().config.job_configs();
    assert_eq!(jobs.len(), 250);
}

#[test]
fn a_file_full_of_errors_ends_in_bounded_time() {
    let mut text = String::new();
    for i in 0..20_000 {
        writeln!(text, "unknown_{i}: 1").unwrap();
    }
    let errors = read(text.as_bytes()).unwrap_err();
    assert_eq!(errors.iter().count(), 1000);
}
