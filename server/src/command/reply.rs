//! The words of every error a client can get, in one place.
//!
//! Promises: word for word what Redis 7.2 says, code first; a test of clients depends on them. Never a line end (the writer
//! sees to it).

use std::borrow::Cow;
use std::fmt::Display;

use thermocline::Error;
use thermocline_value::Fault;

/// Why a command failed; its text is what the client reads behind `-`.
#[derive(Debug)]
pub enum CommandError {
    /// A fixed text, code included.
    Static(&'static str),
    /// A text with something of the client's in it, code included.
    Built(Vec<u8>),
    /// The store refused.
    Engine(Error),
    /// Nodes of a collection are not in memory: the store brings them and calls the body again. No client reads this.
    Nodes,
    /// Keys that no word names are not at hand: the dispatcher looks them up too and calls the body again. No client reads this.
    Keys,
    /// There is nothing yet: the client waits. No client reads this.
    Waits,
}

impl CommandError {
    /// The key holds another type.
    pub const WRONG_TYPE: Self = Self::Static("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// An option that is none.
    pub const SYNTAX: Self = Self::Static("ERR syntax error");
    /// Not an i64.
    pub const NOT_INTEGER: Self = Self::Static("ERR value is not an integer or out of range");
    /// Not a C int, where Redis wants one.
    pub const BEYOND_INT: Self =
        Self::Static("ERR value is out of range, value must between -2147483648 and 2147483647");
    /// Not a finite float.
    pub const NOT_FLOAT: Self = Self::Static("ERR value is not a valid float");
    /// INCR and its kin.
    pub const OVERFLOW: Self = Self::Static("ERR increment or decrement would overflow");
    /// RENAME and its kin.
    pub const NO_SUCH_KEY: Self = Self::Static("ERR no such key");
    /// SETRANGE.
    pub const OFFSET: Self = Self::Static("ERR offset is out of range");
    /// APPEND, SETRANGE.
    pub const STRING_TOO_LONG: Self = Self::Static("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    /// SELECT, MOVE, COPY.
    pub const DATABASE: Self = Self::Static("ERR DB index is out of range");
    /// COPY k k, MOVE to the same database.
    pub const SAME_OBJECT: Self = Self::Static("ERR source and destination objects are the same");
    /// A cursor that is no number.
    pub const CURSOR: Self = Self::Static("ERR invalid cursor");
    /// CLIENT UNBLOCK id ERROR.
    pub const UNBLOCKED: Self = Self::Static("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    /// Before AUTH.
    pub const NO_AUTH: Self = Self::Static("NOAUTH Authentication required.");
    /// A wrong password.
    pub const WRONG_PASSWORD: Self = Self::Static("WRONGPASS invalid username-password pair or user is disabled.");
    /// EXEC after a command that could not be queued.
    pub const EXEC_ABORT: Self = Self::Static("EXECABORT Transaction discarded because of previous errors.");
    /// SHUTDOWN and its kin between MULTI and EXEC.
    pub const NO_MULTI: Self = Self::Static("ERR Command not allowed inside a transaction");
    /// Before the store is open.
    pub const LOADING: Self = Self::Static("LOADING Redis is loading the dataset in memory");
    /// HELLO 4.
    pub const NO_PROTOCOL: Self = Self::Static("NOPROTO unsupported protocol version");

    /// A text made here; give the code too: `CommandError::built(format_args!("ERR no {thing}"))`.
    pub fn built(text: impl Display) -> Self {
        Self::Built(text.to_string().into_bytes())
    }

    /// `invalid expire time in 'setex' command`
    pub fn invalid_expire(command: &str) -> Self {
        Self::built(format_args!("ERR invalid expire time in '{command}' command"))
    }

    /// `wrong number of arguments for 'get' command`; a subcommand's name is `client|kill`.
    pub fn arity(command: &str) -> Self {
        Self::built(format_args!("ERR wrong number of arguments for '{command}' command"))
    }

    /// `unknown command 'foo', with args beginning with: 'bar' 'baz' `
    pub fn unknown_command<'w>(words: impl IntoIterator<Item = &'w [u8]>) -> Self {
        const SHOWN_BYTES_MAX: usize = 128;
        let mut words = words.into_iter();
        let mut text = b"ERR unknown command '".to_vec();
        let name = words.next().unwrap_or_default();
        text.extend_from_slice(&name[..name.len().min(SHOWN_BYTES_MAX)]);
        text.extend_from_slice(b"', with args beginning with: ");
        let mut shown = Vec::new();
        for word in words {
            if shown.len() >= SHOWN_BYTES_MAX {
                break;
            }
            shown.push(b'\'');
            shown.extend_from_slice(&word[..word.len().min(SHOWN_BYTES_MAX - shown.len().min(SHOWN_BYTES_MAX))]);
            shown.extend_from_slice(b"' ");
        }
        text.extend_from_slice(&shown);
        Self::Built(text)
    }

    /// `unknown subcommand 'nope'. Try CLIENT HELP.`
    pub fn unknown_subcommand(container: &str, word: &[u8]) -> Self {
        let mut text = b"ERR unknown subcommand '".to_vec();
        text.extend_from_slice(&word[..word.len().min(128)]);
        text.extend_from_slice(format!("'. Try {} HELP.", container.to_ascii_uppercase()).as_bytes());
        Self::Built(text)
    }

    /// `unknown subcommand or wrong number of arguments for 'unblock'. Try CLIENT HELP.`
    pub fn unknown_subcommand_or_arity(container: &str, word: &[u8]) -> Self {
        let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
        text.extend_from_slice(&word[..word.len().min(128)]);
        text.extend_from_slice(format!("'. Try {} HELP.", container.to_ascii_uppercase()).as_bytes());
        Self::Built(text)
    }

    /// EXEC that was refused as a whole.
    pub fn exec_abort_because(reason: &CommandError) -> Self {
        let mut text = b"EXECABORT Transaction discarded because of: ".to_vec();
        let reason = reason.text();
        text.extend_from_slice(reason.strip_prefix(b"ERR ").unwrap_or(&reason));
        Self::Built(text)
    }

    /// The whole text, code first.
    pub fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Static(text) => Cow::Borrowed(text.as_bytes()),
            Self::Built(text) => Cow::Borrowed(text),
            Self::Engine(error) => Cow::Owned(engine_text(error).into_bytes()),
            Self::Keys => Cow::Borrowed(b"ERR keys changed again and again while other keys were named after them"),
            Self::Waits => Cow::Borrowed(b"ERR this command cannot wait here"),
            Self::Nodes => Cow::Borrowed(b"ERR the nodes of a collection could not be brought into memory"),
        }
    }
}

impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Missing(_) => Self::Nodes,
            Fault::Corrupt(..) => Self::built(format_args!("CORRUPT a collection is damaged: {fault}")),
        }
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// The store's errors with the codes clients know.
fn engine_text(error: &Error) -> String {
    match error {
        Error::OutOfMemory | Error::GroupTooLarge { .. } => format!("OOM {error}"),
        Error::Misconfigured { .. } => format!("MISCONF {error}"),
        Error::Corrupt { .. } | Error::PartsMissing { .. } | Error::NodeMissing => format!("CORRUPT {error}"),
        Error::TooLarge { .. } => "ERR string exceeds maximum allowed size (proto-max-bulk-len)".to_owned(),
        other => format!("ERR {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_named_with_its_arguments_and_a_trailing_blank() {
        let error = CommandError::unknown_command([b"foo".as_slice(), b"bar", b"baz"]);
        assert_eq!(&*error.text(), b"ERR unknown command 'foo', with args beginning with: 'bar' 'baz' ");
        let long = vec![b'x'; 500];
        let error = CommandError::unknown_command([b"foo".as_slice(), &long, &long]);
        assert!(error.text().len() < 300);
    }

    #[test]
    fn an_unknown_subcommand_points_to_help() {
        assert_eq!(
            &*CommandError::unknown_subcommand("client", b"nope").text(),
            b"ERR unknown subcommand 'nope'. Try CLIENT HELP."
        );
    }
}
