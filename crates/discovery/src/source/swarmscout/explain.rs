//! The labels of a service explained: each label, what became of it, and the conclusion.
//!
//! The same functions decide that make the targets.

use swarmscout_docker::engine::{LabelMap, Service};

use super::config::SwarmscoutOptions;
use super::options::Options;
use super::settings::{Declared, Endpoint, EndpointPort, Outcome, explained};

/// The scrape settings of a service in one block of `swarmscout_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// The labels that could be scrape settings.
    pub labels: Vec<SettingLabel>,
    /// What follows from them, in one sentence without its full stop.
    pub conclusion: String,
    /// Whether some target follows from them, if the service has a running task.
    pub is_scraped: bool,
    /// Whether they declare probes, which this block lists.
    pub has_probes: bool,
    /// Whether a label switches the service off: nothing is wrong.
    pub is_switched_off: bool,
}

/// A label that could be a scrape setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingLabel {
    /// `service` (`deploy.labels` of a stack file) or `container` (`labels`).
    pub place: &'static str,
    /// `ours`, or the name of a dialect.
    pub style: &'static str,
    /// Its key.
    pub key: String,
    /// Its value, cut and without passwords.
    pub value: String,
    /// What became of it: `used for the endpoint admin`.
    pub outcome: String,
}

impl SwarmscoutOptions {
    /// What the labels of a service and of its containers say.
    pub fn settings(&self, service: &Service, container: &LabelMap) -> ServiceSettings {
        let options = Options::new(self);
        let (declared, found) = explained(&options.rules, &service.labels, container);
        let labels = found.into_iter().map(|label| SettingLabel {
            place: label.of.place.as_str(),
            style: label.of.style(),
            key: label.key.to_owned(),
            value: label.value,
            outcome: outcome(&label.outcome, label.endpoint),
        });
        let labels = labels.collect();
        let (mut is_scraped, mut conclusion) = self.conclude(&options, service, &declared);
        if options.serves_state(service) && !declared.switched_off {
            is_scraped = true;
            conclusion += "; the preset swarm-state makes a target of one task";
        }
        let has_probes = !declared.probes.is_empty() && options.lists_probes_of(service);
        let is_switched_off = declared.switched_off;
        ServiceSettings { labels, conclusion, is_scraped, has_probes, is_switched_off }
    }

    fn conclude(
        &self,
        options: &Options,
        service: &Service,
        declared: &Declared<'_>,
    ) -> (bool, String) {
        let prefix = &self.label_prefix;
        if !options.selects(service) {
            let text = "stacks or services of this block leave the service out";
            return (false, text.to_owned());
        }
        if declared.switched_off {
            return (false, format!("the label {prefix}scrape switches the service off"));
        }
        if let Some(preset) = options.preset(service, declared) {
            return (true, format!("the preset {} applies", preset.as_str()));
        }
        let Some(by) = declared.by else {
            let text = format!(
                "no label declares an endpoint: write {prefix}port with the port of its metrics \
                 under deploy.labels of the service (labels of an image are not visible to a \
                 manager)"
            );
            return (false, text);
        };
        let listed = |endpoint: &&Endpoint<'_>| options.list(endpoint.class).is_some();
        let endpoints: Vec<_> = declared.endpoints.iter().filter(listed).map(endpoint).collect();
        if endpoints.is_empty() {
            let why = match (declared.endpoints.is_empty(), declared.probes.is_empty()) {
                (false, _) => "no endpoint is of the class of this block",
                (true, false) => "its labels declare probes only",
                (true, true) => "no endpoint that its labels declare can be used",
            };
            return (false, why.to_owned());
        }
        let style = match by.dialect {
            Some(dialect) => format!("labels of the dialect {dialect}"),
            None => "labels".to_owned(),
        };
        let place = by.place.as_str();
        (true, format!("{style} of the {place} declare {}", endpoints.join(" and ")))
    }
}

/// `:9200/internal (endpoint admin, class internal)`.
fn endpoint(endpoint: &Endpoint<'_>) -> String {
    let port = match endpoint.port {
        EndpointPort::Number(port) => port.to_string(),
        EndpointPort::OnlyPublished => "<the only published port>".to_owned(),
    };
    let name = (!endpoint.name.is_empty()).then(|| format!("endpoint {}", endpoint.name));
    let class = (!endpoint.class.is_empty()).then(|| format!("class {}", endpoint.class));
    let notes: Vec<_> = [name, class].into_iter().flatten().collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    format!("{}://…:{port}{}{notes}", endpoint.scheme, endpoint.path)
}

fn outcome(outcome: &Outcome, endpoint: &str) -> String {
    let of = if endpoint.is_empty() { String::new() } else { format!(" for endpoint {endpoint}") };
    match outcome {
        Outcome::Used => format!("used{of}"),
        Outcome::UsedAs(value) => format!("used{of} as {value:?}"),
        Outcome::Default => format!("empty: the default counts{of}"),
        Outcome::Overridden(by) => {
            let style = match by.dialect {
                Some(dialect) => format!("of the dialect {dialect}"),
                None => "with our prefix".to_owned(),
            };
            format!("ignored: labels {style} on the {} count", by.place.as_str())
        }
        Outcome::EndpointRefused(key) => format!("ignored: the label {key} refuses the endpoint"),
        Outcome::EndpointOff => "ignored: the endpoint is switched off".to_owned(),
        Outcome::ServiceOff => "ignored: the service is switched off".to_owned(),
        Outcome::Unused => "ignored: no label declares an endpoint for it".to_owned(),
        Outcome::Refused(refusal) if refusal.detail.is_empty() => {
            format!("refused: {}", refusal.reason.as_str())
        }
        Outcome::Refused(refusal) => {
            format!("refused: {}: {}", refusal.reason.as_str(), refusal.detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::Arc;

    use expect_test::{Expect, expect};

    use super::super::config::{Reach, Scraper, UnreachableTargets};
    use super::super::settings::dialects::DIALECTS;
    use super::*;
    use crate::source::swarmscout::Preset;

    fn labels(text: &str) -> LabelMap {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap();
            (key.to_owned(), value.to_owned())
        };
        LabelMap::new(text.split_whitespace().map(pair).collect())
    }

    fn check(config: &SwarmscoutOptions, service: &str, container: &str, expected: &Expect) {
        let service = Service {
            name: "shop_web".into(),
            labels: Arc::new(labels(service)),
            ..Service::default()
        };
        let settings = config.settings(&service, &labels(container));
        let mut text = String::new();
        for SettingLabel { place, style, key, value, outcome } in settings.labels {
            writeln!(text, "{place} {style} {key}={value}: {outcome}").unwrap();
        }
        write!(text, "{} {}", settings.is_scraped, settings.conclusion).unwrap();
        expected.assert_eq(&text);
    }

    #[test]
    fn each_label_and_the_conclusion_are_explained() {
        let config = SwarmscoutOptions {
            label_prefix: "prometheus.io/".to_owned(),
            dialects: DIALECTS.iter().map(|dialect| dialect.name.to_owned()).collect(),
            stacks: Vec::new(),
            services: Vec::new(),
            scraper: Scraper::Here,
            unreachable: UnreachableTargets::Keep,
            reach: Reach::Direct,
            presets: Preset::ALL.into(),
            class: String::new(),
        };
        check(
            &config,
            "",
            "",
            &expect![
                "false no label declares an endpoint: write prometheus.io/port with the port of its metrics under deploy.labels of the service (labels of an image are not visible to a manager)"
            ],
        );
        check(
            &config,
            "swarmscout.preset=swarmscout",
            "",
            &expect![
                "true the preset swarmscout applies; the preset swarm-state makes a target of one task"
            ],
        );
        check(
            &config,
            "prometheus.io/port=8080 prometheus.port=1",
            "",
            &expect![[r#"
            service ours prometheus.io/port=8080: used
            service containersolutions prometheus.port=1: ignored: labels with our prefix on the service count
            service blog-dots prometheus.port=1: ignored: labels with our prefix on the service count
            true labels of the service declare http://…:8080/metrics"#]],
        );
        check(
            &config,
            "prometheus.io/port=http",
            "prometheus.io/port=80",
            &expect![[r#"
            service ours prometheus.io/port=http: refused: invalid port: prometheus.io/port="http": write a number from 1 to 65535
            container ours prometheus.io/port=80: ignored: labels with our prefix on the service count
            false no endpoint that its labels declare can be used"#]],
        );
        check(
            &config,
            "prometheus.io/scrape=false prometheus.io/port=1",
            "",
            &expect![[r#"
            service ours prometheus.io/scrape=false: used
            service ours prometheus.io/port=1: ignored: the service is switched off
            false the label prometheus.io/scrape switches the service off"#]],
        );
        check(
            &config,
            "prometheus.io/port=80 prometheus.io/admin.port=9200 prometheus.io/admin.class=x",
            "",
            &expect![[r#"
                service ours prometheus.io/port=80: used
                service ours prometheus.io/admin.port=9200: used for endpoint admin
                service ours prometheus.io/admin.class=x: used for endpoint admin
                true labels of the service declare http://…:80/metrics and http://…:9200/metrics (endpoint admin, class x)"#]],
        );
    }
}
