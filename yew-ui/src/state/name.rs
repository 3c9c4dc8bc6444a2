//! Names as the page shows them: initials, a colour, and a suffix where two people share one.

/// The hues of avatars, degrees in OKLCH; spaced so that neighbours are told apart.
const HUES: [u16; 8] = [20, 60, 105, 150, 195, 240, 285, 330];

/// One or two letters that stand for a person without a picture.
pub fn initials(name: &str) -> String {
    let mut words = name
        .split(|c: char| !c.is_alphanumeric())
        .filter_map(|word| word.chars().next());
    let first = words.next();
    let last = words.next_back();
    let letters: String = first
        .into_iter()
        .chain(last)
        .flat_map(char::to_uppercase)
        .collect();
    if letters.is_empty() {
        "?".to_owned()
    } else {
        letters
    }
}

/// A hue that stays the same for a name.
pub fn hue(name: &str) -> u16 {
    // FNV-1a, 32 bits: even over short names, and nothing depends on it being anything else.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    HUES[hash as usize % HUES.len()]
}

/// Labels in the order of `names`; a name seen before gets a number.
pub fn labels<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen: Vec<&str> = Vec::new();
    names
        .map(|name| {
            let before = seen.iter().filter(|&&other| other == name).count();
            seen.push(name);
            match before {
                0 => name.to_owned(),
                n => format!("{name} ({})", n + 1),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_one_or_two_letters() {
        for (name, wanted) in [
            ("alice", "A"),
            ("ann.lee", "AL"),
            ("a_b-c", "AC"),
            ("...", "?"),
            ("", "?"),
            ("élan", "É"),
        ] {
            assert_eq!(initials(name), wanted, "{name:?}");
        }
    }

    #[test]
    fn hues_are_stable_and_spread() {
        assert_eq!(hue("alice"), hue("alice"));
        let different: std::collections::BTreeSet<u16> =
            ["alice", "bob", "carol", "dave", "erin", "frank"].map(hue).into();
        assert!(different.len() >= 3);
    }

    #[test]
    fn equal_names_are_numbered() {
        assert_eq!(
            labels(["alice", "bob", "alice", "alice"].into_iter()),
            ["alice", "bob", "alice (2)", "alice (3)"]
        );
    }
}
