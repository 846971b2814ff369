//! Values under small reusable numbers, so that the pool's indexes hold four bytes instead of thirty-two.

/// The number under which a [`Slab`] keeps a value; reused after the value is removed.
pub(super) type Slot = u32;

/// A vector with reusable places.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    values: Vec<Option<T>>,
    vacant: Vec<Slot>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Slab { values: Vec::new(), vacant: Vec::new() }
    }

    /// Keeps `value` and says where.
    pub(super) fn insert(&mut self, value: T) -> Slot {
        if let Some(slot) = self.vacant.pop() {
            self.values[slot as usize] = Some(value);
            return slot;
        }
        // The pool's bounds keep this far below 2^32.
        let slot = Slot::try_from(self.values.len()).expect("the pool holds fewer than 2^32 values");
        self.values.push(Some(value));
        slot
    }

    /// What `slot` holds, if anything.
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.values.get(slot as usize).and_then(Option::as_ref)
    }

    /// Takes out what `slot` holds.
    pub(super) fn remove(&mut self, slot: Slot) -> T {
        let value = self.values[slot as usize].take().expect("an index names a value that is held");
        self.vacant.push(slot);
        value
    }
}

impl<T> std::ops::Index<Slot> for Slab<T> {
    type Output = T;

    fn index(&self, slot: Slot) -> &T {
        self.values[slot as usize].as_ref().expect("an index names a value that is held")
    }
}

impl<T> std::ops::IndexMut<Slot> for Slab<T> {
    fn index_mut(&mut self, slot: Slot) -> &mut T {
        self.values[slot as usize].as_mut().expect("an index names a value that is held")
    }
}
