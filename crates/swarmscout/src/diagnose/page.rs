//! Lines for a terminal: with colors, wrapped under a hanging indent. A pipe gets them as they are.

use std::io::{self, IsTerminal as _};

use swarmscout_diagnose::report::{Finding, Severity};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::output::printable;

/// This number of examples of a finding is shown.
const EXAMPLES: usize = 5;

/// A narrower window is taken for one of this width.
const NARROWEST: usize = 20;

/// The window of a terminal that does not say how large it is.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// What a line begins with says how good or bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Good,
    Bad,
    Doubtful,
    Noted,
}

impl Style {
    /// The parameter of the terminal's sequence for colors.
    const fn color(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("1;32"),
            Self::Bad => Some("1;31"),
            Self::Doubtful => Some("1;33"),
            Self::Noted => Some("1;36"),
        }
    }
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    head: String,
    style: Style,
    text: String,
    /// Of what does not fit into the first row.
    indent: usize,
}

impl Line {
    pub(super) fn new(text: &str) -> Self {
        Self::styled(Style::Plain, "", text)
    }

    /// `indent` counts columns.
    pub(super) fn indented(indent: usize, text: &str) -> Self {
        let head = " ".repeat(indent);
        Self { indent: indent + 2, ..Self::styled(Style::Plain, &head, text) }
    }

    /// `head` has the style; what follows is indented by its width.
    pub(super) fn styled(style: Style, head: &str, text: &str) -> Self {
        Self { head: printable(head), style, text: printable(text), indent: head.width() }
    }
}

/// What became of the targets that were probed.
pub(super) fn up(up: usize, guarded: usize) -> String {
    match guarded {
        0 => format!("{up} of them up"),
        1 => format!("{up} of them up, 1 wants credentials that only its scraper has"),
        _ => format!("{up} of them up, {guarded} want credentials that only their scrapers have"),
    }
}

/// The lines of a finding: what is wrong, examples, what to do.
pub(super) fn finding(finding: &Finding) -> Vec<Line> {
    let (style, head) = match finding.severity {
        Severity::Error => (Style::Bad, "ERROR    "),
        Severity::Warning => (Style::Doubtful, "WARNING  "),
        Severity::Note => (Style::Noted, "NOTE     "),
    };
    let mut lines =
        vec![Line::styled(style, head, &format!("{}: {}", finding.subject, finding.problem))];
    let examples = finding.examples.iter().take(EXAMPLES);
    lines.extend(examples.map(|example| Line::indented(11, example)));
    if let Some(more) = finding.examples.len().checked_sub(EXAMPLES).filter(|more| *more > 0) {
        lines.push(Line::indented(11, &format!("and {more} more")));
    }
    let fixes = finding.fix.lines().enumerate();
    lines.extend(fixes.map(|(number, fix)| match number {
        0 => Line::styled(Style::Plain, "         fix: ", fix),
        _ => Line::indented(14, fix),
    }));
    lines
}

/// The size of a terminal's window, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// What lines are shown on. The default is a pipe or file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// `None`: lines have no end.
    pub(super) size: Option<Size>,
    pub(super) colors: bool,
    /// Whether what it shows can be replaced.
    pub(super) redraws: bool,
}

impl Window {
    /// What stdout is now.
    pub(super) fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self::default();
        }
        let size = rustix::termios::tcgetwinsize(stdout).ok();
        let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        Self::of_terminal(size, |name| std::env::var(name).ok())
    }

    fn of_terminal(
        size: Option<(usize, usize)>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let size = size.filter(|(columns, rows)| *columns > 0 && *rows > 0);
        let size = size.map_or(USUAL, |(columns, rows)| Size { columns, rows });
        let obeys = variable("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        let is_plain = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { size: Some(size), colors: obeys && !is_plain, redraws: obeys }
    }

    /// All lines, each with its end.
    pub(super) fn render(self, lines: &[Line]) -> String {
        let rows = lines.iter().flat_map(|line| self.rows(line));
        rows.map(|row| row + "\n").collect()
    }

    /// The rows that a line takes.
    pub(super) fn rows(self, line: &Line) -> Vec<String> {
        let Line { head, style, text, indent } = line;
        let mut rows = match self.size {
            Some(Size { columns, .. }) => wrap(text, head.width(), *indent, columns),
            None => vec![text.clone()],
        };
        let head = match style.color() {
            Some(color) if self.colors => format!("\u{1b}[{color}m{head}\u{1b}[0m"),
            _ => head.clone(),
        };
        rows[0].insert_str(0, &head);
        rows
    }
}

/// Breaks a text between words, or within those that are too long. `used` columns of the first row
/// are taken, and the others begin with `indent` spaces.
fn wrap(text: &str, used: usize, indent: usize, columns: usize) -> Vec<String> {
    let columns = columns.max(NARROWEST);
    let indent = indent.min(columns / 3);
    let (mut rows, mut row, mut width) = (Vec::new(), String::new(), used);
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty {
            if width + 1 + word.width() <= columns {
                row.push(' ');
                width += 1;
            } else {
                rows.push(std::mem::replace(&mut row, " ".repeat(indent)));
                width = indent;
            }
        }
        for c in word.chars() {
            let of_char = c.width().unwrap_or(0);
            if width + of_char > columns {
                rows.push(std::mem::replace(&mut row, " ".repeat(indent)));
                width = indent;
            }
            row.push(c);
            width += of_char;
        }
        is_empty = false;
    }
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn window(columns: usize) -> Window {
        Window { size: Some(Size { columns, rows: 24 }), ..Window::default() }
    }

    #[test]
    fn a_long_line_goes_on_below_its_text() {
        let line = Line::styled(
            Style::Bad,
            "ERROR  ",
            "no node satisfies 漢字 node.labels.disk==solid-state-disk-of-the-shop, 2 tasks",
        );
        expect![[r"
            ERROR  no node satisfies
                   漢字
                   node.labels.disk==s
                   olid-state-disk-of-
                   the-shop, 2 tasks
        "]]
        .assert_eq(&window(26).render(std::slice::from_ref(&line)));
        assert_eq!(Window::default().rows(&line).len(), 1);
        // So narrow that the indent has to give way.
        let widths = window(1).rows(&line).iter().map(|row| row.width()).max();
        assert_eq!(widths, Some(NARROWEST));
    }

    #[test]
    fn only_the_head_is_colored() {
        let lines = [Line::styled(Style::Noted, "NOTE", "  5 nodes"), Line::new("plain")];
        let window = Window { colors: true, ..Window::default() };
        assert_eq!(window.render(&lines), "\u{1b}[1;36mNOTE\u{1b}[0m  5 nodes\nplain\n");
    }

    #[test]
    fn the_environment_can_switch_colors_off() {
        let of = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(known, _)| *known == name);
            let window = Window::of_terminal(None, |name| Some(find(name)?.1.to_owned()));
            assert_eq!(window.size, Some(USUAL));
            (window.colors, window.redraws)
        };
        assert_eq!(of(&[("TERM", "xterm")]), (true, true));
        assert_eq!(of(&[("TERM", "xterm"), ("NO_COLOR", "1")]), (false, true));
        // As no-color.org has it.
        assert_eq!(of(&[("TERM", "xterm"), ("NO_COLOR", "")]), (true, true));
        assert_eq!(of(&[("TERM", "dumb")]), (false, false));
        assert_eq!(of(&[]), (false, false));
    }

    #[test]
    fn many_examples_are_cut() {
        let examples = (1..=7).map(|number| format!("service s{number}"));
        let with_many = Finding {
            severity: Severity::Warning,
            check: "unreachable".to_owned(),
            subject: "7 services".to_owned(),
            problem: "7 targets cannot be reached".to_owned(),
            fix: "share a network".to_owned(),
            targets: 7,
            examples: examples.collect(),
        };
        expect![[r"
            WARNING  7 services: 7 targets cannot be reached
                       service s1
                       service s2
                       service s3
                       service s4
                       service s5
                       and 2 more
                     fix: share a network
        "]]
        .assert_eq(&Window::default().render(&finding(&with_many)));
    }
}
