use std::fmt::Debug;

use proptest::prelude::*;

use swarmscout_model::size::Bytes;

use super::*;
use crate::testing::objects;

fn read<'a, T: Object>(
    memo: &mut Memo<T>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    max_element: usize,
) -> Result<Listed<T>, ScanError> {
    let mut reader = memo.reader_with(max_element);
    for piece in pieces {
        reader.push(piece)?;
    }
    reader.finish()
}

/// Reads one answer after the other with one memo, each cut at its place, and compares.
#[track_caller]
fn check<T: Object + Debug>(answers: &[(Vec<u8>, usize)], max_element: usize) {
    let mut memo = Memo::<T>::default();
    for (text, cut) in answers {
        let expected = objects::<T>([&text[..]], max_element);
        let (a, b) = text.split_at(*cut % (text.len() + 1));
        assert_eq!(read(&mut memo, [a, b], max_element), expected, "{}", text.escape_ascii());
        let fresh = read(&mut Memo::<T>::default(), [&text[..]], max_element);
        assert_eq!(fresh, expected, "nothing remembered: {}", text.escape_ascii());
        if let Ok((objects, _)) = &expected {
            let remembered = memo.known.values().map(|known| &known.object);
            let mut ids: Vec<_> = remembered.map(|object| object.id()).collect();
            let known = ids.len();
            ids.retain(|id| objects.iter().any(|object| object.id() == *id));
            assert_eq!(ids.len(), known, "remembers what is gone");
        }
    }
}

fn task(id: &str, version: u64, spec: &str, rest: &str) -> String {
    format!(
        r#"{{"ID":"{id}","Version":{{"Index":{version}}},"Spec":{spec},"ServiceID":"s"{rest}}}"#
    )
}

fn spec(label: &str) -> String {
    let image = format!("registry.example/app@sha256:{}", "0123456789abcdef".repeat(6));
    format!(r#"{{"ContainerSpec":{{"Image":"{image}","Labels":{{"l":"{label}"}},"Env":["]}}"]}}}}"#)
}

fn list(elements: &[String]) -> Vec<u8> {
    format!("[{}]\n", elements.join(",")).into_bytes()
}

#[test]
fn answers_that_break_off_leave_only_some_objects() {
    let mut memo = Memo::<Task>::default();
    for round in 0..20 {
        let tasks: Vec<_> = (0..MOST_UNCONFIRMED)
            .map(|n| task(&format!("{round}-{n}"), 1, &spec(&format!("{round}")), ""))
            .collect();
        let mut text = list(&tasks);
        text.truncate(text.len() - 2);
        assert!(read(&mut memo, [&text[..]], MAX_ELEMENT).is_err());
    }
    let (symbols, maps) = memo.decoder.shared();
    assert!(memo.len() <= 2 * MOST_UNCONFIRMED, "{}", memo.len());
    assert!(symbols <= 10 && maps <= 10, "{symbols} {maps}");
}

#[test]
fn what_did_not_change_is_the_same_object_whatever_the_order() {
    let mut memo = Memo::<Task>::default();
    let (a, b) = (task("a", 1, &spec("x"), ""), task("b", 1, &spec("x"), ""));
    let read = |memo: &mut Memo<Task>, elements: &[&String]| {
        let elements: Vec<String> = elements.iter().map(|element| (*element).clone()).collect();
        let (objects, problems) = read(memo, [&list(&elements)[..]], MAX_ELEMENT).unwrap();
        assert_eq!(problems, []);
        objects
    };
    let first = read(&mut memo, &[&a, &b]);
    assert!(Arc::ptr_eq(&first[0].labels, &first[1].labels), "a spec is read once");
    let second = read(&mut memo, &[&b, &a]);
    assert!(Arc::ptr_eq(&first[0], &second[1]) && Arc::ptr_eq(&first[1], &second[0]));

    let newer = task("a", 2, &spec("x"), "");
    let third = read(&mut memo, &[&newer, &b]);
    assert_eq!((third[0].version, memo.len()), (2, 2));
    assert!(Arc::ptr_eq(&third[0].labels, &first[0].labels), "strings are shared between answers");
    assert!(Arc::ptr_eq(&third[1], &first[1]));

    let only_bytes = task("a", 2, &spec("x"), r#","Meta":"anything""#);
    let fourth = read(&mut memo, &[&only_bytes]);
    assert!(Arc::ptr_eq(&fourth[0], &third[0]), "nothing that is decoded has changed");
    assert_eq!(memo.len(), 1, "what is gone is forgotten");
}

#[test]
fn strings_without_a_holder_are_dropped() {
    let mut memo = Memo::<Task>::default();
    for number in 0..100 {
        let element = task("a", number, &spec(&format!("x{number}")), r#","NodeID":"n""#);
        let element = element.replace(r#""n""#, &format!(r#""node-{number}""#));
        read(&mut memo, [&list(&[element])[..]], MAX_ELEMENT).unwrap();
    }
    let (symbols, maps) = memo.decoder.shared();
    assert!(symbols <= 5 && maps <= 2, "{symbols} strings and {maps} maps of one task");
}

#[test]
fn a_fault_is_reported_at_each_listing() {
    let bad = task("a", 1, &spec("x"), r#","Status":{"PortStatus":{"Ports":[7]}}"#);
    let text = list(&[bad, task("b", 1, &spec("x"), "")]);
    let mut memo = Memo::<Task>::default();
    for _ in 0..3 {
        let (objects, problems) = read(&mut memo, [&text[..]], MAX_ELEMENT).unwrap();
        assert_eq!((objects.len(), problems.len(), memo.len()), (2, 1, 1));
        assert_eq!((&*problems[0].object, problems[0].reason), ("a", "port of wrong type"));
    }
}

#[test]
fn an_answer_that_broke_off_spoils_nothing() {
    let before = list(&[task("a", 1, &spec("x"), ""), task("b", 1, &spec("x"), "")]);
    let after = list(&[task("a", 2, &spec("x"), ""), task("c", 1, &spec("y"), "")]);
    let mut memo = Memo::<Task>::default();
    let (first, _) = read(&mut memo, [&before[..]], MAX_ELEMENT).unwrap();
    for end in 0..after.len() - 1 {
        assert!(read(&mut memo, [&after[..end]], MAX_ELEMENT).is_err());
    }
    let (again, _) = read(&mut memo, [&before[..]], MAX_ELEMENT).unwrap();
    assert_eq!(again, first);
    assert!(Arc::ptr_eq(&again[1], &first[1]));
    assert_eq!(memo.len(), 2);
}

/// Quotes, brackets and numbers decide where an object ends.
#[test]
fn reading_ahead_does_not_move_the_end_of_an_object() {
    for text in [
        r#"[{"ID":"a","Slot":1"b,"c":2}]"#,
        r#"[{"ID":"a","Slot":1"b","c":2}]"#,
        r#"[{"ID":"a","x":1[,"y":2}]"#,
        r#"[{"ID":"a","x":[}},{"ID":"b"}]"#,
        r#"[{"ID":"a","x":{]},{"ID":"b"}]"#,
        r#"[{"ID":"a","x":tru{e}},{"ID":"b"}]"#,
        r#"[{"ID":"a"}{"ID":"b"}]"#,
        r#"[{"ID":"a"} , {"ID":"a"}]"#,
        r#"[{"ID":"a","ID":"b"},{"ID":"b"},{"Id":"a"}]"#,
        r#"[{"ID":"a"},7,null,"x",[]]"#,
        r#"[{"ID":"\u0061"},{"ID":""},{}]"#,
    ] {
        check::<Task>(&[(text.into(), 0), (text.into(), 15), (text.into(), 0)], MAX_ELEMENT);
    }
    for depth in [60, 61, 62, 63, 64, 65] {
        let text = format!(r#"[{{"ID":"a","x":{}{}}}]"#, "[".repeat(depth), "]".repeat(depth));
        let inner = format!(r#"[{{"Status":{{"x":{}{}}}}}]"#, "[".repeat(depth), "]".repeat(depth));
        check::<Task>(&[(text.into(), 0), (inner.into(), 0)], MAX_ELEMENT);
    }
}

#[test]
fn objects_are_charged_as_long_as_they_are_there() {
    let budget = Budget::new(Bytes(100_000));
    let mut memo = Memo::<Task>::new(&budget);
    let list = |tasks: usize| {
        let tasks: Vec<_> = (0..tasks).map(|i| task(&format!("t{i:04}"), 1, "{}", "")).collect();
        format!("[{}]", tasks.join(","))
    };
    let mut read = |text: &str| read(&mut memo, [text.as_bytes()], MAX_ELEMENT).map(|_| ());
    read(&list(50)).unwrap();
    let fifty = budget.used();
    assert!(fifty > 50 * size_of::<Task>() as u64, "{fifty}");
    read(&list(50)).unwrap();
    assert_eq!(budget.used(), fifty);
    let error = read(&list(2000)).unwrap_err();
    assert!(matches!(error, ScanError::Memory(_)), "{error}");
    read(&list(25)).unwrap();
    assert_eq!(budget.used(), fifty / 2);
    // Objects that are not cached are charged as well.
    read(&format!("[{}]", ["{}"; 50].join(","))).unwrap();
    assert!(budget.used() > 50 * size_of::<Task>() as u64);
    read("[]").unwrap();
    assert_eq!(budget.used(), 0);
    drop(memo);
}

#[test]
fn a_fault_in_one_answer_is_reported_in_the_next_too() {
    for labels in ["null_", "null{}", r#"{"a":"b"}_"#, r#"{"a":"b"}{}"#, "nul", "7_", "{}"] {
        let text = format!(r#"[{{"Id":"a","Labels":{labels}}}]"#).into_bytes();
        check::<Network>(&[(text.clone(), 0), (text.clone(), 0), (text, 20)], MAX_ELEMENT);
    }
}

/// A task as some Engine might list it, and some that none does.
fn any_task() -> impl Strategy<Value = String> {
    let attachment = |name: &str| {
        let network = format!(r#"{{"ID":"{name}","Labels":{{"pad":"{}"}}"#, "y".repeat(120));
        format!(
            r#"{{"Network":{network},"Spec":{{"Name":"{name}"}}}},"Addresses":["10.0.0.1/24"]}}"#
        )
    };
    let rest = prop_oneof![
        Just(String::new()),
        Just(r#","NodeID":"n","Slot":3"#.to_owned()),
        Just(format!(r#","NetworksAttachments":[{},{}]"#, attachment("one"), attachment("two"))),
        Just(format!(r#","NetworksAttachments":[{}]"#, attachment("one"))),
        Just(r#","Status":{"PortStatus":{"Ports":[{"TargetPort":-1},{}]}}"#.to_owned()),
        Just(r#","Slot":"three""#.to_owned()),
        Just(r#","Spec":null"#.to_owned()),
        Just(r#","ID":"b""#.to_owned()),
    ];
    let spec = prop_oneof![
        Just(spec("x")),
        Just(spec("y")),
        Just(r#"{"ContainerSpec":{"Labels":{"a":7}}}"#.to_owned()),
        Just("null".to_owned()),
    ];
    ("[abc]?", 0_u64..3, spec, rest)
        .prop_map(|(id, version, spec, rest)| task(&id, version, &spec, &rest))
}

/// An answer, where it is cut, and which byte of it is replaced by which, if any.
fn any_answer() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let broken = prop::option::weighted(0.5, (any::<usize>(), r#"[\[\]{}",:\\ 1an]"#));
    (prop::collection::vec(any_task(), 0..5), any::<usize>(), broken).prop_map(
        |(tasks, cut, broken)| {
            let mut text = list(&tasks);
            if let Some((at, byte)) = broken {
                let at = at % text.len();
                text[at] = byte.as_bytes()[0];
            }
            (text, cut)
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_remembered_nothing_else_is_read(
        answers in prop::collection::vec(any_answer(), 1..6),
        max_element in prop_oneof![Just(MAX_ELEMENT), 200_usize..700],
    ) {
        check::<Task>(&answers, max_element);
        check::<Service>(&answers, max_element);
        check::<Node>(&answers, max_element);
        check::<Network>(&answers, max_element);
        check::<Container>(&answers, max_element);
    }

    #[test]
    fn anything_is_read_the_same_ahead(
        text in r#"\[?(\{"ID":"a"[\[\]{}",:\\ 1a-]{0,30}\},?){0,3}"#,
        cut in any::<usize>(),
    ) {
        let text = text.into_bytes();
        check::<Task>(&[(text.clone(), cut), (text, cut / 2)], MAX_ELEMENT);
    }

    #[test]
    fn pieces_of_any_size_are_the_same_answer(
        tasks in prop::collection::vec(any_task(), 0..5),
        size in 1_usize..300,
    ) {
        let text = list(&tasks);
        let mut memo = Memo::<Task>::default();
        let expected = objects::<Task>([&text[..]], MAX_ELEMENT);
        for _ in 0..2 {
            prop_assert_eq!(&read(&mut memo, text.chunks(size), MAX_ELEMENT), &expected);
        }
    }
}
