use std::sync::Arc;

use expect_test::expect;
use swarmscout_model::{PoolSpec, TargetGroup, TargetSet};
use swarmscout_publish::testing::{group, set};

use swarmscout_discovery::JobConfig;
use swarmscout_discovery::manager::JobState;

use super::sample::Sample;
use super::*;
use crate::doctor::ObservedJob;
use crate::probe::Probed;

fn service(name: &str, targets: &[&str]) -> Arc<TargetGroup> {
    group(name, &format!("__meta_dockerswarm_service_name={name}"), targets)
}

fn sets(groups: &[Arc<TargetGroup>]) -> Vec<Arc<TargetSet>> {
    vec![Arc::new(set(&PoolSpec::new("swarm"), groups))]
}

#[test]
fn each_service_has_its_part_of_the_sample() {
    let many: Vec<_> = (0..95).map(|i| format!("10.0.0.{i}:80")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let groups = [
        service("many", &many),
        service("few", &["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80", "10.1.0.4:80"]),
        service("one", &["10.2.0.1:80"]),
    ];
    let urls = |most| {
        let Sample { targets, candidates, is_part } = sample(sets(&groups).iter(), most);
        assert_eq!((targets, is_part), (100, most < 100));
        candidates.into_iter().map(|candidate| candidate.url).collect::<Vec<_>>()
    };
    assert_eq!(urls(100).len(), 100);
    expect![[r#"
        http://10.0.0.0:80/metrics
        http://10.0.0.10:80/metrics
        http://10.0.0.21:80/metrics
        http://10.0.0.31:80/metrics
        http://10.0.0.42:80/metrics
        http://10.0.0.52:80/metrics
        http://10.0.0.63:80/metrics
        http://10.0.0.73:80/metrics
        http://10.0.0.84:80/metrics
        http://10.1.0.1:80/metrics"#]]
    .assert_eq(&urls(10).join("\n"));
}

#[test]
fn a_url_of_two_jobs_is_probed_once() {
    let groups = [service("web", &["10.0.0.1:80"])];
    let jobs = ["a", "b"].map(|job| Arc::new(set(&PoolSpec::new(job), &groups)));
    let Sample { targets, candidates, .. } = sample(jobs.iter(), 100);
    assert_eq!((targets, candidates.len()), (2, 1));
    assert_eq!(&*candidates[0].job, "a");
}

#[test]
fn urls_for_a_prober_are_not_scraped() {
    let probes = group("p", "__meta_swarmscout_list=probes", &["shop.example.com:443"]);
    let class = group("c", "__meta_swarmscout_list=class/internal", &["10.0.0.1:80"]);
    let Sample { targets, candidates, .. } = sample(sets(&[probes, class]).iter(), 100);
    assert_eq!((targets, candidates.len()), (1, 1));
    assert_eq!(candidates[0].url, "http://10.0.0.1:80/metrics");
    assert!(candidates[0].has_class);
}

#[test]
fn the_last_targets_of_a_sample_count_too() {
    let groups: Vec<_> = (0..20)
        .map(|number| service(&format!("s{number}"), &[&format!("10.0.{number}.1:80")]))
        .collect();
    assert_eq!(sample(sets(&groups).iter(), 10).candidates.len(), 10);
    assert_eq!(sample(sets(&[]).iter(), 10).candidates, []);
}

#[test]
fn what_has_left_the_swarm_is_not_reported() {
    let up = ("http://10.0.0.1:80/metrics", Outcome::Up);
    let gone = ("http://10.0.0.2:80/metrics", Outcome::ConnectTimeout);
    let broken = ("http://10.0.0.3:80/metrics", Outcome::ConnectTimeout);
    let results = [up, gone, broken].map(|(url, outcome)| {
        let candidate = Candidate { url: url.to_owned(), ..Candidate::default() };
        let (detail, node_part) = (String::new(), String::new());
        (candidate, Probed { outcome, detail, node_part, took: Duration::ZERO })
    });
    let mut probes = Probes { coverage: Coverage::default(), results: results.into() };
    let there = sets(&[service("web", &["10.0.0.3:80", "10.0.0.4:80"])]);
    let state = ObservedJob {
        config: Arc::new(JobConfig::new("swarm", Vec::new())),
        state: JobState { set: Arc::clone(&there[0]), status: Arc::default() },
    };
    probes.forget_gone(&Subject { jobs: vec![state], ..Subject::default() });
    let left: Vec<_> = probes.results.iter().map(|(candidate, _)| &*candidate.url).collect();
    assert_eq!(left, [up.0, broken.0]);
    assert_eq!(probes.coverage.gone, 1);
    let wanted = HashSet::from([broken.0.to_owned(), gone.0.to_owned()]);
    assert_eq!(still_there(there.iter(), &wanted), HashSet::from([broken.0.to_owned()]));
}
