//! Sentences as rows of a matrix of distinct tokens: every distinct token of a batch is embedded and projected once.

/// For each sentence the rows of its tokens, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequences {
    /// The rows of all tokens, sentence after sentence.
    pub rows: Vec<u32>,
    /// Sentence s holds `rows[starts[s]..starts[s + 1]]`.
    pub starts: Vec<u32>,
    /// On a GPU, the tree of their prefixes, once it was built.
    #[cfg(feature = "cuda")]
    pub(super) kept: kept::Kept,
}

/// What an operation keeps of sentences until it reads them.
#[cfg(feature = "cuda")]
mod kept {
    use std::any::Any;
    use std::sync::{Arc, OnceLock};

    /// One thing, of a type that the operation knows. It is no part of what the sentences are.
    #[derive(Clone, Default)]
    pub(in crate::ops) struct Kept(OnceLock<Arc<dyn Any + Send + Sync>>);

    impl Kept {
        /// What is kept, made where nothing is; nothing, where something of another type is kept.
        pub fn get_or<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Option<Arc<T>> {
            self.0.get_or_init(|| Arc::new(make())).clone().downcast().ok()
        }
    }

    impl std::fmt::Debug for Kept {
        fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("kept")
        }
    }

    impl PartialEq for Kept {
        fn eq(&self, _: &Self) -> bool {
            true
        }
    }

    impl Eq for Kept {}
}

impl Default for Sequences {
    fn default() -> Self {
        Sequences::new()
    }
}

impl Sequences {
    /// No sentences.
    pub fn new() -> Self {
        Sequences::of(Vec::new(), vec![0])
    }

    fn of(rows: Vec<u32>, starts: Vec<u32>) -> Self {
        Sequences {
            rows,
            starts,
            #[cfg(feature = "cuda")]
            kept: Default::default(),
        }
    }

    /// Adds a sentence, by the rows of its tokens.
    pub fn push(&mut self, tokens: impl IntoIterator<Item = u32>) {
        self.rows.extend(tokens);
        self.starts.push(self.rows.len() as u32);
        #[cfg(feature = "cuda")]
        std::mem::take(&mut self.kept);
    }

    /// Sentences of the same lengths of which each token has a row of its own, in order.
    pub fn apart(&self) -> Sequences {
        Sequences::of((0..self.rows.len() as u32).collect(), self.starts.clone())
    }

    /// The first sentences, so many of them.
    pub fn first(&self, count: usize) -> Sequences {
        let starts = self.starts[..=count].to_vec();
        Sequences::of(self.rows[..starts[count] as usize].to_vec(), starts)
    }

    /// The number of sentences.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no sentence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of a sentence's tokens.
    pub fn get(&self, s: usize) -> &[u32] {
        &self.rows[self.starts[s] as usize..self.starts[s + 1] as usize]
    }

    /// How many tokens a sentence has.
    pub fn length(&self, s: usize) -> usize {
        (self.starts[s + 1] - self.starts[s]) as usize
    }
}

/// Lists of places by row: where in `rows` each of `count` rows occurs, in ascending order.
pub struct Occurrences {
    places: Vec<u32>,
    starts: Vec<u32>,
}

impl Occurrences {
    /// Where each row occurs; all of `rows` are below `count`.
    pub fn of(rows: impl Iterator<Item = u32> + Clone, count: usize) -> Self {
        let mut starts = vec![0u32; count + 1];
        rows.clone().for_each(|r| starts[r as usize + 1] += 1);
        for r in 0..count {
            starts[r + 1] += starts[r];
        }
        let mut next = starts.clone();
        let mut places = vec![0u32; starts[count] as usize];
        for (place, r) in rows.enumerate() {
            places[next[r as usize] as usize] = place as u32;
            next[r as usize] += 1;
        }
        Occurrences { places, starts }
    }

    /// The places of all rows, row by row.
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// Where each row's places begin; one more entry for the end.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The places of a row, ascending.
    pub fn get(&self, row: usize) -> &[u32] {
        &self.places[self.starts[row] as usize..self.starts[row + 1] as usize]
    }
}
