//! SORT and SORT_RO: the elements of a list, set or sorted set in another order, by themselves or by the values of other keys.
//!
//! ```text
//!  SORT ids BY price_* LIMIT 0 2 GET name_*->full GET #
//!    elements 7 3 9  --BY-->     price_7 price_3 price_9     keys that no word names: Body::Reach brings them
//!    in order 3 9 7  --LIMIT-->  3 9
//!                    --GET-->    name_3 name_9               and these, only of what is answered
//! ```
//! Promises: the source, the weights and what GET finds are of one moment; ties in numbers go by the element's bytes, so that
//! answers are the same each time; STORE replaces its key in the same group. Never: follows a locale: text is compared by bytes.

mod options;
mod pattern;
mod weight;

use std::borrow::Cow;

use thermocline::{Collection, Expiry, Kind};
use thermocline_rdb::Element;
use thermocline_value::{length, list};

use self::options::Options;
use self::pattern::Pattern;
use super::Args;
use super::context::Context;
use super::elements::{self, Walk, Way, fits};
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, KeyArgument, Keys, Row, RowAccess, Shape};

const SOURCE: usize = 0;
const TARGET: usize = 1;

/// The keys that the words name: the source, and the target of STORE.
fn keys(args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    let key = |word, access| KeyArgument { word, access, database: None };
    keys.push(key(1, thermocline::Access::Read));
    keys.extend(options::store_word(args).map(|word| key(word, thermocline::Access::Overwrite)));
    Ok(())
}

/// SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]
fn sort(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    run(context, true)
}

/// SORT_RO: the same without STORE.
fn sort_read_only(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    run(context, false)
}

fn run(context: &mut Context<'_, '_>, may_store: bool) -> Result<(), CommandError> {
    let options = Options::parse(&context.args, may_store)?;
    let source = match context.view(SOURCE) {
        None => None,
        Some(view) if matches!(view.kind, Kind::List | Kind::Set | Kind::SortedSet) => {
            Some(context.collection_in(&view))
        }
        Some(_) => return Err(CommandError::WRONG_TYPE),
    };
    let elements = match &source {
        None => Vec::new(),
        Some(source) => chosen(context, source, &options)?,
    };
    let results = results(context, &elements, &options.get)?;
    match options.store {
        Some(target) => store(context, target, &results),
        None => answer(context, &results),
    }
}

/// The elements of the answer, in its order.
fn chosen<'n>(
    context: &Context<'n, '_>,
    source: &'n Collection<'_>,
    options: &Options<'_>,
) -> Result<Vec<&'n [u8]>, CommandError> {
    let count = length(source)?;
    let window = options.window(count);
    let is_set = source.kind() == Kind::Set;
    // A set has no order of its own: what is stored of it must not depend on how it lies in memory.
    let stored_set = is_set && options.store.is_some();
    if options.is_unsorted() && !stored_set {
        let (ranks, way) = match options.descending && !is_set {
            false => (window, Way::Forward),
            true => (count - window.end..count - window.start, Way::Backward),
        };
        return gather(source, ranks, way);
    }
    let elements = gather(source, 0..count, Way::Forward)?;
    let pattern = options.by.filter(|_| !options.is_unsorted()).map(Pattern::of);
    let mut weighed = if options.alpha || options.is_unsorted() {
        weight::texts(context, elements, pattern.as_ref())?
    } else {
        weight::numbers(context, elements, pattern.as_ref())?
    };
    weight::sort(&mut weighed, options.descending);
    let (start, end) = (window.start as usize, window.end as usize);
    Ok(weighed[start..end].iter().map(|weighed| weighed.element).collect())
}

fn gather<'n>(
    source: &'n Collection<'_>,
    ranks: std::ops::Range<u64>,
    way: Way,
) -> Result<Vec<&'n [u8]>, CommandError> {
    let mut gathered = Vec::new();
    elements::each(source, ranks, way, |element| {
        if let Element::Item(bytes) | Element::Scored { member: bytes, .. } = element {
            gathered.push(bytes);
        }
        Ok::<Walk, CommandError>(Walk::On)
    })?;
    Ok(gathered)
}

/// What is answered for the elements: themselves, or what each GET finds.
fn results<'r>(
    context: &Context<'r, '_>,
    elements: &[&'r [u8]],
    get: &[&[u8]],
) -> Result<Vec<Option<Cow<'r, [u8]>>>, CommandError> {
    if get.is_empty() {
        return Ok(elements.iter().map(|element| Some(Cow::Borrowed(*element))).collect());
    }
    let patterns: Vec<Pattern<'_>> = get.iter().map(|pattern| Pattern::of(pattern)).collect();
    let pairs = elements.iter().flat_map(|element| patterns.iter().map(move |pattern| (pattern, *element)));
    pattern::values(context, pairs)
}

fn answer(context: &mut Context<'_, '_>, results: &[Option<Cow<'_, [u8]>>]) -> Result<(), CommandError> {
    /// The head of a string in an answer.
    const HEAD_BYTES: usize = 16;
    let bytes = results.iter().map(|result| result.as_ref().map_or(0, |bytes| bytes.len()) + HEAD_BYTES).sum();
    fits(context, bytes)?;
    context.reply.array(results.len());
    for result in results {
        match result {
            Some(bytes) => context.reply.bulk(bytes),
            None => context.reply.null(),
        }
    }
    Ok(())
}

/// What GET does not find is an empty string in the list.
fn store<'c>(
    context: &mut Context<'c, '_>,
    name: &'c [u8],
    results: &[Option<Cow<'_, [u8]>>],
) -> Result<(), CommandError> {
    let mut target = context.new_collection_for(Kind::List, context.facts().database, name);
    for result in results {
        list::insert(&mut target, u64::MAX, result.as_deref().unwrap_or_default())?;
    }
    context.replace(TARGET, target, Expiry::Clear)?;
    context.reply.integer(results.len() as i64);
    Ok(())
}

const SORT: Row = Row {
    arity: -2,
    categories: &[Category::Set, Category::SortedSet, Category::List, Category::Dangerous],
    group: Group::Generic,
    complexity: "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).",
    ..Row::EMPTY
};

/// The family's rows.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "sort",
        access: RowAccess::Read,
        keys: Keys::Function { find: keys, shown: (1, 1, 1) },
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        since: "1.0.0",
        summary: "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
        reply: Shape::Any,
        body: Body::Reach(sort),
        ..SORT
    },
    Row {
        name: "sort_ro",
        access: RowAccess::Read,
        keys: Keys::Range { first: 1, last: 1, step: 1 },
        flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
        since: "7.0.0",
        summary: "Returns the sorted elements of a list, a set, or a sorted set.",
        reply: Shape::Array,
        body: Body::Reach(sort_read_only),
        ..SORT
    },
];
