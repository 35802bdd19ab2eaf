//! A list of drafts that are found by id.

use events::Text;
use hashbrown::HashMap;

/// Up to this many drafts are searched one by one.
const SEARCHED_MAX: usize = 12;

/// Something that is made when its id is first named.
pub(crate) trait Draft<'a> {
    fn new(id: &'a Text) -> Self;
    fn id(&self) -> &'a Text;
}

/// Drafts in the order in which their ids were first named.
#[derive(Debug)]
pub(crate) struct ById<'a, T> {
    items: Vec<T>,
    index: HashMap<&'a str, usize>,
}

impl<T> Default for ById<'_, T> {
    fn default() -> Self {
        ById {
            items: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl<'a, T: Draft<'a>> ById<'a, T> {
    /// Position of the draft with this id.
    pub fn position(&self, id: &str) -> Option<usize> {
        if self.index.is_empty() {
            return self.items.iter().rposition(|item| item.id() == id);
        }
        self.index.get(id).copied()
    }

    /// The draft with this id.
    pub fn find(&self, id: &str) -> Option<&T> {
        self.position(id).map(|at| &self.items[at])
    }

    /// The draft with this id, made if it is not there.
    pub fn get(&mut self, id: &'a Text) -> &mut T {
        let at = self.position(id).unwrap_or_else(|| self.add(id));
        &mut self.items[at]
    }

    fn add(&mut self, id: &'a Text) -> usize {
        let at = self.items.len();
        self.items.push(T::new(id));
        if at == SEARCHED_MAX {
            self.index = self
                .items
                .iter()
                .map(|i| i.id().as_str())
                .zip(0..)
                .collect();
        } else if at > SEARCHED_MAX {
            self.index.insert(id, at);
        }
        at
    }
}

impl<T> std::ops::Deref for ById<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.items
    }
}
