//! Recorded answers of masters of eleven versions.

use expect_test::expect;
use swarmscout_simulator::classic::RECORDED;

use super::*;
use crate::RefreshScope;

/// One refresh from a master that answers what a real one did.
async fn recorded(version: &str, case: &str, expected: Expect) {
    let master = Master::recorded(Listen::Tcp, version, case).unwrap().unwrap();
    let mut classic = classic(&[master.server.url()]);
    expected.assert_eq(&refresh(&mut classic, &master.server).await);
}

/// Every recorded answer is one: how many nodes it lists, their states, and what was odd.
#[tokio::test]
async fn all_of_them() {
    let mut text = String::new();
    for (version, case, _) in RECORDED {
        let master = Master::recorded(Listen::Tcp, version, case).unwrap().unwrap();
        let refreshed = classic(&[master.server.url()]).fetch(RefreshScope::Full).await.unwrap();
        let mut states: Vec<_> = refreshed.value[1..]
            .iter()
            .flat_map(|group| &group.targets)
            .map(|target| target.get("__meta_swarm_node_status").unwrap_or("-"))
            .collect();
        states.sort_unstable();
        let problems = refreshed.problems.len();
        let _ = writeln!(text, "{version} {case}: {} problems: {problems}", states.join(" "));
    }
    expect![[r#"
        0.1.0 pending-one: - - - problems: 0
        0.2.0 duplicate-engine-id: - problems: 0
        0.2.0 empty:  problems: 0
        0.2.0 healthy: - - - problems: 0
        0.2.0 pending-two: - - - problems: 0
        0.2.0 tls-engine-and-duplicate-hostname: - - - - problems: 0
        0.3.0 pending-one: - - - problems: 0
        0.4.0 duplicate-engine-id: - problems: 0
        0.4.0 empty:  problems: 0
        0.4.0 healthy: - - - problems: 0
        0.4.0 pending-two: - - - problems: 0
        0.4.0 tls-engine-and-duplicate-hostname: - - - - problems: 0
        1.0.1 duplicate-engine-id: Healthy problems: 0
        1.0.1 empty:  problems: 0
        1.0.1 healthy: Healthy Healthy Healthy problems: 0
        1.0.1 pending-two: Healthy Healthy Healthy problems: 0
        1.0.1 tls-engine-and-duplicate-hostname: Healthy Healthy Healthy Healthy problems: 0
        1.0.1 unhealthy: Healthy Healthy Healthy Unhealthy problems: 0
        1.1.0 all-pending: Pending Pending problems: 0
        1.1.0 duplicate-engine-id: Healthy Pending Pending problems: 0
        1.1.0 empty:  problems: 0
        1.1.0 ha-no-primary: Healthy Healthy problems: 0
        1.1.0 ha-primary: Healthy Healthy problems: 0
        1.1.0 ha-replica: Healthy Healthy problems: 0
        1.1.0 healthy: Healthy Healthy Healthy problems: 0
        1.1.0 node-down-1s: Healthy Healthy Healthy Pending Unhealthy problems: 0
        1.1.0 pending-early: Healthy Healthy Healthy Pending Pending problems: 0
        1.1.0 pending-two: Healthy Healthy Healthy Pending Pending problems: 0
        1.1.0 tls-engine-and-duplicate-hostname: Healthy Healthy Healthy Healthy Pending problems: 0
        1.1.0 tls-master: Healthy Pending Pending Pending Pending problems: 0
        1.1.0 tls-wrong-ca: Pending problems: 0
        1.1.0 unhealthy: Healthy Healthy Healthy Pending Unhealthy problems: 0
        1.1.3 pending-one: Healthy Healthy Healthy Pending problems: 0
        1.2.0 pending-one: Healthy Healthy Healthy Pending problems: 0
        1.2.3 pending-one: Healthy Healthy Healthy Pending problems: 0
        1.2.6 pending-one: Healthy Healthy Healthy Pending problems: 0
        1.2.9 all-pending: Pending Pending problems: 0
        1.2.9 duplicate-engine-id: Healthy Healthy Healthy problems: 0
        1.2.9 empty:  problems: 0
        1.2.9 ha-no-primary: Healthy Healthy problems: 0
        1.2.9 ha-primary: Healthy Healthy problems: 0
        1.2.9 ha-replica: Healthy Healthy problems: 0
        1.2.9 healthy: Healthy Healthy Healthy problems: 0
        1.2.9 node-down-1s: Healthy Healthy Healthy Pending Unhealthy problems: 0
        1.2.9 pending-early: Healthy Healthy Healthy Pending Pending problems: 0
        1.2.9 pending-two: Healthy Healthy Healthy Pending Pending problems: 0
        1.2.9 tls-engine-and-duplicate-hostname: Healthy Healthy Healthy Healthy Pending problems: 0
        1.2.9 tls-master: Healthy Pending Pending Pending Pending problems: 0
        1.2.9 tls-wrong-ca: Pending problems: 0
        1.2.9 unhealthy: Healthy Healthy Healthy Pending Unhealthy problems: 0
    "#]]
    .assert_eq(&text);
}

#[tokio::test]
async fn version_0_1_0() {
    recorded("0.1.0", "pending-one", expect![[r#"
        swarm_masters role="master"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node"
          __address__="10.77.1.11:8070" name="node-1" total_cpus="2" total_memory_bytes="25275882537" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" name="node-2" total_cpus="2" total_memory_bytes="25275882537" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" name="node-3" total_cpus="2" total_memory_bytes="25275882537" instance="10.77.1.13:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_0_2_0() {
    recorded("0.2.0", "pending-two", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" name="node-1" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" name="node-2" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" name="node-3" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_0_3_0() {
    recorded("0.3.0", "pending-one", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" label_com_example_rack_id="r 1" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" label_city="Zürich ✓" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_0_4_0() {
    recorded("0.4.0", "pending-two", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" label_com_example_rack_id="r 1" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" label_city="Zürich ✓" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_1_0_1() {
    recorded("1.0.1", "pending-two", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" label_com_example_rack_id="r 1" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" label_city="Zürich ✓" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_1_1_0() {
    recorded("1.1.0", "pending-two", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" error="Cannot connect to the docker engine endpoint" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.11:9999"
          __address__="10.77.1.11:8070" label_com_example_rack_id="r 1" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" label_city="Zürich ✓" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
          __address__="10.77.1.99:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.99:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_1_1_3() {
    recorded("1.1.3", "pending-one", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" label_com_example_rack_id="r 1" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" label_city="Zürich ✓" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
          __address__="10.77.1.99:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.99:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_1_2_0() {
    recorded("1.2.0", "pending-one", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" label_com_example_rack_id="r 1" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" label_city="Zürich ✓" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
          __address__="10.77.1.99:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.99:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_1_2_3() {
    recorded("1.2.3", "pending-one", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" id="AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ" label_com_example_rack_id="r 1" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" id="TXYK:O7WC:CJAT:Q4JR:IAYE:TKX7:UPHH:MYDQ:25EF:DJYO:TVDP:SPB6" label_city="Zürich ✓" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" id="UJ7R:2RIV:YCS6:ZER2:HC72:C5V2:YCC4:TCG6:DQZ6:OX6F:MOYF:RSJH" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
          __address__="10.77.1.99:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.99:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_1_2_6() {
    recorded("1.2.6", "pending-one", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" id="AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ" label_com_example_rack_id="r 1" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" id="TXYK:O7WC:CJAT:Q4JR:IAYE:TKX7:UPHH:MYDQ:25EF:DJYO:TVDP:SPB6" label_city="Zürich ✓" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" id="UJ7R:2RIV:YCS6:ZER2:HC72:C5V2:YCC4:TCG6:DQZ6:OX6F:MOYF:RSJH" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
          __address__="10.77.1.99:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.99:2375"
    "#]]).await;
}

#[tokio::test]
async fn version_1_2_9() {
    recorded("1.2.9", "pending-two", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" error="Cannot connect to the Docker daemon at tcp://10.77.1.11:9999. Is the docker daemon running?" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.11:9999"
          __address__="10.77.1.11:8070" id="AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ|10.77.1.11:2375" label_com_example_rack_id="r 1" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" id="TXYK:O7WC:CJAT:Q4JR:IAYE:TKX7:UPHH:MYDQ:25EF:DJYO:TVDP:SPB6|10.77.1.12:2375" label_city="Zürich ✓" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" id="UJ7R:2RIV:YCS6:ZER2:HC72:C5V2:YCC4:TCG6:DQZ6:OX6F:MOYF:RSJH|10.77.1.13:2375" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
          __address__="10.77.1.99:8070" error="error during connect: Get \"http://10.77.1.99:2375/info\": dial tcp 10.77.1.99:2375: connect: no route to host" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.99:2375"
    "#]]).await;
}

#[tokio::test]
async fn a_replica_is_a_valid_master() {
    recorded("1.2.9", "ha-replica", expect![[r#"
        swarm_masters primary="10.77.1.1:3432" role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes primary="10.77.1.1:3432" role="node" strategy="spread"
          __address__="10.77.1.11:8070" id="AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ|10.77.1.11:2375" label_com_example_rack_id="r 1" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" id="TXYK:O7WC:CJAT:Q4JR:IAYE:TKX7:UPHH:MYDQ:25EF:DJYO:TVDP:SPB6|10.77.1.12:2375" label_city="Zürich ✓" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
    "#]]).await;
}

#[tokio::test]
async fn a_replica_without_primary() {
    recorded("1.2.9", "ha-no-primary", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" id="AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ|10.77.1.11:2375" label_com_example_rack_id="r 1" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" id="TXYK:O7WC:CJAT:Q4JR:IAYE:TKX7:UPHH:MYDQ:25EF:DJYO:TVDP:SPB6|10.77.1.12:2375" label_city="Zürich ✓" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
    "#]]).await;
}

#[tokio::test]
async fn unhealthy_1_1_0() {
    recorded("1.1.0", "unhealthy", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" label_com_example_rack_id="r 1" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" label_city="Zürich ✓" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" error="Cannot connect to the docker engine endpoint" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" status="Unhealthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
          __address__="10.77.1.14:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.14:2375"
          __address__="10.77.1.15:8070" label_executiondriver="<not supported>" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z5" name="node-1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.15:2375"
    "#]]).await;
}

#[tokio::test]
async fn unhealthy_nodes_stay() {
    recorded("1.2.9", "unhealthy", expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.1.11:8070" id="AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ|10.77.1.11:2375" label_com_example_rack_id="r 1" label_kernelversion="6.18.44-fc-v595" label_note="a,b=c d" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storage="ssd" label_storagedriver="overlay2" label_zone="z1" name="node-1" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.11:2375"
          __address__="10.77.1.12:8070" id="TXYK:O7WC:CJAT:Q4JR:IAYE:TKX7:UPHH:MYDQ:25EF:DJYO:TVDP:SPB6|10.77.1.12:2375" label_city="Zürich ✓" label_kernelversion="6.18.44-fc-v595" label_list="x" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storagedriver="overlay2" label_y="z" label_zone="z2" name="node-2" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.12:2375"
          __address__="10.77.1.13:8070" error="Cannot connect to the Docker daemon at tcp://10.77.1.13:2375. Is the docker daemon running?" id="UJ7R:2RIV:YCS6:ZER2:HC72:C5V2:YCC4:TCG6:DQZ6:OX6F:MOYF:RSJH|10.77.1.13:2375" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z3" name="node-3" server_version="20.10.24+dfsg1" status="Unhealthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.13:2375"
          __address__="10.77.1.14:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.77.1.14:2375"
          __address__="10.77.1.15:8070" id="CHOT:ZBEJ:IGMT:NOCF:VRA5:HRIZ:AG5C:QQEN:5OZQ:B3ST:BQRE:JSA4|10.77.1.15:2375" label_kernelversion="6.18.44-fc-v595" label_operatingsystem="Debian GNU/Linux 12 (bookworm) (containerized)" label_ostype="linux" label_storage="hdd" label_storagedriver="overlay2" label_url="http://h:1/?q=1&r=2" label_zone="z5" name="node-1" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="2" total_memory_bytes="26542897889" instance="10.77.1.15:2375"
    "#]]).await;
}

#[tokio::test]
async fn no_nodes_is_an_answer() {
    recorded(
        "1.2.9",
        "empty",
        expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
    "#]],
    )
    .await;
}

#[tokio::test]
async fn no_nodes_is_an_answer_of_old_masters_too() {
    recorded(
        "0.2.0",
        "empty",
        expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
    "#]],
    )
    .await;
}
