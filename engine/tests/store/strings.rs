//! Strings of a small store, for the tests that keep a model beside it.

use thermocline::{Access, Changes, Error, Expiry, Kind};

use crate::store::Store;

impl Store {
    /// Sets a key of database 0, or removes it.
    pub fn change(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let engine = self.engine.clone();
        let key = engine.key(engine.space(0), name.as_bytes());
        let change = async {
            let mut changes = Changes::new(1);
            let keys = [(key, Access::Overwrite)];
            engine
                .run(&keys, &mut changes, |_, changes| match value {
                    Some(value) => changes.put(0, Kind::String, value, Expiry::Clear),
                    None => changes.remove(0),
                })
                .await
        };
        self.finish(change).map(|_| ())
    }
}
