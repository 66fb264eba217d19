//! What drivers measure: chips, thermal zones, and the firmware of a Raspberry Pi.
//!
//! A driver may ask its hardware at each read, and hang. So all sensors are read on a thread of
//! their own, and not again until it has come back.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

use super::NO_LABELS;
use super::hwmon::Hwmon;
use super::scan::line;
use crate::read::{Buffer, Folder, KeptFile, ReadError};

/// What there is, is listed again after this time. A sensor that goes is seen at once.
const LISTED_FOR: Duration = Duration::from_mins(5);

/// How long a scrape waits for all sensors together.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most bytes of a file.
const MOST: usize = 4096;

/// The most zones: ten times what a large server has.
const MOST_ZONES: usize = 1000;

/// Sensors go to the thread, and come back when they are read.
type Thread = (mpsc::Sender<Box<Sensors>>, mpsc::Receiver<Box<Sensors>>);

/// Reads sensors apart from the caller.
#[derive(Debug)]
pub(super) struct SensorReader {
    /// `None` while the thread has them.
    here: Option<Box<Sensors>>,
    thread: Option<Thread>,
}

impl SensorReader {
    pub(super) fn new(sysfs: PathBuf, with_hwmon: bool, with_zones: bool) -> Self {
        let sensors = Sensors {
            sysfs,
            with_hwmon,
            with_zones,
            hwmon: Hwmon::default(),
            zones: Vec::new(),
            zone_names: Vec::new(),
            firmware: None,
            throttled: None,
            listed: None,
            buffer: Buffer::default(),
        };
        Self { here: Some(Box::new(sensors)), thread: None }
    }

    /// Reads all sensors. Whether they answered in time.
    pub(super) fn read(&mut self) -> bool {
        self.read_within(PATIENCE)
    }

    fn read_within(&mut self, patience: Duration) -> bool {
        if let (None, Some((_, done))) = (&self.here, &self.thread) {
            self.here = done.try_recv().ok();
        }
        let Some(sensors) = self.here.take() else { return false };
        if sensors.is_quiet() {
            self.here = Some(sensors);
            return true;
        }
        let (work, done) = match self.thread.take() {
            Some(thread) => thread,
            None => match start() {
                Ok(thread) => thread,
                Err(error) => {
                    tracing::warn!(%error, "Cannot start a thread to read sensors");
                    self.here = Some(sensors);
                    return false;
                }
            },
        };
        if work.send(sensors).is_ok() {
            self.here = done.recv_timeout(patience).ok();
        }
        self.thread = Some((work, done));
        self.here.is_some()
    }

    /// What the last scrape read; `None` if the sensors did not answer.
    pub(super) fn sensors(&self) -> Option<&Sensors> {
        self.here.as_deref()
    }
}

fn start() -> std::io::Result<Thread> {
    let (work, to_read) = mpsc::channel::<Box<Sensors>>();
    let (is_read, done) = mpsc::channel();
    thread::Builder::new().name("sensors".to_owned()).spawn(move || {
        for mut sensors in to_read {
            sensors.read();
            if is_read.send(sensors).is_err() {
                return;
            }
        }
    })?;
    Ok((work, done))
}

/// All sensors, and what they said.
#[derive(Debug)]
pub(super) struct Sensors {
    sysfs: PathBuf,
    with_hwmon: bool,
    with_zones: bool,
    hwmon: Hwmon,
    zones: Vec<Zone>,
    zone_names: Vec<String>,
    /// `get_throttled` of a Raspberry Pi.
    firmware: Option<KeptFile>,
    throttled: Option<u32>,
    listed: Option<Instant>,
    buffer: Buffer,
}

#[derive(Debug)]
struct Zone {
    labels: SeriesLabels,
    file: KeptFile,
    millidegrees: Option<i64>,
}

/// The bits of `get_throttled`. Those of the time since the start are 16 bits higher.
const REASONS: [(u32, &str); 4] =
    [(0, "undervoltage"), (1, "frequency_capped"), (2, "throttled"), (3, "soft_temperature_limit")];

impl Sensors {
    /// Whether there was nothing to read a short time ago.
    fn is_quiet(&self) -> bool {
        self.listed.is_some_and(|listed| listed.elapsed() < LISTED_FOR)
            && self.hwmon.is_empty()
            && self.zones.is_empty()
            && self.firmware.is_none()
    }

    fn read(&mut self) {
        let is_time = self.listed.is_none_or(|listed| listed.elapsed() >= LISTED_FOR);
        if is_time {
            self.listed = Some(Instant::now());
        }
        if self.with_hwmon {
            self.hwmon.read(&self.sysfs, is_time, &mut self.buffer);
            self.read_firmware(is_time);
        }
        if self.with_zones {
            self.read_zones(is_time);
        }
    }

    fn read_zones(&mut self, is_time: bool) {
        let class = Folder::open(&self.sysfs.join("class/thermal"));
        if is_time {
            (self.zones, self.zone_names) = (Vec::new(), Vec::new());
            let Ok(class) = &class else { return };
            let _ = class.entries(|name, _, _| {
                let name = name.to_str().ok().filter(|name| name.starts_with("thermal_zone"));
                if let Some(name) = name
                    && self.zone_names.len() < MOST_ZONES
                {
                    self.zone_names.push(name.to_owned());
                }
            });
            self.zone_names.sort_by_key(|name| (name.len(), name.clone()));
            for name in &self.zone_names {
                let Ok(zone) = class.folder(name) else { continue };
                let kind =
                    zone.read("type", &mut self.buffer, MOST).map(|text| line(text).to_owned());
                let (Ok(kind), Ok(file)) = (kind, zone.file("temp")) else { continue };
                let mut labels = NO_LABELS;
                labels.push("zone", name.trim_start_matches("thermal_zone"));
                labels.push("type", &kind);
                self.zones.push(Zone { labels, file, millidegrees: None });
            }
        }
        let mut is_gone = false;
        for zone in &mut self.zones {
            // A zone that is off has no temperature.
            let text = zone.file.read_whole(&mut self.buffer, MOST);
            is_gone |= text == Err(ReadError::Gone);
            zone.millidegrees = text.ok().and_then(|text| line(text).parse().ok());
        }
        if is_gone {
            self.listed = None;
        }
    }

    fn read_firmware(&mut self, is_time: bool) {
        if is_time {
            let folder = Folder::open(&self.sysfs.join("devices/platform/soc/soc:firmware"));
            self.firmware = folder.ok().and_then(|folder| folder.file("get_throttled").ok());
        }
        self.throttled = self.firmware.as_ref().and_then(|file| {
            let text = file.read_whole(&mut self.buffer, MOST).ok()?;
            u32::from_str_radix(line(text).trim_start_matches("0x"), 16).ok()
        });
    }

    pub(super) fn write(&self, out: &mut Families) {
        self.hwmon.write(out);
        let mut family =
            out.family("node_thermal_zone_temp", Kind::Gauge, "Zone temperature in Celsius");
        for zone in &self.zones {
            if let Some(millidegrees) = zone.millidegrees {
                family.series(&zone.labels, millidegrees as f64 / 1000.0);
            }
        }
        let help = "Whether the firmware of a Raspberry Pi slows it down now, by reason";
        let mut family = out.family("swarmscout_node_throttled", Kind::Gauge, help);
        let flag = |bits: u32, bit: u32| u64::from(bits >> bit & 1);
        if let Some(bits) = self.throttled {
            for (bit, reason) in REASONS {
                family.series_with(&NO_LABELS, &[("reason", reason)], flag(bits, bit));
            }
            let help = "Whether the firmware of a Raspberry Pi slowed it down since its start";
            let mut family = out.family("swarmscout_node_throttled_since_boot", Kind::Gauge, help);
            for (bit, reason) in REASONS {
                family.series_with(&NO_LABELS, &[("reason", reason)], flag(bits, bit + 16));
            }
        } else if let Some(is_low) = self.hwmon.has_low_voltage() {
            family.series_with(&NO_LABELS, &[("reason", REASONS[0].1)], u64::from(is_low));
        }
    }
}

#[cfg(test)]
mod tests {
    use swarmscout_exposition::Format;

    use super::*;
    use crate::host::testing::Tree;

    fn written(reader: &SensorReader) -> String {
        let mut out = Families::new(Format::Text);
        reader.sensors().unwrap().write(&mut out);
        let text = out.finish();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        series.map(|line| line.to_owned() + "\n").collect()
    }

    #[test]
    fn zones_and_firmware_are_read() {
        let tree = Tree::new();
        for (zone, kind, temp) in [
            ("thermal_zone0", "cpu-thermal\n", "48312\n"),
            ("thermal_zone10", "x86_pkg_temp\n", "-5000\n"),
            ("thermal_zone2", "off\n", "garbage\n"),
            ("cooling_device0", "Processor\n", "1\n"),
        ] {
            tree.file(&format!("class/thermal/{zone}/type"), kind);
            tree.file(&format!("class/thermal/{zone}/temp"), temp);
        }
        tree.file("devices/platform/soc/soc:firmware/get_throttled", "50005\n");
        let hour = Duration::from_hours(1);
        let mut reader = SensorReader::new(tree.path().to_owned(), true, true);
        assert!(reader.read_within(hour));
        expect_test::expect![[r#"
            node_thermal_zone_temp{zone="0",type="cpu-thermal"} 48.312
            node_thermal_zone_temp{zone="10",type="x86_pkg_temp"} -5.0
            swarmscout_node_throttled{reason="undervoltage"} 1
            swarmscout_node_throttled{reason="frequency_capped"} 0
            swarmscout_node_throttled{reason="throttled"} 1
            swarmscout_node_throttled{reason="soft_temperature_limit"} 0
            swarmscout_node_throttled_since_boot{reason="undervoltage"} 1
            swarmscout_node_throttled_since_boot{reason="frequency_capped"} 0
            swarmscout_node_throttled_since_boot{reason="throttled"} 1
            swarmscout_node_throttled_since_boot{reason="soft_temperature_limit"} 0
        "#]]
        .assert_eq(&written(&reader));
        // It is the same thread that reads again.
        tree.file("class/thermal/thermal_zone0/temp", "1\n");
        assert!(reader.read_within(hour));
        assert!(written(&reader).contains("} 0.001\n"));
    }

    #[test]
    fn a_sensor_that_hangs_is_left_out_until_it_answers() {
        let tree = Tree::new();
        tree.file("class/thermal/thermal_zone0/type", "x");
        tree.file("class/thermal/thermal_zone0/temp", "1000");
        let mut reader = SensorReader::new(tree.path().to_owned(), false, true);
        // A thread that has not come back.
        let (work, to_read) = mpsc::channel();
        let (is_read, done) = mpsc::channel();
        reader.thread = Some((work, done));
        assert!(!reader.read_within(Duration::from_millis(1)));
        assert!(!reader.read_within(Duration::from_hours(1)));
        assert!(reader.sensors().is_none());
        is_read.send(to_read.recv().unwrap()).unwrap();
        let thread = thread::spawn(move || {
            let mut sensors: Box<Sensors> = to_read.recv().unwrap();
            sensors.read();
            is_read.send(sensors).unwrap();
        });
        assert!(reader.read_within(Duration::from_hours(1)));
        thread.join().unwrap();
        assert!(written(&reader).contains("} 1.0\n"));
    }
}
