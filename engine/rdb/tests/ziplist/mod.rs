//! Ziplists as old servers wrote them, for the tests.
//!
//! Promises: a right head and right lengths backwards. Never: an element of more than 250 bytes.

/// A ziplist of short elements given as head and bytes.
pub fn ziplist(elements: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    let mut previous = 0;
    for element in elements {
        bytes[4] = bytes.len() as u8;
        bytes.push(previous);
        bytes.extend_from_slice(element);
        previous = 1 + element.len() as u8;
    }
    bytes.push(0xFF);
    bytes[0] = bytes.len() as u8;
    bytes[8] = elements.len() as u8;
    bytes
}
