//! What BY and GET name: `weight_*`, `object_*->price`, `#`.
//!
//! Promises: a star stands for the element; `->` and what is behind it is a field of a hash; a value of another type is none.
//! Never: looks a key up itself.

use std::borrow::Cow;

use thermocline::Kind;
use thermocline_value::hash;

use crate::command::context::Context;
use crate::command::reply::CommandError;

/// A pattern, taken apart.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Pattern<'a> {
    /// `#`
    Element,
    /// Without a star: names nothing.
    Nothing,
    /// A key, and perhaps a field of the hash there.
    Key { before: &'a [u8], behind: &'a [u8], field: Option<&'a [u8]> },
}

/// A pattern's bytes as C sees them: to the first zero.
fn text(pattern: &[u8]) -> &[u8] {
    pattern.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Whether a pattern has a place for the element.
pub(super) fn has_star(pattern: &[u8]) -> bool {
    text(pattern).contains(&b'*')
}

impl<'a> Pattern<'a> {
    pub(super) fn of(pattern: &'a [u8]) -> Pattern<'a> {
        if text(pattern) == b"#" {
            return Pattern::Element;
        }
        let Some(star) = text(pattern).iter().position(|byte| *byte == b'*') else { return Pattern::Nothing };
        let before = &pattern[..star];
        let rest = &pattern[star + 1..];
        let arrow = text(rest).windows(2).position(|pair| pair == b"->");
        // An arrow with nothing behind it is part of the key.
        match arrow.filter(|arrow| arrow + 2 < text(rest).len()) {
            Some(arrow) => Pattern::Key { before, behind: &rest[..arrow], field: Some(&rest[arrow + 2..]) },
            None => Pattern::Key { before, behind: rest, field: None },
        }
    }
}

/// A value that a pattern found.
type Found<'r> = Option<Cow<'r, [u8]>>;

/// What each pattern finds for its element.
///
/// # Errors
/// Keys, or nodes of the hashes there, are not at hand: all were asked for.
pub(super) fn values<'r, 'p>(
    context: &Context<'r, '_>,
    pairs: impl Iterator<Item = (&'p Pattern<'p>, &'r [u8])>,
) -> Result<Vec<Found<'r>>, CommandError> {
    let mut found = Vec::new();
    let mut keys_are_missing = false;
    let mut nodes_are_missing = false;
    let mut name = Vec::new();
    for (pattern, element) in pairs {
        match value(context, pattern, element, &mut name) {
            Ok(value) => found.push(value),
            Err(CommandError::Keys) => keys_are_missing = true,
            Err(CommandError::Nodes) => nodes_are_missing = true,
            Err(error) => return Err(error),
        }
    }
    match (keys_are_missing, nodes_are_missing) {
        (true, _) => Err(CommandError::Keys),
        (_, true) => Err(CommandError::Nodes),
        _ => Ok(found),
    }
}

fn value<'r>(
    context: &Context<'r, '_>,
    pattern: &Pattern<'_>,
    element: &'r [u8],
    name: &mut Vec<u8>,
) -> Result<Found<'r>, CommandError> {
    let (before, behind, field) = match *pattern {
        Pattern::Element => return Ok(Some(Cow::Borrowed(element))),
        Pattern::Nothing => return Ok(None),
        Pattern::Key { before, behind, field } => (before, behind, field),
    };
    name.clear();
    for part in [before, element, behind] {
        name.extend_from_slice(part);
    }
    let Some(view) = context.other(name)? else { return Ok(None) };
    match field {
        None if view.kind.is_string() => Ok(Some(Cow::Borrowed(view.value))),
        Some(field) if view.kind == Kind::Hash => {
            let hash = context.collection_in(&view);
            hash.ready(|nodes, missing| hash::touch_field(nodes, field, missing))?;
            let now_ms = context.now_ms();
            let entry = hash::get(&hash, field)?.filter(|entry| entry.expiry_ms.is_none_or(|at_ms| at_ms > now_ms));
            Ok(entry.map(|entry| Cow::Owned(entry.value.to_vec())))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(before: &'a [u8], behind: &'a [u8], field: Option<&'a [u8]>) -> Pattern<'a> {
        Pattern::Key { before, behind, field }
    }

    #[test]
    fn patterns_are_taken_apart_as_redis_does() {
        assert_eq!(Pattern::of(b"#"), Pattern::Element);
        assert_eq!(Pattern::of(b"nosort"), Pattern::Nothing);
        assert_eq!(Pattern::of(b"##"), Pattern::Nothing);
        assert_eq!(Pattern::of(b"*"), key(b"", b"", None));
        assert_eq!(Pattern::of(b"w_*_x*"), key(b"w_", b"_x*", None));
        assert_eq!(Pattern::of(b"o_*->price"), key(b"o_", b"", Some(b"price")));
        assert_eq!(Pattern::of(b"o_*x->a->b"), key(b"o_", b"x", Some(b"a->b")));
        assert_eq!(Pattern::of(b"o_*->"), key(b"o_", b"->", None));
        assert_eq!(Pattern::of(b"o->f_*"), key(b"o->f_", b"", None));
        assert_eq!(Pattern::of(b"o\0*"), Pattern::Nothing);
    }
}
