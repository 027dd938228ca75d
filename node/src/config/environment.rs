//! Environment variables that look like settings but are none: most likely a slip of the pen.

use super::file::KEYS;
use super::suggest::did_you_mean;

const PREFIX: &str = "MAILNODE_";
/// Variables without a key in the file: the file itself, and what is logged.
const OTHERS: [&str; 2] = ["MAILNODE_CONFIG", "MAILNODE_LOG"];

/// A warning per unknown variable, with the nearest right word.
pub fn unknown_variables() -> Vec<String> {
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    warnings(set.filter(|name| name.starts_with(PREFIX)))
}

fn warnings(set: impl Iterator<Item = String>) -> Vec<String> {
    let mut known: Vec<String> = OTHERS.iter().map(|name| (*name).to_owned()).collect();
    let variable = |key: &&str| format!("{PREFIX}{}", key.to_uppercase().replace('-', "_"));
    known.extend(KEYS.iter().filter(|key| **key != "listeners").map(variable));
    let words: Vec<&str> = known.iter().map(String::as_str).collect();
    let unknown = set.filter(|name| !known.contains(name));
    unknown.map(|name| format!("unknown setting {name} in the environment{}", did_you_mean(&name, &words))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_and_settings_are_not() {
        let set = ["MAILNODE_HOSTNAM", "MAILNODE_PORT_OFFSET", "MAILNODE_LOG", "MAILNODE_DATA"].map(str::to_owned);
        let expected = "unknown setting MAILNODE_HOSTNAM in the environment (did you mean \"MAILNODE_HOSTNAME\"?)";
        assert_eq!(warnings(set.into_iter()), [expected]);
    }
}
