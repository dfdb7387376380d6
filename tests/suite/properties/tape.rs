//! Decisions taken from a row of bytes, so that proptest makes any document smaller by shortening the row.

/// A row of bytes that is read once. Behind its end there are zeros, and zero is always the plainest choice.
pub struct Tape<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Tape<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or_default()) % bound
    }

    /// True once in `times`, never behind the end.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    /// One of these; the first behind the end.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
