//! A set of small numbers with a hash that is kept up to date by each change, so that remembering a set costs no walk over
//! it.

/// Which operations have taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    hash: u64,
}

impl Bits {
    /// An empty set with room for numbers below `size`.
    pub fn new(size: usize) -> Bits {
        Bits { words: vec![0; size.div_ceil(64)], hash: 0 }
    }

    /// Takes a number in or out.
    pub fn flip(&mut self, number: usize) {
        if let Some(word) = self.words.get_mut(number / 64) {
            *word ^= 1 << (number % 64);
            self.hash ^= mixed(number as u64);
        }
    }

    /// The same for equal sets.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// A number's own random-looking pattern (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn the_hash_follows_the_set_and_not_the_way_to_it() {
        let (mut one, mut other) = (Bits::new(200), Bits::new(200));
        [3, 150, 7].into_iter().for_each(|number| one.flip(number));
        [150, 9, 3, 9, 7].into_iter().for_each(|number| other.flip(number));
        assert_eq!(one, other);
        other.flip(8);
        assert!(one != other && one.hash() != other.hash());
    }
}
