//! What the callers call: the engine, or an array that stands in for it.

use crate::value::KeyId;
use crate::wire::Tier;

/// A key in both of its forms.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Its number.
    pub id: KeyId,
    /// Its text.
    pub text: &'a [u8],
}

/// Values that were read: one behind the other.
#[derive(Debug, Default)]
pub struct Found {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// Of each key that was asked for, where its value ends in `bytes`; `None` for a miss.
    pub ends: Vec<Option<usize>>,
}

impl Found {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Takes the next key's value.
    pub fn take(&mut self, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(value.map(|_| self.bytes.len()));
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = (*end)?;
            let value = &self.bytes[start..end];
            start = end;
            Some(value)
        })
    }
}

/// Answers are final when the futures are ready. An error is in words, its first one is its code.
pub trait Target {
    /// Reads the keys at one moment; the tier is the first key's.
    async fn get(&self, keys: &[Named<'_>], found: &mut Found) -> Result<Tier, String>;
    /// Sets a key.
    async fn set(&self, key: Named<'_>, value: &[u8], ttl_s: Option<u32>) -> Result<(), String>;
    /// Removes a key.
    async fn delete(&self, key: Named<'_>) -> Result<(), String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_the_order_of_their_keys() {
        let mut found = Found::default();
        for value in [Some(&b"one"[..]), None, Some(b""), Some(b"four")] {
            found.take(value);
        }
        assert_eq!(found.values().collect::<Vec<_>>(), [Some(&b"one"[..]), None, Some(b""), Some(b"four")]);
        found.clear();
        assert_eq!(found.values().count(), 0);
    }
}
