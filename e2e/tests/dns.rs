//! DNS discovery at a real server, beside a real promtool.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::dns::{ADDRESS, Nsd, with_resolv_conf};
use swarmscout_e2e::program::{Server, check_sd, known_to_2_42, swarmscout};
use swarmscout_e2e::scratch::Scratch;
use swarmscout_e2e::{get, get_json, until};

/// There is one port 53.
static SERVER: Mutex<()> = Mutex::new(());

const RECORDS: &str = "\
tasks.web.example.com A 10.0.1.3
tasks.web.example.com A 10.0.1.4
tasks.web.example.com AAAA 2001:db8::3
tasks.web.example.com AAAA ::ffff:10.0.1.9
alias.example.com CNAME tasks.web.example.com.
dangling.example.com CNAME nothing.example.com.
_metrics._tcp.example.com SRV 0 5 9100 node-1.example.com.
_metrics._tcp.example.com SRV 0 5 9101 node-2.example.com.
example.com MX 10 mail.example.com.
. NS ns-2.example.com.
ns.example.com A 192.0.2.53
text.example.com TXT x
web.one.example A 10.0.0.1
web.two.example A 10.0.0.2
";

/// More than an answer over UDP holds.
fn many(records: &mut String) {
    for i in 1..=150 {
        let _ = writeln!(records, "many.example.com A 10.0.2.{i}");
        let _ = writeln!(
            records,
            "_many._tcp.example.com SRV 0 0 {i} host-{i}.of.a.long.name.example.com."
        );
    }
}

fn resolv_conf(folder: &Path, lines: &str) -> Result<std::path::PathBuf> {
    let file = folder.join("resolv.conf");
    fs::write(&file, lines)?;
    Ok(file)
}

#[test]
fn targets_equal_those_of_promtool() -> Result<()> {
    let _one = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new()?;
    let mut records = RECORDS.to_owned();
    many(&mut records);
    let _server = Nsd::start(&scratch, &records)?;
    let search = "search nowhere.example example.com two.example one.example\n";
    let file = resolv_conf(&scratch, &format!("nameserver {ADDRESS}\n{search}"))?;
    let mut compared = 0;
    for (names, kind) in [
        ("tasks.web, alias, dangling.example.com., web, nothing, text, many", "A"),
        ("tasks.web, alias", "AAAA"),
        ("_metrics._tcp, _many._tcp.example.com.", "SRV"),
        ("example.com", "MX"),
        ("., example.com", "NS"),
    ] {
        let config = scratch.join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "scrape_configs:\n- job_name: dns\n  dns_sd_configs: [{{names: [{names}], type: {kind}, port: 8080}}]\n"
            ),
        )?;
        let check = |mut command: Command, more: &[&str]| -> Result<Vec<Value>> {
            command.args(["check", "service-discovery", "--timeout=5s"]).args(more);
            command.arg(&config).arg("dns");
            check_sd(&mut with_resolv_conf(&file, &command)).map(known_to_2_42)
        };
        let ours = check(swarmscout(), &["--format=json"])?;
        if kind == "NS" {
            // 2.42 does not know the type.
            let server = |labels: &Value| labels["__meta_dns_ns_record_target"].clone();
            let servers: Vec<_> = ours.iter().map(server).collect();
            ensure!(servers == ["ns-2.example.com.", "ns.example.com."], "{ours:#?}");
            continue;
        }
        let theirs = check(Command::new("promtool"), &[])?;
        ensure!(
            !theirs.is_empty() && ours == theirs,
            "{kind}: promtool {theirs:#?}\nours {ours:#?}"
        );
        compared += ours.len();
    }
    println!("{compared} targets are equal");
    ensure!(compared > 300, "{compared}");
    Ok(())
}

/// The server goes and comes back, and the file names another one in between.
#[test]
fn a_server_that_is_gone_takes_no_target_with_it() -> Result<()> {
    let _one = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new()?;
    let mut dns = Nsd::start(&scratch, RECORDS)?;
    let named = format!("nameserver {ADDRESS}\nsearch example.com\n");
    let file = resolv_conf(&scratch, &named)?;
    let config = scratch.join("swarmscout.yml");
    fs::write(
        &config,
        "scrape_configs:\n- job_name: web\n  dns_sd_configs:\n  \
         - {names: [tasks.web], type: A, port: 8080, refresh_interval: 1s}\n",
    )?;
    let mut command = swarmscout();
    command.arg(format!("--config.file={}", config.display()));
    let scout = Server::start(with_resolv_conf(&file, &command), &scratch, "scout")?;
    let await_addresses = |expected: &[&str]| {
        until("targets", Duration::from_secs(20), || {
            let mut found: Vec<_> =
                scout.sd("web")?.into_iter().map(|(address, _)| address).collect();
            found.sort();
            ensure!(found == expected, "{found:?}");
            Ok(())
        })
    };
    let await_error = |part: &str| {
        until(part, Duration::from_secs(20), || {
            let sources = get_json(&format!("{}/api/v1/sources", scout.url))?;
            let error = sources["data"]["sources"][0]["lastError"].as_str().context("no error")?;
            ensure!(error.contains(part), "{sources}");
            Ok(())
        })
    };
    await_addresses(&["10.0.1.3:8080", "10.0.1.4:8080"])?;

    dns.stop();
    await_error("connection refused")?;
    await_addresses(&["10.0.1.3:8080", "10.0.1.4:8080"])?;
    let metrics = get(&format!("{}/metrics", scout.url))?;
    let failures =
        metrics.lines().find_map(|l| l.strip_prefix("prometheus_sd_dns_lookup_failures_total "));
    ensure!(failures.is_some_and(|count| count != "0"), "{metrics}");
    ensure!(metrics.contains("swarmscout_source_up{job=\"web\",source=\"dns/0\"} 0"), "{metrics}");

    dns.restart("tasks.web.example.com A 10.0.1.5\n")?;
    await_addresses(&["10.0.1.5:8080"])?;

    // In place, in the same inode, as Docker writes it.
    fs::write(&file, "nameserver 127.53.0.3\noptions timeout:1\n")?;
    await_error("tasks.web. at 127.53.0.3")?;
    await_addresses(&["10.0.1.5:8080"])?;
    fs::write(&file, &named)?;
    await_error("")?;

    // A name that is gone is gone.
    dns.restart("")?;
    await_addresses(&[])
}
