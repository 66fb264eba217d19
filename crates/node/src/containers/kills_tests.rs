use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;

fn second(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn service(name: &str) -> Service {
    Service::of(|key| (key == "com.docker.swarm.service.name").then_some(name), None)
}

/// A scrape every 15 seconds, one a line: the count of the parent, then its children as
/// `<service><number>=<kills>` (a unit of systemd as `unit.<number>=…`; `#2` behind it is another one with
/// its name), then what tasks were killed since the last line as `+<service><number>@<second>`, and what ended
/// by itself after the Engine reported a kill in it as `+<service><number>@<second>!<second of the report>`, then
/// `old` if the manager says nothing new.
#[track_caller]
fn check(scrapes: &[&str], expected: &Expect) {
    let (mut kills, mut text) = (Kills::default(), String::new());
    let mut as_of = second(0);
    for (scrape, at) in scrapes.iter().zip((0..).map(|number| second(number * 15))) {
        let mut words = scrape.split(' ');
        let total = words.next().unwrap().parse().unwrap();
        let (mut children, mut killed) = (Vec::new(), Vec::new());
        let mut is_old = false;
        for word in words {
            if let Some((name, at)) = word.strip_prefix('+').and_then(|it| it.split_once('@')) {
                let of = name.trim_end_matches(|c: char| c.is_ascii_digit());
                let (at, reported) = at.split_once('!').map_or((at, None), |(a, b)| (a, Some(b)));
                killed.push(Killed {
                    service: service(of),
                    container: name.into(),
                    at: second(at.parse().unwrap()),
                    by_signal: reported.is_none(),
                    reported: reported.map(|at| second(at.parse().unwrap())),
                });
            } else if let Some((name, count)) = word.split_once('=') {
                let (count, inode) = count.split_once('#').unwrap_or((count, "1"));
                let of = name.trim_end_matches(|c: char| c.is_ascii_digit());
                children.push(ChildReading {
                    name: name.into(),
                    inode: inode.parse().unwrap(),
                    kills: count.parse().unwrap(),
                    kind: match of {
                        "unit." => ChildKind::Other,
                        "new" => ChildKind::Container(None),
                        of => ChildKind::Container(Some(service(of))),
                    },
                });
            } else {
                is_old = word == "old";
            }
        }
        if !is_old {
            as_of = at;
        }
        let living: Vec<_> = children.iter().map(|child| child.name.clone()).collect();
        if kills.is_same("docker", total) && !kills.is_shared("docker") {
            children.clear();
        }
        let readings = [("docker".into(), ParentReading { total, children })].into();
        let living = living.iter().map(|name| &**name);
        let found = kills.observe((at, Some(as_of)), readings, killed, living);
        let mut sums = BTreeMap::<_, u64>::new();
        for (service, count) in found {
            *sums.entry(service).or_default() += count;
        }
        let name = |service: &Option<Service>| match service {
            Some(found) => {
                ["a", "b", "c"].into_iter().find(|name| service_is(found, name)).unwrap()
            }
            None => "unknown",
        };
        let sums = sums.iter().map(|(service, count)| format!("{}: {count}", name(service)));
        writeln!(text, "{}", sums.collect::<Vec<_>>().join(", ")).unwrap();
    }
    let trimmed: Vec<_> = text.lines().map(str::trim_end).collect();
    expected.assert_eq(&(trimmed.join("\n") + "\n"));
}

fn service_is(found: &Service, name: &str) -> bool {
    *found == service(name)
}

#[test]
fn kills_in_living_containers_count_at_once() {
    check(
        &[
            "5 a1=2 b1=0",
            "6 a1=2 b1=1",
            "6 a1=2 b1=1",
            "8 a1=3 b1=1 c1=1",
            "9 a1=3 b1=1 c1=1 new1=1",
        ],
        &expect![[r#"

            b: 1

            a: 1, c: 1
            unknown: 1
        "#]],
    );
}

#[test]
fn a_kill_is_of_the_task_that_ended_by_it() {
    // Its end is known before or after the scrape that shows the kill.
    check(
        &["0 a1=0 b1=0", "1 b1=0 +a@10", "1 b1=0", "2", "2 +b@44", "2"],
        &expect![[r#"


            a: 1

            b: 1

        "#]],
    );
}

#[test]
fn several_kills_are_of_the_service_that_the_tasks_have_in_common() {
    check(
        // Two kills in one container, two containers with a kill in one of them, one kill each.
        &["0", "2 +a@10", "2", "3 +a@40 +a@41", "3", "5 +a@70 +b@70", "5"],
        &expect![[r#"


            a: 2

            a: 1

            a: 1, b: 1
        "#]],
    );
}

#[test]
fn fewer_kills_than_tasks_of_several_services_are_not_attributed() {
    check(
        // The third of three kills may be of each, and the one of two tasks as well.
        &["0", "3 +a@10 +b@10", "3", "4 +a@40 +b@40", "4"],
        &expect![[r#"


            unknown: 1, a: 1, b: 1

            unknown: 1
        "#]],
    );
}

#[test]
fn a_kill_is_of_the_container_that_an_engine_reports() {
    check(
        &[
            "0",
            // Of two that ended, and of one beside which a unit ended.
            "1 +a1@10 +b1@11!10",
            "1 unit.1=0",
            "2 +c1@40!39",
            "2",
            // One report for both kills; and one of a kill that has been counted.
            "4 +a2@70!69",
            "4",
            "5 +a3@100!80 +b2@101",
            "5",
        ],
        &expect![[r#"


            b: 1

            c: 1

            a: 2

            b: 1
        "#]],
    );
}

#[test]
fn a_kill_is_not_of_a_container_that_ended_later() {
    check(
        // The second one is killed by hand after the scrape. The third one was started again.
        &["0 b1=0 c1=0", "1 b1=0 c1=0 +a1@10 +b1@16", "1 c1=0", "2 c1=0#2 +c1@40", "2 c1=0#2"],
        &expect![[r#"


            a: 1

            c: 1
        "#]],
    );
}

#[test]
fn a_kill_without_a_task_waits_for_the_manager() {
    check(
        // A container outside of the Swarm; then the manager is gone for some scrapes.
        &["0", "1", "1", "2 old", "2 old", "2 old", "2 +c@40", "2"],
        &expect![[r#"


            unknown: 1



            c: 1

        "#]],
    );
}

#[test]
fn tasks_that_were_killed_by_anybody_else_are_forgotten() {
    check(
        &["0 a1=0", "0 +a@10", "0", "0", "1", "1"],
        &expect![[r#"





            unknown: 1
        "#]],
    );
}

#[test]
fn a_unit_beside_the_containers_may_have_been_killed() {
    check(
        &[
            "1 unit.1=1 unit.9=0 a1=0",
            // In a unit that goes on.
            "2 unit.1=2 unit.9=0 a1=0 +a@10",
            "2 unit.1=2 unit.9=0",
            // One ends, and one comes, while nothing is killed.
            "2 unit.2=0 unit.9=0",
            "3 unit.2=0 unit.9=0 +b@55",
            "3 unit.2=0 unit.9=0",
            // One ends in the same interval; then one is started again under its name.
            "4 unit.9=0 +b@85",
            "4 unit.3=0 unit.9=0",
            "5 unit.3=0#2 unit.9=0 +b@119",
            "5 unit.3=0#2 unit.9=0",
        ],
        &expect![[r#"





            b: 1

            unknown: 1

            unknown: 1
        "#]],
    );
}

#[test]
fn a_kill_while_it_is_read_counts_once() {
    // The child is read after its parent; then the parent has it, too.
    check(
        &["0 a1=0 b1=0", "1 a1=1 b1=1", "2 a1=1 b1=1", "2 a1=1 b1=1"],
        &expect![[r#"

            a: 1, b: 1


        "#]],
    );
}

#[test]
fn a_parent_that_was_made_again_begins_again() {
    check(
        &["5 a1=0", "1 a1=1 +a@10", "2 +a@20", "2"],
        &expect![[r#"



            a: 1
        "#]],
    );
}

#[test]
fn what_waits_is_bounded() {
    let mut kills = Kills::default();
    let mut count = 0;
    for number in 0..MOST_INTERVALS as u64 + 11 {
        let readings = [("docker".into(), ParentReading { total: number, children: Vec::new() })];
        let found = kills.observe((second(number), None), readings.into(), [], []);
        count += found.iter().map(|(_, count)| count).sum::<u64>();
    }
    assert_eq!((kills.intervals.len(), count), (MOST_INTERVALS, 10));
}
