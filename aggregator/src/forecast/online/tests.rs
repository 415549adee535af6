use super::*;

/// Steps of a day; an hour has ten.
const DAY: usize = 240;
/// The load has its peaks at this step of each hour, and from [`CHANGE`] on at another.
const PEAKS: [u64; 2] = [0, 5];
const CHANGE: u64 = 600;
const END: u64 = 1_080;

fn rate(index: u64, peak: u64) -> f64 {
    let day = 1.0 + 0.5 * (index as f64 / DAY as f64 * std::f64::consts::TAU).sin();
    100.0 * day * if index % 10 == peak { 3.0 } else { 1.0 }
}

/// Trees of the load before the change, in charge after it.
fn begun() -> Online {
    let mut online = Online::new(OnlineSettings {
        day_steps: DAY,
        step_seconds: 360.0,
        horizons: vec![1, 5],
        boosted: vec![5],
        without: None,
    });
    for index in 0..END {
        online.observe(index, Some(rate(index, PEAKS[usize::from(index >= CHANGE)])));
        if index == CHANGE - 1 {
            let grown = online.grow_job().unwrap().run().unwrap();
            online.install(grown);
        }
    }
    assert!(!online.grow_job().unwrap().is_challenge, "the daily trees are due");
    online
}

/// Trees grown on what came after the change alone, which they fit well.
fn challenge(online: &mut Online) {
    online.want_challenge();
    let mut job = online.grow_job().unwrap();
    assert!(job.is_challenge && online.grow_job().is_none());
    let before = usize::try_from(CHANGE).unwrap();
    job.job.values.drain(..before);
    job.job.gaps.drain(..before);
    job.job.first += CHANGE;
    online.install(job.run().unwrap());
}

fn in_use(online: &Online) -> String {
    format!("{:?}", online.trees)
}

#[test]
fn a_challenger_takes_over_where_it_does_better_on_what_comes() {
    let mut online = begun();
    let champion = in_use(&online);
    challenge(&mut online);
    assert_eq!(in_use(&online), champion, "a trial first");
    (END..END + 10).for_each(|index| _ = online.observe(index, Some(rate(index, PEAKS[1]))));
    assert!(online.challenge.is_some(), "not all of the trial was compared");
    (END + 10..END + 20).for_each(|index| _ = online.observe(index, Some(rate(index, PEAKS[1]))));
    assert!(online.challenge.is_none() && in_use(&online) != champion);
}
