use taxiway_stats::{Window, exclude, reject};

/// Windows (n_c, n_b, x_c, x_b) of the brief's reference vector; the fourth has no canary, the fifth no errors.
const WINDOWS: [Window; 6] = [
    Window::new(50, 950, 1, 9),
    Window::new(48, 960, 2, 8),
    Window::new(55, 940, 3, 11),
    Window::new(0, 900, 0, 7),
    Window::new(51, 951, 0, 0),
    Window::new(60, 930, 4, 10),
];

fn reject_evidence(test: &reject::Test) -> f64 {
    let mut state = test.start();
    for window in &WINDOWS {
        test.fold(&mut state, window, 1.0);
    }
    test.ln_evidence(&state)
}

#[track_caller]
fn close(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() < 1e-9, "{ours:.12} is not {theirs:.12}");
}

#[test]
fn reject_matches_the_reference_vector() {
    let expected = [
        (1.0, 0.0, 4.906_373_499_479),
        (1.25, 0.0, 3.497_980_436_798),
        (1.0, 0.001, 4.240_932_144_378),
        (1.25, 0.001, 3.056_092_063_537),
    ];
    for (theta, delta, ln_evidence) in expected {
        let test = reject::Test::new(theta, delta, 3600.0).unwrap().rare().first(1.0).unwrap();
        close(reject_evidence(&test), ln_evidence);
    }
}

#[test]
fn start_time_mixture_matches_the_reference_vector() {
    let test = reject::Test::new(1.0, 0.0, 3600.0).unwrap().rare();
    close(reject_evidence(&test), 4.221_501_833_117);
}

#[test]
fn exclude_matches_the_reference_vector() {
    for (delta, ln_evidence) in [(0.001, -3.337_614_652_458), (0.0, -3.422_829_136_152)] {
        let test = exclude::Test::new(1.5, delta).unwrap().rare();
        let mut state = test.start();
        for window in &WINDOWS {
            test.fold(&mut state, window, 1.0);
        }
        close(test.ln_evidence(&state), ln_evidence);
    }
}
