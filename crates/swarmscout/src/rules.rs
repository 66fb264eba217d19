//! The command `rules`: the alerts of this version, so that a binary is enough.

use crate::cli::RulesArgs;

/// The alerts, for Prometheus and VictoriaMetrics.
const RULES: &str = include_str!("../../../deploy/rules/swarmscout.yml");

/// What follows from another alert, for Alertmanager.
const INHIBIT: &str = include_str!("../../../deploy/rules/alertmanager-inhibit.yml");

/// The folder of the pages that the rules name, as it stands in this repository.
const PAGES: &str = "docs/alerts/";

/// The text that was asked for.
pub fn text(args: &RulesArgs) -> String {
    match &args.runbooks {
        _ if args.inhibit => INHIBIT.to_owned(),
        Some(url) => {
            let url = url.trim_end_matches('/');
            RULES.replace(&format!("runbook_url: {PAGES}"), &format!("runbook_url: {url}/"))
        }
        None => RULES.to_owned(),
    }
}
