//! The meaning of scalars that are not marked as strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The meaning of a scalar by YAML 1.1's rules, as Go reads them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolved {
    /// Nothing.
    Null,
    /// `yes`, `on`, `true` and their opposites.
    Bool(bool),
    /// From `i64::MIN` to `u64::MAX`.
    Int(i128),
    /// Also `.inf` and `.nan`.
    Float(f64),
    /// Anything else.
    String,
}

/// The meaning of a text without quotes.
pub fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Resolved::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Resolved::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Resolved::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // A `_` between digits is ignored; a number that starts with a point may not have one.
    let digits = match text.as_bytes().first() {
        Some(b'.') => text.to_owned(),
        Some(b'+' | b'-' | b'0'..=b'9') => text.replace('_', ""),
        _ => return Resolved::String,
    };
    if let Some(int) = parse_int(&digits) {
        return Resolved::Int(int);
    }
    let number = digits.strip_prefix(['+', '-']).unwrap_or(&digits);
    let looks_like_one = number.bytes().any(|b| b.is_ascii_digit())
        && number.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match digits.parse::<f64>() {
        Ok(float) if looks_like_one && float.is_finite() => Resolved::Float(float),
        _ => Resolved::String,
    }
}

/// An integer as Go's `strconv.ParseInt` with base 0 reads it: `0x1f`, `0o17`, `017`, `0b11`.
fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

/// The type that a tag gives to a scalar.
pub(super) struct Typed {
    pub(super) text: String,
    pub(super) plain: bool,
    pub(super) merge: bool,
}

/// What `text` is with a tag, quoted or not. The error does not show the text.
pub(super) fn typed(tag: &str, text: String) -> Result<Typed, String> {
    let string = |text| Ok(Typed { text, plain: false, merge: false });
    let Some(short) = tag.strip_prefix("tag:yaml.org,2002:") else { return string(text) };
    let fits = match (short, resolve(&text)) {
        ("binary", _) => {
            let invalid = "!!binary value contains invalid base64 data";
            let bytes = STANDARD.decode(text.replace(['\n', '\r'], "")).map_err(|_| invalid)?;
            let utf8 = String::from_utf8(bytes);
            return string(utf8.map_err(|_| "!!binary value is not UTF-8".to_owned())?);
        }
        ("merge", _) => return Ok(Typed { merge: text == "<<", text, plain: false }),
        ("null", Resolved::Null)
        | ("bool", Resolved::Bool(_))
        | ("int" | "float", Resolved::Int(_))
        | ("float", Resolved::Float(_)) => true,
        ("null" | "bool" | "int" | "float", _) => false,
        _ => return string(text),
    };
    if !fits {
        return Err(format!("cannot decode the value as a !!{short}"));
    }
    Ok(Typed { text, plain: true, merge: false })
}
