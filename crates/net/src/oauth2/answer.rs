//! What a token server answers (RFC 6749, sections 5.1 and 5.2).

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde_json::Value;

use crate::Secrets;

/// The most characters that are shown of what a server says.
const SHOWN: usize = 200;

/// A token.
#[derive(Debug, PartialEq)]
pub(super) struct Granted {
    /// As it is sent in `Authorization`.
    pub(super) header: HeaderValue,
    /// How long, if the server said so.
    pub(super) lasts: Option<Duration>,
}

/// Reads JSON, or a form, which some servers answer with. The error is what the server said, in one
/// line; it is never the body itself, which may be a page that repeats what was sent.
pub(super) fn read(status: StatusCode, body: &[u8], secrets: &Secrets) -> Result<Granted, String> {
    let answer = members(body);
    let get = |name| answer.get(name).map(String::as_str).filter(|text| !text.is_empty());
    if let Some(error) = get("error") {
        let description = get("error_description").unwrap_or_default();
        let colon = if description.is_empty() { "" } else { ": " };
        let text = format!("{error}{colon}{description}");
        let text = secrets.clean(&text);
        let text: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        return Err(format!("{status}: {text}"));
    }
    if status.is_redirection() {
        return Err(format!("{status}: token_url leads elsewhere, write where to"));
    }
    if !status.is_success() {
        return Err(status.to_string());
    }
    let Some(token) = get("access_token") else {
        return Err(format!("{status}, but no access_token in it: is token_url right?"));
    };
    // As in `golang.org/x/oauth2`, which knows three kinds by any letters.
    let kind = match get("token_type").unwrap_or("Bearer") {
        kind if kind.eq_ignore_ascii_case("bearer") => "Bearer",
        kind if kind.eq_ignore_ascii_case("mac") => "MAC",
        kind if kind.eq_ignore_ascii_case("basic") => "Basic",
        kind => kind,
    };
    let Ok(mut header) = HeaderValue::try_from(format!("{kind} {token}")) else {
        return Err(format!("{status}, but its access_token fits into no header"));
    };
    header.set_sensitive(true);
    Ok(Granted { header, lasts: get("expires_in").and_then(lifetime) })
}

/// A number of seconds; 0 means that the token has no end, and a negative number that it has ended.
fn lifetime(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds != 0.0)?;
    Some(Duration::from_secs_f64(seconds.clamp(0.0, f64::from(i32::MAX))))
}

/// Members that are strings or numbers.
fn members(body: &[u8]) -> BTreeMap<String, String> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return form_urlencoded::parse(body.trim_ascii()).into_owned().collect();
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return BTreeMap::new();
    };
    let members = members.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Number(number) => Some((name, number.to_string())),
        _ => None,
    });
    members.collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[test]
    fn what_servers_say() {
        let known = Secrets::default();
        let check = |status: u16, body: &str, expected: Expect| {
            let shown = match read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), &known) {
                Ok(Granted { header, lasts }) => {
                    assert!(header.is_sensitive());
                    format!("{} {lasts:?}", header.to_str().unwrap())
                }
                Err(reason) => reason,
            };
            expected.assert_eq(&shown);
        };
        check(
            200,
            r#"{"access_token":"t","token_type":"bearer","expires_in":3600}"#,
            expect!["Bearer t Some(3600s)"],
        );
        check(
            201,
            r#" {"access_token":"t","expires_in":"60","scope":["a"]}"#,
            expect!["Bearer t Some(60s)"],
        );
        check(
            200,
            r#"{"access_token":"t","token_type":"MAC","expires_in":0}"#,
            expect!["MAC t None"],
        );
        check(
            200,
            r#"{"access_token":"t","token_type":"Custom","expires_in":-1}"#,
            expect!["Custom t Some(0ns)"],
        );
        check(
            200,
            r#"{"access_token":"t","token_type":null,"expires_in":1e300}"#,
            expect!["Bearer t Some(2147483647s)"],
        );
        check(200, r#"{"access_token":"t","expires_in":"soon"}"#, expect!["Bearer t None"]);
        check(
            200,
            "access_token=a%2Bb&token_type=basic&expires_in=10\n",
            expect!["Basic a+b Some(10s)"],
        );
        check(
            200,
            r#"{"access_token":"two\nlines"}"#,
            expect!["200 OK, but its access_token fits into no header"],
        );
        check(
            200,
            r#"{"access_token":""}"#,
            expect!["200 OK, but no access_token in it: is token_url right?"],
        );
        check(200, r#"{"access_token":7}"#, expect!["Bearer 7 None"]);
        check(
            200,
            r#"{"access_token":"t""#,
            expect!["200 OK, but no access_token in it: is token_url right?"],
        );
        check(
            200,
            "<html>hello</html>",
            expect!["200 OK, but no access_token in it: is token_url right?"],
        );
        check(200, "", expect!["200 OK, but no access_token in it: is token_url right?"]);
        // Not by the book, but seen.
        check(200, r#"{"error":"invalid_client"}"#, expect!["200 OK: invalid_client"]);
        check(
            400,
            r#"{"error":"invalid_scope","error_description":"No\u001b[31m such\n scope"}"#,
            expect!["400 Bad Request: invalid_scope: No[31m such scope"],
        );
        check(
            400,
            "error=invalid_request&error_description=what%3F",
            expect!["400 Bad Request: invalid_request: what?"],
        );
        check(401, r#"{"error":{"code":1},"access_token":"t"}"#, expect!["401 Unauthorized"]);
        check(500, "<html>oops</html>", expect!["500 Internal Server Error"]);
        check(302, "", expect!["302 Found: token_url leads elsewhere, write where to"]);
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(10_000));
        let refused = read(StatusCode::BAD_REQUEST, long.as_bytes(), &known).unwrap_err();
        assert_eq!(refused.len(), 17 + SHOWN);
    }
}
