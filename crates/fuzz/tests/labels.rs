//! Labels made of the words of the grammar: libFuzzer finds few of them by itself.

use proptest::prelude::*;
use proptest::sample::select;

use swarmscout_fuzz::labels::labels;

fn key() -> impl Strategy<Value = String> {
    let prefix = select(&["prometheus.io/", "prometheus.io/", "prometheus.io/", "prometheus."][..]);
    let endpoint = select(&["", "", "a.", "b.", "a-1.", "A.", "port.", ".", "labels."][..]);
    let key = select(
        &[
            "port",
            "port",
            "path",
            "scheme",
            "job",
            "interval",
            "timeout",
            "network",
            "sample_limit",
            "scrape",
            "class",
            "probe",
            "module",
            "param.x",
            "param.a-b",
            "param.",
            "label.x",
            "label.x.y",
            "label.job",
            "label.__x",
            "label.y",
            "portt",
        ][..],
    );
    let other = select(
        &[
            "prometheus.port",
            "prometheus.path",
            "prometheus.ignore",
            "prometheus.enable",
            "prometheus.job",
            "prometheus.scrape",
            "prometheus.jobs.a.port",
            "prometheus.targets.a.port",
            "prometheus.jobs.a.labels.x-y",
            "prometheus.jobs.a.labels.x_y",
            "prometheus.jobs.a.labels.job",
            "prometheus.jobs.a.networks",
            "prometheus.jobs.a.params.x",
            "prometheus.targets.a.hosts",
            "prometheus.targets.b.path",
            "prometheus-port",
            "prometheus-job",
            "prometheus-enable",
            "prometheus_scrape",
            "prometheus_scheme",
            "prometheus_port",
            "com.df.notify",
            "com.df.scrapePort",
            "com.df.metricsPath",
            "com.df.scrapeInterval",
            "com.df.scrapeTimeout",
            "com.df.scrapeType",
        ][..],
    );
    prop_oneof![
        4 => (prefix, endpoint, key).prop_map(|(prefix, endpoint, key)| format!("{prefix}{endpoint}{key}")),
        1 => other.prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "",
            "1",
            "1",
            "0",
            "80",
            "9200",
            "65536",
            "true",
            "true",
            "T",
            "false",
            "no",
            "/a",
            "b",
            "a?b=c",
            "http",
            "https",
            "10s",
            "1m",
            "15s",
            "0s",
            "internal",
            "In ternal",
            "x, y",
            ",",
            "http://a.example.com/x",
            "https://u:p@a/",
            "traefik",
            "ftp://a",
            "+1",
            "0080",
        ][..],
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn labels_declare_what_a_second_reading_finds(
        service in prop::collection::vec((key(), value()), 0..16),
        container in prop::collection::vec((key(), value()), 0..6),
    ) {
        let text = |labels: &[(String, &str)]| {
            labels.iter().map(|(key, value)| format!("{key}={value}\n")).collect::<Vec<_>>().concat()
        };
        labels(format!("{}--\n{}", text(&service), text(&container)).as_bytes());
    }
}
