//! Choices that are made by a sequence of bytes, so that proptest shrinks a document by shortening the sequence.

/// A sequence of bytes that is read once. After its end there are zeros, and zero is always the simplest choice.
pub struct Tape<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Tape<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    /// Returns a number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or_default()) % bound
    }

    /// Returns true once in `times`, and never after the end.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    /// Returns one of these; after the end, the first.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
