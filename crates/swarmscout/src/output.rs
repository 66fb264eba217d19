//! What sub-commands print.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};

/// Writes `text` to stdout at once. Returns whether it could be written; if not, stderr says why. A
/// reader that has gone (`| head`) is not an error.
#[must_use]
pub fn print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            print_unwritten(&error);
            false
        }
        Ok(()) | Err(_) => true,
    }
}

/// Says on stderr that stdout cannot be written to.
pub fn print_unwritten(error: &io::Error) {
    print_error(&format!("cannot write to stdout: {error}\n"));
}

/// Writes `text` to stderr at once.
pub fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// `text` with everything escaped that would move the cursor or hide what follows: what was
/// discovered may hold anything.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            write!(out, "{}", c.escape_default()).expect("a string takes all");
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that change how a terminal shows the rest: directions, line and paragraph ends.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
