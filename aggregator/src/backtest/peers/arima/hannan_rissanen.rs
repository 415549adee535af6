#![expect(
    clippy::indexing_slicing,
    reason = "columns and terms are below COLUMNS and MAX_TERMS by Order; steps begin after the lags"
)]
//! ARIMA(p ≤ 3, d ≤ 1, q ≤ 1) by two regressions, its order by the corrected Akaike criterion.
//!
//! Source: E. J. Hannan and J. Rissanen, "Recursive estimation of mixed autoregressive-moving
//! average order", Biometrika 69 (1982): innovations from a long autoregression stand in as
//! regressors for the moving average.

/// Order of the long autoregression.
const LONG_ORDER: usize = 4;
/// Regressors at most: a constant, and four lags or three and an innovation.
const MAX_TERMS: usize = 5;
/// Constant, lags 1 to 4, the innovation before, and the value itself.
const COLUMNS: usize = 7;
/// Column of the innovation.
const INNOVATION: usize = 5;
/// Column of the value.
const VALUE: usize = 6;

/// Which terms a regression has.
#[derive(Clone, Copy, Debug)]
struct Order {
    p: usize,
    q: usize,
    constant: bool,
}

impl Order {
    const fn terms(self) -> usize {
        self.p + self.q + self.constant as usize
    }

    /// Column of each term: constant, lags, innovation.
    fn columns(self) -> [usize; MAX_TERMS] {
        let mut columns = [0; MAX_TERMS];
        let first = usize::from(self.constant);
        for lag in 1..=self.p {
            columns[first + lag - 1] = lag;
        }
        if self.q > 0 {
            columns[first + self.p] = INNOVATION;
        }
        columns
    }

    /// The regressors of step `t`: constant, values before it, innovations before it.
    fn row(self, values: &[f64], innovations: &[f64], t: usize) -> [f64; MAX_TERMS] {
        let mut row = [0.0; MAX_TERMS];
        let mut place = 0;
        if self.constant {
            row[0] = 1.0;
            place = 1;
        }
        for lag in 1..=self.p {
            row[place] = values[t - lag];
            place += 1;
        }
        for lag in 1..=self.q {
            row[place] = innovations[t - lag];
            place += 1;
        }
        row
    }
}

/// A fitted model of one series, differenced or not.
struct Fitted {
    order: Order,
    weights: [f64; MAX_TERMS],
    residual_sum: f64,
}

impl Fitted {
    /// Whether the process neither explodes nor hides an explosion in its innovations: the step-down
    /// recursion of Levinson and Durbin meets no reflection of 1 or more.
    fn is_stable(&self) -> bool {
        let Order { p, q, constant } = self.order;
        let first = usize::from(constant);
        let mut lags = [0.0; MAX_TERMS];
        lags[..p].copy_from_slice(&self.weights[first..first + p]);
        for length in (1..=p).rev() {
            let reflection: f64 = lags[length - 1];
            let rest = 1.0 - reflection * reflection;
            if rest <= 1e-6 {
                return false;
            }
            let longer = lags;
            for i in 0..length - 1 {
                lags[i] = (longer[i] + reflection * longer[length - 2 - i]) / rest;
            }
        }
        q == 0 || self.weights[first + p].abs() < 1.0
    }
}

/// Expected values of the next `steps` steps; the last value for each when no model can be fitted.
///
/// `y` is finite; it takes some 12 values or more to fit. Never negative.
pub(super) fn forecast(y: &[f64], steps: usize) -> Vec<f64> {
    let last = y.last().copied().unwrap_or(0.0);
    let differences: Vec<f64> = y.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Around the mean, so that sums of squares keep their digits.
    let mean = y.iter().sum::<f64>() / y.len().max(1) as f64;
    let centred: Vec<f64> = y.iter().map(|value| value - mean).collect();
    // Both are fitted to the same steps, so that their criteria compare.
    let level = best(&centred, LONG_ORDER + 2, &[true]);
    let slope = best(&differences, LONG_ORDER + 1, &[false, true]);
    let around_mean =
        |path: Path| path.run(steps).into_iter().map(|value| mean + value).collect::<Vec<f64>>();
    let path = match (level, slope) {
        (Some((criterion, path)), Some((other, _))) if criterion <= other => around_mean(path),
        (_, Some((_, path))) => accumulate(last, &path.run(steps)),
        (Some((_, path)), None) => around_mean(path),
        (None, None) => vec![last; steps],
    };
    let finite = path.iter().all(|value| value.is_finite());
    if finite { path.iter().map(|value| value.max(0.0)).collect() } else { vec![last; steps] }
}

/// From differences back to values.
fn accumulate(last: f64, differences: &[f64]) -> Vec<f64> {
    let mut value = last;
    let add = |difference: &f64| {
        value += difference;
        value
    };
    differences.iter().map(add).collect()
}

/// A chosen model with what it goes on from.
struct Path {
    fitted: Fitted,
    values: Vec<f64>,
    innovations: Vec<f64>,
}

impl Path {
    fn run(mut self, steps: usize) -> Vec<f64> {
        let known = self.values.len();
        for t in known..known + steps {
            let row = self.fitted.order.row(&self.values, &self.innovations, t);
            self.values.push(dot(&row, &self.fitted.weights));
            self.innovations.push(0.0);
        }
        self.values.split_off(known)
    }
}

/// The order with the least criterion among p ≤ 3, q ≤ 1 and the constants allowed, fitted to the
/// steps from `first`.
fn best(values: &[f64], first: usize, constants: &[bool]) -> Option<(f64, Path)> {
    let n = values.len().checked_sub(first).filter(|n| *n > MAX_TERMS + 2)? as f64;
    let innovations = long_residuals(values)?;
    let products = products(values, &innovations, first);
    let least_sum = 1e-12 * products[VALUE][VALUE].max(1e-12);
    let mut chosen: Option<(f64, Fitted)> = None;
    let orders = constants
        .iter()
        .flat_map(|constant| (0..8).map(|n| Order { p: n / 2, q: n % 2, constant: *constant }));
    for order in orders {
        let Some(fitted) = regress(&products, order) else { continue };
        if !fitted.is_stable() {
            continue;
        }
        let k = order.terms() as f64 + 1.0;
        let criterion = n * (fitted.residual_sum.max(least_sum) / n).ln()
            + 2.0 * k
            + 2.0 * k * (k + 1.0) / (n - k - 1.0);
        if chosen.as_ref().is_none_or(|(least, _)| criterion < *least) {
            chosen = Some((criterion, fitted));
        }
    }
    let (criterion, fitted) = chosen?;
    // The newest innovation as the chosen model itself sees it.
    let mut own = innovations;
    for t in first..values.len() {
        own[t] = values[t] - dot(&fitted.order.row(values, &own, t), &fitted.weights);
    }
    Some((criterion, Path { fitted, values: values.to_vec(), innovations: own }))
}

/// Residuals of the long autoregression; 0 where it does not reach.
fn long_residuals(values: &[f64]) -> Option<Vec<f64>> {
    let order = Order { p: LONG_ORDER, q: 0, constant: true };
    let fitted = regress(&products(values, &[], LONG_ORDER), order)?;
    let residual = |t: usize| values[t] - dot(&order.row(values, &[], t), &fitted.weights);
    let mut residuals = vec![0.0; values.len()];
    for (t, slot) in residuals.iter_mut().enumerate().skip(LONG_ORDER) {
        *slot = residual(t);
    }
    Some(residuals)
}

/// Sums of products of all columns over the steps from `first`, the lower half of them; all
/// regressions share these.
fn products(values: &[f64], innovations: &[f64], first: usize) -> [[f64; COLUMNS]; COLUMNS] {
    let mut sums = [[0.0; COLUMNS]; COLUMNS];
    for t in first..values.len() {
        let before = |series: &[f64], lag: usize| {
            t.checked_sub(lag).and_then(|index| series.get(index).copied()).unwrap_or(0.0)
        };
        let mut row = [1.0; COLUMNS];
        for (lag, place) in row.iter_mut().enumerate().take(LONG_ORDER + 1).skip(1) {
            *place = before(values, lag);
        }
        row[INNOVATION] = before(innovations, 1);
        row[VALUE] = values[t];
        for i in 0..COLUMNS {
            for j in 0..=i {
                sums[i][j] += row[i] * row[j];
            }
        }
    }
    sums
}

/// Least squares. `None` when the sums are not finite.
fn regress(products: &[[f64; COLUMNS]; COLUMNS], order: Order) -> Option<Fitted> {
    let (terms, columns) = (order.terms(), order.columns());
    let (mut a, mut b) = ([[0.0; MAX_TERMS]; MAX_TERMS], [0.0; MAX_TERMS]);
    for i in 0..terms {
        b[i] = products[VALUE][columns[i]];
        for j in 0..=i {
            // Columns ascend with terms, so that this is the lower half as well.
            a[i][j] = products[columns[i]][columns[j]];
        }
    }
    let weights = solve(a, b, terms)?;
    let residual_sum = (products[VALUE][VALUE] - dot(&b, &weights)).max(0.0);
    residual_sum.is_finite().then_some(Fitted { order, weights, residual_sum })
}

/// Solves by Cholesky, the lower half of `a` given; a direction without variance gets weight 0.
fn solve(
    mut a: [[f64; MAX_TERMS]; MAX_TERMS],
    mut b: [f64; MAX_TERMS],
    terms: usize,
) -> Option<[f64; MAX_TERMS]> {
    for i in 0..terms {
        for j in 0..=i {
            let inner: f64 = (0..j).map(|k| a[i][k] * a[j][k]).sum();
            let rest = a[i][j] - inner;
            a[i][j] = if i == j {
                if rest > 1e-10 * a[i][i].abs() { rest.sqrt() } else { f64::INFINITY }
            } else {
                rest / a[j][j]
            };
        }
        let inner: f64 = (0..i).map(|k| a[i][k] * b[k]).sum();
        b[i] = (b[i] - inner) / a[i][i];
    }
    for i in (0..terms).rev() {
        let inner: f64 = (i + 1..terms).map(|k| a[k][i] * b[k]).sum();
        b[i] = (b[i] - inner) / a[i][i];
    }
    b.iter().take(terms).all(|weight| weight.is_finite()).then_some(b)
}

fn dot(row: &[f64; MAX_TERMS], weights: &[f64; MAX_TERMS]) -> f64 {
    row.iter().zip(weights).map(|(x, w)| x * w).sum()
}

#[cfg(test)]
mod tests;
