//! Glob patterns as in KEYS, SCAN MATCH and CONFIG GET: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
//!
//! Every part of a pattern but the star takes exactly one byte. So when a later star has been reached, giving an
//! earlier star more bytes can never help: only the last star has to be tried again. That makes matching a walk
//! instead of the recursion that patterns like `a*a*a*a*b` turn into hours.
//!
//! Promises: answers as Redis does, its odd cases too (an unclosed `[` is closed by the pattern's end; a star alone
//! does not match an empty text unless the caller special-cases it; bytes above 127 are negative in a range);
//! at most pattern length times text length steps.
//! Never: recurses or allocates.

/// Whether letters of different case are the same.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Case {
    /// `a` is not `A`: keys.
    Sensitive,
    /// `a` is `A`: names of directives and commands.
    Insensitive,
}

/// True if the whole of `text` matches `pattern`.
pub fn glob_match(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut part = 0;
    let mut place = 0;
    // Behind the last star met: the part after it, and the place where that part is tried next.
    let mut retry: Option<(usize, usize)> = None;
    while place < text.len() {
        if pattern.get(part) == Some(&b'*') {
            part = after_stars(pattern, part);
            if part == pattern.len() {
                return true;
            }
            retry = Some((part, place));
            continue;
        }
        if part < pattern.len() {
            let (matched, next) = match_one(&pattern[part..], text[place], case);
            if matched {
                part += next;
                place += 1;
                continue;
            }
        }
        let Some((after_star, tried)) = retry else {
            return false;
        };
        part = after_star;
        place = tried + 1;
        retry = Some((after_star, place));
    }
    after_stars(pattern, part) == pattern.len()
}

fn after_stars(pattern: &[u8], mut part: usize) -> usize {
    while pattern.get(part) == Some(&b'*') {
        part += 1;
    }
    part
}

/// Matches the first part of `pattern` (not empty, not a star) with one byte; gives the answer and the part's length.
fn match_one(pattern: &[u8], byte: u8, case: Case) -> (bool, usize) {
    match pattern[0] {
        b'?' => (true, 1),
        b'[' => match_class(pattern, byte, case),
        b'\\' if pattern.len() >= 2 => (same(pattern[1], byte, case), 2),
        literal => (same(literal, byte, case), 1),
    }
}

fn match_class(pattern: &[u8], byte: u8, case: Case) -> (bool, usize) {
    let mut place = 1;
    let negated = pattern.get(place) == Some(&b'^');
    place += usize::from(negated);
    let mut matched = false;
    loop {
        match pattern[place..] {
            [b'\\', escaped, ..] => {
                matched |= escaped == byte;
                place += 2;
            }
            [b']', ..] => {
                place += 1;
                break;
            }
            [] => break,
            [start, b'-', end, ..] => {
                matched |= in_range(start, end, byte, case);
                place += 3;
            }
            [member, ..] => {
                matched |= same(member, byte, case);
                place += 1;
            }
        }
    }
    (matched != negated, place)
}

fn in_range(start: u8, end: u8, byte: u8, case: Case) -> bool {
    // Redis compares `char`s, which are signed on the machines it is measured on; it puts the ends in order
    // before it folds their case.
    let fold = |byte: i8| match case {
        Case::Sensitive => byte,
        Case::Insensitive => byte.cast_unsigned().to_ascii_lowercase().cast_signed(),
    };
    let (start, end) = (start.cast_signed(), end.cast_signed());
    let (low, high) = (fold(start.min(end)), fold(start.max(end)));
    (low..=high).contains(&fold(byte.cast_signed()))
}

fn same(left: u8, right: u8, case: Case) -> bool {
    match case {
        Case::Sensitive => left == right,
        Case::Insensitive => left.eq_ignore_ascii_case(&right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        glob_match(pattern.as_bytes(), text.as_bytes(), Case::Sensitive)
    }

    #[test]
    fn the_cases_of_the_manual() {
        for (pattern, text) in [
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h*llo", "heeeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hbllo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("h\\?llo", "h?llo"),
            ("*", "anything"),
            ("a*", "a"),
            ("a**", "a"),
            ("*a*b*", "xxaxxbxx"),
            ("[\\]]", "]"),
            ("foo[", "foox"),
            ("", ""),
            ("\\", "\\"),
            ("[a-", "-"),
        ] {
            let expected = !matches!((pattern, text), ("foo[", _));
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        for (pattern, text) in [
            ("h?llo", "hllo"),
            ("h[^e]llo", "hello"),
            ("a", "ab"),
            ("ab", "a"),
            ("*a", "b"),
            ("", "a"),
            ("*", ""),
            ("?", ""),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn an_unclosed_class_ends_with_the_pattern() {
        assert!(matches("a[bc", "ab") && matches("a[bc", "ac") && matches("a[^", "az"));
        assert!(!matches("a[bc", "ad") && !matches("a[", "ab"));
    }

    #[test]
    fn case_folds_only_when_asked() {
        assert!(glob_match(b"MAX*[M-O]\\Y", b"maxmemorny", Case::Insensitive));
        assert!(!matches("MAX*", "maxmemory"));
    }

    #[test]
    fn bytes_above_127_are_negative_in_ranges() {
        assert!(glob_match(b"[\xff-\x01]", b"\x00", Case::Sensitive));
        assert!(!glob_match(b"[\x01-\xff]", b"\x80", Case::Sensitive));
    }

    #[test]
    fn many_stars_take_no_more_than_a_product_of_steps() {
        let pattern = "a*".repeat(500) + "b";
        let text = "a".repeat(20_000);
        assert!(!matches(&pattern, &text));
    }

    /// The recursion of Redis's util.c, as plain as it can be written.
    fn by_recursion(pattern: &[u8], text: &[u8]) -> bool {
        if text.is_empty() {
            return pattern.iter().all(|&byte| byte == b'*');
        }
        match pattern {
            [] => false,
            [b'*', rest @ ..] => (0..=text.len()).any(|skip| by_recursion(rest, &text[skip..])),
            _ => {
                let (matched, length) = match_one(pattern, text[0], Case::Sensitive);
                matched && by_recursion(&pattern[length..], &text[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn the_walk_agrees_with_the_recursion(pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[abc\\]^-]{1,8}") {
            prop_assert_eq!(matches(&pattern, &text), by_recursion(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn foreign_patterns_never_panic(pattern in any::<Vec<u8>>(), text in any::<Vec<u8>>()) {
            glob_match(&pattern, &text, Case::Sensitive);
            glob_match(&pattern, &text, Case::Insensitive);
        }
    }
}
