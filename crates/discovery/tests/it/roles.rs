//! From lists to targets: the faults of Prometheus' discovery that are kept, those that are not,
//! and what is added. That everything else is as in Prometheus is `label_for_label`'s to show.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use swarmscout_discovery::config::{OverlayPort, Role};
use swarmscout_discovery::source::{docker, dockerswarm};
use swarmscout_discovery::{Groups, Problem};
use swarmscout_swarm::{Filters, Snapshot};

use crate::lists;

const TASKS: dockerswarm::Options = dockerswarm::Options {
    role: Role::Tasks,
    port: 80,
    match_first_network: false,
    overlay_port: OverlayPort::Published,
};
const SERVICES: dockerswarm::Options = dockerswarm::Options { role: Role::Services, ..TASKS };
const NODES: dockerswarm::Options = dockerswarm::Options { role: Role::Nodes, ..TASKS };

/// Compares what is found in `given`, pairs of a list's name and its text.
#[track_caller]
fn check(options: dockerswarm::Options, given: &[(&str, &str)], expected: &Expect) {
    let (lists, mut problems) = read(given);
    let (groups, collisions) = dockerswarm::find(&lists, options);
    problems.extend(collisions);
    expected.assert_eq(&show(&groups, &problems));
}

#[track_caller]
fn check_docker(match_first_network: bool, given: &[(&str, &str)], expected: &Expect) {
    let (lists, mut problems) = read(given);
    let options = docker::Options {
        port: 80,
        host_networking_host: "localhost".to_owned(),
        match_first_network,
    };
    let (groups, collisions) = docker::find(&lists, &options);
    problems.extend(collisions);
    expected.assert_eq(&show(&groups, &problems));
}

fn read(given: &[(&str, &str)]) -> (swarmscout_docker::engine::Lists, Vec<Problem>) {
    lists::read(|list| {
        let text = given.iter().find(|(name, _)| *name == list);
        text.map_or("[]", |(_, text)| text).as_bytes().to_vec()
    })
}

/// Groups with their labels, targets beneath them, then what was left out. `…` is
/// `__meta_dockerswarm` or `__meta_docker`, `~` is `__meta_swarmscout`.
fn show(groups: &Groups, problems: &[Problem]) -> String {
    let mut text = String::new();
    for group in groups {
        writeln!(text, "{} {:?}", group.source, group.labels).unwrap();
        for target in &group.targets {
            writeln!(text, "  {target:?}").unwrap();
        }
    }
    for problem in problems {
        let Problem { kind, object, reason, detail } = problem;
        writeln!(text, "! {kind} {object}: {reason}: {detail}").unwrap();
    }
    text.replace("__meta_dockerswarm", "…")
        .replace("__meta_docker", "…")
        .replace("__meta_swarmscout", "~")
}

/// A task of service `s` on node `n` with these members.
fn task(more: &str) -> String {
    format!(r#"[{{"ID":"t","ServiceID":"s","NodeID":"n",{more}}}]"#)
}

const ON_ONE_NETWORK: &str =
    r#""NetworksAttachments":[{"Network":{"ID":"net"},"Addresses":["10.0.1.6/24"]}]"#;

/// Publishes 30080 for 8080.
const SERVICE: &str = r#"[{"ID":"s","Endpoint":{
    "Ports":[{"Protocol":"tcp","TargetPort":8080,"PublishedPort":30080,"PublishMode":"ingress"}],
    "VirtualIPs":[{"NetworkID":"net","Addr":"10.0.1.2/24"}]}}]"#;

#[test]
fn fault_1_the_published_port_goes_with_the_overlay_address() {
    let given = [("tasks", &*task(ON_ONE_NETWORK)), ("services", SERVICE)];
    check(
        TASKS,
        &given,
        &expect![[r#"
        DockerSwarm/s {…_service_id="s"}
          {__address__="10.0.1.6:30080", …_task_id="t", …_task_port_publish_mode="ingress", …_task_slot="0", ~_task_target_port="8080"}
    "#]],
    );
    let target = OverlayPort::Target;
    check(
        dockerswarm::Options { overlay_port: target, ..TASKS },
        &given,
        &expect![[r#"
        DockerSwarm/s {…_service_id="s"}
          {__address__="10.0.1.6:8080", …_task_id="t", …_task_port_publish_mode="ingress", …_task_slot="0", ~_task_target_port="8080"}
    "#]],
    );
    check(
        SERVICES,
        &given,
        &expect![[r#"
        DockerSwarm/s {…_service_id="s"}
          {__address__="10.0.1.2:30080", …_service_endpoint_port_publish_mode="ingress"}
    "#]],
    );
    check(
        dockerswarm::Options { overlay_port: target, ..SERVICES },
        &given,
        &expect![[r#"
        DockerSwarm/s {…_service_id="s"}
          {__address__="10.0.1.2:8080", …_service_endpoint_port_publish_mode="ingress"}
    "#]],
    );
}

#[test]
fn fault_2_a_virtual_ip_without_address_costs_nothing_else() {
    let services = r#"[
        {"ID":"host","Endpoint":{"VirtualIPs":[{"NetworkID":"h"},{"NetworkID":"h","Addr":""},
            {"NetworkID":"net","Addr":"10.0.1.3/24"}]}},
        {"ID":"other","Endpoint":{"VirtualIPs":[{"NetworkID":"net","Addr":"10.0.1.4"},
            {"NetworkID":"net","Addr":"10.0.1.5/24"},{"NetworkID":"net","Addr":"10.0.1.6/33"}]}}]"#;
    check(
        SERVICES,
        &[("services", services)],
        &expect![[r#"
            DockerSwarm/other {…_service_id="other"}
              {__address__="10.0.1.5:80"}
            DockerSwarm/host {…_service_id="host"}
              {__address__="10.0.1.3:80"}
            ! service other: virtual IP of wrong type: expected an address with the length of its network, found {"NetworkID":"net","Addr":"10.0.1.4"}
            ! service other: virtual IP of wrong type: expected an address with the length of its network, found {"NetworkID":"net","Addr":"10.0.1.6/33"}
            ! service host: virtual IP without address: on network h
        "#]],
    );
}

#[test]
fn fault_3_tasks_that_ended_are_targets_unless_filtered() {
    let ended = task(&format!(
        r#""DesiredState":"shutdown","Status":{{"State":"failed"}},{ON_ONE_NETWORK}"#
    ));
    check(
        TASKS,
        &[("tasks", &ended)],
        &expect![[r#"
        DockerSwarm/s {}
          {__address__="10.0.1.6:80", …_task_desired_state="shutdown", …_task_id="t", …_task_slot="0", …_task_state="failed"}
    "#]],
    );
}

#[test]
fn fault_4_a_task_on_the_host_network_without_port_is_not_a_target() {
    let host = task(
        r#""NetworksAttachments":[{"Network":{"ID":"h","Spec":{"Name":"host"}},"Addresses":null}]"#,
    );
    check(TASKS, &[("tasks", &host)], &expect![[r#""#]]);
}

#[test]
fn fault_5_of_label_keys_that_collide_the_byte_smallest_wins() {
    let nodes = r#"[{"ID":"n","Spec":{"Labels":{"a_b":"underscore","a.b":"dot","a-b":"dash"}}}]"#;
    check(
        NODES,
        &[("nodes", nodes)],
        &expect![[r#"
        DockerSwarm {}
          {__address__=":80", …_node_id="n", …_node_label_a_b="dash"}
        ! node n: label keys that become one name: "a-b", "a.b", "a_b" become a_b; the first counts
    "#]],
    );
    // Reported once for the service, however many tasks it has.
    let labels = r#""Spec":{"ContainerSpec":{"Labels":{"x.y":"","x-y":"","x/y":"1"}}}"#;
    let two = format!(
        r#"[{{"ID":"t1","ServiceID":"s",{labels},{ON_ONE_NETWORK}}},{{"ID":"t2","ServiceID":"s",{labels}}}]"#
    );
    check(
        TASKS,
        &[("tasks", &two)],
        &expect![[r#"
        DockerSwarm/s {}
          {__address__="10.0.1.6:80", …_task_id="t1", …_task_slot="0"}
        ! service s: label keys that become one name: "x-y", "x.y", "x/y" become x_y; the first counts
    "#]],
    );
}

#[test]
fn fault_6_an_address_that_no_client_can_use_stays_and_is_repaired_beside() {
    let nodes = r#"[
        {"ID":"a","Status":{"Addr":""}},
        {"ID":"b","Status":{"Addr":"0.0.0.0"},"ManagerStatus":{"Addr":"10.1.1.1:2377"}},
        {"ID":"c","Status":{"Addr":"127.0.0.1"},"ManagerStatus":{"Addr":"[2001:db8::1]:2377"}},
        {"ID":"d","Status":{"Addr":"0.0.0.0"},"ManagerStatus":{"Addr":"127.0.0.1:2377"}},
        {"ID":"e","Status":{"Addr":"10.1.1.5"},"ManagerStatus":{"Addr":"10.9.9.9:2377"}}]"#;
    check(
        NODES,
        &[("nodes", nodes)],
        &expect![[r#"
        DockerSwarm {}
          {__address__="0.0.0.0:80", …_node_address="0.0.0.0", …_node_id="d", …_node_manager_address="127.0.0.1:2377", …_node_manager_leader="false"}
          {__address__="0.0.0.0:80", …_node_address="0.0.0.0", …_node_id="b", …_node_manager_address="10.1.1.1:2377", …_node_manager_leader="false", ~_node_address="10.1.1.1"}
          {__address__="127.0.0.1:80", …_node_address="127.0.0.1", …_node_id="c", …_node_manager_address="[2001:db8::1]:2377", …_node_manager_leader="false", ~_node_address="2001:db8::1"}
          {__address__="10.1.1.5:80", …_node_address="10.1.1.5", …_node_id="e", …_node_manager_address="10.9.9.9:2377", …_node_manager_leader="false", ~_node_address="10.1.1.5"}
          {__address__=":80", …_node_id="a"}
    "#]],
    );
}

#[test]
fn fault_7_a_task_is_a_target_on_each_of_its_networks_unless_configured_otherwise() {
    let many = task(
        r#""NetworksAttachments":[
            {"Network":{"ID":"1","Spec":{"Name":"ingress","Ingress":true}},"Addresses":["10.0.0.9/24"]},
            {"Network":{"ID":"2","Spec":{"Name":"alpha"}},"Addresses":null},
            {"Network":{"ID":"3","Spec":{"Name":"zeta"}},"Addresses":["10.0.3.9/24"]},
            {"Network":{"ID":"4","Spec":{"Name":"web"}},"Addresses":["10.0.4.9/24","2001:db8::9/64"]}]"#,
    );
    check(
        TASKS,
        &[("tasks", &many)],
        &expect![[r#"
        DockerSwarm/s {}
          {__address__="10.0.0.9:80", …_task_id="t", …_task_slot="0"}
          {__address__="10.0.3.9:80", …_task_id="t", …_task_slot="0"}
          {__address__="10.0.4.9:80", …_task_id="t", …_task_slot="0"}
          {__address__="[2001:db8::9]:80", …_task_id="t", …_task_slot="0"}
    "#]],
    );
    let first = dockerswarm::Options { match_first_network: true, ..TASKS };
    check(
        first,
        &[("tasks", &many)],
        &expect![[r#"
        DockerSwarm/s {}
          {__address__="10.0.4.9:80", …_task_id="t", …_task_slot="0"}
          {__address__="[2001:db8::9]:80", …_task_id="t", …_task_slot="0"}
    "#]],
    );
    let given = [
        (
            "networks",
            r#"[{"Id":"1","Name":"ingress","Ingress":true},{"Id":"2","Name":"web"},{"Id":"3","Name":"zeta"}]"#,
        ),
        (
            "services",
            r#"[{"ID":"s","Endpoint":{"VirtualIPs":[{"NetworkID":"1","Addr":"10.0.0.2/24"},
            {"NetworkID":"3","Addr":"10.0.3.2/24"},{"NetworkID":"2","Addr":"10.0.2.2/24"}]}}]"#,
        ),
    ];
    check(
        dockerswarm::Options { match_first_network: true, ..SERVICES },
        &given,
        &expect![[r#"
        DockerSwarm/s {…_service_id="s"}
          {__address__="10.0.2.2:80", …_network_id="2", …_network_ingress="false", …_network_internal="false", …_network_name="web"}
    "#]],
    );
}

#[test]
fn fault_9_what_prometheus_lacks_stands_under_our_own_prefix() {
    let given = [
        (
            "tasks",
            &*task(&format!(
                r#""Status":{{"PortStatus":{{"Ports":[
            {{"Protocol":"tcp","TargetPort":9100,"PublishedPort":49153,"PublishMode":"host"}}]}}}},{ON_ONE_NETWORK}"#
            )),
        ),
        (
            "services",
            r#"[{"ID":"s","Spec":{"Name":"st_job","Labels":{"com.docker.stack.namespace":"st"},
            "Mode":{"ReplicatedJob":{}}}}]"#,
        ),
        (
            "nodes",
            r#"[{"ID":"n","Description":{"Engine":{"Labels":{"rack.row":"r1"}}},"Status":{"Addr":"10.1.1.1"}}]"#,
        ),
    ];
    check(
        TASKS,
        &given,
        &expect![[r#"
        DockerSwarm/s {…_service_id="s", …_service_label_com_docker_stack_namespace="st", …_service_name="st_job", ~_service_job_mode="replicated-job", ~_service_stack="st"}
          {__address__="10.1.1.1:49153", …_node_address="10.1.1.1", …_node_id="n", …_task_id="t", …_task_port_publish_mode="host", …_task_slot="0", ~_node_address="10.1.1.1", ~_node_engine_label_rack_row="r1", ~_task_target_port="9100"}
          {__address__="10.0.1.6:80", …_node_address="10.1.1.1", …_node_id="n", …_task_id="t", …_task_slot="0", ~_node_address="10.1.1.1", ~_node_engine_label_rack_row="r1"}
    "#]],
    );
}

#[test]
fn the_smallest_bad_part_is_left_out() {
    let given = [
        (
            "tasks",
            r#"[
            {"ID":"bad-slot","Slot":"one"},
            {"ID":7},
            "no object",
            {"ID":"t","ServiceID":"s","Spec":{"ContainerSpec":{"Labels":{"good":"1","bad":2}}},
             "NetworksAttachments":[5,{"Network":{"ID":"net"},"Addresses":["10.0.1.6/24",6,"nowhere"]}]}]"#,
        ),
        (
            "services",
            r#"[
            {"ID":"s","Endpoint":{"Ports":[{"Protocol":"tcp","PublishedPort":"80"},
                {"Protocol":"tcp","PublishedPort":4294967296},{"Protocol":"tcp","PublishedPort":81}]}},
            {"ID":"list","Spec":[]}]"#,
        ),
    ];
    check(
        TASKS,
        &given,
        &expect![[r#"
            DockerSwarm/s {…_service_id="s"}
              {__address__="10.0.1.6:81", …_container_label_good="1", …_task_id="t", …_task_slot="0"}
            ! service s: port of wrong type: expected a whole number that is not negative, found {"Protocol":"tcp","PublishedPort":"80"}
            ! service s: port of wrong type: expected a smaller number, found {"Protocol":"tcp","PublishedPort":4294967296}
            ! service list: wrong type: expected an object at byte 20
            ! task bad-slot: wrong type: expected a whole number at byte 24
            ! task : wrong type: expected a string at byte 6
            ! task : wrong type: expected an object at byte 0
            ! task t: label of wrong type: expected a string, found 2
            ! task t: network attachment of wrong type: expected an object, found 5
            ! task t: task address of wrong type: expected a string, found 6
            ! task t: task address of wrong type: expected an address with the length of its network, found "nowhere"
        "#]],
    );
}

#[test]
fn tasks_of_one_service_are_cut_into_groups_that_stay() {
    let list = |tasks: &mut dyn Iterator<Item = u32>| {
        let tasks =
            tasks.map(|n| format!(r#"{{"ID":"task{n}","ServiceID":"s",{ON_ONE_NETWORK}}}"#));
        let text = format!("[{}]", tasks.collect::<Vec<_>>().join(","));
        dockerswarm::find(&read(&[("tasks", &text)]).0, TASKS).0
    };
    let groups = list(&mut (0..1000));
    let count = |groups: &Groups| groups.iter().map(|group| group.targets.len()).sum::<usize>();
    assert_eq!(count(&groups), 1000);
    assert!(groups.iter().all(|group| group.targets.len() <= 64));
    assert!(groups.len() < 48, "{} groups", groups.len());
    assert!(groups.iter().all(|group| group.source.starts_with("DockerSwarm/s/")));
    assert_eq!(list(&mut (0..1000).rev()), groups, "the order of the list does not matter");

    let one_more = list(&mut (0..1001));
    let changed = one_more.iter().filter(|group| !groups.contains(group)).count();
    assert!(changed <= 2, "{changed} groups changed for one task");
    assert_eq!(count(&one_more), 1001);
}

#[test]
fn containers_that_share_each_others_network_have_none() {
    let containers = r#"[
        {"Id":"a","Names":["/a"],"HostConfig":{"NetworkMode":"container:b"}},
        {"Id":"b","Names":["/b"],"HostConfig":{"NetworkMode":"container:a"}},
        {"Id":"c","Names":["/c"],"HostConfig":{"NetworkMode":"container:c"},"NetworkSettings":null}]"#;
    check_docker(true, &[("containers", containers)], &expect![[r#""#]]);
}

#[test]
fn a_bad_network_or_port_of_a_container_is_left_out() {
    let containers = r#"[{"Id":"c","Names":["/c"],"Image":"i","ImageID":"sha256:1",
        "Ports":[{"PrivatePort":70000,"Type":"tcp"},{"PrivatePort":80,"Type":"tcp","IP":"nowhere"},
            {"PrivatePort":81,"Type":"tcp","PublicPort":82,"IP":"::"}],
        "NetworkSettings":{"Networks":{"a":{"IPAddress":"x"},"b":{"NetworkID":"n","IPAddress":"10.0.0.2"}}}}]"#;
    check_docker(
        true,
        &[("containers", containers)],
        &expect![[r#"
            Docker {}
              {__address__="10.0.0.2:81", …_container_id="c", …_container_image="i", …_container_image_id="sha256:1", …_container_name="/c", …_network_ip="10.0.0.2", …_port_private="81", …_port_public="82", …_port_public_ip="::"}
            ! container c: port of wrong type: expected a smaller number, found {"PrivatePort":70000,"Type":"tcp"}
            ! container c: port of wrong type: expected an IP address, found {"PrivatePort":80,"Type":"tcp","IP":"nowhere"}
            ! container c: network of wrong type: expected an IP address, found {"IPAddress":"x"}
        "#]],
    );
}

/// The Swarm of the fixture `3-nodes`, recorded from real engines.
#[test]
fn a_real_swarm_as_a_whole() {
    let list = |path: &str| {
        let body = swarmscout_simulator::engine::Recording::THREE_NODES.body(path).unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let (nodes, services, tasks, networks) =
        (list("/nodes"), list("/services"), list("/tasks"), list("/networks"));
    let given = [
        ("nodes", &*nodes),
        ("services", &*services),
        ("tasks", &*tasks),
        ("networks", &*networks),
    ];
    check(
        NODES,
        &given,
        &expect![[r#"
            DockerSwarm {}
              {__address__="10.77.2.11:80", …_node_address="10.77.2.11", …_node_availability="active", …_node_engine_version="20.10.24+dfsg1", …_node_hostname="manager-1", …_node_id="pg4w5h7apw80npjxq6ieqpie6", …_node_label_stadt="Köln", …_node_label_tier="back", …_node_manager_address="10.77.2.11:2377", …_node_manager_leader="true", …_node_manager_reachability="reachable", …_node_platform_architecture="x86_64", …_node_platform_os="linux", …_node_role="manager", …_node_status="ready", ~_node_address="10.77.2.11", ~_node_engine_label_com_example_rack_id="r 1", ~_node_engine_label_note="a,b=c d", ~_node_engine_label_zone="z1"}
              {__address__="10.77.2.22:80", …_node_address="10.77.2.22", …_node_availability="active", …_node_engine_version="20.10.24+dfsg1", …_node_hostname="worker-2", …_node_id="hc4hrozlq94bc0plqfjc4pqsl", …_node_platform_architecture="x86_64", …_node_platform_os="linux", …_node_role="worker", …_node_status="ready", ~_node_address="10.77.2.22", ~_node_engine_label_url="http://h:1/?q=1&r=2", ~_node_engine_label_zone="z2"}
              {__address__="10.77.2.21:80", …_node_address="10.77.2.21", …_node_availability="active", …_node_engine_version="20.10.24+dfsg1", …_node_hostname="worker-1", …_node_id="m7n14jx9eyloqrqtt89s1b990", …_node_label_note="x=y, z", …_node_label_tier="front", …_node_platform_architecture="x86_64", …_node_platform_os="linux", …_node_role="worker", …_node_status="ready", ~_node_address="10.77.2.21", ~_node_engine_label_city="Zürich ✓", ~_node_engine_label_zone="z2"}
        "#]],
    );
    check(
        SERVICES,
        &given,
        &expect![[r#"
            DockerSwarm/e0xv12cx4vn2jnjjxcqyz6tv0 {…_service_id="e0xv12cx4vn2jnjjxcqyz6tv0", …_service_label_prometheus_io_port="8080", …_service_mode="replicated", …_service_name="api", …_service_task_container_image="demo:1"}
              {__address__="10.90.2.2:80", …_network_id="h83kx073j8nem27hq8kpyz7xc", …_network_ingress="false", …_network_internal="true", …_network_name="back", …_network_scope="swarm"}
              {__address__="10.90.1.9:80", …_network_id="map9i8vmclz4keyta6ft3umv0", …_network_ingress="false", …_network_internal="false", …_network_label_team="a", …_network_name="front", …_network_scope="swarm"}
            DockerSwarm/hlsbaqhe7ox3vv4fkmr4jdgn7 {…_service_id="hlsbaqhe7ox3vv4fkmr4jdgn7", …_service_mode="replicated", …_service_name="zero", …_service_task_container_image="demo:1"}
              {__address__="10.0.0.13:8099", …_network_id="jlvnrioz9uqvy4apibdmk86w9", …_network_ingress="true", …_network_internal="false", …_network_name="ingress", …_network_scope="swarm", …_service_endpoint_port_publish_mode="ingress"}
            DockerSwarm/92juuygbxntfs44thl768udu7 {…_service_id="92juuygbxntfs44thl768udu7", …_service_label_prometheus_io_port="8080", …_service_label_prometheus_io_scrape="true", …_service_mode="replicated", …_service_name="web", …_service_task_container_image="demo:1", …_service_updating_status="completed"}
              {__address__="10.0.0.5:8081", …_network_id="jlvnrioz9uqvy4apibdmk86w9", …_network_ingress="true", …_network_internal="false", …_network_name="ingress", …_network_scope="swarm", …_service_endpoint_port_publish_mode="ingress"}
              {__address__="10.90.1.2:8081", …_network_id="map9i8vmclz4keyta6ft3umv0", …_network_ingress="false", …_network_internal="false", …_network_label_team="a", …_network_name="front", …_network_scope="swarm", …_service_endpoint_port_publish_mode="ingress"}
            DockerSwarm/os91q181g85fbxxe1bnltd3ia {…_service_id="os91q181g85fbxxe1bnltd3ia", …_service_mode="replicated", …_service_name="random-port", …_service_task_container_image="demo:1"}
              {__address__="10.0.0.11:30000", …_network_id="jlvnrioz9uqvy4apibdmk86w9", …_network_ingress="true", …_network_internal="false", …_network_name="ingress", …_network_scope="swarm", …_service_endpoint_port_publish_mode="ingress"}
            DockerSwarm/v7aq773w525xmc1in3gvymr6l {…_service_id="v7aq773w525xmc1in3gvymr6l", …_service_mode="replicated", …_service_name="dns", …_service_task_container_image="demo:1"}
              {__address__="10.0.0.9:5353", …_network_id="jlvnrioz9uqvy4apibdmk86w9", …_network_ingress="true", …_network_internal="false", …_network_name="ingress", …_network_scope="swarm", …_service_endpoint_port_publish_mode="ingress"}
              {__address__="10.0.0.9:8053", …_network_id="jlvnrioz9uqvy4apibdmk86w9", …_network_ingress="true", …_network_internal="false", …_network_name="ingress", …_network_scope="swarm", …_service_endpoint_port_publish_mode="ingress"}
              {__address__="10.90.1.12:5353", …_network_id="map9i8vmclz4keyta6ft3umv0", …_network_ingress="false", …_network_internal="false", …_network_label_team="a", …_network_name="front", …_network_scope="swarm", …_service_endpoint_port_publish_mode="ingress"}
              {__address__="10.90.1.12:8053", …_network_id="map9i8vmclz4keyta6ft3umv0", …_network_ingress="false", …_network_internal="false", …_network_label_team="a", …_network_name="front", …_network_scope="swarm", …_service_endpoint_port_publish_mode="ingress"}
            ! service igzzwiixall0gm5ojdn1nw8m5: virtual IP without address: on network yuy11utngy01qemnlion0pl8s
        "#]],
    );
    let first = dockerswarm::Options {
        match_first_network: true,
        overlay_port: OverlayPort::Target,
        ..TASKS
    };
    let (lists, _) = read(&given);
    let (groups, _) = dockerswarm::find(&lists, first);
    let mut addresses = String::new();
    for group in &groups {
        let name = group.labels.get("__meta_dockerswarm_service_name").unwrap_or_default();
        let addresses_of = group.targets.iter().map(|target| target.get("__address__").unwrap());
        let mut addresses_of: Vec<_> = addresses_of.collect();
        addresses_of.sort_unstable();
        writeln!(addresses, "{name} {}", addresses_of.join(" ")).unwrap();
    }
    expect![[r#"
        web 10.90.1.14:8080 10.90.1.15:8080 10.90.1.16:8080 10.90.1.3:8080 10.90.1.4:8080 10.90.1.5:8080
        two-host-ports 10.77.2.21:9201 10.77.2.21:9201
        api 10.90.2.3:80 10.90.2.4:80
        random-port 10.0.0.12:8080
        rr 10.90.2.7:80 10.90.2.8:80
        dns 10.90.1.13:53 10.90.1.13:8080
        agent 10.77.2.11:9100 10.77.2.11:9100 10.77.2.21:9100 10.77.2.21:9100 10.77.2.22:9100 10.77.2.22:9100
    "#]].assert_eq(&addresses);
}

#[test]
fn a_group_that_is_known_is_kept_as_it_is() {
    let mut finder = dockerswarm::Finder::new(TASKS, Filters::new(Role::Tasks, &[]));
    let mut find = |second: &str| {
        let attached = |address: &str| {
            format!(
                r#""NetworksAttachments":[{{"Network":{{"ID":"n"}},"Addresses":["{address}"]}}]"#
            )
        };
        let (first, second) = (attached("10.0.0.1/24"), attached(second));
        let tasks = format!(
            r#"[{{"ID":"t2","ServiceID":"s2",{second}}},{{"ID":"t1","ServiceID":"s1",{first}}}]"#
        );
        finder.find(&Snapshot::from(&read(&[("tasks", &tasks)]).0)).unwrap().0
    };
    let (before, after) = (find("10.0.0.2/24"), find("10.0.0.3/24"));
    let same: Vec<_> =
        before.iter().zip(&after).map(|(a, b)| std::sync::Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true, false]);
}

/// Recorded on a real Swarm: tasks on no network, on a bridge and a macvlan network that were made
/// with `--config-from`, and on the network of the host. All of them run.
#[test]
fn running_tasks_without_an_address_give_no_target_and_are_named() {
    let tasks = include_str!("../fixtures/tasks-without-address.json");
    let services = r#"[{"ID":"wwa8srbeu3cxllkzdevt31514","Spec":{"Name":"mv"}},
        {"ID":"rlnm64uc2c7oo1i95ho2u6vx5","Spec":{"Name":"exporter"}},
        {"ID":"bhsba0ypey563bq0p77fag0u5","Spec":{"Name":"brs"}}]"#;
    let (lists, problems) = read(&[("tasks", tasks), ("services", services)]);
    let mut finder = dockerswarm::Finder::new(TASKS, Filters::new(Role::Tasks, &[]));
    let (groups, collisions) = finder.find(&Snapshot::from(&lists)).unwrap();
    assert_eq!((groups.len(), problems.len(), collisions.len()), (0, 0, 0));
    let found = finder.without_address().unwrap();
    let lines: Vec<_> = found.services.iter().map(ToString::to_string).collect();
    expect![[r#"
        service "brs": 1 running task has no address that the Swarm knows: it is on network brs (bridge)
        service "exporter": 1 running task has no address that the Swarm knows: it uses the network of its host
        service "mv": 1 running task has no address that the Swarm knows: it is on network mv (macvlan)
        service "yjgo13e79zt3fjoeikd1znht4": 1 running task has no address that the Swarm knows: it is on no network"#]]
    .assert_eq(&lines.join("\n"));
    // One port that is published on the node, and the task is a target.
    let published = tasks.replace(
        r#""PortStatus": {}"#,
        r#""PortStatus": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}]}"#,
    );
    let (lists, _) = read(&[("tasks", &published), ("services", services)]);
    let (groups, _) = finder.find(&Snapshot::from(&lists)).unwrap();
    assert_eq!((groups.len(), finder.without_address().unwrap().tasks()), (4, 0));
    // Only tasks can be without an address.
    assert_eq!(
        dockerswarm::Finder::new(NODES, Filters::new(Role::Nodes, &[])).without_address(),
        None
    );
}
