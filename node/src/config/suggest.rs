//! Finding the word that was probably meant.

/// ` (did you mean "word"?)`, or nothing when no word is near.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(word, known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(left, _), (right, _)| left.total_cmp(right));
    near.map_or_else(String::new, |(_, known)| format!(" (did you mean \"{known}\"?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(did_you_mean("hostnam", &["data", "hostname"]), " (did you mean \"hostname\"?)");
        assert_eq!(did_you_mean("port_offset", &["port-offset", "bind"]), " (did you mean \"port-offset\"?)");
        assert_eq!(did_you_mean("zzz", &["data", "hostname"]), "");
    }
}
