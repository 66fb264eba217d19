//! What is refused, and what it takes with it.

use expect_test::expect;

use super::*;

#[test]
fn a_bad_endpoint_leaves_its_neighbours() {
    check(
        "prometheus.io/port=8080/tcp
         prometheus.io/interval=fast
         prometheus.io/a.port=0
         prometheus.io/b.port=65536
         prometheus.io/c.port=+80
         prometheus.io/d.port=
         prometheus.io/e.port=65535
         prometheus.io/f.port=1
         prometheus.io/f.path=http://x/metrics
         prometheus.io/g.port=1
         prometheus.io/g.path=/metrics?format=prometheus
         prometheus.io/h.port=1
         prometheus.io/h.scheme=HTTPS
         prometheus.io/i.port=1
         prometheus.io/i.interval=0s
         prometheus.io/j.port=1
         prometheus.io/j.timeout=10
         prometheus.io/k.port=1
         prometheus.io/k.sample_limit=-1
         prometheus.io/l.port=1
         prometheus.io/l.class=In ternal
         prometheus.io/m.port=1
         prometheus.io/m.param.match[]=up
         prometheus.io/n.job=no port",
        &expect![[r#"
            by ours, service
            "e" http 65535 /metrics
            lost: invalid port: prometheus.io/port="8080/tcp": write a number from 1 to 65535
            lost: invalid duration: prometheus.io/interval="fast": write a duration above 0, such as 30s or 1m30s
            lost: invalid port: prometheus.io/a.port="0": write a number from 1 to 65535
            lost: invalid port: prometheus.io/b.port="65536": write a number from 1 to 65535
            lost: invalid port: prometheus.io/c.port="+80": write a number from 1 to 65535
            lost: invalid port: prometheus.io/d.port="": write a number from 1 to 65535
            lost: invalid path: prometheus.io/f.path="http://x/metrics": write the path alone, such as /metrics; scheme and port are labels of their own
            lost: invalid path: prometheus.io/g.path="/metrics?format=prometheus": write the path without its query, and the query as labels param.<name>
            lost: invalid scheme: prometheus.io/h.scheme="HTTPS": write "http" or "https"
            lost: invalid duration: prometheus.io/i.interval="0s": write a duration above 0, such as 30s or 1m30s
            lost: invalid duration: prometheus.io/j.timeout="10": write a duration above 0, such as 30s or 1m30s
            lost: not a number: prometheus.io/k.sample_limit="-1": write a number of samples, such as 10000
            lost: invalid class: prometheus.io/l.class="In ternal": write a name of lower case letters, digits, _ and -, such as internal
            lost: invalid parameter name: prometheus.io/m.param.match[]="up": a parameter's name has letters, digits and _
            lost: endpoint without port: prometheus.io/n.job="no port": write prometheus.io/n.port, too
        "#]],
    );
}

/// It would be in the normal list, where credentials are missing.
#[test]
fn an_endpoint_does_not_lose_a_class_that_is_refused() {
    check(
        "prometheus.io/class=Internal
         prometheus.io/a.port=1
         prometheus.io/b.port=1
         prometheus.io/b.class=internal",
        &expect![[r#"
            by ours, service
            "b" http 1 /metrics class=internal
            lost: invalid class: prometheus.io/class="Internal": write a name of lower case letters, digits, _ and -, such as internal
            lost: invalid class: prometheus.io/a.port="1": the class that it inherits is refused
        "#]],
    );
}

#[test]
fn a_bad_label_leaves_its_endpoint() {
    check(
        "prometheus.io/port=1
         prometheus.io/label.job=x
         prometheus.io/label.instance=x
         prometheus.io/label.__address__=evil:80
         prometheus.io/label.my-team=x
         prometheus.io/label.1st=x
         prometheus.io/label.a.b=x
         prometheus.io/label.ok=x
         prometheus.io/portt=8080
         prometheus.io/label=x
         prometheus.io/a.metrics_path=/x
         prometheus.io/a.label.\u{fffd}=x
         prometheus.io/Admin.port=1
         prometheus.io/port.path=/
         prometheus.io/module=http_2xx",
        &expect![[r#"
            by ours, service
            "" http 1 /metrics ok="x"
            lost: invalid endpoint name: prometheus.io/Admin.port="1": the name of an endpoint has 1 to 63 lower case letters, digits, _ and -, and begins with a letter or digit
            kept: unknown key: prometheus.io/a.metrics_path="/x": the nearest key is a.path
            kept: unknown key: prometheus.io/label="x": the nearest key is label.<name>
            lost: reserved endpoint name: prometheus.io/port.path="/": port is a key; give the endpoint another name
            kept: unknown key: prometheus.io/portt="8080": the nearest key is port
            kept: label without effect: prometheus.io/module="http_2xx": a module is that of a probe: write the key probe, too
            kept: invalid label name: prometheus.io/label.1st="x": a label's name has letters, digits and _, and no digit first
            kept: reserved label name: prometheus.io/label.__address__="evil:80": instance and names that begin with __ are not set by labels
            kept: invalid label name: prometheus.io/label.a.b="x": a label's name has letters, digits and _, and no digit first
            kept: reserved label name: prometheus.io/label.instance="x": instance and names that begin with __ are not set by labels
            kept: reserved label name: prometheus.io/label.job="x": the key job sets the label job
            kept: invalid label name: prometheus.io/label.my-team="x": a label's name has letters, digits and _, and no digit first
            lost: endpoint without port: prometheus.io/a.label.�="x": write prometheus.io/a.port, too
        "#]],
    );
}

#[test]
fn what_is_too_large_is_refused_and_cut() {
    let long = "x".repeat(64 << 10);
    check(
        &format!(
            "prometheus.io/port={long}\nprometheus.io/a.port=1\nprometheus.io/a.label.big={long}\n\
             prometheus.io/{long}.port=1"
        ),
        &expect![[r#"
            by ours, service
            "a" http 1 /metrics
            lost: invalid endpoint name: prometheus.io/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx="1": the name of an endpoint has 1 to 63 lower case letters, digits, _ and -, and begins with a letter or digit
            lost: value too long: prometheus.io/port="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…: a value has at most 4096 bytes
            kept: value too long: prometheus.io/a.label.big="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…: a value has at most 4096 bytes
        "#]],
    );
    let lines = (0..5000).map(|i| format!("prometheus.io/e{i:04}.port=1"));
    let labels = lines.collect::<Vec<_>>().join("\n");
    let [service, container] = read(&labels);
    let of_many = declared(&rules(), &service, &container);
    assert_eq!((of_many.endpoints.len(), of_many.refusals.len()), (64, 100));
    let last = &of_many.refusals[99].detail;
    assert!(last.ends_with("endpoints and probes; 4836 more are not listed"), "{last}");
    let lines = (0..5000).map(|i| format!("prometheus.io/label.l{i:04}=1"));
    let labels = lines.collect::<Vec<_>>().join("\n");
    let [service, container] = read(&format!("prometheus.io/port=1\n{labels}"));
    let of_many = declared(&rules(), &service, &container);
    assert_eq!((of_many.endpoints[0].shared.labels.len(), of_many.refusals.len()), (744, 100));
}

#[test]
fn reasons_are_a_few_constant_words() {
    let reasons = [Reason::NoPort, Reason::UnknownKey].map(Reason::as_str);
    assert_eq!(reasons, ["endpoint without port", "unknown key"]);
}

#[test]
fn labels_that_tune_alerts_declare_nothing_and_are_not_refused() {
    check(
        "prometheus.io/port=80\nprometheus.io/alert.ignore=spread\nprometheus.io/alert.memory=0.8",
        &expect![[r#"
            by ours, service
            "" http 80 /metrics
        "#]],
    );
    check("prometheus.io/alert.ignore=spread", &expect![[""]]);
}
