//! Random numbers that are the same for ever: splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
//! generators", 2014). Small enough to own, so that no upgrade of a crate changes a replayed model.

/// A stream of random numbers from a seed.
#[derive(Debug, Clone)]
pub(super) struct Seed(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Seed {
    /// The stream of this purpose and number, independent of those of other purposes and numbers.
    pub(super) fn of(seed: u64, purpose: u64, number: u64) -> Self {
        let state = mix(seed.wrapping_add(GOLDEN)).wrapping_add(purpose.wrapping_mul(GOLDEN));
        Self(mix(mix(state)
            .wrapping_add(number.wrapping_mul(GOLDEN))
            .wrapping_add(GOLDEN)))
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// The `position`th number of the stream, without going through those before it: for rows on many threads.
    pub(super) fn at(&self, position: u64) -> u64 {
        mix(self.0.wrapping_add(GOLDEN.wrapping_mul(position.wrapping_add(1))))
    }

    /// Whether the `position`th item of a sample with this share is in it.
    pub(super) fn chooses(&self, position: u64, share: f64) -> bool {
        // 53 random bits as a number in [0, 1).
        ((self.at(position) >> 11) as f64) < share * (1_u64 << 53) as f64
    }

    /// `count` of `0..length` without repetition, ascending (a partial Fisher-Yates shuffle).
    pub(super) fn sample(&mut self, length: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..length).collect();
        let count = count.min(length);
        for position in 0..count {
            let left = (length - position) as u64;
            all.swap(position, position + (self.next() % left) as usize);
        }
        all.truncate(count);
        all.sort_unstable();
        all
    }
}
