use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use expect_test::{Expect, expect};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::*;

/// Characters that most encoders leave as they are.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Plain ones, and one with all that encoders change.
const PLANTED: [&str; 4] =
    ["hunter2bearer", "abcd", "p&s%s \"w<r>d/+=\\'é~?", "eyJhbGciOiJIUzI1NiJ9.e30.x_-y"];

fn knowing(secrets: &[&str]) -> Secrets {
    let known = Secrets::default();
    for secret in secrets {
        known.keep(secret);
    }
    known
}

fn each<T>(parts: impl IntoIterator<Item = T>, encode: impl Fn(T) -> String) -> String {
    parts.into_iter().map(encode).collect()
}

/// A secret in every encoding that is undone, by name.
fn encodings(secret: &str) -> Vec<(String, String)> {
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let every_byte = |format: fn(u8) -> String| each(secret.bytes(), format);
    let html = each(secret.chars(), |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        c => c.to_string(),
    });
    let json = serde_json::Value::from(secret).to_string();
    let json = &json[1..json.len() - 1];
    let rust = format!("{secret:?}");
    let units: Vec<u16> = secret.encode_utf16().collect();
    let mut all = vec![
        ("as it is".to_owned(), secret.to_owned()),
        ("percent".to_owned(), percent.clone()),
        ("percent, lower case".to_owned(), every_byte(|byte| format!("%{byte:02x}"))),
        ("percent, upper case".to_owned(), every_byte(|byte| format!("%{byte:02X}"))),
        ("form".to_owned(), percent.replace("%20", "+")),
        ("percent of percent".to_owned(), percent.replace('%', "%25")),
        ("HTML".to_owned(), html.clone()),
        ("HTML, decimal".to_owned(), each(secret.chars(), |c| format!("&#{};", u32::from(c)))),
        (
            "HTML, hexadecimal".to_owned(),
            each(secret.chars(), |c| format!("&#x{:X};", u32::from(c))),
        ),
        ("JSON".to_owned(), json.to_owned()),
        ("JSON with slashes".to_owned(), json.replace('/', "\\/")),
        ("JSON, hexadecimal".to_owned(), each(units, |unit| format!("\\u{unit:04x}"))),
        ("Rust".to_owned(), rust[1..rust.len() - 1].to_owned()),
        ("Go".to_owned(), every_byte(|byte| format!("\\x{byte:02x}"))),
        ("HTML in JSON".to_owned(), {
            let text = serde_json::Value::from(html).to_string();
            text[1..text.len() - 1].to_owned()
        }),
        ("JSON in JSON".to_owned(), {
            let text = serde_json::Value::from(json).to_string();
            text[1..text.len() - 1].to_owned()
        }),
    ];
    for (name, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
        for offset in 0..4 {
            let percent = utf8_percent_encode(secret, UNRESERVED).to_string();
            for (what, text) in [("", secret), (" of percent", &percent), (" of JSON", json)] {
                let text = format!("{}{text}{}", &"user:"[5 - offset..], ", and more");
                all.push((format!("{name}{what} at {offset}"), engine.encode(text)));
            }
            let alone = engine.encode(format!("{}{secret}", &"user:"[5 - offset..]));
            all.push((format!("{name} at {offset}, alone"), alone));
        }
    }
    all
}

#[test]
fn every_encoding_is_hidden() {
    let known = knowing(&PLANTED);
    let mut plants = 0;
    for secret in PLANTED {
        for (name, plant) in encodings(secret) {
            let text = format!("you sent ({plant}), so no");
            let clean = known.clean(&text);
            assert!(clean.contains(HIDDEN), "{name} of {secret}: {clean}");
            let rest = clean.replace(HIDDEN, "");
            // Base64 characters before and behind may stay: they hold other bytes.
            let most = if name.starts_with("base64") { 26 } else { 0 };
            let rest = rest.len() - "you sent (), so no".len();
            assert!(rest <= most, "{name} of {secret}: {clean}");
            plants += 1;
        }
    }
    assert_eq!(plants, 192);
}

#[test]
fn texts_without_a_secret_stay() {
    let known = knowing(&PLANTED);
    for text in
        ["", "404 page not found", "100% of {\"message\":\"\\u00e4 & <b>&amp;</b>+\"}", "é…"]
    {
        assert!(matches!(known.clean(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn secrets_are_hidden_and_the_rest_is_shown() {
    let check = |secrets: &[&str], text: &str, expected: Expect| {
        expected.assert_eq(&knowing(secrets).clean(text));
    };
    check(
        &["hunter2"],
        "hunter2, hunter2hunter2 and hunter",
        expect!["<secret>, <secret> and <secret>"],
    );
    check(&["hunter2"], "a hunter, hunter3", expect!["a hunter, hunter3"]);
    // Cut by the sender.
    check(&["hunter2-and-so-on-and-on"], "(hunter2-and-so-on)", expect!["(<secret>)"]);
    check(&["hunter2"], "found \"hunt…\" there", expect!["found \"<secret>…\" there"]);
    // Too short.
    check(&["abc"], "abc", expect!["abc"]);
    check(&["é€"], "ü%C3%A9%e2%82%ac&eacute;", expect!["ü<secret>&eacute;"]);
}

#[test]
fn headers_are_learned_with_the_secrets_in_them() {
    let known = Secrets::default();
    known.learn_header(&HeaderValue::from_static("Basic dTpodW50ZXIy"));
    known.learn_header(&HeaderValue::from_static("Bearer tok-en"));
    let clean = known
        .clean("Basic dTpodW50ZXIy, u:hunter2, x-hunter2, Bearer tok-en, tok-en, aHVudGVyMg==");
    expect!["<secret>, <secret>, x-<secret>, <secret>, <secret>, <secret>=="].assert_eq(&clean);
}

#[test]
fn of_secrets_that_change_the_newest_are_known() {
    let known = knowing(&["for ever"]);
    for number in 0..1000 {
        known.learn("used again");
        known.learn(&format!("token-{number}."));
    }
    let clean = known.clean("for ever used again token-999. token-980. token-1.");
    expect!["<secret> <secret> <secret> <secret> token-1."].assert_eq(&clean);
}

#[test]
fn long_texts_are_cut_and_the_place_stays() {
    let known = knowing(&["hunter2"]);
    let long = "B".repeat(8 << 20);
    for (text, start, end) in [
        (long.clone(), "BBB", "BBB…"),
        (
            format!("invalid type: string \"{long}\", expected a list at line 1 column 99"),
            "invalid",
            "B… at line 1 column 99",
        ),
        (
            format!("{long} at line 2, column 3 (defined at line 1, column 1)"),
            "BBB",
            "B… at line 2, column 3 (defined at line 1, column 1)",
        ),
        (format!("{long} at line hunter2"), "BBB", "B…"),
        ("hunter2 ".repeat(1 << 20), "<secret> <secret>", "…"),
        ("é".repeat(1 << 20), "éé", "é…"),
        // Wherever the cut is, no part of a secret stays.
        (format!("{}hunter2{long}", "x".repeat(SHOWN - 3)), "xxx", "x<secret>…"),
    ] {
        let clean = known.clean(&text);
        assert!(clean.starts_with(start) && clean.ends_with(end), "{clean}");
        assert!(clean.len() <= SHOWN + 100, "{}", clean.len());
    }
    let bytes = [b"\xffhunter2 ", long.as_bytes()].concat();
    assert!(known.clean_bytes(&bytes).starts_with("\u{fffd}<secret> BBB"));
}

#[test]
fn nothing_shows_in_debug() {
    assert_eq!(format!("{:?}", knowing(&["hunter2"])), HIDDEN);
}
