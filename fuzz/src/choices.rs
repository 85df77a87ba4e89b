//! Bytes as a row of choices: for targets that need something well-formed, whatever the input.

/// What is left of an input. Once it is used up, every choice is the first.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All of an input.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of so many.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn below(&mut self, count: u8) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first % count
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, options: &[T]) -> T {
        options[usize::from(self.below(options.len() as u8))]
    }

    /// Eight bytes.
    pub fn number(&mut self) -> u64 {
        let bytes = std::array::from_fn(|_| self.below(u8::MAX));
        u64::from_be_bytes(bytes)
    }

    /// Bytes as they are, behind their count.
    pub fn bytes(&mut self) -> &'a [u8] {
        let count = usize::from(self.below(u8::MAX)) << 8 | usize::from(self.below(u8::MAX));
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
