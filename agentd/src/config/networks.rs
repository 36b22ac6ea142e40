//! Ranges of addresses as a value of the configuration: a list of texts, or words with commas.

use super::keys::{Raw, kind};
use crate::plugin::network::Network;

pub(super) fn read(raw: Raw<'_>) -> Result<Vec<Network>, String> {
    let wanted = "wants a list of ranges, such as [\"10.0.0.0/8\"]";
    let words: Vec<&str> = match raw {
        Raw::Words(text) => text.split(',').map(str::trim).filter(|w| !w.is_empty()).collect(),
        Raw::Typed(toml::Value::Array(all)) => {
            let texts: Option<Vec<&str>> = all.iter().map(toml::Value::as_str).collect();
            texts.ok_or_else(|| wanted.to_owned())?
        }
        Raw::Typed(other) => return Err(format!("{wanted}, not {}", kind(other))),
    };
    words.into_iter().map(|word| word.parse().map_err(|fault| format!("{fault}"))).collect()
}

pub(super) fn shown(networks: &[Network]) -> String {
    let texts: Vec<String> = networks.iter().map(|network| format!("\"{network}\"")).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_list_and_words_with_commas_are_the_same() {
        let words = read(Raw::Words("10.0.0.0/8, fd00::/8")).unwrap();
        let table: toml::Table = format!("it = {}", shown(&words)).parse().unwrap();
        assert_eq!(read(Raw::Typed(table.get("it").unwrap())), Ok(words));
        assert_eq!(read(Raw::Words("")), Ok(Vec::new()));
        assert!(read(Raw::Words("10.0.0.0")).unwrap_err().contains("no range"));
        assert!(read(Raw::Typed(&toml::Value::Integer(1))).unwrap_err().contains("a number"));
    }
}
