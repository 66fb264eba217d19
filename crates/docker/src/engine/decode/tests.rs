use super::*;
use crate::engine::Task;

fn element(text: &str) -> Element<'_> {
    Element { text: text.as_bytes(), offset: 100, too_large: false }
}

#[test]
fn the_head_is_read_no_further_than_it_must() {
    let head = |text: &str| {
        let Head { id, version } = Head::read(text.as_bytes());
        (id, version)
    };
    assert_eq!(head(r#"{"ID":"a","Version":{"Index":7},garbage"#), ("a".to_owned(), Some(7)));
    assert_eq!(head(r#"{"Version":{"Index":7},"x":[{}],"ID":"a"}"#), ("a".to_owned(), Some(7)));
    assert_eq!(head(r#"{"Name":"n","Id":"a"}"#), ("a".to_owned(), None));
    assert_eq!(head(r#"{"ID":5,"Version":{"Index":7}}"#), (String::new(), None));
    assert_eq!(head("[]"), (String::new(), None));
    assert_eq!(head(""), (String::new(), None));
}

#[test]
fn invalid_json_fails_the_list_with_its_position() {
    for (text, expected) in [
        (r#"{"ID":"a" "x":1}"#, r#"not JSON at byte 110: expected JSON, found \""#),
        (r#"{"ID":truth}"#, ""),
        (r#"{"Slot":1]"#, "not JSON at byte 109: expected JSON, found ]"),
        (r#"{"ID":"\q"}"#, "not JSON at byte 110: expected JSON, found }"),
    ] {
        let result = Decoder::default().decode::<Task>(element(text));
        let error = result.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn an_object_that_is_too_large_is_named_and_left_out() {
    let mut decoder = Decoder::default();
    let head = Element { too_large: true, ..element(r#"{"ID":"big","Spec":{"Labels":{"a":"aaaa"#) };
    assert_eq!(decoder.decode::<Task>(head), Ok(None));
    let [problem] = &decoder.take_problems()[..] else { panic!("one problem") };
    assert_eq!((&*problem.object, problem.reason), ("big", "object too large"));
}

#[test]
fn equal_label_maps_and_texts_are_held_once() {
    let mut decoder = Decoder::default();
    let mut task = |id: &str| {
        let labels = r#""Spec":{"ContainerSpec":{"Labels":{"b":"2","a.b":"1"}}}"#;
        let text = format!(r#"{{"ID":"{id}","ServiceID":"s","DesiredState":"running",{labels}}}"#);
        decoder.decode::<Task>(element(&text)).unwrap().unwrap()
    };
    let (a, b) = (task("a"), task("b"));
    assert!(Arc::ptr_eq(&a.labels, &b.labels) && Arc::ptr_eq(&a.service, &b.service));
    assert_eq!(a.labels.get("a.b"), Some("1"));
    assert_eq!(a.labels.iter().collect::<Vec<_>>(), [("a.b", "1"), ("b", "2")]);
}

#[test]
fn of_a_member_given_twice_the_last_counts() {
    let text = r#"{"ID":"a","ID":"b","Spec":{"ContainerSpec":{"Labels":{"k":"1","k":"2"}}}}"#;
    let task: Task = Decoder::default().decode(element(text)).unwrap().unwrap();
    assert_eq!((&*task.id, task.labels.get("k")), ("b", Some("2")));
}

/// An object of 8 MB has room for an ID of megabytes and a million bad ports.
#[test]
fn reports_of_bad_parts_are_bounded() {
    let (id, ports) = ("x".repeat(100_000), "1,".repeat(100_000));
    let text = format!(r#"{{"ID":"{id}","Status":{{"PortStatus":{{"Ports":[{ports}1]}}}}}}"#);
    let mut decoder = Decoder::default();
    assert!(decoder.decode::<Task>(element(&text)).unwrap().is_some());
    let problems = decoder.take_problems();
    let size: usize = problems.iter().map(|p| p.object.len() + p.detail.len()).sum();
    assert!(size < 4 << 20, "{size} bytes");
    let [first, .., last] = &problems[..] else { panic!("more than one problem") };
    assert_eq!((first.kind, last.kind), ("task", "task"));
    assert_eq!(last.detail, "90001 more are not listed");
    assert_eq!(decoder.take_problems(), []);
}
