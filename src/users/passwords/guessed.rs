//! Passwords that whoever guesses tries first: words that everybody takes, keys that lie side by side, one thing again and
//! again. By rule and not by list, so that `P4ssword2031!` is as common as `password`.

/// What is left when the digits and signs around it are taken off.
const WORDS: [&str; 60] = [
    "access",
    "admin",
    "administrator",
    "arsenal",
    "asshole",
    "baseball",
    "basketball",
    "batman",
    "changeme",
    "charlie",
    "cheese",
    "chelsea",
    "computer",
    "daniel",
    "default",
    "dragon",
    "football",
    "freedom",
    "fuckyou",
    "gateway",
    "google",
    "guest",
    "hello",
    "hottie",
    "hunter",
    "iloveyou",
    "internet",
    "jennifer",
    "jordan",
    "kennwort",
    "killer",
    "letmein",
    "liverpool",
    "login",
    "loveme",
    "master",
    "matrix",
    "michael",
    "monkey",
    "mustang",
    "passphrase",
    "passw",
    "password",
    "passwort",
    "pokemon",
    "princess",
    "secret",
    "shadow",
    "soccer",
    "starwars",
    "sunshine",
    "superman",
    "temporary",
    "test",
    "thomas",
    "trustno",
    "user",
    "usermanager",
    "welcome",
    "whatever",
];

/// Keys and signs in their order.
const ROWS: [&str; 6] = [
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
];
/// So many keys side by side are one thing.
const RUN: usize = 3;

pub fn comes_first(password: &str) -> bool {
    let lower: Vec<char> = password.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let bare: String = lower.iter().collect();
    let inside = bare.trim_matches(|c: char| !c.is_alphabetic());
    repeats(&lower) || all_runs(&lower) || is_word(&as_letters(inside)) || is_word(&as_letters(&bare))
}

/// A word of these, or some of them in a row.
fn is_word(text: &str) -> bool {
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for at in 0..text.len() {
        if !ends[at] {
            continue;
        }
        for word in WORDS {
            if text[at..].starts_with(word) {
                ends[at + word.len()] = true;
            }
        }
    }
    !text.is_empty() && ends[text.len()]
}

/// At most four characters, again and again.
fn repeats(text: &[char]) -> bool {
    (1..=4).any(|length| text.len() >= 2 * length && text.iter().zip(&text[length..]).all(|(one, other)| one == other))
}

/// Nothing but pieces of rows, forwards or backwards.
fn all_runs(text: &[char]) -> bool {
    let mut at = 0;
    while at < text.len() {
        let longest = ROWS.iter().flat_map(|row| [row.chars().collect::<Vec<_>>(), row.chars().rev().collect()]);
        let longest = longest.map(|row| shared(&row, &text[at..])).max().unwrap_or_default();
        if longest < RUN {
            return false;
        }
        at += longest;
    }
    true
}

/// How much of the text's beginning stands in the row.
fn shared(row: &[char], text: &[char]) -> usize {
    let from = |start: usize| row[start..].iter().zip(text).take_while(|(one, other)| one == other).count();
    (0..row.len()).map(from).max().unwrap_or_default()
}

/// Signs that stand for letters, read as those, and all else left out. ASCII only.
fn as_letters(text: &str) -> String {
    let letter = |c: char| match c {
        '0' => Some('o'),
        '1' | '!' | '|' => Some('i'),
        '3' => Some('e'),
        '4' | '@' => Some('a'),
        '5' | '$' => Some('s'),
        '7' => Some('t'),
        'a'..='z' => Some(c),
        _ => None,
    };
    text.chars().filter_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_takes_comes_first_however_it_is_written() {
        for common in [
            "password",
            "Password123",
            "P@ssw0rd2031!",
            "passwordpassword",
            "!!letmein!!",
            "w3lc0me 2031",
            "Admin-Admin-1",
            "1234567890",
            "0987654321",
            "qwertyuiop",
            "qwertz123456",
            "1qaz2wsx3edc",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "abcdefghijkl",
            "zyxwvutsrq",
            "asdfghjkl123",
            "12121212121212",
            "iloveyou2",
            "user-manager",
        ] {
            assert!(comes_first(common), "{common}");
        }
        for other in [
            "correct horse battery",
            "another horse battery",
            "a very secret phrase",
            "Tr0ub4dor&3",
            "x7#Lq9!pWz2k",
            "my password is long",
            "grüße aus Köln",
            "42 is the answer",
            "horse",
            "é",
        ] {
            assert!(!comes_first(other), "{other}");
        }
    }
}
