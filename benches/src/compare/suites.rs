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
];

/// Bytes of a key and its value in the suites whose data is a multiple of the DRAM.
const RECORD_BYTES: u64 = 16 + 400;

/// What is filled in.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// `{keys}`
    pub keys: u64,
    /// `{seconds}`, `{seconds_4x}`: of a round, and four times that.
    pub seconds: u32,
    /// `{keys_8x}`, `{keys_4x}`: keys of 416 bytes with their value, 8 or 4 times this DRAM.
    pub memory_bytes: Option<u64>,
}

/// Fills in the places of a suite and reads it; `None` when it needs a size of the DRAM and there is none.
pub fn scenes(text: &str, sizes: Sizes) -> Result<Option<Vec<Scene>>, SceneError> {
    let times = |factor: u64| sizes.memory_bytes.unwrap_or(0) * factor / RECORD_BYTES;
    if sizes.memory_bytes.is_none() && (text.contains("{keys_8x}") || text.contains("{keys_4x}")) {
        return Ok(None);
    }
    let filled = text
        .replace("{keys}", &sizes.keys.to_string())
        .replace("{seconds}", &sizes.seconds.to_string())
        .replace("{seconds_4x}", &(sizes.seconds * 4).to_string())
        .replace("{keys_8x}", &times(8).to_string())
        .replace("{keys_4x}", &times(4).to_string());
    from_toml(&filled).map(Some)
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
        let sizes = Sizes { keys: 100_000, seconds: 5, memory_bytes: Some(512 << 20) };
        for (name, text) in SUITES {
            let scenes = scenes(text, sizes).unwrap_or_else(|error| panic!("{name}: {error}")).unwrap();
            assert!(!scenes.is_empty() && scenes.iter().all(|scene| !scene.group.is_empty()), "{name}");
            for scene in &scenes {
                for pass in [&scene.load, &scene.warm, &Some(scene.run.clone())].into_iter().flatten() {
                    assert!(!pass.text.contains(['{', '}']), "{name}: a place is left in {}", pass.text);
                }
            }
        }
    }

    #[test]
    fn data_is_a_multiple_of_the_dram() {
        let sizes = Sizes { keys: 1, seconds: 1, memory_bytes: Some(416 << 20) };
        let text = "[[scene]]\nname = \"a\"\nrun = \"load --keys {keys_8x}\"\n";
        assert_eq!(scenes(text, sizes).unwrap().unwrap()[0].run.words[2], (8u64 << 20).to_string());
        assert!(scenes(text, Sizes { memory_bytes: None, ..sizes }).unwrap().is_none(), "it needs a size");
    }
}
