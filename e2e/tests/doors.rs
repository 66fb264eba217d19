//! The doors of the web server, tried by a real Prometheus, by curl and by OpenSSL.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::scratch::Scratch;
use swarmscout_e2e::{get, get_json, until};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str =
    "scrape_configs:\n- job_name: web\n  static_configs: [{targets: ['127.0.0.1:9']}]\n";

/// A command with its words, in a folder.
fn command(folder: &Path, words: &str) -> Command {
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir(folder);
    command
}

/// An authority `NAME.crt` with its key.
fn authority(folder: &Path, name: &str) -> Result<()> {
    let words = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} \
         -keyout {name}.key -out {name}.crt"
    );
    run(&mut command(folder, &words)).map(drop)
}

/// A certificate `NAME.crt` of an authority with its key, for 127.0.0.1 and two days.
fn certificate(folder: &Path, name: &str, authority: &str) -> Result<()> {
    certificate_for(2, folder, name, authority)
}

/// The same for other days: -1 for one that has expired.
fn certificate_for(days: i32, folder: &Path, name: &str, authority: &str) -> Result<()> {
    fs::write(folder.join("names"), format!("subjectAltName=DNS:{name}.example,IP:127.0.0.1\n"))?;
    for words in [
        format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
             -keyout {name}.key -out {name}.csr"
        ),
        format!(
            "openssl x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial \
             -days {days} -extfile names -out {name}.crt"
        ),
    ] {
        run(&mut command(folder, &words))?;
    }
    Ok(())
}

/// A Swarmscout with a plain address, and one that these keys of `tls_server_config` protect.
struct Doors {
    scratch: Scratch,
    plain: Server,
    /// `127.0.0.1:1234`
    address: String,
}

impl Doors {
    fn open(keys: &str) -> Result<Self> {
        let scratch = Scratch::new()?;
        for name in ["ours", "foreign"] {
            authority(&scratch, name)?;
        }
        for (name, by) in [("server", "ours"), ("reader", "ours"), ("stranger", "foreign")] {
            certificate(&scratch, name, by)?;
        }
        let text = format!(
            "tls_server_config: {{cert_file: server.crt, key_file: server.key, client_ca_file: ours.crt, \
             {keys}}}\n"
        );
        fs::write(scratch.join("web.yml"), text)?;
        fs::write(scratch.join("scout.yml"), CONFIG)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = swarmscout();
        command.current_dir(&*scratch).args(["--config.file=scout.yml", "--web.enable-lifecycle"]);
        command.arg(format!("--web.listen-address={address},config=web.yml"));
        let plain = Server::start(command, &scratch, "scout")?;
        Ok(Self { scratch, plain, address })
    }

    /// What curl prints: the version of HTTP and the status, or why it fails.
    fn curl(&self, words: &str) -> String {
        let words = format!(
            "curl -sS --cacert ours.crt -o answer -w %{{http_version}}/%{{http_code}} {words} \
             https://{}/sd",
            self.address
        );
        run(&mut command(&self.scratch, &words)).unwrap_or_else(|error| format!("{error:#}"))
    }

    /// The protocol and cipher suite of a handshake by OpenSSL.
    fn s_client(&self, words: &str) -> Result<String> {
        let words = format!(
            "openssl s_client -connect {} -CAfile ours.crt -cert reader.crt -key reader.key -brief {words}",
            self.address
        );
        let output = command(&self.scratch, &words).stdin(std::process::Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start))?;
            Some(line[start.len()..].trim().to_owned())
        };
        let found = line("Protocol version:").zip(line("Ciphersuite:"));
        let (version, suite) = found.with_context(|| text.clone())?;
        Ok(format!("{version} {suite}"))
    }
}

const READER: &str = "--cert reader.crt --key reader.key";

#[test]
fn curl_comes_in_with_a_certificate_of_the_authority_only() -> Result<()> {
    let doors = Doors::open("client_auth_type: RequireAndVerifyClientCert")?;
    ensure!(doors.curl(&format!("{READER} --http2")) == "2/200");
    ensure!(doors.curl(&format!("{READER} --http1.1")) == "1.1/200");
    let answer = fs::read_to_string(doors.scratch.join("answer"))?;
    ensure!(answer.contains(&format!("https://{}/sd/web", doors.address)), "{answer}");
    for words in ["", "--cert stranger.crt --key stranger.key"] {
        let refused = doors.curl(words);
        ensure!(!refused.contains("/200"), "{words}: {refused}");
    }
    let log = until("the log names the stranger", PATIENCE, || {
        let log = doors.plain.process.printed();
        ensure!(log.contains("unknown_authority"), "{log}");
        Ok(log)
    })?;
    ensure!(log.contains(r#"\"stranger\" by authority \"foreign\""#), "{log}");
    ensure!(log.contains("kind=no_certificate"), "{log}");
    let metrics = get(&format!("{}/metrics", doors.plain.url))?;
    let failures = "swarmscout_http_tls_handshake_failures_total{reason=\"unknown_authority\"} 1";
    ensure!(metrics.contains(failures), "{metrics}");
    // Without TLS.
    let words = format!("curl -sS http://{}/sd", doors.address);
    let answer = run(&mut command(&doors.scratch, &words))?;
    ensure!(answer.trim() == "Client sent an HTTP request to an HTTPS server.", "{answer}");
    Ok(())
}

#[test]
fn an_expired_client_certificate_is_named_on_both_sides() -> Result<()> {
    let doors = Doors::open("client_auth_type: RequireAndVerifyClientCert")?;
    certificate_for(-1, &doors.scratch, "late", "ours")?;
    // In TLS 1.3 a client may have sent its request, and finds the connection closed.
    let refused = doors.curl("--cert late.crt --key late.key");
    ensure!(refused.contains("curl: ("), "{refused}");
    let refused = doors.s_client("-tls1_2 -cert late.crt -key late.key");
    let refused = refused.err().context("it was let in")?.to_string();
    ensure!(refused.contains("alert certificate expired"), "{refused}");
    let log = until("the log names it", PATIENCE, || {
        let log = doors.plain.process.printed();
        ensure!(log.contains("kind=expired_certificate"), "{log}");
        Ok(log)
    })?;
    for part in [r#"certificate="\"late\" by authority \"ours\"""#, r#"reason="it expired "#] {
        ensure!(log.contains(part), "{part}: {log}");
    }
    let metrics = get(&format!("{}/metrics", doors.plain.url))?;
    let failures = "swarmscout_http_tls_handshake_failures_total{reason=\"expired_certificate\"} 2";
    ensure!(metrics.contains(failures), "{metrics}");
    // Our own client.
    let http = "tls_config: {ca_file: ours.crt, cert_file: late.crt, key_file: late.key}\n";
    fs::write(doors.scratch.join("http.yml"), http)?;
    let mut status = swarmscout();
    status.args(["status", "--http.config.file=http.yml"]).current_dir(&*doors.scratch);
    let output = status.arg(format!("--url=https://{}", doors.address)).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "{output:?}");
    let is_refused =
        said.contains("the server refused our client certificate (CertificateExpired)");
    ensure!(is_refused || said.contains("it refuses our client certificate"), "{said}");
    Ok(())
}

/// The server certificate of these tests is valid for less than two days.
#[test]
fn the_alert_about_the_server_certificate_fires() -> Result<()> {
    let doors = Doors::open("client_auth_type: VerifyClientCertIfGiven")?;
    fs::write(doors.scratch.join("rules.yml"), run(swarmscout().arg("rules"))? + "\n")?;
    let address = doors.plain.url.trim_start_matches("http://");
    let prometheus = Server::prometheus(
        &doors.scratch,
        &format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs:\n- job_name: swarmscout\n  static_configs: [{{targets: ['{address}']}}]\n"
        ),
    )?;
    until("both alerts fire", PATIENCE, || {
        let answer = get_json(&format!("{}/api/v1/alerts", prometheus.url))?;
        let alerts = answer["data"]["alerts"].as_array().context("no list")?;
        let ours = |severity: &str| {
            alerts.iter().any(|alert| {
                alert["labels"]["alertname"] == "SwarmWebCertificateExpires"
                    && alert["labels"]["severity"] == severity
                    && alert["labels"]["config"] == "web.yml"
                    && alert["labels"]["instance"] == address
                    && alert["state"] == "firing"
            })
        };
        ensure!(ours("warning") && ours("critical"), "{answer}");
        Ok(())
    })
}

#[test]
fn openssl_gets_the_versions_and_suites_of_the_file() -> Result<()> {
    let doors = Doors::open(
        "client_auth_type: VerifyClientCertIfGiven, \
         cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [CurveP256]",
    )?;
    for (words, expected) in [
        ("-tls1_3", Some("TLSv1.3 TLS_AES_256_GCM_SHA384")),
        ("-tls1_2", Some("TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256")),
        ("-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384", None),
        ("-tls1_2 -cipher AES128-SHA", None),
        ("-tls1_1 -cipher ALL:@SECLEVEL=0", None),
        ("-tls1_3 -groups X25519", None),
        ("-tls1_3 -groups P-256", Some("TLSv1.3 TLS_AES_256_GCM_SHA384")),
    ] {
        let found = doors.s_client(words);
        ensure!(found.as_deref().ok() == expected, "{words}: {found:?}");
    }
    // Without a certificate, as the mode allows it.
    ensure!(doors.curl("--http2") == "2/200");
    Ok(())
}

#[test]
fn a_prometheus_reads_lists_behind_tls_while_the_pair_is_replaced() -> Result<()> {
    let doors = Doors::open(
        "client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [reader.example]",
    )?;
    let tls = "tls_config: {ca_file: ours.crt, cert_file: reader.crt, key_file: reader.key}";
    let prometheus = Server::prometheus(
        &doors.scratch,
        &format!(
            "scrape_configs:\n- job_name: lists\n  http_sd_configs:\n  - url: https://{}/sd/web\n    \
             refresh_interval: 1s\n    {tls}\n",
            doors.address
        ),
    )?;
    let targets = || -> Result<usize> {
        let answer = get_json(&format!("{}/api/v1/targets?state=active", prometheus.url))?;
        Ok(answer["data"]["activeTargets"].as_array().context("no list")?.len())
    };
    until("the target", PATIENCE, || {
        ensure!(targets()? == 1);
        Ok(())
    })?;
    // Certificate and key, one after the other.
    let loads = || doors.plain.process.printed().matches("Loaded the web configuration").count();
    certificate(&doors.scratch, "renewed", "ours")?;
    fs::rename(doors.scratch.join("renewed.crt"), doors.scratch.join("server.crt"))?;
    fs::rename(doors.scratch.join("renewed.key"), doors.scratch.join("server.key"))?;
    until("the renewed certificate", PATIENCE, || {
        ensure!(loads() == 1);
        Ok(())
    })?;
    ensure!(doors.curl(READER).ends_with("/200"));
    // A wrong key: the previous version stays in use, and log, metric and page say so.
    fs::copy(doors.scratch.join("stranger.key"), doors.scratch.join("server.key"))?;
    let metric = "swarmscout_web_config_last_reload_successful{config=\"web.yml\"} 0";
    until("the metric", PATIENCE, || {
        let metrics = get(&format!("{}/metrics", doors.plain.url))?;
        ensure!(metrics.contains(metric), "{metrics}");
        Ok(())
    })?;
    let page = get(&doors.plain.url)?;
    ensure!(page.contains("the key does not belong to the certificate"), "{page}");
    ensure!(doors.curl(READER).ends_with("/200"));
    ensure!(targets()? == 1);

    let output = swarmscout()
        .args(["check", "web-config", "web.yml"])
        .current_dir(&*doors.scratch)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{output:?}");
    ensure!(said.starts_with("web.yml FAILED: web.yml:1:"), "{said}");
    Ok(())
}
