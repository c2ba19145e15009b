//! However the network cuts the bytes, the commands are the same; and no bytes at all make the parser or decoder panic.

use proptest::prelude::*;
use thermocline_resp::{Limits, Parsed, Parser, ProtocolError, decode};

/// Feeds `bytes` in pieces, as a connection does: what was consumed leaves the buffer's front.
fn run(bytes: &[u8], cuts: &[usize]) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let limits = Limits { bulk_bytes_max: 1 << 20, ..Limits::default() };
    let mut parser = Parser::new();
    let mut buffer = Vec::new();
    let mut commands = Vec::new();
    let mut fed = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        let end = end.clamp(fed, bytes.len());
        buffer.extend_from_slice(&bytes[fed..end]);
        fed = end;
        let mut at = 0;
        loop {
            let mut spans = Vec::new();
            match parser.parse(&mut buffer, at, &limits, &mut spans) {
                Parsed::Complete { consumed } => {
                    commands.push(spans.iter().map(|span| span.of(&buffer).to_vec()).collect());
                    at += consumed;
                }
                Parsed::Nothing { consumed } => at += consumed,
                Parsed::Incomplete { .. } => break,
                Parsed::Error(error) => return (commands, Some(error)),
            }
        }
        buffer.drain(..at);
    }
    (commands, None)
}

fn command() -> impl Strategy<Value = Vec<u8>> {
    let multibulk = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..5).prop_map(|arguments| {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
            bytes.extend(argument);
            bytes.extend(b"\r\n");
        }
        bytes
    });
    prop_oneof![
        4 => multibulk,
        1 => Just(b"*0\r\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"set \"\\x41 b\" 'c d'\r\n".to_vec()),
        1 => Just(b"ping\n".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_do_not_matter(commands in prop::collection::vec(command(), 1..6), mut cuts in prop::collection::vec(0usize..600, 0..12)) {
        let bytes = commands.concat();
        cuts.sort_unstable();
        prop_assert_eq!(run(&bytes, &cuts), run(&bytes, &[]));
    }

    #[test]
    fn a_cut_at_every_byte_does_not_matter(commands in prop::collection::vec(command(), 1..4)) {
        let bytes = commands.concat();
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(run(&bytes, &every), run(&bytes, &[]));
    }

    #[test]
    fn nonsense_never_panics(bytes in prop::collection::vec(prop_oneof![
        Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'"'), Just(b'\\'), Just(b'x'), b'0'..=b'9', any::<u8>(),
    ], 0..200), cut in 0usize..200) {
        let _ = run(&bytes, &[cut]);
        let _ = decode(&bytes);
    }
}
