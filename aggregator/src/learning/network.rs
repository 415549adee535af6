//! The value network: two hidden layers and a dueling head, on the processor, without a library.
//!
//! At 12-64-64-6 a layer is a few thousand numbers, and what a tensor library spends on each
//! operation is more than the operation itself. The gradient is checked against finite differences
//! in the tests below.

use thiserror::Error;

use crate::chance::Chance;

/// Widest layer that is accepted from a file.
const MOST_WIDE: usize = 4_096;

/// Sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Numbers that go in.
    pub inputs: usize,
    /// Units of each of the two hidden layers.
    pub hidden: usize,
    /// Values that come out, one an action.
    pub actions: usize,
}

impl Shape {
    /// Numbers of each tensor, in the order in which they are kept: weights by input, then biases,
    /// of the two hidden layers and of the head (the state's value first, then the advantages).
    pub const fn sizes(self) -> [usize; 6] {
        let (inputs, hidden, head) = (self.inputs, self.hidden, self.actions + 1);
        [inputs * hidden, hidden, hidden * hidden, hidden, hidden * head, head]
    }

    /// All parameters.
    pub fn parameters(self) -> usize {
        self.sizes().iter().sum()
    }

    /// Whether every layer has between one and [`MOST_WIDE`] units.
    fn is_sound(self) -> bool {
        [self.inputs, self.hidden, self.actions].iter().all(|n| (1..=MOST_WIDE).contains(n))
    }
}

/// Parameters that make no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnusableNetwork {
    /// The number does not fit.
    #[error("{given} parameters for a network that has {needed}; train the model anew")]
    Size {
        /// Given.
        given: usize,
        /// What the shape has.
        needed: usize,
    },
    /// A layer is empty or too wide.
    #[error("a layer of {0:?} is empty or wider than {MOST_WIDE}; train the model anew")]
    Shape(Shape),
}

/// What was computed of one input, for the values and for the gradient.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    first: Vec<f32>,
    second: Vec<f32>,
    head: Vec<f32>,
    values: Vec<f32>,
    back: Vec<f32>,
    back_before: Vec<f32>,
}

impl Activations {
    /// The value of each action.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The action of the highest value, the first of equals; values that are not numbers lose
    /// against every number, and without any number it is action 0.
    pub fn best(&self) -> usize {
        best(&self.values)
    }
}

/// The place of the highest number, the first of equals; 0 without any.
pub fn best(values: &[f32]) -> usize {
    let mut found = (0, f32::NEG_INFINITY);
    for (at, value) in values.iter().enumerate() {
        if *value > found.1 {
            found = (at, *value);
        }
    }
    found.0
}

/// Values of actions as a function of what is observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    shape: Shape,
    parameters: Vec<f32>,
}

/// Weights and biases of a layer.
type Layer<'a> = (&'a [f32], &'a [f32]);

impl Network {
    /// Weights by chance (He et al. 2015: a variance of two over the inputs), biases zero.
    pub(crate) fn new(shape: Shape, chance: &mut Chance) -> Self {
        let mut parameters = Vec::with_capacity(shape.parameters());
        let [w1, b1, w2, b2, w3, b3] = shape.sizes();
        for (weights, biases, inputs, gain) in [
            (w1, b1, shape.inputs, 2.0),
            (w2, b2, shape.hidden, 2.0),
            // A small head: no action is better than another before anything was seen.
            (w3, b3, shape.hidden, 0.01),
        ] {
            let scale = (gain / inputs as f64).sqrt();
            #[expect(clippy::cast_possible_truncation, reason = "a weight needs few digits")]
            parameters.extend((0..weights).map(|_| (chance.normal() * scale) as f32));
            parameters.extend(std::iter::repeat_n(0.0, biases));
        }
        Self { shape, parameters }
    }

    /// A network of stored parameters, in the order of [`Shape::sizes`].
    ///
    /// # Errors
    /// [`UnusableNetwork`] when they do not make one.
    pub fn from_parameters(shape: Shape, parameters: Vec<f32>) -> Result<Self, UnusableNetwork> {
        if !shape.is_sound() {
            return Err(UnusableNetwork::Shape(shape));
        }
        let (given, needed) = (parameters.len(), shape.parameters());
        if given != needed {
            return Err(UnusableNetwork::Size { given, needed });
        }
        Ok(Self { shape, parameters })
    }

    /// Its sizes.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// All parameters, in the order of [`Shape::sizes`].
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The same, to be changed.
    pub(crate) fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// Raises the value of an action over all others, whatever is observed.
    pub(crate) fn prefer(&mut self, action: usize, by: f32) {
        let first = self.parameters.len() - self.shape.actions;
        if let Some(bias) = self.parameters.get_mut(first + action) {
            *bias += by;
        }
    }

    fn layers(&self) -> [Layer<'_>; 3] {
        let [w1, b1, w2, b2, w3, _] = self.shape.sizes();
        let rest = self.parameters.as_slice();
        let (first, rest) = rest.split_at(w1 + b1);
        let (second, head) = rest.split_at(w2 + b2);
        [first.split_at(w1), second.split_at(w2), head.split_at(w3)]
    }

    /// The value of each action.
    pub fn evaluate<'a>(&self, input: &[f32], work: &'a mut Activations) -> &'a [f32] {
        let [first, second, head] = self.layers();
        forward(first, input, &mut work.first);
        rectify(&mut work.first);
        forward(second, &work.first, &mut work.second);
        rectify(&mut work.second);
        forward(head, &work.second, &mut work.head);
        let (state, advantages) = work.head.split_first().unwrap_or((&0.0, &[]));
        let mean = advantages.iter().sum::<f32>() / advantages.len().max(1) as f32;
        work.values.clear();
        work.values.extend(advantages.iter().map(|advantage| state + advantage - mean));
        &work.values
    }

    /// Adds to `gradient` what one input says whose values are in `work`: `slope` is the
    /// derivative of the loss by the value of `action`.
    pub(crate) fn accumulate(
        &self,
        input: &[f32],
        work: &mut Activations,
        action: usize,
        slope: f32,
        gradient: &mut [f32],
    ) {
        let [w1, b1, w2, b2, w3, _] = self.shape.sizes();
        let [_, (second, _), (head, _)] = self.layers();
        let share = slope / self.shape.actions as f32;
        work.back.clear();
        work.back.push(slope);
        work.back.extend(std::iter::repeat_n(-share, self.shape.actions));
        if let Some(chosen) = work.back.get_mut(action + 1) {
            *chosen += slope;
        }
        let (gradient_1, rest) = gradient.split_at_mut(w1 + b1);
        let (gradient_2, gradient_3) = rest.split_at_mut(w2 + b2);
        backward(gradient_3, w3, &work.second, &work.back);
        through(head, &work.back, &work.second, &mut work.back_before);
        backward(gradient_2, w2, &work.first, &work.back_before);
        through(second, &work.back_before, &work.first, &mut work.back);
        backward(gradient_1, w1, input, &work.back);
    }
}

/// `output = input · weights + bias`.
fn forward((weights, bias): Layer<'_>, input: &[f32], output: &mut Vec<f32>) {
    output.clear();
    output.extend_from_slice(bias);
    for (x, row) in input.iter().zip(weights.chunks_exact(bias.len().max(1))) {
        // Half of the hidden units are silent.
        if *x != 0.0 {
            for (y, w) in output.iter_mut().zip(row) {
                *y += x * w;
            }
        }
    }
}

fn rectify(values: &mut [f32]) {
    // A value that is not a number stays one, so that it is seen.
    values.iter_mut().filter(|value| **value < 0.0).for_each(|value| *value = 0.0);
}

/// Adds the gradient of a layer: `input` went in, and `back` is the loss by what came out.
fn backward(gradient: &mut [f32], weights: usize, input: &[f32], back: &[f32]) {
    let (by_weight, by_bias) = gradient.split_at_mut(weights);
    for (x, row) in input.iter().zip(by_weight.chunks_exact_mut(back.len().max(1))) {
        if *x != 0.0 {
            for (g, d) in row.iter_mut().zip(back) {
                *g += x * d;
            }
        }
    }
    for (g, d) in by_bias.iter_mut().zip(back) {
        *g += d;
    }
}

/// The loss by what came into a layer, past the rectifier before it.
fn through(weights: &[f32], back: &[f32], input: &[f32], before: &mut Vec<f32>) {
    before.clear();
    for (x, row) in input.iter().zip(weights.chunks_exact(back.len().max(1))) {
        let slope = if *x > 0.0 { dot(row, back) } else { 0.0 };
        before.push(slope);
    }
}

/// In eight sums side by side, so that the processor adds eight at a time.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (eights_a, eights_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = eights_a.remainder().iter().zip(eights_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in eights_a.zip(eights_b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Adam (Kingma and Ba 2015) with a bound on the gradient's length.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
}

impl Adam {
    const MEAN: f32 = 0.9;
    const SQUARE: f32 = 0.999;
    const LONGEST: f32 = 10.0;

    pub(crate) fn new(parameters: usize) -> Self {
        Self { mean: vec![0.0; parameters], square: vec![0.0; parameters], steps: 0 }
    }

    /// One step down `gradient`.
    pub(crate) fn descend(&mut self, parameters: &mut [f32], gradient: &mut [f32], rate: f32) {
        let length = dot(gradient, gradient).sqrt();
        if !length.is_finite() {
            return;
        }
        let shrink = (Self::LONGEST / length.max(1e-12)).min(1.0);
        self.steps = self.steps.saturating_add(1);
        let of_mean = 1.0 - Self::MEAN.powi(self.steps);
        let of_square = 1.0 - Self::SQUARE.powi(self.steps);
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((parameter, g), (mean, square)) in parameters.iter_mut().zip(gradient).zip(moments) {
            let slope = *g * shrink;
            *mean += (1.0 - Self::MEAN) * (slope - *mean);
            *square += (1.0 - Self::SQUARE) * (slope * slope - *square);
            *parameter -= rate * (*mean / of_mean) / ((*square / of_square).sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { inputs: 5, hidden: 16, actions: 3 };
    const INPUT: [f32; 5] = [0.3, -1.2, 0.0, 2.0, 0.7];

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let mut chance = Chance::new(3);
        let mut network = Network::new(SHAPE, &mut chance);
        // Away from zero, so that no rectifier stands on its edge.
        let odds = [-0.11_f32, 0.05, -0.02, 0.09, -0.05, 0.16, 0.13];
        network.parameters.iter_mut().zip(odds.into_iter().cycle()).for_each(|(w, odd)| *w += odd);
        let mut work = Activations::default();
        let mut gradient = vec![0.0; SHAPE.parameters()];
        network.evaluate(&INPUT, &mut work);
        network.accumulate(&INPUT, &mut work, 1, 1.0, &mut gradient);
        let mut checked = 0;
        for (at, found) in gradient.iter().enumerate() {
            let value = |by: f32| {
                let mut moved = network.clone();
                moved.parameters[at] += by;
                f64::from(moved.evaluate(&INPUT, &mut Activations::default())[1])
            };
            let slope = (value(1e-3) - value(-1e-3)) / 2e-3;
            let found = f64::from(*found);
            assert!((slope - found).abs() < 2e-3 * (1.0 + slope.abs()), "{at}: {slope} {found}");
            checked += usize::from(found != 0.0);
        }
        assert!(checked > 150, "only {checked} parameters matter");
    }

    #[test]
    fn values_are_the_states_value_and_advantages_without_their_mean() {
        let mut network = Network::new(SHAPE, &mut Chance::new(1));
        let mut work = Activations::default();
        let before = network.evaluate(&INPUT, &mut work).to_vec();
        network.prefer(2, 3.0);
        let after = network.evaluate(&INPUT, &mut work).to_vec();
        assert!(
            (after[2] - before[2] - 2.0).abs() < 1e-5 && (after[0] - before[0] + 1.0).abs() < 1e-5
        );
        assert_eq!(work.best(), 2);
    }

    #[test]
    fn adam_finds_the_minimum() {
        let (mut at, mut adam) = (vec![3.0_f32, -2.0], Adam::new(2));
        for _ in 0..2_000 {
            let mut gradient: Vec<f32> = at.iter().map(|x| 2.0 * (x - 1.0)).collect();
            adam.descend(&mut at, &mut gradient, 0.01);
        }
        assert!(at.iter().all(|x| (x - 1.0).abs() < 1e-2), "{at:?}");
    }

    #[test]
    fn parameters_that_do_not_fit_are_refused_and_numbers_win_over_others() {
        let wrong = Network::from_parameters(SHAPE, vec![0.0; 7]);
        assert_eq!(wrong, Err(UnusableNetwork::Size { given: 7, needed: SHAPE.parameters() }));
        let huge = Shape { hidden: usize::MAX / 2, ..SHAPE };
        assert_eq!(Network::from_parameters(huge, vec![]), Err(UnusableNetwork::Shape(huge)));
        assert_eq!(best(&[f32::NAN, 1.0, f32::NAN, 2.0]), 3);
        assert_eq!(best(&[f32::NAN; 3]), 0);
    }
}
