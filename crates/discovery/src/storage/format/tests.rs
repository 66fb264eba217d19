use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::limits::LONGEST_ENGINE_LABEL;
use crate::storage::fuzzing::seal;

const KEY: Key = Key([7; 16]);

fn encode(as_of: SystemTime, groups: &[Arc<TargetGroup>]) -> Vec<u8> {
    let mut file = Vec::new();
    write(&mut file, KEY, as_of, groups).unwrap();
    file
}

fn unlimited() -> Meter {
    Meter::unlimited(LONGEST_ENGINE_LABEL)
}

fn decode(file: &[u8]) -> Result<Stored, Unreadable> {
    read(file, file.len() as u64, &mut unlimited())
}

fn sample() -> Vec<u8> {
    let labels = |text: &str| -> Labels { [("a", text), ("b", "x")].into_iter().collect() };
    let group = |source: &str| {
        Arc::new(TargetGroup {
            source: source.into(),
            targets: vec![labels("1"), labels("2")],
            labels: labels("ü"),
        })
    };
    encode(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000), &[group("g"), group("h")])
}

fn resealed(mut file: Vec<u8>) -> Vec<u8> {
    let checksum = xxhash_rust::xxh3::xxh3_64(&file);
    file.extend(checksum.to_le_bytes());
    file
}

fn check(file: &[u8], expected: &Expect) {
    expected.assert_eq(&decode(file).unwrap_err().to_string());
}

fn labels() -> impl Strategy<Value = Labels> {
    let text = prop_oneof![".{0,20}", "[a-z_]{1,10}", "\\PC{100,200}"];
    prop::collection::vec(("[a-z_]{0,12}", text), 0..8)
        .prop_map(|labels| labels.into_iter().collect())
}

fn groups() -> impl Strategy<Value = Groups> {
    let group = (".{0,30}", prop::collection::vec(labels(), 0..5), labels());
    let group = group.prop_map(|(source, targets, labels)| {
        Arc::new(TargetGroup { source: source.into(), targets, labels })
    });
    prop::collection::vec(group, 0..6)
}

proptest! {
    #[test]
    fn a_written_file_reads_back_the_same(groups in groups(), millis in 0..4_000_000_000_000_u64) {
        let as_of = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let stored = decode(&encode(as_of, &groups)).unwrap();
        prop_assert_eq!(stored, Stored { key: KEY, as_of, groups });
    }
}

#[test]
fn a_file_that_was_cut_or_changed_anywhere_is_refused() {
    let file = sample();
    assert_eq!(decode(&file).unwrap().groups.len(), 2);
    for length in 0..file.len() {
        assert!(decode(&file[..length]).is_err(), "{length}");
    }
    for (place, bit) in (0..file.len()).flat_map(|place| [(place, 1), (place, 0x80)]) {
        let mut changed = file.clone();
        changed[place] ^= bit;
        assert!(decode(&changed).is_err(), "{place} {bit}");
    }
    let mut longer = file.clone();
    longer.push(0);
    assert!(decode(&longer).is_err());
    // The length is what the folder says; the file may have changed since.
    assert!(read(&file[..], file.len() as u64 + 1, &mut unlimited()).is_err());
    assert!(read(&file[..], file.len() as u64 - 1, &mut unlimited()).is_err());
}

#[test]
fn each_damage_has_its_message() {
    check(b"", &expect!["not a file of Swarmscout's storage"]);
    check(&[b'x'; 100], &expect!["not a file of Swarmscout's storage"]);
    let mut newer = sample();
    newer[8] = 2;
    check(&newer, &expect!["format 2 is not known to this version, which reads 1"]);
    let mut damaged = sample();
    let end = damaged.len() - 1;
    damaged[end] ^= 1;
    check(&damaged, &expect!["damaged"]);
    let too_long = read(&b""[..], MOST_BYTES + 1, &mut unlimited()).unwrap_err();
    expect!["too large"].assert_eq(&too_long.to_string());
}

#[test]
fn what_a_good_checksum_stands_under_is_bounded_too() {
    // Counts that no source has.
    check(&seal(u32::MAX, 0, b""), &expect!["too large"]);
    check(&seal(0, u32::MAX, b""), &expect!["too large"]);
    // Fewer and more groups than are there, and fewer and more targets.
    check(&seal(2, 0, &[0, 0, 0]), &expect!["damaged"]);
    check(&seal(1, 0, &[0, 0, 0, 0, 0, 0]), &expect!["damaged"]);
    check(&seal(1, 1, &[0, 0, 0]), &expect!["damaged"]);
    check(&seal(1, 0, &[0, 0, 1, 0]), &expect!["damaged"]);
    // A number of too many digits, a text that is not UTF-8, one that is too long.
    check(&seal(1, 0, &[0xff; 20]), &expect!["damaged"]);
    check(&seal(1, 0, &[1, 0xff, 0, 0]), &expect!["damaged"]);
    check(&seal(1, 0, &[0xff, 0xff, 0xff, 0x7f]), &expect!["too large"]);
    // Something behind the end of the deflated body.
    let mut file = seal(1, 0, &[0, 0, 0]);
    assert_eq!(decode(&file).unwrap().groups.len(), 1);
    file.truncate(file.len() - 8);
    file.push(0);
    assert!(decode(&resealed(file)).is_ok());
}

/// A set of many long labels deflates to nearly nothing.
#[test]
fn a_bomb_is_refused_before_it_takes_memory() {
    let mut body = vec![0];
    write_number(&mut body, 1_000_000).unwrap();
    let long = "x".repeat(100_000);
    for number in 0..200 {
        write_text(&mut body, &format!("{number:03}")).unwrap();
        write_text(&mut body, &long).unwrap();
    }
    check(&seal(1, 0, &body), &expect!["too large"]);
}

#[test]
fn labels_are_good_whatever_the_file_says() {
    // Unsorted, one name twice, one value empty.
    let mut body = vec![0, 4];
    for (name, value) in [("b", "1"), ("a", "2"), ("b", "3"), ("c", "")] {
        write_text(&mut body, name).unwrap();
        write_text(&mut body, value).unwrap();
    }
    body.push(0);
    let stored = decode(&seal(1, 0, &body)).unwrap();
    let expected: Labels = [("a", "2"), ("b", "3")].into_iter().collect();
    assert_eq!(stored.groups[0].labels, expected);
}
