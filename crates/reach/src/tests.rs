use super::*;

#[test]
fn a_fetch_ends_a_little_sooner_than_its_reader_stops_waiting() {
    let options = ReachOptions::new(HeaderValue::from_static("test"));
    for (said, expected) in [
        (None, 9750),
        (Some("10"), 9750),
        (Some("1"), 950),
        (Some("0.1"), 95),
        (Some(" 5.5 "), 5250),
        (Some("60"), 59_750),
        (Some("3600"), 119_750),
        // Nothing of this is a time.
        (Some("0"), 9750),
        (Some("-1"), 9750),
        (Some("NaN"), 9750),
        (Some("inf"), 9750),
        (Some("1e300"), 9750),
        (Some("soon"), 9750),
        (Some(""), 9750),
    ] {
        let mut headers = HeaderMap::new();
        headers.extend(said.map(|said| (TIMEOUT, HeaderValue::from_static(said))));
        assert_eq!(within(&headers, &options), Duration::from_millis(expected), "{said:?}");
    }
}

#[test]
fn a_name_of_a_task_breaks_no_line() {
    let named = |name: &str| ReachableTask { name: name.to_owned(), ..ReachableTask::default() };
    assert_eq!(shown(&named("web.1\r\nx\u{9b}")), "web.1??x?");
    assert_eq!(shown(&named(&"é".repeat(500))).chars().count(), 200);
    assert_eq!(shown(&ReachableTask { id: "t1".to_owned(), ..named("") }), "t1");
}

/// Counters are indexed by these numbers.
#[test]
fn every_reason_has_its_number() {
    for (number, refusal) in ReachRefusal::ALL.into_iter().enumerate() {
        assert_eq!(refusal as usize, number, "{refusal:?}");
    }
    for (number, cut) in CutOff::ALL.into_iter().enumerate() {
        assert_eq!(cut as usize, number, "{cut:?}");
    }
}
