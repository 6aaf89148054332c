//! A set of piece numbers, and the compact form in which it travels.

use serde::{Deserialize, Serialize};
use std::ops::{Range, RangeInclusive};

const BITS: u32 = u64::BITS;

/// A set of numbers below a fixed length: pieces held, pieces missing, entries complete.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bitfield {
    len: u32,
    count: u32,
    /// Bit `i % 64` of word `i / 64`; bits at and above `len` are zero.
    words: Vec<u64>,
}

/// A run of consecutive numbers, the unit in which sets of pieces and entries travel between ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first number of the run.
    pub first: u32,
    /// How many numbers follow each other, the first included.
    pub count: u32,
}

impl Span {
    /// The last number of the run.
    pub fn last(self) -> u32 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// The numbers of a run that is not empty, in order.
    pub fn numbers(self) -> RangeInclusive<u32> {
        self.first..=self.last()
    }

    /// Whether a number is in the run.
    pub fn contains(self, number: u32) -> bool {
        number >= self.first && number - self.first < self.count
    }

    /// The run as a range; `None` where it is empty or ends beyond `limit`, which a peer may send
    /// but never means well.
    pub fn checked(self, limit: u32) -> Option<Range<u32>> {
        let end = self.first.checked_add(self.count)?;
        (self.count > 0 && end <= limit).then_some(self.first..end)
    }

    /// Those of some runs that [`Self::checked`] takes, in order, as long as they have no more than
    /// `limit` numbers together: who names each number once names no more, and whoever repeats
    /// them does not get to say how long this rank is busy.
    pub fn all_checked(spans: &[Self], limit: u32) -> impl Iterator<Item = Range<u32>> + Clone {
        let mut left = limit;
        spans.iter().filter_map(move |span| span.checked(limit)).map_while(move |range| {
            left = left.checked_sub(range.end - range.start)?;
            Some(range)
        })
    }

    /// Joins numbers, given in any order but kept in that order, into runs of ascending neighbours.
    pub fn join(numbers: impl IntoIterator<Item = u32>) -> Vec<Self> {
        let mut spans: Vec<Self> = Vec::new();
        for number in numbers {
            match spans.last_mut() {
                Some(span) if span.first.checked_add(span.count) == Some(number) => span.count += 1,
                _ => spans.push(Self { first: number, count: 1 }),
            }
        }
        spans
    }
}

impl From<Range<u32>> for Span {
    fn from(range: Range<u32>) -> Self {
        Self { first: range.start, count: range.end.saturating_sub(range.start) }
    }
}

impl Bitfield {
    /// The empty set of numbers below `len`.
    pub fn new(len: u32) -> Self {
        Self { len, count: 0, words: vec![0; len.div_ceil(BITS) as usize] }
    }

    /// The set of all numbers below `len`.
    pub fn full(len: u32) -> Self {
        let mut set = Self::new(len);
        set.insert_range(0..len);
        set
    }

    /// The bound of the numbers: all are below it.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every number below the length is in the set.
    pub fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Whether a number is in the set.
    ///
    /// # Panics
    ///
    /// Panics at and above [`Self::len`].
    pub fn get(&self, number: u32) -> bool {
        assert!(number < self.len, "{number} of {}", self.len);
        self.words[(number / BITS) as usize] >> (number % BITS) & 1 == 1
    }

    /// Puts a number in; says whether it was not there.
    ///
    /// # Panics
    ///
    /// Panics at and above [`Self::len`].
    pub fn insert(&mut self, number: u32) -> bool {
        let new = !self.get(number);
        self.words[(number / BITS) as usize] |= 1 << (number % BITS);
        self.count += u32::from(new);
        new
    }

    /// Takes a number out; says whether it was there.
    ///
    /// # Panics
    ///
    /// Panics at and above [`Self::len`].
    pub fn remove(&mut self, number: u32) -> bool {
        let there = self.get(number);
        self.words[(number / BITS) as usize] &= !(1 << (number % BITS));
        self.count -= u32::from(there);
        there
    }

    /// Puts a range of numbers in.
    ///
    /// # Panics
    ///
    /// Panics where the range ends above [`Self::len`].
    pub fn insert_range(&mut self, range: Range<u32>) {
        self.for_words(range, |word, mask| *word |= mask);
    }

    /// Takes a range of numbers out.
    ///
    /// # Panics
    ///
    /// Panics where the range ends above [`Self::len`].
    pub fn remove_range(&mut self, range: Range<u32>) {
        self.for_words(range, |word, mask| *word &= !mask);
    }

    fn for_words(&mut self, range: Range<u32>, change: impl Fn(&mut u64, u64)) {
        assert!(range.end <= self.len, "{range:?} of {}", self.len);
        for (index, mask) in masks(range) {
            let word = &mut self.words[index];
            let before = word.count_ones();
            change(word, mask);
            self.count = self.count - before + word.count_ones();
        }
    }

    /// How many numbers of a range are in the set.
    ///
    /// # Panics
    ///
    /// Panics where the range ends above [`Self::len`].
    pub fn count_in(&self, range: Range<u32>) -> u32 {
        assert!(range.end <= self.len, "{range:?} of {}", self.len);
        masks(range).map(|(index, mask)| (self.words[index] & mask).count_ones()).sum()
    }

    /// Whether every number of a range is in the set.
    pub fn contains_range(&self, range: Range<u32>) -> bool {
        let size = range.end.saturating_sub(range.start);
        self.count_in(range) == size
    }

    /// Puts in every number that `other` has.
    ///
    /// # Panics
    ///
    /// Panics where the lengths differ.
    pub fn union_with(&mut self, other: &Self) {
        self.combine(other, |a, b| a | b);
    }

    /// Takes out every number that `other` has.
    ///
    /// # Panics
    ///
    /// Panics where the lengths differ.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, |a, b| a & !b);
    }

    /// Keeps only what `other` has too.
    ///
    /// # Panics
    ///
    /// Panics where the lengths differ.
    pub fn intersect_with(&mut self, other: &Self) {
        self.combine(other, |a, b| a & b);
    }

    fn combine(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        assert_eq!(self.len, other.len, "sets of different lengths");
        self.count = 0;
        for (word, &with) in self.words.iter_mut().zip(&other.words) {
            *word = op(*word, with);
            self.count += word.count_ones();
        }
    }

    /// Whether the two sets share a number.
    ///
    /// # Panics
    ///
    /// Panics where the lengths differ.
    pub fn intersects(&self, other: &Self) -> bool {
        assert_eq!(self.len, other.len, "sets of different lengths");
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// The numbers in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter_in(0..self.len)
    }

    /// The numbers of a range in ascending order.
    ///
    /// # Panics
    ///
    /// Panics where the range ends above [`Self::len`].
    pub fn iter_in(&self, range: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        assert!(range.end <= self.len, "{range:?} of {}", self.len);
        numbers_in(range, |index| self.words[index])
    }

    /// The numbers of a range as runs, in ascending order.
    ///
    /// # Panics
    ///
    /// Panics where the range ends above [`Self::len`].
    pub fn spans_in(&self, range: Range<u32>) -> Spans<'_> {
        assert!(range.end <= self.len, "{range:?} of {}", self.len);
        Spans { set: self, next: range.start, end: range.end }
    }

    /// All numbers as runs, in ascending order.
    pub fn spans(&self) -> Spans<'_> {
        self.spans_in(0..self.len)
    }

    /// The first number at or after `from` and below `end` that is (`true`) or is not (`false`) in
    /// the set.
    fn next(&self, from: u32, end: u32, present: bool) -> Option<u32> {
        masks(from..end).find_map(|(index, mask)| {
            let word = if present { self.words[index] } else { !self.words[index] } & mask;
            (word != 0).then(|| index as u32 * BITS + word.trailing_zeros())
        })
    }
}

/// The runs of a set; see [`Bitfield::spans_in`].
pub struct Spans<'a> {
    set: &'a Bitfield,
    next: u32,
    end: u32,
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        if self.next >= self.end {
            return None;
        }
        let first = self.set.next(self.next, self.end, true)?;
        let end = self.set.next(first, self.end, false).unwrap_or(self.end);
        self.next = end;
        Some(Span::from(first..end))
    }
}

/// The numbers of a range that are in a set which is not kept as such: `word` gives its bits for
/// the numbers from 64 times the index on. In ascending order, 64 candidates a step.
pub fn numbers_in(range: Range<u32>, word: impl Fn(usize) -> u64) -> impl Iterator<Item = u32> {
    masks(range).flat_map(move |(index, mask)| ones(index, word(index) & mask))
}

/// The words that a range touches, with the bits of each that belong to it.
fn masks(range: Range<u32>) -> impl Iterator<Item = (usize, u64)> {
    let (start, end) = (range.start, range.end.max(range.start));
    let words = if start == end { 0..0 } else { start / BITS..(end - 1) / BITS + 1 };
    words.map(move |word| {
        let low = start.saturating_sub(word * BITS);
        let high = (end - word * BITS).min(BITS);
        let mask = (u64::MAX << low) & (u64::MAX >> (BITS - high));
        (word as usize, mask)
    })
}

fn ones(index: usize, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(index as u32 * BITS + bit)
    })
}

impl std::fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}{{", self.count, self.len)?;
        for (i, span) in self.spans().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match span.count {
                1 => write!(f, "{comma}{}", span.first)?,
                _ => write!(f, "{comma}{}-{}", span.first, span.first + span.count - 1)?,
            }
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Debug, Clone)]
    enum Op {
        Insert(u32),
        Remove(u32),
        InsertRange(u32, u32),
        RemoveRange(u32, u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..200u32).prop_map(Op::Insert),
            (0..200u32).prop_map(Op::Remove),
            (0..=200u32, 0..=200u32).prop_map(|(a, b)| Op::InsertRange(a.min(b), a.max(b))),
            (0..=200u32, 0..=200u32).prop_map(|(a, b)| Op::RemoveRange(a.min(b), a.max(b))),
        ]
    }

    proptest! {
        #[test]
        fn a_bitfield_is_a_set(
            ops in prop::collection::vec(op(), 0..40),
            cut in (0..=200u32, 0..=200u32),
        ) {
            let mut set = Bitfield::new(200);
            let mut model = BTreeSet::new();
            for op in ops {
                match op {
                    Op::Insert(n) => prop_assert_eq!(set.insert(n), model.insert(n)),
                    Op::Remove(n) => prop_assert_eq!(set.remove(n), model.remove(&n)),
                    Op::InsertRange(a, b) => {
                        set.insert_range(a..b);
                        model.extend(a..b);
                    }
                    Op::RemoveRange(a, b) => {
                        set.remove_range(a..b);
                        model.retain(|n| !(a..b).contains(n));
                    }
                }
                prop_assert_eq!(set.count() as usize, model.len());
            }
            let range = cut.0.min(cut.1)..cut.0.max(cut.1);
            let inside: Vec<u32> = model.iter().copied().filter(|n| range.contains(n)).collect();
            prop_assert_eq!(set.iter_in(range.clone()).collect::<Vec<_>>(), inside.clone());
            prop_assert_eq!(set.count_in(range.clone()) as usize, inside.len());
            let spans: Vec<Span> = set.spans_in(range).collect();
            prop_assert_eq!(spans, Span::join(inside));
        }

        #[test]
        fn two_sets_combine_like_sets(a in prop::collection::btree_set(0..150u32, 0..80),
                                      b in prop::collection::btree_set(0..150u32, 0..80)) {
            let make = |numbers: &BTreeSet<u32>| {
                let mut set = Bitfield::new(150);
                numbers.iter().for_each(|&n| { set.insert(n); });
                set
            };
            let (x, y) = (make(&a), make(&b));
            let mut union = x.clone();
            union.union_with(&y);
            prop_assert_eq!(union.iter().collect::<BTreeSet<_>>(), &a | &b);
            let mut less = x.clone();
            less.subtract(&y);
            prop_assert_eq!(less.iter().collect::<BTreeSet<_>>(), &a - &b);
            let both = numbers_in(0..150, |word| x.words[word] & y.words[word]);
            let common: BTreeSet<u32> = both.collect();
            prop_assert_eq!(&common, &(&a & &b));
            prop_assert_eq!(x.intersects(&y), !common.is_empty());
        }
    }

    #[test]
    fn a_run_contains_what_is_neither_before_nor_behind_it() {
        let inside = |span: Span| (0..7).filter(|&n| span.contains(n)).collect::<Vec<u32>>();
        assert_eq!(inside(Span { first: 2, count: 3 }), [2, 3, 4]);
        assert_eq!(inside(Span { first: 2, count: 0 }), []);
        assert!(Span { first: 2, count: u32::MAX }.contains(u32::MAX));
    }

    #[test]
    fn a_run_that_overflows_or_ends_beyond_the_limit_is_refused() {
        assert_eq!(Span { first: 2, count: 3 }.checked(5), Some(2..5));
        assert_eq!(Span { first: 2, count: 4 }.checked(5), None);
        assert_eq!(Span { first: 2, count: 0 }.checked(5), None);
        assert_eq!(Span { first: u32::MAX, count: 2 }.checked(u32::MAX), None);
    }
}
