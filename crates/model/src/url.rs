//! A target's URL, escaped as Go's `net/url` writes one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What Go escapes in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What Go escapes in a path: `?` does not start a query here.
const PATH: &AsciiSet = &QUERY
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// What Go escapes in a host.
const HOST: &AsciiSet = &QUERY
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'[')
    .remove(b']')
    .remove(b'<')
    .remove(b'>')
    .remove(b'"');

/// A path as Go's `net/url` writes it, which is how Prometheus sends one.
pub fn escape_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// Appends `scheme://host/path`. The host is not empty.
pub(crate) fn push_base(out: &mut String, scheme: &str, host: &str, path: &str) {
    if !scheme.is_empty() {
        out.push_str(scheme);
        out.push(':');
    }
    out.push_str("//");
    out.extend(utf8_percent_encode(host, HOST));
    if !path.is_empty() && !path.starts_with('/') {
        out.push('/');
    }
    // A lone `*` stays as it is: there are requests with that path.
    if path == "*" {
        out.push('*');
    } else {
        out.extend(utf8_percent_encode(path, PATH));
    }
}

/// Appends `?name=value&…`, in the order given; nothing if there are no parameters.
pub(crate) fn push_query<'a>(
    out: &mut String,
    params: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    let mut separator = '?';
    for (name, value) in params {
        out.push(separator);
        separator = '&';
        push_component(out, name);
        out.push('=');
        push_component(out, value);
    }
}

fn push_component(out: &mut String, text: &str) {
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 {
            out.push('+');
        }
        out.extend(utf8_percent_encode(word, QUERY));
    }
}
