//! The path at which the part of this program on a node fetches from one of its tasks.

use std::fmt;

/// `/reach/<task>/<http|https>/<port>/<path>`, as a label has it: not percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReachPath<'a> {
    /// ID of the task.
    pub task: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Where its container listens.
    pub port: u16,
    /// The path there, with its slash.
    pub path: &'a str,
}

impl<'a> ReachPath<'a> {
    /// Reads one; `None` for any other path.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (task, rest) = text.strip_prefix("/reach/")?.split_once('/')?;
        let (scheme, rest) = rest.split_once('/')?;
        let slash = rest.find('/')?;
        let (port, path) = rest.split_at(slash);
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
        let port = port.parse().ok().filter(|_| is_number)?;
        let is_known = !task.is_empty() && matches!(scheme, "http" | "https");
        is_known.then_some(Self { task, scheme, port, path })
    }
}

impl fmt::Display for ReachPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, scheme, port, path } = self;
        write!(f, "/reach/{task}/{scheme}/{port}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_was_written_is_read() {
        for (path, expected) in [
            ("/reach/t1/http/80/metrics", Some(("t1", "http", 80, "/metrics"))),
            ("/reach/t1/https/65535/a/b?c", Some(("t1", "https", 65535, "/a/b?c"))),
            ("/reach/t1/http/80/", Some(("t1", "http", 80, "/"))),
            ("/reach/t1/http/80//x/../y", Some(("t1", "http", 80, "//x/../y"))),
            ("/reach/t1/http/80", None),
            ("/reach//http/80/metrics", None),
            ("/reach/t1/ftp/80/metrics", None),
            ("/reach/t1/HTTP/80/metrics", None),
            ("/reach/t1/http/0/metrics", None),
            ("/reach/t1/http/080/metrics", None),
            ("/reach/t1/http/+80/metrics", None),
            ("/reach/t1/http/65536/metrics", None),
            ("/reach/t1/http//metrics", None),
            ("reach/t1/http/80/metrics", None),
            ("/metrics", None),
            ("", None),
        ] {
            let read = ReachPath::parse(path);
            let got = read.map(|it| (it.task, it.scheme, it.port, it.path));
            assert_eq!(got, expected, "{path}");
            if let Some(read) = read {
                assert_eq!(read.to_string(), path);
            }
        }
    }
}
