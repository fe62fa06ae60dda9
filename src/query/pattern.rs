//! Regular expressions in the part of the language that MongoDB's engine, JavaScript's and ours understand alike. Ours takes
//! time in proportion to the text, whatever the expression. Knows no filter.
//!
//! Taken are: characters, `.`, `^`, `$`, `|`, groups without names, classes with ranges, `\d \w \s` and their opposites, `\b`,
//! `\t \n \r`, escaped punctuation, `* + ? {n} {n,} {n,m}` also with `?` behind. The letters of `\d \w \s \b` are ASCII's.

use std::{iter::Peekable, str::Chars};

use regex::{Regex, RegexBuilder};

/// Characters.
const LONGEST: usize = 500;
/// Repetitions that are counted.
const MOST: u32 = 500;
/// Groups inside groups.
const DEEPEST: usize = 20;
/// Bytes of what an expression becomes.
const SIZE: usize = 512 << 10;

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0B\x0C\r\x20";

/// An expression that can be tried on a text.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    options: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.options) == (&other.text, &other.options)
    }
}

impl Pattern {
    /// `options`: some of `i` (whatever the case), `m` (`^` and `$` at each line), `s` (`.` is any character). Refused with
    /// what cannot be taken.
    pub fn new(text: &str, options: &str) -> Result<Self, String> {
        let known = options.chars().all(|option| "ims".contains(option));
        if !known || options.len() > 3 {
            return Err("takes only the options i, m and s".to_owned());
        }
        if text.chars().count() > LONGEST {
            return Err(format!("is longer than {LONGEST} characters"));
        }
        let lines = options.contains('m');
        let translated = Reading { rest: text.chars().peekable(), out: String::new(), lines }.translate()?;
        let regex = RegexBuilder::new(&translated)
            .case_insensitive(options.contains('i'))
            .multi_line(lines)
            .dot_matches_new_line(options.contains('s'))
            .size_limit(SIZE)
            .build()
            .map_err(|_| "becomes too large".to_owned())?;
        Ok(Self { text: text.to_owned(), options: options.to_owned(), regex })
    }

    pub fn finds(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn options(&self) -> &str {
        &self.options
    }
}

struct Reading<'a> {
    rest: Peekable<Chars<'a>>,
    /// The same as our engine writes it.
    out: String,
    lines: bool,
}

impl Reading<'_> {
    fn translate(mut self) -> Result<String, String> {
        let mut depth = 0;
        // Whether something stands there that can be repeated.
        let mut atom = false;
        while let Some(c) = self.rest.next() {
            match c {
                '(' => {
                    depth += 1;
                    self.group(depth)?;
                    atom = false;
                }
                ')' if depth == 0 => return Err("closes a group that was not opened".to_owned()),
                ')' => {
                    depth -= 1;
                    self.out.push(')');
                    atom = true;
                }
                '|' | '^' => {
                    self.out.push(c);
                    atom = false;
                }
                // At the end, or before the line break that the text ends with.
                '$' => {
                    self.out.push_str(if self.lines { "$" } else { r"(?:\n?\z)" });
                    atom = false;
                }
                '*' | '+' | '?' | '{' if !atom => return Err("repeats what cannot be repeated".to_owned()),
                '*' | '+' | '?' | '{' => {
                    self.repetition(c)?;
                    atom = false;
                }
                '[' => {
                    self.class()?;
                    atom = true;
                }
                '\\' => atom = self.escape()?,
                '.' => {
                    self.out.push('.');
                    atom = true;
                }
                c => {
                    self.literal(c);
                    atom = true;
                }
            }
        }
        if depth == 0 { Ok(self.out) } else { Err("leaves a group open".to_owned()) }
    }

    fn group(&mut self, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("has groups deeper than {DEEPEST}"));
        }
        if self.rest.next_if_eq(&'?').is_some() && self.rest.next() != Some(':') {
            return Err("has a group of a special kind".to_owned());
        }
        self.out.push_str("(?:");
        Ok(())
    }

    fn repetition(&mut self, how: char) -> Result<(), String> {
        self.out.push(how);
        if how == '{' {
            let counts: String = std::iter::from_fn(|| self.rest.next_if(|c| *c != '}')).take(12).collect();
            let closed = self.rest.next() == Some('}');
            let (least, most) = counts.split_once(',').unwrap_or((&counts, &counts));
            let count = |text: &str| text.parse::<u32>().ok().filter(|count| *count <= MOST);
            let least = count(least).filter(|_| closed && !counts.contains('+'));
            let most = if most.is_empty() && counts.contains(',') { least } else { count(most) };
            match (least, most) {
                (Some(least), Some(most)) if least <= most => {}
                _ => return Err(format!("has a repetition that is none, or counts beyond {MOST}")),
            }
            self.out.push_str(&counts);
            self.out.push('}');
        }
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        Ok(())
    }

    /// Whether it can be repeated.
    fn escape(&mut self) -> Result<bool, String> {
        match self.rest.next() {
            Some('d') => self.out.push_str(&format!("[{DIGIT}]")),
            Some('D') => self.out.push_str(&format!("[^{DIGIT}]")),
            Some('w') => self.out.push_str(&format!("[{WORD}]")),
            Some('W') => self.out.push_str(&format!("[^{WORD}]")),
            Some('s') => self.out.push_str(&format!("[{SPACE}]")),
            Some('S') => self.out.push_str(&format!("[^{SPACE}]")),
            Some('b') => {
                self.out.push_str(r"(?-u:\b)");
                return Ok(false);
            }
            Some(c) => {
                let c = plain(c)?;
                self.literal(c);
            }
            None => return Err("ends with a backslash".to_owned()),
        }
        Ok(true)
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut empty = true;
        loop {
            let one = match self.rest.next() {
                None => return Err("leaves a class open".to_owned()),
                Some(']') if empty => return Err("has an empty class".to_owned()),
                Some(']') => break,
                Some('[') if self.rest.peek().is_some_and(|c| ":.=".contains(*c)) => {
                    return Err("has a class with a name".to_owned());
                }
                Some('\\') => match self.rest.next() {
                    Some('d') => Err(DIGIT),
                    Some('w') => Err(WORD),
                    Some('s') => Err(SPACE),
                    Some(c) => Ok(plain(c)?),
                    None => return Err("ends with a backslash".to_owned()),
                },
                Some(c) => Ok(c),
            };
            empty = false;
            match one {
                Err(several) => self.out.push_str(several),
                Ok(first) => {
                    self.literal(first);
                    self.range(first)?;
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// What follows the first character of a range, where it is one.
    fn range(&mut self, first: char) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || ahead.peek().is_none_or(|c| *c == ']') {
            return Ok(());
        }
        self.rest = ahead;
        let last = match self.rest.next() {
            Some('\\') => plain(self.rest.next().unwrap_or('\\'))?,
            Some(c) => c,
            None => return Ok(()),
        };
        if last < first {
            return Err("has a range whose end comes before its begin".to_owned());
        }
        self.out.push('-');
        self.literal(last);
        Ok(())
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }
}

/// The character that an escape stands for, where it stands for one everywhere.
fn plain(escaped: char) -> Result<char, String> {
    match escaped {
        't' => Ok('\t'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        c if c.is_ascii_punctuation() => Ok(c),
        _ => Err("has an escape that not every engine knows".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_engines_understand_alike_is_taken() {
        let check = |pattern: &str, options: &str, found: &[&str], not: &[&str]| {
            let pattern = Pattern::new(pattern, options).unwrap_or_else(|why| panic!("{pattern} {why}"));
            for text in found {
                assert!(pattern.finds(text), "{pattern:?} {text:?}");
            }
            for text in not {
                assert!(!pattern.finds(text), "{pattern:?} {text:?}");
            }
        };
        check("", "", &["", "x"], &[]);
        check("ann", "", &["joanna"], &["Ann"]);
        check("^ann", "i", &["ANNA"], &["joann"]);
        check("a$", "", &["a", "a\n"], &["ab", "a\n\n"]);
        check("^b$", "m", &["a\nb\nc"], &["ab"]);
        check("a.c", "", &["abc", "a\u{e9}c"], &["a\nc", "ac"]);
        check("a.c", "s", &["a\nc"], &[]);
        check("^(ab|c(?:d|e))+$", "", &["abcdce"], &["abc"]);
        check(r"^\d{2,3}$", "", &["12", "123"], &["1", "1234", "\u{661}\u{662}"]);
        check(r"^x{2}y{1,}?$", "", &["xxy", "xxyyy"], &["xy"]);
        check(r"^\w+@\w+\.org$", "", &["a@b.org"], &["a@bxorg", "\u{e9}@b.org"]);
        check(r"\bcat\b", "", &["a cat."], &["concat"]);
        check(r"^[a-c\-\]x-]+$", "", &["abc-]x"], &["d", "["]);
        check("^[^a&&b~~cd[-]+$", "", &["xyz"], &["&", "~", "-", "[", "a"]);
        check(r"^[\w.+-]+$", "", &["a.b+c-d"], &["a b"]);
        check(r"^\S+\s\D\W$", "", &["ab -!"], &["ab 1!"]);
        check("a{1}]}", "", &["a]}"], &["a"]);
        check("\u{e9}", "i", &["\u{c9}"], &["e"]);
        check("a/b#c d", "", &["a/b#c d"], &["a/b"]);
    }

    #[test]
    fn what_they_understand_otherwise_or_not_at_all_is_refused() {
        for pattern in [
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<n>a)",
            "(?P<n>a)",
            "(?i)a",
            "(?>a)",
            "(?#x)",
            r"\1",
            r"\k<n>",
            r"\p{L}",
            r"\x41",
            r"\u0041",
            r"\A",
            r"\z",
            r"\Qa\E",
            r"\B",
            r"\v",
            "a**",
            "a++",
            "a*+",
            "a{2}{3}",
            "*a",
            "+",
            "?",
            "{2}",
            "(*)",
            "^*",
            "$+",
            "a{",
            "a{x}",
            "a{2",
            "a{3,2}",
            "a{501}",
            "a{,3}",
            "a{+3}",
            "(",
            ")",
            "a)",
            "(a",
            "[",
            "[]",
            "[]a]",
            "[^]",
            "[a",
            "[z-a]",
            "[[:alpha:]]",
            "[a-\\d]",
            "\\",
            "[\\",
            "[a-\\",
            "((a{500}){500}){500}",
        ] {
            assert!(Pattern::new(pattern, "").is_err(), "{pattern}");
        }
        assert!(Pattern::new(&"a".repeat(501), "").is_err());
        assert!(Pattern::new(&format!("{}{}", "(".repeat(21), ")".repeat(21)), "").is_err());
        for options in ["x", "u", "g", "I", "iiii", " "] {
            assert!(Pattern::new("a", options).is_err(), "{options}");
        }
    }
}
