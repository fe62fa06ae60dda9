//! Folding of names: what counts as the same e-mail or username. Knows nothing of who compares.

use unicode_normalization::UnicodeNormalization;

/// NFKC and case folded: `Ada@X.org`, `ada@x.org` and full-width letters are one name.
///
/// The case is folded character by character by way of the upper case, so that `ß` and `SS`, `ς` and `σ` fall together
/// and the result does not depend on what stands beside a letter.
pub fn fold(name: &str) -> String {
    name.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn one_name_in_many_spellings() {
        let check = |a: &str, b: &str| assert_eq!(fold(a), fold(b), "{a} and {b}");
        check("Ada@Example.org", "ada@example.ORG");
        check("ＡＤＡ", "ada");
        check("STRASSE", "straße");
        check("ΟΔΟΣ", "οδος");
        check("e\u{301}ve", "éve");
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for name in ["Ada", "İstanbul", "ǅ", "ﬀ", "ϓ"] {
            assert_eq!(fold(&fold(name)), fold(name), "{name}");
        }
    }
}
