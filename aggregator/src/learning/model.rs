//! A trained model as a file: weights as safetensors, and in the header what they were made of.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::network::{Network, Shape, UnusableNetwork};
use super::reward::Prices;
use super::view::{CORRECTIONS, INPUTS, KEEP, SCHEMA, STATES};

/// Version of the file's layout.
pub const FORMAT: u32 = 1;
/// Where the header keeps [`About`]: one entry, so that the same model is the same bytes.
const KEY: &str = "foresail";
/// Tensors of a network, in the order of [`Shape::sizes`].
const TENSORS: [&str; 6] = [
    "hidden_1.weight",
    "hidden_1.bias",
    "hidden_2.weight",
    "hidden_2.bias",
    "head.weight",
    "head.bias",
];
const TABLE: &str = "values";

/// What learned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Q-learning on a table.
    Q,
    /// Deep Q-learning.
    Dqn,
}

/// What a model was made of, and how good it was where it was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// [`FORMAT`].
    pub format: u32,
    /// What learned it.
    pub kind: Kind,
    /// Version of the program that trained it.
    pub version: String,
    /// Names of the inputs, in order.
    pub schema: Vec<String>,
    /// Corrections of the answer that its actions stand for.
    pub corrections: Vec<f64>,
    /// An action counts only when it is worth more than leaving the answer alone by this much.
    pub margin: f32,
    /// Prices that it was trained for.
    pub prices: Prices,
    /// Where chance began.
    pub seed: u64,
    /// Steps that it was trained on.
    pub steps: u64,
    /// Traces, and a fingerprint of every rate in them.
    pub data: Vec<String>,
    /// FNV-1a of the rates, in hexadecimal.
    pub fingerprint: String,
    /// Cost on the part of the traces that it was chosen on, over that of the answer left alone;
    /// below 1 is better.
    pub validation_cost_ratio: f64,
}

/// What values actions.
#[derive(Clone, Debug, PartialEq)]
pub enum Brain {
    /// A network.
    Network(Network),
    /// A table: values of all actions, state after state.
    Table(Vec<f32>),
}

/// A trained model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What it was made of.
    pub about: About,
    /// What it has learned.
    pub brain: Brain,
}

/// Why a file is no model that can be used.
#[derive(Debug, Error)]
pub enum UnusableModel {
    /// It is no safetensors file, or a damaged one.
    #[error("not a safetensors file: {0}; train the model anew")]
    Safetensors(#[from] SafeTensorError),
    /// The header does not say what the model is.
    #[error(
        "the header has no valid entry `{KEY}`: {0}; only models of `foresail train` can be used"
    )]
    About(String),
    /// It was trained for other inputs or actions.
    #[error("trained for other {what} than this version has; train it anew with this version")]
    Schema {
        /// What differs.
        what: &'static str,
    },
    /// A tensor is missing, or not what the header says.
    #[error("tensor {name}: {problem}; train the model anew")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The network is none.
    #[error(transparent)]
    Network(#[from] UnusableNetwork),
}

impl Model {
    /// The file's bytes; the same for the same model.
    ///
    /// # Errors
    /// [`UnusableModel`] when there is no such file, which no trained model gives.
    pub fn to_bytes(&self) -> Result<Vec<u8>, UnusableModel> {
        let about =
            serde_json::to_string(&self.about).map_err(|e| UnusableModel::About(e.to_string()))?;
        let parts: Vec<(&str, Vec<usize>, Vec<u8>)> = match &self.brain {
            Brain::Table(values) => {
                vec![(TABLE, vec![STATES, CORRECTIONS.len()], little_endian(values))]
            }
            Brain::Network(network) => {
                let mut rest = network.parameters();
                let sizes = network.shape().sizes().into_iter().zip(shapes(network.shape()));
                let mut parts = Vec::new();
                for (name, (size, shape)) in TENSORS.into_iter().zip(sizes) {
                    let (own, after) = rest.split_at(size);
                    parts.push((name, shape, little_endian(own)));
                    rest = after;
                }
                parts
            }
        };
        let mut views = Vec::new();
        for (name, shape, bytes) in &parts {
            views.push((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?));
        }
        let header = HashMap::from([(KEY.to_owned(), about)]);
        Ok(safetensors::serialize(views, Some(header))?)
    }

    /// Reads a file, and checks it against what this version sees and does.
    ///
    /// # Errors
    /// [`UnusableModel`], with what to do.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UnusableModel> {
        let about = Self::about(bytes)?;
        if !about.schema.iter().eq(SCHEMA.iter().map(|feature| feature.name)) {
            return Err(UnusableModel::Schema { what: "inputs" });
        }
        if about.corrections != CORRECTIONS {
            return Err(UnusableModel::Schema { what: "actions" });
        }
        let tensors = SafeTensors::deserialize(bytes)?;
        let brain = match about.kind {
            Kind::Q => {
                let (_, values) = floats(&tensors, TABLE)?;
                if values.len() != STATES * CORRECTIONS.len() {
                    let name = TABLE.to_owned();
                    return Err(UnusableModel::Tensor { name, problem: "has another size" });
                }
                Brain::Table(values)
            }
            Kind::Dqn => {
                let hidden = floats(&tensors, TENSORS[1])?.1.len();
                let shape = Shape { inputs: INPUTS, hidden, actions: CORRECTIONS.len() };
                let mut parameters = Vec::new();
                for (name, expected) in TENSORS.into_iter().zip(shapes(shape)) {
                    let (found, values) = floats(&tensors, name)?;
                    if found != expected {
                        let name = name.to_owned();
                        return Err(UnusableModel::Tensor { name, problem: "has another shape" });
                    }
                    parameters.extend(values);
                }
                Brain::Network(Network::from_parameters(shape, parameters)?)
            }
        };
        Ok(Self { about, brain })
    }

    /// Only what the header says.
    ///
    /// # Errors
    /// [`UnusableModel`] when it says nothing that can be understood.
    pub fn about(bytes: &[u8]) -> Result<About, UnusableModel> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let entry = header.metadata().as_ref().and_then(|entries| entries.get(KEY));
        let Some(entry) = entry else { return Err(UnusableModel::About("it is missing".into())) };
        let about: About =
            serde_json::from_str(entry).map_err(|error| UnusableModel::About(error.to_string()))?;
        if about.format != FORMAT {
            let problem = format!("format {} is not {FORMAT}", about.format);
            return Err(UnusableModel::About(problem));
        }
        Ok(about)
    }

    /// The names and corrections of this version.
    pub fn schema() -> (Vec<String>, Vec<f64>) {
        (SCHEMA.iter().map(|feature| feature.name.to_owned()).collect(), CORRECTIONS.to_vec())
    }
}

/// The action of the highest value if it is worth more than [`KEEP`] by the margin; `None` when any
/// value is not a number: such a model has nothing to say.
pub(crate) fn chosen(values: &[f32], margin: f32) -> Option<usize> {
    if !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let best = super::network::best(values);
    let gain = values.get(best)? - values.get(KEEP)?;
    Some(if gain > margin { best } else { KEEP })
}

/// Shapes of a network's tensors, as [`Shape::sizes`] has their sizes.
fn shapes(shape: Shape) -> [Vec<usize>; 6] {
    let (inputs, hidden, head) = (shape.inputs, shape.hidden, shape.actions + 1);
    [
        vec![inputs, hidden],
        vec![hidden],
        vec![hidden, hidden],
        vec![hidden],
        vec![hidden, head],
        vec![head],
    ]
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<f32>), UnusableModel> {
    let tensor = tensors.tensor(name)?;
    if tensor.dtype() != Dtype::F32 {
        let name = name.to_owned();
        return Err(UnusableModel::Tensor { name, problem: "is not of 32 bit floats" });
    }
    let (numbers, _) = tensor.data().as_chunks::<4>();
    let values = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok((tensor.shape().to_vec(), values))
}

/// FNV-1a over the bits of many numbers.
pub fn fingerprint<'a>(series: impl Iterator<Item = &'a [Option<f64>]>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for rate in series.flatten() {
        for byte in rate.unwrap_or(-1.0).to_bits().to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    fn model(kind: Kind) -> Model {
        let (schema, corrections) = Model::schema();
        let about = About {
            format: FORMAT,
            kind,
            version: "0.1.0".into(),
            schema,
            corrections,
            margin: 0.05,
            prices: Prices::default(),
            seed: 1,
            steps: 2,
            data: vec!["a".into()],
            fingerprint: fingerprint([[Some(1.0), None].as_slice()].into_iter()),
            validation_cost_ratio: 0.99,
        };
        let shape = Shape { inputs: INPUTS, hidden: 8, actions: CORRECTIONS.len() };
        let brain = match kind {
            Kind::Dqn => Brain::Network(Network::new(shape, &mut Chance::new(1))),
            Kind::Q => Brain::Table(vec![0.5; STATES * CORRECTIONS.len()]),
        };
        Model { about, brain }
    }

    #[test]
    fn a_model_reads_back_as_it_was_and_is_the_same_bytes_each_time() {
        for kind in [Kind::Q, Kind::Dqn] {
            let model = model(kind);
            let bytes = model.to_bytes().unwrap();
            assert_eq!(Model::from_bytes(&bytes).unwrap(), model);
            assert_eq!(bytes, model.to_bytes().unwrap());
        }
    }

    #[test]
    fn what_is_no_model_is_refused_with_a_remedy() {
        let whole = model(Kind::Dqn).to_bytes().unwrap();
        let refused = |bytes: &[u8]| Model::from_bytes(bytes).unwrap_err().to_string();
        assert!(refused(&whole[..whole.len() - 4]).contains("not a safetensors file"));
        assert!(refused(b"nonsense").contains("train the model anew"));
        let mut other = model(Kind::Dqn);
        other.about.schema.swap(0, 1);
        assert!(refused(&other.to_bytes().unwrap()).contains("other inputs"));
        let mut other = model(Kind::Dqn);
        other.about.corrections[0] = -0.9;
        assert!(refused(&other.to_bytes().unwrap()).contains("other actions"));
        let mut other = model(Kind::Q);
        other.about.kind = Kind::Dqn;
        assert!(refused(&other.to_bytes().unwrap()).contains("hidden_1.bias"));
    }

    #[test]
    fn a_value_that_is_no_number_silences_the_model_and_a_small_gain_changes_nothing() {
        assert_eq!(chosen(&[0.0, 0.0, 1.0, 1.2, 0.0, 0.0], 0.1), Some(3));
        assert_eq!(chosen(&[0.0, 0.0, 1.0, 1.05, 0.0, 0.0], 0.1), Some(KEEP));
        assert_eq!(chosen(&[0.0, f32::NAN, 1.0, 1.2, 0.0, 0.0], 0.1), None);
        assert_eq!(chosen(&[f32::INFINITY; 6], 0.1), None);
    }
}
