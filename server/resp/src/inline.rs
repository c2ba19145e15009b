//! Splits an inline command into words: blanks, `"double"` quotes with escapes, `'single'` quotes.
//!
//! Promises: works in place (an unescaped word is never longer than its spelling); takes no memory but the spans. Never fails
//! for anything but quotes.

use crate::Span;

/// Appends the words of `line` to `spans`, counted from `shift`. False: a quote is open, or text is glued to a closing one.
pub(crate) fn split(line: &mut [u8], shift: u32, spans: &mut Vec<Span>) -> bool {
    let mut read = 0;
    let mut write = 0;
    loop {
        while read < line.len() && is_blank(line[read]) {
            read += 1;
        }
        if read == line.len() {
            return true;
        }
        let start = write;
        while read < line.len() && !is_blank(line[read]) {
            match line[read] {
                b'"' => {
                    read += 1;
                    if !double_quoted(line, &mut read, &mut write) {
                        return false;
                    }
                    break;
                }
                b'\'' => {
                    read += 1;
                    if !single_quoted(line, &mut read, &mut write) {
                        return false;
                    }
                    break;
                }
                byte => {
                    line[write] = byte;
                    write += 1;
                    read += 1;
                }
            }
        }
        spans.push(Span { start: shift + start as u32, length: (write - start) as u32 });
    }
}

fn double_quoted(line: &mut [u8], read: &mut usize, write: &mut usize) -> bool {
    while *read < line.len() {
        let (byte, used) = match &line[*read..] {
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), 4)
            }
            [b'\\', escaped, ..] => (
                match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                },
                2,
            ),
            [b'"', rest @ ..] => {
                *read += 1;
                return rest.first().is_none_or(|next| is_blank(*next));
            }
            [byte, ..] => (*byte, 1),
            [] => return false,
        };
        line[*write] = byte;
        *write += 1;
        *read += used;
    }
    false
}

fn single_quoted(line: &mut [u8], read: &mut usize, write: &mut usize) -> bool {
    while *read < line.len() {
        let (byte, used) = match &line[*read..] {
            [b'\\', b'\'', ..] => (b'\'', 2),
            [b'\'', rest @ ..] => {
                *read += 1;
                return rest.first().is_none_or(|next| is_blank(*next));
            }
            [byte, ..] => (*byte, 1),
            [] => return false,
        };
        line[*write] = byte;
        *write += 1;
        *read += used;
    }
    false
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn hex(digit: u8) -> u8 {
    (digit as char).to_digit(16).map_or(0, |value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut line = line.to_vec();
        let mut spans = Vec::new();
        split(&mut line, 0, &mut spans).then(|| spans.iter().map(|span| span.of(&line).to_vec()).collect())
    }

    #[test]
    fn blanks_quotes_and_escapes_are_undone() {
        assert_eq!(words(b"  set  a\t1 "), Some(vec![b"set".to_vec(), b"a".to_vec(), b"1".to_vec()]));
        assert_eq!(
            words(br#"set "\x41\n\"" 'it\'s' "#),
            Some(vec![b"set".to_vec(), b"A\n\"".to_vec(), b"it's".to_vec()])
        );
        assert_eq!(words(br#"a"b c" "" ''"#), Some(vec![b"ab c".to_vec(), Vec::new(), Vec::new()]));
        assert_eq!(words(br#""\xzz""#), Some(vec![b"xzz".to_vec()]));
    }

    #[test]
    fn open_or_glued_quotes_are_refused() {
        for line in [br#"set "a"#.as_slice(), br#"set 'a"#, br#"set "a"b"#, br#"set 'a'b"#, br#""\"#] {
            assert_eq!(words(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
