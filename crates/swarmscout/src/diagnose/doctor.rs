//! `doctor`: runs all checks, and prints what they find.

use std::fmt::Write as _;
use std::process::ExitCode;

use swarmscout_diagnose::doctor::{Doctor, PeerCoverage, Report, Suggestion, Suggestions};
use swarmscout_diagnose::report::Severity;
use swarmscout_discovery::config::OwnContainer;
use swarmscout_model::counted;

use super::page::{self, Line, Style, Window};
use super::{ADVICE, NO_RESULT, direct};
use crate::app::BUILD;
use crate::ask::Server;
use crate::cli::{DiagnoseFormat, DoctorArgs};
use crate::output::{print, print_error, printable};

pub(super) async fn run(args: &DoctorArgs) -> ExitCode {
    let report = match examine(args).await {
        Ok(report) => report,
        Err(error) => {
            print_error(&format!("cannot run the checks: {}\n", printable(&format!("{error:#}"))));
            return ExitCode::from(NO_RESULT);
        }
    };
    let is_printed = match args.server.format {
        DiagnoseFormat::Json => {
            let json = serde_json::to_string_pretty(&report).expect("its keys are strings");
            print(&format!("{json}\n"))
        }
        DiagnoseFormat::Text => print(&Window::of_stdout().render(&text(&report))),
    };
    match report.worst() {
        None | Some(Severity::Note) if is_printed => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

async fn examine(args: &DoctorArgs) -> anyhow::Result<Report> {
    let Some(subject) = direct::observe(&args.server).await? else {
        let path = if args.suggest { "/doctor?suggest=1" } else { "/doctor" };
        return Server::new(&args.server.endpoint, ADVICE)?.post(path).await;
    };
    let doctor = Doctor::new(&format!("Swarmscout/{}", BUILD.version))?;
    let doctor = doctor.in_container(OwnContainer::read());
    // Its jobs have ended.
    let mut report = doctor.examine(&subject, || subject.clone()).await;
    if args.suggest {
        report.suggest = Some(doctor.suggest(&subject).await);
    }
    Ok(report)
}

/// One paragraph for each finding, the worst first, and one line that sums up.
fn text(report: &Report) -> Vec<Line> {
    let mut lines: Vec<_> = report.findings.iter().flat_map(page::finding).collect();
    if let Some(suggest) = &report.suggest {
        lines.extend(suggest.suggestions.iter().flat_map(suggestion));
        lines.push(Line::new(&summary(suggest)));
    }
    let verdict = match report.worst() {
        None => "all is well",
        Some(Severity::Note) => "nothing is broken",
        Some(Severity::Warning) => "something needs attention",
        Some(Severity::Error) => "metrics are missing",
    };
    if let Some(PeerCoverage { pairs, broken }) = report.peers {
        let state =
            if broken == 0 { "all".to_owned() } else { format!("{} of them", pairs - broken) };
        lines.push(Line::new(&match pairs {
            1 => format!(
                "1 pair of nodes probes each other, {}",
                if broken == 0 { "intact" } else { "broken" }
            ),
            _ => format!("{pairs} pairs of nodes probe each other, {state} intact"),
        }));
    }
    let coverage = coverage(report);
    lines.push(Line::new(&format!("{coverage} ({:.1} s): {verdict}", report.took_seconds)));
    lines
}

/// The labels to paste for a service, or what its image needs.
fn suggestion(suggestion: &Suggestion) -> Vec<Line> {
    let Suggestion { service, image, found, stack_file, command, advice } = suggestion;
    let what = match &found[..] {
        [] => advice.clone(),
        found => format!("metrics at {}", found.join(", ")),
    };
    let head = format!("service {service} ({image}): {what}");
    let mut lines = vec![Line::styled(Style::Noted, "SUGGEST  ", &head)];
    lines.extend(stack_file.lines().map(|line| {
        let text = line.trim_start();
        Line::indented(11 + line.len() - text.len(), text)
    }));
    if !command.is_empty() {
        lines.push(Line::styled(Style::Plain, "         or at once: ", command));
    }
    if !found.is_empty() && !advice.is_empty() {
        lines.push(Line::styled(Style::Plain, "         note: ", advice));
    }
    lines
}

fn summary(suggest: &Suggestions) -> String {
    let Suggestions { services, suggestions } = suggest;
    let noun = if *services == 1 { "service" } else { "services" };
    format!("{services} {noun} without a target, suggestions for {}", suggestions.len())
}

/// How many targets there are, and what became of them.
fn coverage(report: &Report) -> String {
    let Report { targets, urls, sampled, probed, up, guarded, gone, .. } = report;
    let mut text = counted(*targets, "target");
    if !sampled && urls < targets {
        write!(text, " at {}", counted(*urls, "URL")).expect("a string takes all");
    }
    write!(text, ", {probed} probed").expect("a string takes all");
    if *sampled {
        text += " as a sample";
    }
    if probed < urls {
        text += " before the time was over";
    }
    write!(text, ", {}", page::up(*up, *guarded)).expect("a string takes all");
    if *gone > 0 {
        write!(text, ", {gone} gone since").expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use swarmscout_diagnose::report::Finding;

    use super::*;

    fn suggestions() -> Vec<Suggestion> {
        let labelled = Suggestion {
            service: "shop_api".to_owned(),
            image: "shop/api:1".to_owned(),
            found: vec!["http://10.0.0.2:8080/metrics".to_owned()],
            stack_file: "deploy:\n  labels:\n    prometheus.io/port: \"8080\"\n".to_owned(),
            command: "docker service update --label-add 'prometheus.io/port=8080' shop_api"
                .to_owned(),
            advice: "the scraper must be in one of its networks: shop_back".to_owned(),
        };
        let database = Suggestion {
            service: "shop_db".to_owned(),
            image: "postgres:17".to_owned(),
            advice: "it has no metrics of its own".to_owned(),
            ..Suggestion::default()
        };
        vec![labelled, database]
    }

    #[test]
    fn the_text_says_what_is_wrong_and_what_to_do() {
        let finding = Finding {
            severity: Severity::Error,
            check: "port_closed".to_owned(),
            subject: "service web".to_owned(),
            problem: "1 of 2 probed targets do not listen on their port".to_owned(),
            fix: "set prometheus.io/port".to_owned(),
            targets: 1,
            examples: vec!["http://10.0.0.1:80/metrics on node \u{1b}[2J: refused".to_owned()],
        };
        let note = Finding { severity: Severity::Note, fix: String::new(), ..finding.clone() };
        let report = Report {
            findings: vec![finding, note],
            targets: 2,
            urls: 2,
            sampled: false,
            probed: 2,
            up: 1,
            guarded: 0,
            gone: 0,
            peers: Some(PeerCoverage { pairs: 12, broken: 2 }),
            took_seconds: 0.25,
            suggest: Some(Suggestions { services: 3, suggestions: suggestions() }),
        };
        expect![[r#"
            ERROR    service web: 1 of 2 probed targets do not listen on their port
                       http://10.0.0.1:80/metrics on node \u{1b}[2J: refused
                     fix: set prometheus.io/port
            NOTE     service web: 1 of 2 probed targets do not listen on their port
                       http://10.0.0.1:80/metrics on node \u{1b}[2J: refused
            SUGGEST  service shop_api (shop/api:1): metrics at http://10.0.0.2:8080/metrics
                       deploy:
                         labels:
                           prometheus.io/port: "8080"
                     or at once: docker service update --label-add 'prometheus.io/port=8080' shop_api
                     note: the scraper must be in one of its networks: shop_back
            SUGGEST  service shop_db (postgres:17): it has no metrics of its own
            3 services without a target, suggestions for 2
            12 pairs of nodes probe each other, 10 of them intact
            2 targets, 2 probed, 1 of them up (0.2 s): metrics are missing
        "#]]
        .assert_eq(&Window::default().render(&text(&report)));
    }

    #[test]
    fn the_last_line_counts_urls() {
        let report = |targets, urls, sampled, probed, gone| Report {
            findings: Vec::new(),
            targets,
            urls,
            sampled,
            probed,
            up: probed - gone,
            guarded: 0,
            gone,
            peers: None,
            took_seconds: 0.25,
            suggest: None,
        };
        let check = |report, expected: Expect| expected.assert_eq(&coverage(&report));
        check(report(41, 41, false, 41, 0), expect!["41 targets, 41 probed, 41 of them up"]);
        check(
            Report { up: 0, guarded: 11, ..report(11, 11, false, 11, 0) },
            expect![
                "11 targets, 11 probed, 0 of them up, 11 want credentials that only their scrapers have"
            ],
        );
        check(
            report(51, 46, false, 46, 0),
            expect!["51 targets at 46 URLs, 46 probed, 46 of them up"],
        );
        check(
            report(50_000, 10_000, true, 10_000, 2),
            expect!["50000 targets, 10000 probed as a sample, 9998 of them up, 2 gone since"],
        );
        check(
            report(41, 41, false, 20, 0),
            expect!["41 targets, 20 probed before the time was over, 20 of them up"],
        );
    }
}
