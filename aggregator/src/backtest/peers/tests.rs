use super::*;

fn view(step: u64, rps: Option<f64>, replicas: u32) -> PeerView {
    PeerView {
        now: Timestamp::from_secs(15 * (step + 1)),
        step: Duration::from_secs(15),
        rps,
        cpu_utilisation: rps.map(|rps| rps / (10.0 * f64::from(replicas.max(1)))),
        ready: replicas,
        replicas,
        capacity_rps: 8.0,
        startup: Duration::from_mins(1),
        min: 2,
        max: 50,
    }
}

#[test]
fn names_lead_back_to_their_peers() {
    for kind in PeerKind::ALL {
        assert_eq!(PeerKind::parse(kind.name()), Ok(kind));
        assert_eq!(kind.build(kind.default_knob(), 5760).name(), kind.name());
    }
    let error = PeerKind::parse("hpa").unwrap_err();
    assert!(error.to_string().starts_with("no peer is called hpa; known are hpa-cpu, hpa-rps,"));
}

#[test]
fn knobs_rise_and_have_the_default_among_them() {
    for kind in PeerKind::ALL {
        let knobs = kind.knobs();
        assert!(knobs.is_sorted_by(|a, b| a < b), "{}", kind.name());
        let default = kind.default_knob();
        assert!(knobs.iter().any(|knob| (knob - default).abs() < 1e-9), "{}", kind.name());
    }
}

#[test]
fn nothing_known_scales_nothing() {
    for kind in PeerKind::ALL {
        let mut peer = kind.build(kind.default_knob(), 5760);
        for step in 0..100 {
            assert_eq!(peer.desired(&view(step, None, 20)), 20, "{} at {step}", kind.name());
        }
    }
}

#[test]
fn no_input_leaves_the_bounds() {
    let rates = [Some(0.0), None, Some(1e12), Some(f64::NAN), Some(-5.0), Some(f64::INFINITY)];
    for kind in PeerKind::ALL {
        for knob in [f64::NAN, -1.0, 0.0, kind.default_knob(), f64::INFINITY] {
            let mut peer = kind.build(knob, 0);
            for (step, rps) in (0..200).zip(rates.iter().cycle()) {
                let good = view(step, *rps, 5);
                let odd = [
                    good,
                    PeerView { capacity_rps: f64::NAN, ..good },
                    PeerView { capacity_rps: 0.0, ready: 0, replicas: 0, ..good },
                    PeerView { step: Duration::ZERO, startup: Duration::MAX, ..good },
                    PeerView { now: Timestamp::from_secs(7), ..good },
                ];
                for view in odd {
                    let desired = peer.desired(&view);
                    assert!((2..=50).contains(&desired), "{} says {desired}", kind.name());
                }
            }
        }
    }
}

#[test]
fn the_same_load_gives_the_same_answers() {
    for kind in PeerKind::ALL {
        let run = || {
            let mut peer = kind.build(kind.default_knob(), 96);
            let mut replicas = 10;
            let mut answers = Vec::new();
            for step in 0..1000_u32 {
                let rps = f64::from(80 + (step * 7919 % 41) + (step % 96));
                replicas = peer.desired(&view(u64::from(step), Some(rps), replicas));
                answers.push(replicas);
            }
            answers
        };
        assert_eq!(run(), run(), "{}", kind.name());
    }
}

#[test]
fn ten_times_the_load_is_answered_by_all_that_react() {
    for kind in PeerKind::ALL.into_iter().filter(|kind| *kind != PeerKind::Static) {
        let mut peer = kind.build(kind.default_knob(), 5760);
        let mut replicas = 5;
        for step in 0..60 {
            let rps = if step < 35 { 25.0 } else { 250.0 };
            let view = PeerView { max: 1000, ..view(step, Some(rps), replicas) };
            replicas = peer.desired(&view);
        }
        // 250 a second at 8 per pod are 31.25 pods and more with headroom.
        assert!(replicas >= 32, "{} has {replicas}", kind.name());
    }
}
