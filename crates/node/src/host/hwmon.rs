//! Sensors of `/sys/class/hwmon`, named by the rules of node exporter.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rustix::io::Errno;
use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

use super::NO_LABELS;
use super::scan::line;
use crate::read::{Buffer, Folder, KeptFile, ReadError};

const TYPES: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// The most bytes of a sensor's file.
const MOST: usize = 4096;

/// The most chips, and the most files of one: a hundred times what a large server has.
const MOST_CHIPS: usize = 1000;
const MOST_FILES: usize = 10_000;

/// All chips, and what their sensors said.
#[derive(Debug, Default)]
pub(super) struct Hwmon {
    /// The names of the chips' folders.
    chips: Vec<String>,
    /// A sensor has gone since they were listed.
    is_stale: bool,
    names: Vec<SeriesLabels>,
    sensor_labels: Vec<SeriesLabels>,
    /// Those of one family stand together.
    sensors: Vec<Sensor>,
}

/// One file of a chip.
#[derive(Debug)]
struct Sensor {
    family: String,
    help: String,
    kind: Kind,
    labels: SeriesLabels,
    scale: Scale,
    file: KeptFile,
    value: Option<f64>,
    /// Of the firmware of a Raspberry Pi.
    is_low_voltage_alarm: bool,
}

/// What a number of the file is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    One,
    Thousandth,
    Millionth,
    /// 1 if the file says `1`, else 0.
    Flag,
}

impl Hwmon {
    /// Reads all sensors. What the chips have is listed when `is_time`, when a chip comes or goes,
    /// and when a sensor has gone.
    pub(super) fn read(&mut self, sysfs: &Path, is_time: bool, buffer: &mut Buffer) {
        let class = sysfs.join("class/hwmon");
        let mut chips = Vec::new();
        if let Ok(folder) = Folder::open(&class) {
            let _ = folder.entries(|name, _, _| {
                if let Ok(name) = name.to_str()
                    && chips.len() < MOST_CHIPS
                {
                    chips.push(name.to_owned());
                }
            });
        }
        chips.sort_unstable();
        if is_time || self.is_stale || chips != self.chips {
            self.list(&class, chips, buffer);
        }
        for sensor in &mut self.sensors {
            let text = sensor.file.read_whole(buffer, MOST);
            self.is_stale |= text == Err(ReadError::Gone);
            sensor.value = text.ok().and_then(|text| value(text, sensor.scale));
        }
    }

    /// Lists what the chips have.
    fn list(&mut self, class: &Path, chips: Vec<String>, buffer: &mut Buffer) {
        *self = Self { chips, ..Self::default() };
        let found: Vec<_> =
            self.chips.iter().map(|chip| (chip, Chip::open(&class.join(chip), buffer))).collect();
        let (mut by_base, mut by_name) = (HashMap::new(), HashMap::new());
        for (_, chip) in &found {
            *by_base.entry(&chip.base).or_insert(0) += 1;
            *by_name.entry((&chip.base, &chip.name)).or_insert(0) += 1;
        }
        for (folder, chip) in &found {
            // Names distinguish two chips of one device, else folders do.
            let mut label = chip.base.clone();
            if by_base[&chip.base] > 1 {
                let name = clean(&chip.name);
                let is_unique = !name.is_empty() && by_name[&(&chip.base, &chip.name)] == 1;
                label = format!("{label}_{}", if is_unique { name } else { clean(folder) });
            }
            if label.is_empty() {
                continue;
            }
            let name = clean(&chip.name);
            if !name.is_empty() {
                self.names.push(labels(&[("chip", &label), ("chip_name", &name)]));
            }
            let (sensor_labels, mut sensors) = sensors(&class.join(folder), &label, buffer);
            for sensor in &mut sensors {
                sensor.is_low_voltage_alarm =
                    name == "rpi_volt" && sensor.family == "node_hwmon_in_lcrit_alarm_volts";
            }
            self.sensor_labels.extend(sensor_labels);
            self.sensors.extend(sensors);
        }
        // Stable: chips and sensors stay in their order.
        self.sensors.sort_by(|a, b| a.family.cmp(&b.family));
    }

    /// Whether there is no chip.
    pub(super) fn is_empty(&self) -> bool {
        self.chips.is_empty()
    }

    /// Whether a Raspberry Pi's firmware reports too low a voltage; `None` where there is no such
    /// sensor.
    pub(super) fn has_low_voltage(&self) -> Option<bool> {
        let alarm = self.sensors.iter().find(|sensor| sensor.is_low_voltage_alarm)?;
        alarm.value.map(|value| value > 0.0)
    }

    /// Collector `hwmon`.
    pub(super) fn write(&self, out: &mut Families) {
        let help = "Annotation metric for human-readable chip names";
        let mut family = out.family("node_hwmon_chip_names", Kind::Gauge, help);
        for labels in &self.names {
            family.series(labels, 1_u64);
        }
        let help = "Label for given chip and sensor";
        let mut family = out.family("node_hwmon_sensor_label", Kind::Gauge, help);
        for labels in &self.sensor_labels {
            family.series(labels, 1_u64);
        }
        for sensors in self.sensors.chunk_by(|a, b| a.family == b.family) {
            let first = &sensors[0];
            let mut family = out.family(&first.family, first.kind, &first.help);
            for sensor in sensors {
                if let Some(value) = sensor.value {
                    family.series(&sensor.labels, value);
                }
            }
        }
    }
}

/// A chip as its folder describes it.
#[derive(Debug)]
struct Chip {
    /// From its device, which stays the same over a restart, unlike the number of its folder.
    base: String,
    /// What its driver calls it; empty if it does not.
    name: String,
}

impl Chip {
    fn open(path: &Path, buffer: &mut Buffer) -> Self {
        let folder = Folder::open(path);
        let name = folder.ok().and_then(|folder| {
            folder.read("name", buffer, MOST).ok().map(|text| line(text).to_owned())
        });
        let name = name.unwrap_or_default();
        let device = path.join("device").canonicalize().ok();
        let part = |path: Option<&Path>| {
            clean(&path.and_then(Path::file_name).unwrap_or_default().to_string_lossy())
        };
        let of_device = part(device.as_deref());
        let of_parent = part(device.as_deref().and_then(Path::parent));
        let base = match (of_parent.is_empty(), of_device.is_empty()) {
            (false, false) => format!("{of_parent}_{of_device}"),
            (true, false) => of_device,
            (_, true) if !clean(&name).is_empty() => clean(&name),
            // Its folder, behind the link of the class.
            (_, true) => part(path.canonicalize().ok().as_deref()),
        };
        Self { base, name }
    }
}

/// The sensors of a chip: the labels of those that have a name, and the files with numbers.
fn sensors(chip: &Path, label: &str, buffer: &mut Buffer) -> (Vec<SeriesLabels>, Vec<Sensor>) {
    // By sensor, and by element of it. Old drivers have their files at the device.
    let mut found: BTreeMap<String, BTreeMap<String, KeptFile>> = BTreeMap::new();
    for path in [chip.to_owned(), chip.join("device")] {
        let Ok(folder) = Folder::open(&path) else { continue };
        let mut files = Vec::new();
        let _ = folder.entries(|name, _, _| {
            if let Ok(name) = name.to_str()
                && let Some((sensor, element)) = sensor_and_element(name)
                && files.len() < MOST_FILES
            {
                files.push((sensor, element.to_owned(), name.to_owned()));
            }
        });
        for (sensor, element, name) in files {
            // A folder opens, and cannot be read.
            if let Ok(file) = folder.file(&name)
                && !matches!(file.read_whole(buffer, MOST), Err(ReadError::Other(Errno::ISDIR)))
            {
                found.entry(sensor).or_default().insert(element, file);
            }
        }
    }
    let (mut sensor_labels, mut sensors) = (Vec::new(), Vec::new());
    for (sensor, mut elements) in found {
        let kind = sensor.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let named = elements.remove("label").and_then(|file| {
            file.read_whole(buffer, MOST)
                .ok()
                .map(|text| String::from_utf8_lossy(text).trim_matches('\n').to_owned())
        });
        let plain = labels(&[("chip", label), ("sensor", &sensor)]);
        if let Some(named) = &named {
            sensor_labels.push(labels(&[("chip", label), ("sensor", &sensor), ("label", named)]));
        }
        let has_plain = elements.contains_key("");
        for (element, file) in elements {
            let Some(metric) = metric(&kind, &element, has_plain, named.is_some()) else {
                continue;
            };
            let labels = match &named {
                // Node exporter names these sensors by their label.
                Some(named) if kind == "freq" && element == "input" => {
                    labels(&[("chip", label), ("sensor", &clean(named))])
                }
                _ => plain.clone(),
            };
            let Metric { family, help, kind: of_family, scale } = metric;
            // Two frequencies may have one label.
            let is_taken = |known: &Sensor| known.family == family && known.labels == labels;
            if kind == "freq" && sensors.iter().any(is_taken) {
                continue;
            }
            let (value, is_low_voltage_alarm) = (None, false);
            sensors.push(Sensor {
                family,
                help,
                kind: of_family,
                labels,
                scale,
                file,
                value,
                is_low_voltage_alarm,
            });
        }
    }
    (sensor_labels, sensors)
}

/// Cuts `temp1_input` into `temp1` and `input`; `None` for the file of something else.
fn sensor_and_element(file: &str) -> Option<(String, &str)> {
    let digits = file.find(|c: char| c.is_ascii_digit()).unwrap_or(file.len());
    let (kind, rest) = file.split_at(digits);
    if !TYPES.contains(&kind) {
        return None;
    }
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &rest[..rest.len() - behind.len()];
    // Without one it is the first.
    let number: u32 = if number.is_empty() { 0 } else { number.parse().ok()? };
    let element = match behind.strip_prefix('_') {
        Some(element) if !element.is_empty() => element,
        None if behind.is_empty() => "",
        _ => return None,
    };
    Some((format!("{kind}{number}"), element))
}

#[derive(Debug)]
struct Metric {
    family: String,
    help: String,
    kind: Kind,
    scale: Scale,
}

/// The family of an element of a sensor, and its unit.
fn metric(sensor: &str, element: &str, has_plain: bool, has_label: bool) -> Option<Metric> {
    let gauge = |family: String, help: String, scale| {
        Some(Metric { family, help, kind: Kind::Gauge, scale })
    };
    let fixed =
        |name: &str, help: &str, scale| gauge(format!("node_hwmon_{name}"), help.to_owned(), scale);
    match (sensor, element) {
        ("beep_enable", "") => return fixed("beep_enabled", "Hardware beep enabled", Scale::Flag),
        ("vrm", "") => {
            return fixed("voltage_regulator_version", "Hardware voltage regulator", Scale::One);
        }
        ("update_interval", "") => {
            let help = "Hardware monitor update interval";
            return fixed("update_interval_seconds", help, Scale::Thousandth);
        }
        ("beep_enable" | "vrm" | "update_interval", _) => return None,
        _ => {}
    }
    let name = match element {
        "input" if has_plain => format!("node_hwmon_{sensor}_input"),
        // The value itself.
        "" | "input" => format!("node_hwmon_{sensor}"),
        _ => format!("node_hwmon_{sensor}_{}", clean(element)),
    };
    let shown = if sensor == "temp" && element.is_empty() { "input" } else { element };
    match (sensor, element) {
        (_, "fault" | "alarm") => {
            gauge(name, format!("Hardware sensor {element} status ({sensor})"), Scale::One)
        }
        (_, "beep") => {
            let help = "Hardware monitor sensor has beeping enabled";
            gauge(format!("{name}_enabled"), help.to_owned(), Scale::One)
        }
        ("in" | "cpu", _) => {
            let help = format!("Hardware monitor for voltage ({shown})");
            gauge(format!("{name}_volts"), help, Scale::Thousandth)
        }
        ("temp", _) if element != "type" => {
            let help = format!("Hardware monitor for temperature ({shown})");
            gauge(format!("{name}_celsius"), help, Scale::Thousandth)
        }
        ("curr", _) => {
            let help = format!("Hardware monitor for current ({shown})");
            gauge(format!("{name}_amps"), help, Scale::Thousandth)
        }
        ("energy", _) => Some(Metric {
            family: format!("{name}_joule_total"),
            help: format!("Hardware monitor for joules used so far ({shown})"),
            kind: Kind::Counter,
            scale: Scale::Millionth,
        }),
        ("power", "accuracy") => {
            let help = "Hardware monitor power meter accuracy, as a ratio";
            gauge(name, help.to_owned(), Scale::Millionth)
        }
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            let help = format!("Hardware monitor power usage update interval ({shown})");
            gauge(format!("{name}_seconds"), help, Scale::Thousandth)
        }
        ("power", _) => {
            let help = format!("Hardware monitor for power usage in watts ({shown})");
            gauge(format!("{name}_watt"), help, Scale::Millionth)
        }
        ("humidity", _) => {
            let help = format!(
                "Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity as a percentage) ({shown})"
            );
            gauge(name, help, Scale::Millionth)
        }
        ("fan", "input" | "min" | "max" | "target") => {
            let help = format!("Hardware monitor for fan revolutions per minute ({shown})");
            gauge(format!("{name}_rpm"), help, Scale::One)
        }
        ("freq", "input") if has_label => {
            let help = "Hardware monitor for GPU frequency in MHz";
            gauge(format!("{name}_freq_mhz"), help.to_owned(), Scale::Millionth)
        }
        ("freq", "input") => None,
        _ => gauge(name, format!("Hardware monitor {sensor} element {shown}"), Scale::One),
    }
}

/// The number in a file; `None` if it has none.
fn value(text: &[u8], scale: Scale) -> Option<f64> {
    let text = str::from_utf8(text).ok()?.trim_matches('\n');
    if scale == Scale::Flag {
        return Some(f64::from(u8::from(text == "1")));
    }
    let number: f64 = text.parse().ok()?;
    // As node exporter does it, which is not always the same as a division.
    Some(match scale {
        Scale::One | Scale::Flag => number,
        Scale::Thousandth => number * 0.001,
        Scale::Millionth => number / 1_000_000.0,
    })
}

/// As a part of a name: what it may not hold becomes `_`.
fn clean(text: &str) -> String {
    let clean = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | ':' | '_') => c,
        _ => '_',
    };
    text.chars().map(clean).collect::<String>().trim_matches('_').to_owned()
}

fn labels(all: &[(&str, &str)]) -> SeriesLabels {
    let mut labels = NO_LABELS;
    for (name, value) in all {
        labels.push(name, value);
    }
    labels
}

#[cfg(test)]
mod tests {
    use std::fs;

    use swarmscout_exposition::Format;

    use super::*;
    use crate::host::testing::Tree;

    fn written(tree: &Tree, hwmon: &mut Hwmon) -> String {
        hwmon.read(tree.path(), false, &mut Buffer::default());
        let mut out = Families::new(Format::Text);
        hwmon.write(&mut out);
        let text = out.finish();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        series.map(|line| line.to_owned() + "\n").collect()
    }

    /// Folder, device, name, files.
    type ChipFiles<'t> = (&'t str, &'t str, &'t str, &'t [(&'t str, &'t str)]);

    fn tree(chips: &[ChipFiles<'_>]) -> Tree {
        let tree = Tree::new();
        tree.folder("class/hwmon");
        for (folder, device, name, files) in chips {
            let real = format!("devices/{device}/hwmon/{folder}");
            tree.folder(&real);
            tree.link(&format!("class/hwmon/{folder}"), &tree.path().join(&real));
            tree.link(&format!("{real}/device"), &tree.path().join(format!("devices/{device}")));
            tree.file(&format!("{real}/name"), name);
            for (file, text) in *files {
                tree.file(&format!("{real}/{file}"), text);
            }
        }
        tree
    }

    #[test]
    fn a_raspberry_pi_has_its_names_of_node_exporter() {
        let tree = tree(&[
            (
                "hwmon0",
                "virtual/thermal/thermal_zone0",
                "cpu_thermal\n",
                &[("temp1_input", "48312\n"), ("temp1_crit", "110000\n")],
            ),
            (
                "hwmon1",
                "platform/soc/soc:firmware/raspberrypi-hwmon",
                "rpi_volt\n",
                &[("in0_lcrit_alarm", "1\n")],
            ),
        ]);
        let mut hwmon = Hwmon::default();
        expect_test::expect![[r#"
            node_hwmon_chip_names{chip="thermal_thermal_zone0",chip_name="cpu_thermal"} 1
            node_hwmon_chip_names{chip="soc:firmware_raspberrypi_hwmon",chip_name="rpi_volt"} 1
            node_hwmon_in_lcrit_alarm_volts{chip="soc:firmware_raspberrypi_hwmon",sensor="in0"} 0.001
            node_hwmon_temp_celsius{chip="thermal_thermal_zone0",sensor="temp1"} 48.312
            node_hwmon_temp_crit_celsius{chip="thermal_thermal_zone0",sensor="temp1"} 110.0
        "#]].assert_eq(&written(&tree, &mut hwmon));
        assert_eq!(hwmon.has_low_voltage(), Some(true));
        tree.file(
            "devices/platform/soc/soc:firmware/raspberrypi-hwmon/hwmon/hwmon1/in0_lcrit_alarm",
            "0\n",
        );
        assert!(written(&tree, &mut hwmon).contains("in0\"} 0.0\n"));
        assert_eq!(hwmon.has_low_voltage(), Some(false));
    }

    #[test]
    fn elements_have_the_units_of_node_exporter() {
        let tree = tree(&[
            (
                "hwmon0",
                "pci/0000:01:00.0",
                "amdgpu\n",
                &[
                    ("freq1_input", "300000000\n"),
                    ("freq1_label", "sclk\n"),
                    ("freq2_input", "5\n"),
                    ("fan1_input", "1200\n"),
                    ("fan1_enable", "1\n"),
                    ("fan1_beep", "1\n"),
                    ("pwm1", "77\n"),
                    ("pwm1_enable", "2\n"),
                    ("power1_average", "12000000\n"),
                    ("power1_average_interval", "1000\n"),
                    ("energy1_input", "5000000\n"),
                    ("curr1_input", "1500\n"),
                    ("humidity1_input", "500000\n"),
                    ("temp1_type", "4\n"),
                    ("temp1_label", "Edge \"1\"\n"),
                    ("temp1_input", "garbage\n"),
                    ("intrusion0_alarm", "1\n"),
                    ("beep_enable", "1\n"),
                    ("update_interval", "2000\n"),
                    ("in1", "1\n"),
                    ("in1_input", "1050\n"),
                    ("temp1x", "1\n"),
                    ("fan_", "1\n"),
                    ("uevent", "1\n"),
                ],
            ),
            ("hwmon1", "pci/0000:01:00.0", "amdgpu\n", &[("temp1_input", "1000\n")]),
            ("hwmon2", "platform/x", "one\n", &[("temp1_input", "2000\n")]),
            ("hwmon3", "platform/x", "two\n", &[("temp1_input", "-3000\n")]),
        ]);
        tree.folder("class/hwmon/hwmon0/power");
        tree.folder("devices/pci/0000:01:00.0/fan9_input");
        let mut hwmon = Hwmon::default();
        expect_test::expect![[r#"
            node_hwmon_chip_names{chip="pci_0000:01:00_0_hwmon0",chip_name="amdgpu"} 1
            node_hwmon_chip_names{chip="pci_0000:01:00_0_hwmon1",chip_name="amdgpu"} 1
            node_hwmon_chip_names{chip="platform_x_one",chip_name="one"} 1
            node_hwmon_chip_names{chip="platform_x_two",chip_name="two"} 1
            node_hwmon_sensor_label{chip="pci_0000:01:00_0_hwmon0",sensor="freq1",label="sclk"} 1
            node_hwmon_sensor_label{chip="pci_0000:01:00_0_hwmon0",sensor="temp1",label="Edge \"1\""} 1
            node_hwmon_beep_enabled{chip="pci_0000:01:00_0_hwmon0",sensor="beep_enable0"} 1.0
            node_hwmon_curr_amps{chip="pci_0000:01:00_0_hwmon0",sensor="curr1"} 1.5
            node_hwmon_energy_joule_total{chip="pci_0000:01:00_0_hwmon0",sensor="energy1"} 5.0
            node_hwmon_fan_beep_enabled{chip="pci_0000:01:00_0_hwmon0",sensor="fan1"} 1.0
            node_hwmon_fan_enable{chip="pci_0000:01:00_0_hwmon0",sensor="fan1"} 1.0
            node_hwmon_fan_rpm{chip="pci_0000:01:00_0_hwmon0",sensor="fan1"} 1200.0
            node_hwmon_freq_freq_mhz{chip="pci_0000:01:00_0_hwmon0",sensor="sclk"} 300.0
            node_hwmon_humidity{chip="pci_0000:01:00_0_hwmon0",sensor="humidity1"} 0.5
            node_hwmon_in_input_volts{chip="pci_0000:01:00_0_hwmon0",sensor="in1"} 1.05
            node_hwmon_in_volts{chip="pci_0000:01:00_0_hwmon0",sensor="in1"} 0.001
            node_hwmon_intrusion_alarm{chip="pci_0000:01:00_0_hwmon0",sensor="intrusion0"} 1.0
            node_hwmon_power_average_interval_seconds{chip="pci_0000:01:00_0_hwmon0",sensor="power1"} 1.0
            node_hwmon_power_average_watt{chip="pci_0000:01:00_0_hwmon0",sensor="power1"} 12.0
            node_hwmon_pwm{chip="pci_0000:01:00_0_hwmon0",sensor="pwm1"} 77.0
            node_hwmon_pwm_enable{chip="pci_0000:01:00_0_hwmon0",sensor="pwm1"} 2.0
            node_hwmon_temp_celsius{chip="pci_0000:01:00_0_hwmon1",sensor="temp1"} 1.0
            node_hwmon_temp_celsius{chip="platform_x_one",sensor="temp1"} 2.0
            node_hwmon_temp_celsius{chip="platform_x_two",sensor="temp1"} -3.0
            node_hwmon_temp_type{chip="pci_0000:01:00_0_hwmon0",sensor="temp1"} 4.0
            node_hwmon_update_interval_seconds{chip="pci_0000:01:00_0_hwmon0",sensor="update_interval0"} 2.0
        "#]].assert_eq(&written(&tree, &mut hwmon));
        // A chip that goes takes its series along.
        fs::remove_file(tree.path().join("class/hwmon/hwmon0")).unwrap();
        let text = written(&tree, &mut hwmon);
        assert!(!text.contains("sclk") && text.contains("chip=\"pci_0000:01:00_0\""), "{text}");
    }

    #[test]
    fn a_machine_without_sensors_has_no_series() {
        assert_eq!(written(&Tree::new(), &mut Hwmon::default()), "");
    }
}
