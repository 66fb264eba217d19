//! `/proc/1/net/dev`: the interfaces of the host, whatever network this process is in.

use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::Kind;

use super::scan::{lines, numbers, words};
use super::table::{Row, Table};
use crate::containers::sample::{InterfaceSample, TrafficSample};

/// The columns behind the name, with the names and help of their families.
const COLUMNS: [(&str, &str); 16] = [
    ("node_network_receive_bytes_total", "Network device statistic receive_bytes."),
    ("node_network_receive_packets_total", "Network device statistic receive_packets."),
    ("node_network_receive_errs_total", "Network device statistic receive_errs."),
    ("node_network_receive_drop_total", "Network device statistic receive_drop."),
    ("node_network_receive_fifo_total", "Network device statistic receive_fifo."),
    ("node_network_receive_frame_total", "Network device statistic receive_frame."),
    ("node_network_receive_compressed_total", "Network device statistic receive_compressed."),
    ("node_network_receive_multicast_total", "Network device statistic receive_multicast."),
    ("node_network_transmit_bytes_total", "Network device statistic transmit_bytes."),
    ("node_network_transmit_packets_total", "Network device statistic transmit_packets."),
    ("node_network_transmit_errs_total", "Network device statistic transmit_errs."),
    ("node_network_transmit_drop_total", "Network device statistic transmit_drop."),
    ("node_network_transmit_fifo_total", "Network device statistic transmit_fifo."),
    ("node_network_transmit_colls_total", "Network device statistic transmit_colls."),
    ("node_network_transmit_carrier_total", "Network device statistic transmit_carrier."),
    ("node_network_transmit_compressed_total", "Network device statistic transmit_compressed."),
];

/// What `net/dev` said.
#[derive(Debug)]
pub(super) struct Interfaces(Table<16>);

impl Default for Interfaces {
    fn default() -> Self {
        Self(Table::new("device"))
    }
}

impl Interfaces {
    pub(super) fn parse(&mut self, text: &[u8]) {
        self.0.begin();
        // Two lines of headings.
        for line in lines(text).skip(2) {
            // Names of aliases have one, too.
            let Some(colon) = memchr::memrchr(b':', line) else { continue };
            if let Some(row) = self.0.row(line[..colon].trim_ascii()) {
                row.count = numbers(words(&line[colon + 1..]), &mut row.values);
            }
        }
        self.0.end();
    }

    /// Collector `netdev`.
    pub(super) fn write(&self, out: &mut Families) {
        for (at, (name, help)) in COLUMNS.into_iter().enumerate() {
            let mut family = out.family(name, Kind::Counter, help);
            for row in self.0.rows().iter().filter(|row| at < row.count) {
                family.series(&row.labels, row.values[at]);
            }
        }
    }

    /// The interfaces that cAdvisor shows, for the root of all containers.
    pub(super) fn samples(&self) -> Vec<InterfaceSample> {
        let rows = self.0.rows().iter();
        let shown = rows.filter(|row| row.count == COLUMNS.len() && is_of_host(&row.name));
        let traffic = |values: &[u64]| TrafficSample {
            bytes: values[0],
            packets: values[1],
            errors: values[2],
            dropped: values[3],
        };
        let sample = |row: &Row<16>| InterfaceSample {
            name: (*row.name).into(),
            received: traffic(&row.values[..8]),
            sent: traffic(&row.values[8..]),
        };
        shown.map(sample).collect()
    }
}

/// Whether no other interface counts the same bytes.
fn is_of_host(name: &str) -> bool {
    let is_inner = |start| name.starts_with(start);
    name != "lo" && !["veth", "docker", "nerdctl"].into_iter().any(is_inner)
}

#[cfg(test)]
mod tests {
    use swarmscout_exposition::Format;

    use super::*;

    #[test]
    fn odd_names_stay_one_series_each() {
        let mut interfaces = Interfaces::default();
        let numbers = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        let text = format!(
            "Inter-| \n face |\n  a\"b\\:{numbers}\n eth0:1: {numbers}\n  \u{fc}: 7\n broken\n:{numbers}\n"
        );
        interfaces.parse(text.as_bytes());
        let names: Vec<_> = interfaces.0.rows().iter().map(|row| (&*row.name, row.count)).collect();
        assert_eq!(names, [("a\"b\\", 16), ("eth0:1", 16), ("\u{fc}", 1)]);
        let mut out = Families::new(Format::Text);
        interfaces.write(&mut out);
        let text = out.finish();
        assert!(
            text.contains("node_network_transmit_drop_total{device=\"a\\\"b\\\\\"} 12\n"),
            "{text}"
        );
        assert!(text.contains("node_network_receive_bytes_total{device=\"\u{fc}\"} 7\n"));
        interfaces.parse(&[]);
        assert!(interfaces.0.rows().is_empty());
    }
}
