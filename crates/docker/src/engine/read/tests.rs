use proptest::prelude::*;

use super::*;

/// Reads any value into serde's, so that both can be compared.
fn value(reader: &mut Reader<'_>) -> Result<serde_json::Value> {
    match reader.peek()? {
        b'{' => {
            let mut members = serde_json::Map::new();
            reader.map(|reader, key| {
                members.insert(key.into_owned(), value(reader)?);
                Ok(())
            })?;
            Ok(members.into())
        }
        b'[' => {
            let mut elements = Vec::new();
            reader.array(|reader| {
                elements.push(value(reader)?);
                Ok(())
            })?;
            Ok(elements.into())
        }
        b'"' => Ok(reader.string()?.into_owned().into()),
        b't' | b'f' => Ok(reader.boolean()?.into()),
        b'n' => reader.is_null().map(|_| serde_json::Value::Null),
        _ => Ok(reader.signed()?.into()),
    }
}

#[track_caller]
fn check_string(text: &[u8], expected: &str) {
    assert_eq!(Reader::new(text).string().unwrap(), expected);
}

#[test]
fn strings_are_read_as_go_reads_them() {
    check_string(br#""plain""#, "plain");
    check_string(br#""a\"b\\c\/d\b\f\n\r\t""#, "a\"b\\c/d\u{8}\u{c}\n\r\t");
    check_string("\"\u{2713} \\u2713 \\uD83D\\uDE00\"".as_bytes(), "✓ ✓ 😀");
    check_string(br#""\ud800 \ud800\u0041 \udc00""#, "\u{fffd} \u{fffd}A \u{fffd}");
    check_string(b"\"a\xff\xfeb\xe2\x82\"", "a\u{fffd}\u{fffd}b\u{fffd}\u{fffd}");
    check_string(b"null", "");
    for bad in [&br#""\x""#[..], br#""\u12""#, br#""\u+123""#, br#""open"#, br#""open\"#] {
        let fault = Reader::new(bad).string().unwrap_err();
        assert!(matches!(fault, Fault::Syntax { .. }), "{}", bad.escape_ascii());
    }
}

#[test]
fn a_value_of_the_wrong_type_can_be_left_out() {
    let text = br#"{"a":["x",{"y":[1,"}"]},7],"b":"after"}"#;
    let (mut kept, mut after) = (Vec::new(), String::new());
    let mut reader = Reader::new(text);
    let read = reader.object(|reader, key| match key {
        b"a" => reader.array(|reader| {
            kept.push(reader.attempt(Reader::unsigned)?);
            Ok(())
        }),
        _ => reader.string().map(|text| after = text.into_owned()),
    });
    assert_eq!((read, reader.end()), (Ok(()), Ok(())));
    let expected = "a whole number that is not negative";
    let written = [&br#""x""#[..], br#"{"y":[1,"}"]}"#];
    assert_eq!(kept, [Err((expected, written[0])), Err((expected, written[1])), Ok(7)]);
    assert_eq!(after, "after");
}

#[test]
fn null_is_nothing_of_every_type() {
    let read = |text: &'static [u8]| Reader::new(text);
    assert_eq!(read(b"null").unsigned(), Ok(0));
    assert_eq!(read(b"null").signed(), Ok(0));
    assert_eq!(read(b"null").boolean(), Ok(false));
    assert_eq!(read(b"null").object(|_, _| unreachable!()), Ok(()));
    assert_eq!(read(b"null").array(|_| unreachable!()), Ok(()));
}

#[test]
fn numbers_are_whole_and_in_range() {
    for bad in ["1.5", "1e3", "-1", "18446744073709551616", "\"1\"", "true", "{}"] {
        let fault = Reader::new(bad.as_bytes()).unsigned().unwrap_err();
        assert!(matches!(fault, Fault::Type { at: 0, .. }), "{bad}");
    }
    assert_eq!(Reader::new(b" 18446744073709551615,").unsigned(), Ok(u64::MAX));
    assert_eq!(Reader::new(b"-3]").signed(), Ok(-3));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_serde_reads(expected in json(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_vec_pretty(&expected)
        } else {
            serde_json::to_vec(&expected)
        };
        let text = text.unwrap();
        let mut reader = Reader::new(&text);
        prop_assert_eq!(value(&mut reader), Ok(expected));
        prop_assert_eq!(reader.end(), Ok(()));
        prop_assert_eq!(Reader::new(&text).skip(), Ok(&text[..]));
    }

    #[test]
    fn no_text_makes_it_panic(text in r#"[\[\]{}",:\\ 1-9tfn.u-]{0,60}"#) {
        let _ = value(&mut Reader::new(text.as_bytes()));
        let _ = Reader::new(text.as_bytes()).skip();
    }

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = value(&mut Reader::new(&text));
        let _ = Reader::new(&text).attempt(Reader::string);
    }
}
