use proptest::prelude::*;

use super::*;
use crate::testing::elements as scan;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let elements = scan([text.as_bytes()], MAX_ELEMENT).unwrap();
    let found: Vec<_> = elements.iter().map(|(t, ..)| str::from_utf8(t).unwrap()).collect();
    assert_eq!(found, expected, "{text}");
    for (element, offset, _) in &elements {
        let at = usize::try_from(*offset).unwrap();
        assert_eq!(&text.as_bytes()[at..at + element.len()], element, "offset in {text}");
    }
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let error = scan([text.as_bytes()], MAX_ELEMENT).unwrap_err();
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn cuts_a_list_into_its_elements() {
    check("[]", &[]);
    check("null", &[]);
    check(" [ \n ] \r\n", &[]);
    check(
        r#"[{"ID":"a"},{"ID":"b","x":[{},[]]}]"#,
        &[r#"{"ID":"a"}"#, r#"{"ID":"b","x":[{},[]]}"#],
    );
    check(r#"[ {"a":"]}\"[{"} , {"\\":"\\"} ]"#, &[r#"{"a":"]}\"[{"}"#, r#"{"\\":"\\"}"#]);
}

#[test]
fn leaves_elements_that_are_not_objects_to_the_reader() {
    check(r#"[1,"a,]",null ,true,[[]],-1e5]"#, &["1", r#""a,]""#, "null", "true", "[[]]", "-1e5"]);
}

#[test]
fn names_the_byte_where_a_stream_stops_being_a_list() {
    check_error("", "answer ends at byte 0, in the middle of the list");
    check_error("[", "answer ends at byte 1, in the middle of the list");
    check_error(r#"[{"a":1},"#, "answer ends at byte 9, in the middle of the list");
    check_error(r#"[{"a":"b"#, "answer ends at byte 8, in the middle of the list");
    check_error("nul", "answer ends at byte 3, in the middle of the list");
    check_error("{}", "not JSON at byte 0: expected a list, found {");
    check_error("<html>", "not JSON at byte 0: expected a list, found <");
    check_error("nil", "not JSON at byte 1: expected null, found i");
    check_error("[{}{}]", "not JSON at byte 3: expected a comma or the end of the list, found {");
    check_error("[{},]", "not JSON at byte 4: expected an object, found ]");
    check_error("[}]", "not JSON at byte 1: expected an object, found }");
    check_error("[{]", "not JSON at byte 2: expected }, found ]");
    check_error("[[}", "not JSON at byte 2: expected ], found }");
    check_error("[]]", "not JSON at byte 2: expected the end of the answer, found ]");
    check_error("null null", "not JSON at byte 5: expected the end of the answer, found n");
    check_error("[\0]", r"not JSON at byte 1: expected an object, found \x00");
}

#[test]
fn limits_how_deep_brackets_stand_in_each_other() {
    let nested = |depth: usize| format!("[{}{}]", "[".repeat(depth), "]".repeat(depth));
    check(&nested(64), &[&nested(63)]);
    check_error(&nested(65), "more than 64 brackets open at byte 65");
    check_error(&nested(1_000_000), "more than 64 brackets open at byte 65");
}

#[test]
fn holds_only_the_start_of_an_element_that_is_too_large() {
    let large = format!(r#"{{"ID":"x","pad":"{}"}}"#, "y".repeat(20_000));
    let text = format!(r#"[{{"ID":"before"}},{large},{{"ID":"after"}}]"#);
    for piece in [text.len(), 7, 5000] {
        let elements = scan(text.as_bytes().chunks(piece), 10_000).unwrap();
        let [before, (head, offset, too_large), after] = &elements[..] else { panic!() };
        assert!(*too_large && !before.2 && !after.2);
        assert_eq!(*offset, 17);
        assert!(head.len() <= HEAD && large.as_bytes().starts_with(head));
        assert_eq!(after.0, br#"{"ID":"after"}"#);
    }
}

fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
        r#"[\[\]{}",:\\]{0,12}"#.prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_is_the_same_list(
        list in prop::collection::vec(json(4), 0..6),
        pretty in any::<bool>(),
    ) {
        let text = if pretty { serde_json::to_vec_pretty(&list) } else { serde_json::to_vec(&list) };
        let text = text.unwrap();
        let whole = scan([&text[..]], MAX_ELEMENT).unwrap();
        let read: Vec<serde_json::Value> =
            whole.iter().map(|(element, ..)| serde_json::from_slice(element).unwrap()).collect();
        prop_assert_eq!(&read, &list);
        for cut in 0..=text.len() {
            let (a, b) = text.split_at(cut);
            prop_assert_eq!(&scan([a, b], MAX_ELEMENT).unwrap(), &whole);
        }
        prop_assert_eq!(&scan(text.chunks(1), MAX_ELEMENT).unwrap(), &whole);
        for cut in 0..text.len() {
            prop_assert!(scan([&text[..cut]], MAX_ELEMENT).is_err());
        }
    }

    #[test]
    fn anything_is_scanned_the_same_however_it_is_cut(
        text in r#"\[?[\[\]{}",:\\ 1a-]{0,40}"#,
        cut in 0_usize..42,
    ) {
        let text = text.as_bytes();
        let (a, b) = text.split_at(cut.min(text.len()));
        prop_assert_eq!(scan([text], 8), scan([a, b], 8));
    }

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan([&text[..]], 16);
    }
}
