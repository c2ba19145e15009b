//! The suites that come with the tool, written as users write theirs: TOML with places for sizes.
//!
//! Promises: each is a whole file under `suites/`, with its sources as comments; there is no second way to say a scene.

use super::scene::{Scene, SceneError, from_toml};

/// Names and texts.
pub const SUITES: &[(&str, &str)] = &[
    ("hot", include_str!("suites/hot.toml")),
    ("larger-than-memory", include_str!("suites/larger-than-memory.toml")),
    ("dram-per-key", include_str!("suites/dram-per-key.toml")),
    ("dram-per-cold-key", include_str!("suites/dram-per-cold-key.toml")),
    ("durability", include_str!("suites/durability.toml")),
    ("collections", include_str!("suites/collections.toml")),
    ("dram-per-element", include_str!("suites/dram-per-element.toml")),
    (COLD_COLLECTIONS, include_str!("suites/cold-collections.toml")),
];

const COLD_COLLECTIONS: &str = "cold-collections";
/// The DRAM of that suite where none is given: it runs in minutes.
const COLD_COLLECTIONS_BYTES: u64 = 64 << 20;

/// Bytes of a field and its value, of a value alone, and of a member with its score in both of its orders.
const FIELD_BYTES: u64 = 16 + 50;
const ELEMENT_BYTES: u64 = 50;
const MEMBER_BYTES: u64 = 2 * (16 + 8);
/// Elements of a small collection in the suites.
const SMALL_ELEMENTS: u64 = 10;

/// Bytes of a key and its value in the suites whose data is a multiple of the DRAM.
const RECORD_BYTES: u64 = 16 + 400;

/// What is filled in.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// `{keys}`
    pub keys: u64,
    /// `{elements}`, `{elements_half}`, `{elements_10x}`, `{elements_5x}`: of a large collection. `{small_turns}`, `{large_turns}`: so
    /// many elements can be taken from the small and the large ones without emptying any.
    pub elements: u64,
    /// `{seconds}`, `{seconds_4x}`: of a round, and four times that.
    pub seconds: u32,
    /// `{keys_8x}`, `{keys_4x}`: keys of 416 bytes with their value, 8 or 4 times this DRAM. `{cold_fields}`, `{cold_members}`,
    /// `{cold_elements}`: of a hash, a sorted set, a list of twice this DRAM.
    pub memory_bytes: Option<u64>,
}

/// The DRAM of a suite where none is given.
pub fn usual_memory_bytes(suite: &str) -> Option<u64> {
    (suite == COLD_COLLECTIONS).then_some(COLD_COLLECTIONS_BYTES)
}

/// Fills in the places of a suite and reads it, the large scenes only if they are wanted; `None` when it needs a size of the DRAM and there is none.
pub fn scenes(text: &str, sizes: Sizes, large: bool) -> Result<Option<Vec<Scene>>, SceneError> {
    let times = |factor: u64| sizes.memory_bytes.unwrap_or(0) * factor / RECORD_BYTES;
    if sizes.memory_bytes.is_none() && ["{keys_8x}", "{keys_4x}", "{cold_"].iter().any(|place| text.contains(place)) {
        return Ok(None);
    }
    let cold = |bytes: u64| (sizes.memory_bytes.unwrap_or(0) * 2 / bytes).max(1);
    let places = [
        ("{elements}", sizes.elements),
        ("{elements_half}", sizes.elements / 2),
        ("{elements_10x}", sizes.elements * 10),
        ("{elements_5x}", sizes.elements * 5),
        ("{small_turns}", sizes.keys * (SMALL_ELEMENTS - 1)),
        ("{large_turns}", sizes.elements / 10 * 9 + 1),
        ("{cold_fields}", cold(FIELD_BYTES)),
        ("{cold_members}", cold(MEMBER_BYTES)),
        ("{cold_elements}", cold(ELEMENT_BYTES)),
    ];
    let filled = places.iter().fold(text.to_owned(), |text, (place, number)| text.replace(place, &number.to_string()));
    let filled = filled
        .replace("{keys}", &sizes.keys.to_string())
        .replace("{seconds}", &sizes.seconds.to_string())
        .replace("{seconds_4x}", &(sizes.seconds * 4).to_string())
        .replace("{keys_8x}", &times(8).to_string())
        .replace("{keys_4x}", &times(4).to_string());
    from_toml(&filled, large).map(Some)
}

/// All suites as text.
pub fn list() -> String {
    SUITES.iter().map(|(name, text)| format!("== {name}\n{text}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_can_be_run() {
        let sizes = Sizes { keys: 100_000, elements: 1_000_000, seconds: 5, memory_bytes: Some(512 << 20) };
        for (name, text) in SUITES {
            let scenes = scenes(text, sizes, true).unwrap_or_else(|error| panic!("{name}: {error}")).unwrap();
            assert!(!scenes.is_empty() && scenes.iter().all(|scene| !scene.group.is_empty()), "{name}");
            for scene in &scenes {
                for pass in [&scene.load, &scene.warm, &scene.before, &Some(scene.run.clone())].into_iter().flatten() {
                    assert!(!pass.text.contains(['{', '}']), "{name}: a place is left in {}", pass.text);
                }
            }
        }
    }

    #[test]
    fn data_is_a_multiple_of_the_dram() {
        let sizes = Sizes { keys: 1, elements: 1, seconds: 1, memory_bytes: Some(416 << 20) };
        let text = "[[scene]]\nname = \"a\"\nrun = \"load --keys {keys_8x}\"\n";
        assert_eq!(scenes(text, sizes, false).unwrap().unwrap()[0].run.words[2], (8u64 << 20).to_string());
        assert!(scenes(text, Sizes { memory_bytes: None, ..sizes }, false).unwrap().is_none(), "it needs a size");
    }

    #[test]
    fn large_scenes_come_only_when_they_are_wanted() {
        let sizes = Sizes { keys: 10, elements: 1_000, seconds: 1, memory_bytes: None };
        let (_, text) = SUITES.iter().find(|(name, _)| *name == "dram-per-element").unwrap();
        let names = |large| scenes(text, sizes, large).unwrap().unwrap().len();
        assert_eq!(names(true), 2 * names(false));
    }

    #[test]
    fn no_collection_is_emptied_by_a_round() {
        let sizes = Sizes { keys: 10, elements: 1_000, seconds: 1, memory_bytes: None };
        let (_, text) = SUITES.iter().find(|(name, _)| *name == "collections").unwrap();
        for scene in scenes(text, sizes, false).unwrap().unwrap() {
            if scene.run.words[1] == "lpop" {
                let number = |option: &str| -> u64 {
                    let at = scene.run.words.iter().position(|word| word == option);
                    at.map_or(1, |at| scene.run.words[at + 1].parse().unwrap())
                };
                assert!(number("--requests") < number("--keys") * number("--elements"), "{}", scene.run.text);
                assert!(scene.before.is_some(), "{}: the next round finds what this one took", scene.name);
            }
        }
    }
}
