//! JSON written straight into a buffer: what is large is not built as a tree first.

/// Appends `text` as a JSON string.
#[expect(clippy::missing_panics_doc, reason = "writing a string to memory never fails")]
pub fn string(out: &mut Vec<u8>, text: &str) {
    // Most texts need no escape. Without a branch for each byte the test is nearly free.
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    serde_json::to_writer(out, text).expect("writing a string to memory never fails");
}

/// Appends labels as a JSON object, in their order.
pub fn object<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push(b'{');
    for (index, (name, value)) in labels.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
}
