//! `doctor`: runs all checks, and prints what they find.

use std::fmt::Write as _;
use std::process::ExitCode;

use swarmscout_diagnose::doctor::{Doctor, Report};
use swarmscout_diagnose::report::Severity;
use swarmscout_discovery::config::OwnContainer;

use super::page::{self, Line, Window};
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
    match args.server.format {
        DiagnoseFormat::Json => {
            let json = serde_json::to_string_pretty(&report).expect("its keys are strings");
            print(&format!("{json}\n"));
        }
        DiagnoseFormat::Text => print(&Window::of_stdout().render(&text(&report))),
    }
    match report.worst() {
        None | Some(Severity::Note) => ExitCode::SUCCESS,
        Some(Severity::Error | Severity::Warning) => ExitCode::FAILURE,
    }
}

async fn examine(args: &DoctorArgs) -> anyhow::Result<Report> {
    let Some(file) = &args.server.config_file else {
        return Server::new(&args.server.endpoint, ADVICE)?.post("/doctor").await;
    };
    let subject = direct::observe(file, args.server.timeout.into()).await?;
    let doctor = Doctor::new(&format!("Swarmscout/{}", BUILD.version))?;
    let doctor = doctor.in_container(OwnContainer::read());
    // Its jobs have ended.
    Ok(doctor.examine(&subject, || subject.clone()).await)
}

/// One paragraph for each finding, the worst first, and one line that sums up.
fn text(report: &Report) -> Vec<Line> {
    let mut lines: Vec<_> = report.findings.iter().flat_map(page::finding).collect();
    let verdict = match report.worst() {
        None => "all is well",
        Some(Severity::Note) => "nothing is broken",
        Some(Severity::Warning) => "something needs attention",
        Some(Severity::Error) => "metrics are missing",
    };
    let coverage = coverage(report);
    lines.push(Line::new(&format!("{coverage} ({:.1} s): {verdict}", report.took_seconds)));
    lines
}

/// How many targets there are, and what became of them.
fn coverage(report: &Report) -> String {
    let Report { targets, urls, sampled, probed, up, gone, .. } = report;
    let mut text = format!("{targets} targets");
    if !sampled && urls < targets {
        write!(text, " at {urls} URLs").expect("a string takes all");
    }
    write!(text, ", {probed} probed").expect("a string takes all");
    if *sampled {
        text += " as a sample";
    }
    if probed < urls {
        text += " before the time was over";
    }
    write!(text, ", {up} of them up").expect("a string takes all");
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
            gone: 0,
            took_seconds: 0.25,
        };
        expect![[r#"
            ERROR    service web: 1 of 2 probed targets do not listen on their port
                       http://10.0.0.1:80/metrics on node \u{1b}[2J: refused
                     fix: set prometheus.io/port
            NOTE     service web: 1 of 2 probed targets do not listen on their port
                       http://10.0.0.1:80/metrics on node \u{1b}[2J: refused
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
            gone,
            took_seconds: 0.25,
        };
        let check = |report, expected: Expect| expected.assert_eq(&coverage(&report));
        check(report(41, 41, false, 41, 0), expect!["41 targets, 41 probed, 41 of them up"]);
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
