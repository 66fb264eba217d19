//! What became of every label.

use expect_test::{Expect, expect};

use super::*;

/// Every label, in the order in which they are tried, with what became of it.
fn check_explained(labels: &str, expected: &Expect) {
    let [service, container] = read(labels);
    let (of_explain, found) = explained(&rules(), &service, &container);
    assert_eq!(of_explain, declared(&rules(), &service, &container));
    let mut text = String::new();
    for FoundLabel { of, key, value, endpoint, outcome } in found {
        let outcome = match outcome {
            Outcome::Overridden(by) => {
                format!("overridden by {}, {}", by.style(), by.place.as_str())
            }
            Outcome::Refused(refusal) => format!("refused: {}", refusal.reason.as_str()),
            other => format!("{other:?}"),
        };
        let (style, place) = (of.style(), of.place.as_str());
        writeln!(text, "{style}, {place}: {key}={value} ({endpoint}) {outcome}").unwrap();
    }
    expected.assert_eq(&text);
}

#[test]
fn explain_shows_what_became_of_every_label() {
    check_explained(
        "prometheus.io/port=8080
         prometheus.io/path=metrics
         prometheus.io/class=
         prometheus.io/portt=1
         prometheus.io/a.port=x
         prometheus.io/a.path=/a
         prometheus.io/a.pathh=/a
         prometheus.io/b.port=1
         prometheus.io/b.scrape=false
         prometheus.port=1
         prometheus.path=/
         other=1
         --
         prometheus.io/port=2",
        &expect![[r#"
            ours, service: prometheus.io/a.pathh=/a (a) refused: unknown key
            ours, service: prometheus.io/portt=1 () refused: unknown key
            ours, service: prometheus.io/port=8080 () Used
            ours, service: prometheus.io/path=metrics () UsedAs("/metrics")
            ours, service: prometheus.io/class= () Default
            ours, service: prometheus.io/a.port=x (a) refused: invalid port
            ours, service: prometheus.io/a.path=/a (a) EndpointRefused("prometheus.io/a.port")
            ours, service: prometheus.io/b.scrape=false (b) Used
            ours, service: prometheus.io/b.port=1 (b) EndpointOff
            ours, container: prometheus.io/port=2 () overridden by ours, service
            containersolutions, service: prometheus.port=1 () overridden by ours, service
            blog-dots, service: prometheus.port=1 () overridden by ours, service
            blog-dots, service: prometheus.path=/ () overridden by ours, service
        "#]],
    );
    check_explained(
        "prometheus.io/scrape=false\nprometheus.io/a.port=x",
        &expect![[r#"
        ours, service: prometheus.io/scrape=false () Used
        ours, service: prometheus.io/a.port=x (a) ServiceOff
    "#]],
    );
    check_explained(
        "prometheus.port=1\nprometheus.path=/m\ncom.df.scrapeType=x",
        &expect![[r#"
            docker-flow-monitor, service: com.df.scrapeType=x () Unused
            blog-dots, service: prometheus.port=1 () Used
            blog-dots, service: prometheus.path=/m () Used
        "#]],
    );
    check_explained(
        "prometheus.enable=true\nprometheus.team=x",
        &expect![[r#"
        blog-dots, service: prometheus.enable=true () Used
    "#]],
    );
    check_explained(
        "--\nprometheus.io/label.url=http://u:p@h/",
        &expect![[r#"
        ours, container: prometheus.io/label.url=http://xxxxx@h/ () refused: endpoint without port
    "#]],
    );
}
