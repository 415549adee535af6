//! A trained model as a policy's adviser.

use std::sync::Arc;

use super::model::Model;
use super::network::Activations;
use super::train::action;
use super::view::{Viewer, corrected};
use crate::policy::{Adviser, Situation};

/// A model at work for one workload.
#[derive(Clone, Debug)]
pub struct Learned {
    model: Arc<Model>,
    viewer: Viewer,
    work: Activations,
}

impl Learned {
    /// Nothing seen yet.
    pub fn new(model: Arc<Model>) -> Self {
        Self { model, viewer: Viewer::default(), work: Activations::default() }
    }
}

impl Adviser for Learned {
    fn advise(&mut self, situation: &Situation<'_>) -> Option<u32> {
        let seen = self.viewer.see(situation)?;
        let Model { about, brain } = self.model.as_ref();
        let action = action(brain, &seen, about.margin, &mut self.work);
        Some(corrected(situation.proposal.without_advice()?, action?))
    }
}
