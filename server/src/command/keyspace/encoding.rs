//! What OBJECT ENCODING calls a value: told from its size and content when asked, since nothing is stored about it.
//!
//! ```text
//!  hash        listpack (listpackex: some field expires)   or  hashtable     by entries and longest field or value
//!  set         intset, listpack                            or  hashtable     by entries and longest member
//!  sorted set  listpack                                    or  skiplist      by entries and longest member
//!  list        listpack                                    or  quicklist     by elements, or by bytes as a listpack
//! ```
//! Redis remembers: a hash that was large once stays a hashtable until it is loaded again. Here the name is that of a value of
//! this content loaded just now.
//!
//! Promises: Redis 7.2's rules and settings, as they are now; looks at no more elements than the setting says a small one has,
//! and at few of those if an early one is too long. Never: changes or converts anything.

use thermocline::{Collection, Kind, View};
use thermocline_rdb::{Element, LISTPACK_EMPTY_BYTES, Thresholds, listpack_element_bytes};
use thermocline_value::{Fault, StringEncoding, length, parse_integer};

use crate::command::elements::{self, Walk, Way};
use crate::config::Settings;

/// Elements looked at before more are brought into memory.
const STEP_ELEMENTS: u64 = 64;
/// Bytes of a list's only node when `list-max-listpack-size` bounds its elements.
const COUNTED_LIST_BYTES_MAX: usize = 8 << 10;
/// Bytes of it for -1, and how many times that can be doubled.
const LIST_BYTES_MIN: usize = 4 << 10;
const LIST_DOUBLINGS_MAX: i32 = 4;
/// What the shortest element takes in a listpack.
const LIST_ELEMENT_BYTES_MIN: usize = 2;
/// No intset has more, whatever the setting.
const INTSET_ENTRIES_MAX: u64 = 1 << 30;

/// What is small, by the settings as they are now.
pub(in crate::command) fn thresholds(settings: &Settings) -> Thresholds {
    let count = |name| settings.number(name);
    let bytes = |name| usize::try_from(settings.number(name)).unwrap_or(usize::MAX);
    Thresholds {
        hash_listpack_entries_max: count("hash-max-listpack-entries"),
        hash_listpack_bytes_max: bytes("hash-max-listpack-value"),
        set_intset_entries_max: count("set-max-intset-entries").min(INTSET_ENTRIES_MAX),
        set_listpack_entries_max: count("set-max-listpack-entries"),
        set_listpack_bytes_max: bytes("set-max-listpack-value"),
        sorted_set_listpack_entries_max: count("zset-max-listpack-entries"),
        sorted_set_listpack_bytes_max: bytes("zset-max-listpack-value"),
        list_listpack_size: settings.text("list-max-listpack-size").parse().unwrap_or(-2),
    }
}

/// The name of a value's encoding; `collection` is what the view shows, if it is one.
///
/// # Errors
/// Nodes are missing or damaged.
pub(in crate::command) fn name(
    view: &View<'_>,
    collection: Option<&Collection<'_>>,
    thresholds: &Thresholds,
) -> Result<&'static str, Fault> {
    let Some(collection) = collection else {
        return Ok(match view.kind {
            Kind::Stream => "stream",
            _ => StringEncoding::of(view.value, view.length).name(),
        });
    };
    let count = length(collection)?;
    let mut content = Content::default();
    match view.kind {
        Kind::List => {
            let (count_max, bytes_max) = list_bounds(thresholds.list_listpack_size);
            let small =
                count <= count_max && content.read(collection, count, |content| content.listpack_bytes <= bytes_max)?;
            Ok(if small { "listpack" } else { "quicklist" })
        }
        Kind::Set => {
            let intset = count <= thresholds.set_intset_entries_max;
            let listpack = count <= thresholds.set_listpack_entries_max;
            let longest_max = thresholds.set_listpack_bytes_max;
            let small = (intset || listpack)
                && content.read(collection, count, |content| {
                    (intset && content.all_integers) || (listpack && content.longest <= longest_max)
                })?;
            Ok(match small {
                true if intset && content.all_integers => "intset",
                true => "listpack",
                false => "hashtable",
            })
        }
        Kind::SortedSet => {
            let longest_max = thresholds.sorted_set_listpack_bytes_max;
            let small = count <= thresholds.sorted_set_listpack_entries_max
                && content.read(collection, count, |content| content.longest <= longest_max)?;
            Ok(if small { "listpack" } else { "skiplist" })
        }
        _ => {
            let longest_max = thresholds.hash_listpack_bytes_max;
            let small = count <= thresholds.hash_listpack_entries_max
                && content.read(collection, count, |content| content.longest <= longest_max)?;
            Ok(match small {
                true if content.expires => "listpackex",
                true => "listpack",
                false => "hashtable",
            })
        }
    }
}

/// Most elements, and most bytes as a listpack, of a list that is a listpack.
fn list_bounds(listpack_size: i32) -> (u64, usize) {
    let (count_max, bytes_max) = match listpack_size {
        0.. => (listpack_size.max(1).unsigned_abs().into(), COUNTED_LIST_BYTES_MAX),
        size => (u64::MAX, LIST_BYTES_MIN << (-1 - size.max(-1 - LIST_DOUBLINGS_MAX))),
    };
    (count_max.min((bytes_max / LIST_ELEMENT_BYTES_MIN) as u64), bytes_max)
}

/// What was seen of a collection.
struct Content {
    all_integers: bool,
    expires: bool,
    /// Bytes of the longest element, or field, or value.
    longest: usize,
    listpack_bytes: usize,
}

impl Default for Content {
    fn default() -> Content {
        Content { all_integers: true, expires: false, longest: 0, listpack_bytes: LISTPACK_EMPTY_BYTES }
    }
}

impl Content {
    /// Looks at `count` elements as long as what was seen `is_small`, and says whether it was to the end.
    fn read(
        &mut self,
        collection: &Collection<'_>,
        count: u64,
        is_small: impl Fn(&Content) -> bool,
    ) -> Result<bool, Fault> {
        let mut from = 0;
        while from < count && is_small(self) {
            let to = (from + STEP_ELEMENTS).min(count);
            elements::each(collection, from..to, Way::Forward, |element| {
                self.add(&element);
                Ok::<Walk, Fault>(if is_small(self) { Walk::On } else { Walk::Enough })
            })?;
            from = to;
        }
        Ok(is_small(self))
    }

    fn add(&mut self, element: &Element<'_>) {
        match *element {
            Element::Item(item) => {
                self.longest = self.longest.max(item.len());
                self.all_integers &= parse_integer(item).is_some();
                self.listpack_bytes += listpack_element_bytes(item);
            }
            Element::Field { field, value, expires_at_ms } => {
                self.longest = self.longest.max(field.len()).max(value.len());
                self.expires |= expires_at_ms.is_some();
            }
            Element::Scored { member, .. } => self.longest = self.longest.max(member.len()),
            Element::String(_) | Element::Raw(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_bounded_by_elements_or_by_bytes() {
        assert_eq!(list_bounds(128), (128, 8192));
        assert_eq!(list_bounds(0), (1, 8192));
        assert_eq!(list_bounds(-1), (2048, 4096));
        assert_eq!(list_bounds(-2), (4096, 8192));
        assert_eq!(list_bounds(-5), (32768, 65536));
        assert_eq!(list_bounds(i32::MIN), (32768, 65536), "no smaller setting means more");
        assert_eq!(list_bounds(i32::MAX), (4096, 8192), "an element takes two bytes at least");
    }
}
