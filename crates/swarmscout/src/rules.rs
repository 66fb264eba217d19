//! The command `rules`: the alerts of this version, so that a binary is enough.

use crate::cli::RulesArgs;

/// The alerts, for Prometheus and VictoriaMetrics.
const RULES: &str = include_str!("../../../deploy/rules/swarmscout.yml");

/// What follows from another alert, for Alertmanager.
const INHIBIT: &str = include_str!("../../../deploy/rules/alertmanager-inhibit.yml");

/// The folder of the pages that the rules name, as it stands in this repository.
const PAGES: &str = "docs/alerts/";

/// What the labels of an alert begin with.
const LABELS: &str = "    labels: {";

/// The text that was asked for.
pub fn text(args: &RulesArgs) -> String {
    if args.inhibit {
        return INHIBIT.to_owned();
    }
    let mut rules = RULES.to_owned();
    if let Some(url) = &args.runbooks {
        let url = url.trim_end_matches('/');
        rules = rules.replace(&format!("runbook_url: {PAGES}"), &format!("runbook_url: {url}/"));
    }
    if let Some(team) = &args.team {
        let template = format!("{{{{ or $labels.team \"{team}\" }}}}");
        rules = rules.replace(LABELS, &format!("{LABELS}team: '{template}', "));
    }
    rules
}
