//! Looking at one key from a body that acts on the server (DEBUG, MEMORY): its view, its collection, a few facts.
//!
//! Promises: what is seen is of one moment; nodes that are missing are brought. Never: changes anything.

use thermocline::{Access, Changes, Collection, Engine, View};

use super::elements::is_collection;
use super::reply::CommandError;

/// What one key shows.
pub(super) struct Look<'v> {
    pub(super) view: View<'v>,
    /// If it is one.
    pub(super) collection: Option<Collection<'v>>,
}

/// Runs `see` over what lies under a key of this database. `None`: nothing does.
///
/// # Errors
/// A record is damaged, or what `see` says. `see` may be called again.
pub(super) async fn look<T>(
    engine: &Engine,
    (database, name): (u32, &[u8]),
    access: Access,
    mut see: impl FnMut(&Look<'_>) -> Result<T, CommandError>,
) -> Result<Option<T>, CommandError> {
    let space = engine.space(database);
    let keys = [(engine.key(space, name), access)];
    let mut changes = Changes::new(1);
    let (seen, _) = engine
        .run(&keys, &mut changes, |views, changes| {
            let Some(view) = views[0] else { return Ok(None) };
            let collection = is_collection(view.kind).then(|| Collection::of(engine, &view, (space, name)));
            let seen = see(&Look { view, collection });
            if let Err(CommandError::Nodes) = seen {
                changes.want_nodes();
            }
            seen.map(Some)
        })
        .await?;
    seen
}
