use expect_test::{Expect, expect};

use super::*;

/// A document as one line, with the places of collections and keys left out.
fn show(node: &Node) -> String {
    match node.data() {
        Data::Scalar(scalar) if scalar.plain => scalar.text.clone(),
        Data::Scalar(scalar) => format!("{:?}", scalar.text),
        Data::Sequence(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Data::Mapping(entries) => {
            let entries =
                entries.iter().map(|(key, value)| format!("{}: {}", key.text, show(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&match parse(text.as_bytes(), 1000) {
        Ok(Some(node)) => show(&node),
        Ok(None) => "no document".to_owned(),
        Err(error) => format!("error: {error}"),
    });
}

#[test]
fn collections() {
    check("", &expect!["no document"]);
    check("# nothing\n", &expect!["no document"]);
    check("---\n...\n", &expect![""]);
    check("a: 1\nb:\n- c\n-\n- d: e\n  f: g\n", &expect!["{a: 1, b: [c, , {d: e, f: g}]}"]);
    check(
        "a: [b, {c: d}, e: f, [], {}, 'g', \"h\"]",
        &expect![[r#"{a: [b, {c: d}, {e: f}, [], {}, "g", "h"]}"#]],
    );
    check(
        "a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}",
        &expect!["{a: {b: 1}, c: {b: 1}, d: {<<: {b: 1}, e: 2}}"],
    );
    check("? a\n: b\n? c\n", &expect!["{a: b, c: }"]);
    check("- - a\n  - b\n-   c: d\n", &expect!["[[a, b], {c: d}]"]);
    check(
        "a:\n  b:\n    c\n    d\n\n    e\n  f: >-\n   g\n   h\n\n   i\n  j: |+\n   k\n\n",
        &expect![[r#"
            {a: {b: c d
            e, f: "g h\ni", j: "k\n\n"}}"#]],
    );
    check("a: b\n--- [", &expect!["{a: b}"]);
    check(
        "%YAML 1.1\n%TAG !e! tag:yaml.org,2002:\n---\na: !e!binary YQ==\n",
        &expect![[r#"{a: "a"}"#]],
    );
}

#[test]
fn refusals() {
    check(
        "a: [b",
        &expect![
            "error: line 1, column 4: did not find expected ',' or ']': the bracket is not closed"
        ],
    );
    check(
        "a: b: c",
        &expect!["error: line 1, column 5: mapping values are not allowed in this context"],
    );
    check(
        "a: b\n c: d",
        &expect!["error: line 2, column 3: mapping values are not allowed in this context"],
    );
    check(
        "a\nb: c",
        &expect!["error: line 2, column 2: mapping values are not allowed in this context"],
    );
    check("a: *b", &expect!["error: line 1, column 4: unknown anchor 'b' referenced"]);
    check("a: &b [*b]", &expect!["error: line 1, column 8: anchor 'b' value contains itself"]);
    check(
        "\ta: b",
        &expect![
            "error: line 1, column 1: found character that cannot start any token: the line is indented with a tab, YAML takes spaces only"
        ],
    );
    check("a: \"\\q\"", &expect!["error: line 1, column 5: found unknown escape character"]);
    check(
        "a: 'b",
        &expect![
            "error: line 1, column 4: found unexpected end of stream: the quote is not closed"
        ],
    );
    check("a: \u{7}", &expect!["error: line 1, column 4: control characters are not allowed"]);
    check(
        "<<: 5",
        &expect![
            "error: line 1, column 5: map merge requires map or sequence of maps as the value"
        ],
    );
    check("[a]: b", &expect!["error: line 1, column 1: a key must be a single value"]);
    check(
        "%YAML 1.2\n---\na: b",
        &expect![
            "error: line 1, column 1: found incompatible YAML document: write %YAML 1.1, or remove it"
        ],
    );
    check("a: !x!y b", &expect!["error: line 1, column 4: found undefined tag handle"]);
    check("a: !!int b", &expect!["error: line 1, column 4: cannot decode the value as a !!int"]);
    check(
        &"[".repeat(101),
        &expect!["error: line 1, column 101: nested more than 100 levels deep"],
    );
    check(
        &"- ".repeat(101),
        &expect!["error: line 1, column 201: nested more than 100 levels deep"],
    );
    check(
        &format!("{}{}", "a: &a [1,2,3,4,5,6,7,8,9]\n", "b: [*a, *a]\n".repeat(60)),
        &expect!["error: line 1, column 1: more than 1000 values, with aliases written out"],
    );
}

#[test]
fn says_where_more_than_the_first_document_stands() {
    for (text, more) in [
        ("", None),
        ("a: b\n", None),
        ("---\na: b\n...\n", None),
        ("a: b\n---\n# nothing\n", None),
        ("a: b\n---\nc: d\n", Some((3, 1))),
        ("---\n---\nc: d\n", Some((3, 1))),
        ("{}\n...\nc: d\n", Some((3, 1))),
        ("{}\nc: d\n", Some((2, 1))),
        ("a: b\n--- [", Some((2, 5))),
        ("a: b\n---\n%c", Some((3, 3))),
    ] {
        let found = parse_first(text.as_bytes(), 1000).unwrap().more;
        assert_eq!(found.map(|at| (at.line, at.column)), more, "{text:?}");
    }
}
