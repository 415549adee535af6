//! The learning curve as a picture: reward above, cost on what was not trained on below.

use anyhow::Context;

use crate::learning::train::Point;

const WIDTH: usize = 800;
const HEIGHT: usize = 600;
const LEFT: usize = 70;
const RIGHT: usize = 20;
const PANEL: usize = 230;
const SCALE: usize = 2;

type Colour = [u8; 3];
const WHITE: Colour = [255; 3];
const GREY: Colour = [170; 3];
const BLACK: Colour = [40; 3];
const BLUE: Colour = [31, 98, 180];
const RED: Colour = [190, 60, 40];

/// Digits and what numbers need beside them, three by five, a row in three bits.
const GLYPHS: [(char, [u8; 5]); 13] = [
    ('0', [7, 5, 5, 5, 7]),
    ('1', [2, 6, 2, 2, 7]),
    ('2', [7, 1, 7, 4, 7]),
    ('3', [7, 1, 7, 1, 7]),
    ('4', [5, 5, 7, 1, 1]),
    ('5', [7, 4, 7, 1, 7]),
    ('6', [7, 4, 7, 5, 7]),
    ('7', [7, 1, 1, 2, 2]),
    ('8', [7, 5, 7, 5, 7]),
    ('9', [7, 5, 7, 1, 7]),
    ('.', [0, 0, 0, 0, 2]),
    ('-', [0, 0, 7, 0, 0]),
    ('k', [4, 5, 6, 6, 5]),
];

struct Canvas(Vec<u8>);

impl Canvas {
    fn new() -> Self {
        Self(WHITE.repeat(WIDTH * HEIGHT))
    }

    fn dot(&mut self, x: usize, y: usize, colour: Colour) {
        let from = (y * WIDTH + x) * 3;
        if x < WIDTH
            && let Some(pixel) = self.0.get_mut(from..from + 3)
        {
            pixel.copy_from_slice(&colour);
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
        let mut at = 0.0;
        while at <= steps {
            let share = at / steps;
            let point = |a: f64, b: f64| place(a + share * (b - a));
            let (x, y) = (point(from.0, to.0), point(from.1, to.1));
            for (dx, dy) in [(0, 0), (1, 0), (0, 1)] {
                self.dot(x + dx, y + dy, colour);
            }
            at += 1.0;
        }
    }

    /// Writes a number that ends at `right`.
    fn number(&mut self, text: &str, right: usize, top: usize) {
        let left = right.saturating_sub(text.chars().count() * 4 * SCALE);
        for (at, wanted) in text.chars().enumerate() {
            let Some((_, rows)) = GLYPHS.iter().find(|(known, _)| *known == wanted) else {
                continue;
            };
            for (y, row) in rows.iter().enumerate() {
                for x in (0..3).filter(|x| row >> (2 - x) & 1 == 1) {
                    for (dx, dy) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        let (x, y) = (left + (at * 4 + x) * SCALE + dx, top + y * SCALE + dy);
                        self.dot(x, y, BLACK);
                    }
                }
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in the picture; a float saturates"
)]
fn place(value: f64) -> usize {
    value.round() as usize
}

/// One curve with its axes, labelled at its ends; `line` is where nothing is won.
fn panel(
    canvas: &mut Canvas,
    top: usize,
    points: &[(f64, f64)],
    colour: Colour,
    line: Option<f64>,
) {
    let known = || points.iter().map(|point| point.1).filter(|y| y.is_finite()).chain(line);
    let (low, high) = known()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    let last = points.last().map_or(1.0, |point| point.0).max(1.0);
    let span = (high - low).max(1e-9);
    let width = (WIDTH - LEFT - RIGHT) as f64;
    let x = |step: f64| LEFT as f64 + step / last * width;
    let y = |value: f64| top as f64 + PANEL as f64 * (1.0 - (value - low) / span);
    let (bottom, right) = ((top + PANEL) as f64, (WIDTH - RIGHT) as f64);
    canvas.line((LEFT as f64, top as f64), (LEFT as f64, bottom), GREY);
    canvas.line((LEFT as f64, bottom), (right, bottom), GREY);
    if let Some(line) = line {
        canvas.line((LEFT as f64, y(line)), (right, y(line)), GREY);
        canvas.number(&format!("{line:.0}"), LEFT - 8, place(y(line)));
    }
    for value in [low, high] {
        canvas.number(&format!("{value:.3}"), LEFT - 8, place(y(value)).saturating_sub(5));
    }
    canvas.number(&format!("{:.0}k", last / 1_000.0), WIDTH - RIGHT, top + PANEL + 8);
    for pair in points.windows(2) {
        if let [a, b] = pair
            && a.1.is_finite()
            && b.1.is_finite()
        {
            canvas.line((x(a.0), y(a.1)), (x(b.0), y(b.1)), colour);
        }
    }
}

/// The picture's bytes.
pub(super) fn png(curve: &[Point]) -> anyhow::Result<Vec<u8>> {
    let of = |value: &dyn Fn(&Point) -> f64| -> Vec<(f64, f64)> {
        curve.iter().map(|point| (point.step as f64, value(point))).collect()
    };
    let mut canvas = Canvas::new();
    panel(&mut canvas, 30, &of(&|point| point.reward), BLUE, None);
    panel(&mut canvas, 320, &of(&|point| point.validation_cost_ratio), RED, Some(1.0));
    let mut bytes = Vec::new();
    let size = |length: usize| u32::try_from(length).unwrap_or(0);
    let mut encoder = png::Encoder::new(&mut bytes, size(WIDTH), size(HEIGHT));
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().context("the learning curve")?;
    writer.write_image_data(&canvas.0).context("the learning curve")?;
    writer.finish().context("the learning curve")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_both_curves() {
        let point = |step, ratio| Point {
            step,
            reward: -1.0 - 1.0 / step as f64,
            loss: 0.0,
            validation_cost_ratio: ratio,
            margin: 0.0,
        };
        let bytes =
            png(&[point(1_000, 1.1), point(2_000, f64::NAN), point(3_000, 0.9), point(4_000, 0.8)]);
        let decoder = png::Decoder::new(std::io::Cursor::new(bytes.unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let count = |colour: Colour| pixels.chunks(3).filter(|pixel| *pixel == colour).count();
        assert!(count(BLUE) > 500 && count(RED) > 200 && count(BLACK) > 200);
    }
}
