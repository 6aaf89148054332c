//! Bytes as a source of choices: the same bytes, the same choices.

/// What is left of the input. Where it is used up every choice is the first.
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        byte
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// A number that is mostly below `bound`, sometimes just at it, and sometimes absurd.
    pub fn number(&mut self, bound: u32) -> u32 {
        match self.byte() {
            255 => u32::MAX,
            254 => 1 << 31,
            253 => bound,
            252 => u32::from(self.byte()) << 8 | u32::from(self.byte()),
            byte => u32::from(byte) % bound.max(1),
        }
    }

    pub fn wide(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::MAX / 2 + 1,
            byte => u64::from(byte) << self.below(40),
        }
    }

    /// A few things.
    pub fn several<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}
