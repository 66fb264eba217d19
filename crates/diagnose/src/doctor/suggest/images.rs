//! Well-known images without metrics, or with metrics that are off. `docs/missing-targets.md` has the
//! same table.

/// How an image gets metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// This image runs beside it.
    Exporter(&'static str),
    /// It has metrics once this is set.
    Setting(&'static str),
    /// It has metrics as it is.
    Own,
}

/// Images of one program.
#[derive(Debug)]
pub(super) struct ImageRow {
    /// The last parts of their names, without registry, tag and digest.
    pub(super) names: &'static [&'static str],
    pub(super) way: Way,
    /// Where the metrics are: of the exporter, if that is the way.
    pub(super) port: u16,
    pub(super) path: &'static str,
}

const fn row(names: &'static [&'static str], way: Way, port: u16) -> ImageRow {
    ImageRow { names, way, port, path: "/metrics" }
}

use Way::{Exporter, Own, Setting};

/// All that are known.
pub(super) const IMAGES: [ImageRow; 35] = [
    row(
        &["postgres", "postgresql", "postgis", "timescaledb", "pgvector"],
        Exporter("quay.io/prometheuscommunity/postgres-exporter"),
        9187,
    ),
    row(&["pgbouncer"], Exporter("quay.io/prometheuscommunity/pgbouncer-exporter"), 9127),
    row(&["mysql", "mariadb", "percona", "percona-server"], Exporter("prom/mysqld-exporter"), 9104),
    row(&["mongo", "mongodb"], Exporter("percona/mongodb_exporter:0.43"), 9216),
    row(&["redis", "valkey", "keydb", "redis-stack"], Exporter("oliver006/redis_exporter"), 9121),
    row(&["memcached"], Exporter("quay.io/prometheus/memcached-exporter"), 9150),
    row(
        &["elasticsearch", "opensearch"],
        Exporter("quay.io/prometheuscommunity/elasticsearch-exporter"),
        9114,
    ),
    row(&["kafka", "cp-kafka"], Exporter("danielqsj/kafka-exporter"), 9308),
    row(&["nats"], Exporter("natsio/prometheus-nats-exporter"), 7777),
    row(&["eclipse-mosquitto", "mosquitto"], Exporter("sapcc/mosquitto-exporter"), 9234),
    row(&["nginx", "nginx-unprivileged"], Exporter("nginx/nginx-prometheus-exporter"), 9113),
    row(&["httpd", "apache"], Exporter("lusotycoon/apache-exporter"), 9117),
    row(&["nextcloud"], Exporter("xperimental/nextcloud-exporter"), 9205),
    row(&["pihole"], Exporter("ekofr/pihole-exporter"), 9617),
    row(&["php"], Exporter("hipages/php-fpm_exporter"), 9253),
    row(
        &["rabbitmq", "rabbitmq-server"],
        Setting("rabbitmq-plugins enable rabbitmq_prometheus"),
        15692,
    ),
    row(
        &["traefik"],
        Setting("--metrics.prometheus=true --entryPoints.traefik.address=:8080"),
        8080,
    ),
    row(
        &["haproxy"],
        Setting(
            "frontend metrics, bind :8405, http-request use-service prometheus-exporter if { path \
             /metrics }",
        ),
        8405,
    ),
    row(&["caddy"], Setting("admin :2019 and metrics in the global options"), 2019),
    row(
        &["zookeeper", "cp-zookeeper"],
        Setting(
            "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
        ),
        7000,
    ),
    ImageRow {
        names: &["minio"],
        way: Setting("MINIO_PROMETHEUS_AUTH_TYPE=public"),
        port: 9000,
        path: "/minio/v2/metrics/cluster",
    },
    ImageRow {
        names: &["vault"],
        way: Setting(
            "telemetry { prometheus_retention_time = \"30s\" }, and unauthenticated_metrics_access \
             in the listener",
        ),
        port: 8200,
        path: "/v1/sys/metrics?format=prometheus",
    },
    ImageRow {
        names: &["consul"],
        way: Setting("telemetry { prometheus_retention_time = \"30s\" }"),
        port: 8500,
        path: "/v1/agent/metrics?format=prometheus",
    },
    row(&["keycloak"], Setting("KC_METRICS_ENABLED=true"), 9000),
    row(&["gitea"], Setting("GITEA__metrics__ENABLED=true"), 3000),
    row(&["forgejo"], Setting("FORGEJO__metrics__ENABLED=true"), 3000),
    row(
        &["registry"],
        Setting("REGISTRY_HTTP_DEBUG_ADDR=:5001 REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED=true"),
        5001,
    ),
    row(
        &["clickhouse-server", "clickhouse"],
        Setting("<prometheus><endpoint>/metrics</endpoint><port>9363</port></prometheus>"),
        9363,
    ),
    ImageRow {
        names: &["jenkins"],
        way: Setting("install the plugin prometheus"),
        port: 8080,
        path: "/prometheus/",
    },
    row(&["grafana"], Own, 3000),
    row(&["loki"], Own, 3100),
    row(&["influxdb"], Own, 8086),
    row(&["etcd"], Own, 2379),
    row(&["blackbox-exporter"], Own, 9115),
    ImageRow { names: &["cockroach"], way: Own, port: 8080, path: "/_status/vars" },
];

/// The row of an image: `postgres` of `docker.io/library/postgres:17@sha256:0123`.
pub(super) fn row_of(image: &str) -> Option<&'static ImageRow> {
    let image = image.split('@').next().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    IMAGES.iter().find(|row| row.names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_last_part_of_its_name() {
        let way = |image: &str| row_of(image).map(|row| row.port);
        assert_eq!(way("postgres:17"), Some(9187));
        assert_eq!(way("localhost:5000/bitnami/postgresql@sha256:0123"), Some(9187));
        assert_eq!(way("docker.io/library/redis"), Some(9121));
        assert_eq!(way("shop/web:1"), None);
        assert_eq!(way("shop/my-postgres"), None);
        assert_eq!(way(""), None);
    }

    #[test]
    fn every_image_is_documented() {
        let text = include_str!("../../../../../docs/missing-targets.md");
        let (_, table) = text.split_once("<!-- images").expect("the table has a beginning");
        let (table, _) = table.split_once("<!-- end of images").expect("and an end");
        let documented: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
        let rows = IMAGES.iter().map(|ImageRow { names, way, port, path }| {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let way = match way {
                Exporter(image) => format!("run `{image}`"),
                Setting(setting) => format!("`{setting}`"),
                Own => "has metrics".to_owned(),
            };
            let path = if *path == "/metrics" { String::new() } else { format!(", `{path}`") };
            format!("| {} | {way} | {port}{path} |", names.join(", "))
        });
        assert_eq!(documented.join("\n"), rows.collect::<Vec<_>>().join("\n"));
    }
}
