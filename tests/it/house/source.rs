//! A file as the rules look at it: whole, without comments, without comments and texts; and where its tests are.

/// A file of the project. All views have the same lines.
pub struct Source {
    pub path: String,
    pub whole: String,
    /// Comments are blank.
    pub code: String,
    /// What stands in quotes is blank too.
    pub bare: String,
    /// For each line whether it is compiled only for tests.
    tests: Vec<bool>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, bare) = views(text);
        // `#[cfg(test)] mod tests;` stands in the file above.
        let all = path.ends_with("/tests.rs") || path.contains("/tests/");
        let tests = if all { vec![true; bare.lines().count()] } else { test_lines(&bare) };
        Self { path: path.to_owned(), whole: text.to_owned(), code, bare, tests }
    }

    /// Lines, counted from one, of what is compiled into the program.
    pub fn outside_tests<'a>(&'a self, view: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        let tests = &self.tests;
        view.lines()
            .enumerate()
            .filter(|(at, _)| !tests.get(*at).copied().unwrap_or(false))
            .map(|(at, line)| (at + 1, line))
    }
}

/// Whether the line has that word: what stands beside it belongs to no longer name.
pub fn has_word(line: &str, word: &str) -> bool {
    let named = |c: char| c.is_alphanumeric() || c == '_';
    let opens = word.starts_with(named);
    let ends = word.ends_with(named);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(named);
        let after = line[at + word.len()..].chars().next().is_some_and(named);
        !(opens && before || ends && after)
    })
}

/// An item under `#[cfg(test)]` ends, as rustfmt writes it, with the first line of the same depth that closes it.
fn test_lines(bare: &str) -> Vec<bool> {
    let mut inside: Option<usize> = None;
    bare.lines()
        .map(|line| {
            let depth = line.len() - line.trim_start().len();
            let trimmed = line.trim();
            match inside {
                Some(open) => {
                    if depth == open && (trimmed.ends_with('}') || trimmed.ends_with(';')) {
                        inside = None;
                    }
                    true
                }
                None if trimmed == "#[cfg(test)]" => {
                    inside = Some(depth);
                    true
                }
                None => false,
            }
        })
        .collect()
}

/// The text without comments, and without comments and what stands in quotes.
fn views(text: &str) -> (String, String) {
    let chars = text.chars().collect::<Vec<_>>();
    let (mut code, mut bare) = (String::new(), String::new());
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (length, kind) = piece(rest, at.checked_sub(1).map(|before| chars[before]));
        for c in &rest[..length] {
            let blank = if *c == '\n' { '\n' } else { ' ' };
            code.push(if kind == Kind::Comment { blank } else { *c });
            bare.push(if kind == Kind::Code { *c } else { blank });
        }
        at += length;
    }
    (code, bare)
}

#[derive(PartialEq)]
enum Kind {
    Code,
    Quoted,
    Comment,
}

/// How long the piece is that begins here, and what it is.
fn piece(rest: &[char], before: Option<char>) -> (usize, Kind) {
    let begins = |prefix: &str| rest.iter().take(prefix.len()).copied().eq(prefix.chars());
    let within_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if begins("//") {
        let length = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
        return (length, Kind::Comment);
    }
    if begins("/*") {
        let end = rest.windows(2).skip(2).position(|pair| pair == ['*', '/']);
        return (end.map_or(rest.len(), |end| end + 4), Kind::Comment);
    }
    if begins("r\"") || begins("r#") && !within_name {
        let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
        if rest.get(1 + hashes) == Some(&'"') {
            let body = 2 + hashes;
            let closes = |at: &usize| {
                rest[*at] == '"' && rest[at + 1..].iter().take_while(|c| **c == '#').take(hashes).count() == hashes
            };
            let end = (body..rest.len()).find(closes).unwrap_or(rest.len() - 1);
            return ((end + 1 + hashes).min(rest.len()), Kind::Quoted);
        }
    }
    if begins("\"") {
        let mut at = 1;
        while at < rest.len() && rest[at] != '"' {
            at += if rest[at] == '\\' { 2 } else { 1 };
        }
        return ((at + 1).min(rest.len()), Kind::Quoted);
    }
    if begins("'") {
        // A character; a lifetime has no closing quote there.
        if rest.get(1) == Some(&'\\') {
            let end = rest.iter().skip(3).position(|c| *c == '\'');
            return (end.map_or(rest.len(), |end| end + 4), Kind::Quoted);
        }
        if rest.get(2) == Some(&'\'') {
            return (3, Kind::Quoted);
        }
    }
    (1, Kind::Code)
}

#[test]
fn comments_and_quotes_are_told_from_code() {
    let text = "let a = \"x // y\"; // z\nlet b = 'q'; /* w\nw */ let c: &'a str = r#\"v \" v\"#;\nlet d = '\\'';";
    let source = Source::new("a.rs", text);
    let lines = |view: &str| view.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        lines(&source.code),
        ["let a = \"x // y\";", "let b = 'q';", "     let c: &'a str = r#\"v \" v\"#;", "let d = '\\'';"]
    );
    assert_eq!(
        lines(&source.bare),
        ["let a =         ;", "let b =    ;", "     let c: &'a str =           ;", "let d =     ;"]
    );
}

#[test]
fn what_is_compiled_for_tests_only_is_left_out() {
    let text = "a\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nc\n    #[cfg(test)]\n    use d;\ne";
    let source = Source::new("a.rs", text);
    let lines = source.outside_tests(&source.bare).map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(lines, [1, 7, 10]);
}
