//! Character classes of Go's dialect.
//!
//! `\d`, `\s`, `\w` and the POSIX classes are ASCII. Unicode's categories and scripts come from the
//! tables of `regex-syntax`, which follow a newer Unicode than Go's; they differ in characters that
//! were assigned since.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// A class in the making. Unlike one of `regex-syntax` it can be asked for code points that are no
/// `char`: no text holds a surrogate, so they match nothing.
#[derive(Debug)]
pub(super) struct ClassBuilder {
    class: ClassUnicode,
    /// Whether what is added brings along all that differs from it in case only.
    fold: bool,
}

impl ClassBuilder {
    pub(super) fn new(fold: bool) -> Self {
        Self { class: ClassUnicode::empty(), fold }
    }

    /// Adds the code points from `low` to `high`.
    pub(super) fn add_range(&mut self, low: u32, high: u32) {
        let mut class = ClassUnicode::empty();
        // `char`s lie on both sides of the surrogates.
        for (from, to) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
            if let (true, Some(from), Some(to)) = (from <= to, to_char(from), to_char(to)) {
                class.push(ClassUnicodeRange::new(from, to));
            }
        }
        self.add(class, false);
    }

    /// Adds a class, or all that is not in it. Case is folded first.
    pub(super) fn add(&mut self, mut class: ClassUnicode, negated: bool) {
        if self.fold {
            class.case_fold_simple();
        }
        if negated {
            class.negate();
        }
        self.class.union(&class);
    }

    /// The class, or all that is not in it.
    pub(super) fn finish(mut self, negated: bool) -> ClassUnicode {
        if negated {
            self.class.negate();
        }
        self.class
    }
}

fn to_char(code: u32) -> Option<char> {
    char::from_u32(code)
}

/// The class of the escape `\d`, `\D`, `\s`, `\S`, `\w` or `\W`, and whether it is negated.
pub(super) fn perl(letter: u8) -> Option<(ClassUnicode, bool)> {
    let class = match letter.to_ascii_lowercase() {
        b'd' => ranges(&[('0', '9')]),
        b's' => ranges(&[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
        b'w' => ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    };
    Some((class, letter.is_ascii_uppercase()))
}

/// The class that is `[:name:]` within brackets, and whether it is negated (`[:^name:]`).
pub(super) fn posix(name: &str) -> Option<(ClassUnicode, bool)> {
    let (name, negated) = match name.strip_prefix('^') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let class = match name {
        "alnum" => ranges(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        "alpha" => ranges(&[('A', 'Z'), ('a', 'z')]),
        "ascii" => ranges(&[('\0', '\x7f')]),
        "blank" => ranges(&[('\t', '\t'), (' ', ' ')]),
        "cntrl" => ranges(&[('\0', '\x1f'), ('\x7f', '\x7f')]),
        "digit" => ranges(&[('0', '9')]),
        "graph" => ranges(&[('!', '~')]),
        "lower" => ranges(&[('a', 'z')]),
        "print" => ranges(&[(' ', '~')]),
        "punct" => ranges(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        "space" => ranges(&[('\t', '\r'), (' ', ' ')]),
        "upper" => ranges(&[('A', 'Z')]),
        "word" => ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        "xdigit" => ranges(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
        _ => return None,
    };
    Some((class, negated))
}

fn ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(from, to)| ClassUnicodeRange::new(*from, *to)))
}

/// The class that is `\p{name}`: a general category, by its short or its long name, or a script.
/// Case, spaces, `_` and `-` in the name do not matter.
pub(super) fn unicode(name: &str) -> Option<ClassUnicode> {
    let name: String =
        name.chars().filter(|c| !" _-".contains(*c)).map(|c| c.to_ascii_lowercase()).collect();
    let name = name.as_str();
    match name {
        "any" => Some(ranges(&[('\0', char::MAX)])),
        "ascii" => Some(ranges(&[('\0', '\x7f')])),
        // No text holds a surrogate.
        "cs" | "surrogate" => Some(ClassUnicode::empty()),
        "assigned" => {
            let mut class = lookup("gc=cn");
            class.negate();
            Some(class)
        }
        _ if CATEGORIES.contains(&name) => Some(lookup(&format!("gc={name}"))),
        _ if SCRIPTS.contains(&name) => Some(lookup(&format!("sc={name}"))),
        _ => None,
    }
}

fn lookup(property: &str) -> ClassUnicode {
    let mut parser = ParserBuilder::new().unicode(true).build();
    match parser.parse(&format!(r"\p{{{property}}}")).map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        _ => unreachable!("regex-syntax knows every category and script of the tables below"),
    }
}

/// Names of general categories: Go's `unicode.Categories` and `unicode.CategoryAliases`.
const CATEGORIES: &[&str] = &[
    "c",
    "cc",
    "cf",
    "cn",
    "co",
    "l",
    "lc",
    "ll",
    "lm",
    "lo",
    "lt",
    "lu",
    "m",
    "mc",
    "me",
    "mn",
    "n",
    "nd",
    "nl",
    "no",
    "p",
    "pc",
    "pd",
    "pe",
    "pf",
    "pi",
    "po",
    "ps",
    "s",
    "sc",
    "sk",
    "sm",
    "so",
    "z",
    "zl",
    "zp",
    "zs", //
    "casedletter",
    "closepunctuation",
    "combiningmark",
    "connectorpunctuation",
    "control",
    "currencysymbol",
    "dashpunctuation",
    "decimalnumber",
    "enclosingmark",
    "finalpunctuation",
    "format",
    "initialpunctuation",
    "letter",
    "letternumber",
    "lineseparator",
    "lowercaseletter",
    "mark",
    "mathsymbol",
    "modifierletter",
    "modifiersymbol",
    "nonspacingmark",
    "number",
    "openpunctuation",
    "other",
    "otherletter",
    "othernumber",
    "otherpunctuation",
    "othersymbol",
    "paragraphseparator",
    "privateuse",
    "punctuation",
    "separator",
    "spaceseparator",
    "spacingmark",
    "symbol",
    "titlecaseletter",
    "unassigned",
    "uppercaseletter",
    "cntrl",
    "digit",
    "punct",
];

/// Names of scripts: those of Go's `unicode.Scripts` that its parser finds. It takes the `_` out of
/// a name before it looks it up in a table whose names have one, so `Old_Italic` and all others of
/// two words are not found (Go 1.25 and 1.26).
const SCRIPTS: &[&str] = &[
    "adlam",
    "ahom",
    "arabic",
    "armenian",
    "avestan",
    "balinese",
    "bamum",
    "batak",
    "bengali",
    "bhaiksuki",
    "bopomofo",
    "brahmi",
    "braille",
    "buginese",
    "buhid",
    "carian",
    "chakma",
    "cham",
    "cherokee",
    "chorasmian",
    "common",
    "coptic",
    "cuneiform",
    "cypriot",
    "cyrillic",
    "deseret",
    "devanagari",
    "dogra",
    "duployan",
    "elbasan",
    "elymaic",
    "ethiopic",
    "georgian",
    "glagolitic",
    "gothic",
    "grantha",
    "greek",
    "gujarati",
    "gurmukhi",
    "han",
    "hangul",
    "hanunoo",
    "hatran",
    "hebrew",
    "hiragana",
    "inherited",
    "javanese",
    "kaithi",
    "kannada",
    "katakana",
    "kawi",
    "kharoshthi",
    "khmer",
    "khojki",
    "khudawadi",
    "lao",
    "latin",
    "lepcha",
    "limbu",
    "lisu",
    "lycian",
    "lydian",
    "mahajani",
    "makasar",
    "malayalam",
    "mandaic",
    "manichaean",
    "marchen",
    "medefaidrin",
    "miao",
    "modi",
    "mongolian",
    "mro",
    "multani",
    "myanmar",
    "nabataean",
    "nandinagari",
    "newa",
    "nko",
    "nushu",
    "ogham",
    "oriya",
    "osage",
    "osmanya",
    "palmyrene",
    "phoenician",
    "rejang",
    "runic",
    "samaritan",
    "saurashtra",
    "sharada",
    "shavian",
    "siddham",
    "sinhala",
    "sogdian",
    "soyombo",
    "sundanese",
    "syriac",
    "tagalog",
    "tagbanwa",
    "takri",
    "tamil",
    "tangsa",
    "tangut",
    "telugu",
    "thaana",
    "thai",
    "tibetan",
    "tifinagh",
    "tirhuta",
    "toto",
    "ugaritic",
    "vai",
    "vithkuqi",
    "wancho",
    "yezidi",
    "yi",
];
