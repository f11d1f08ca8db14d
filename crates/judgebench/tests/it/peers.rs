use taxiway_judgebench::judges::{Judge, Kayenta, Netflix, argo, flagger, ratio};
use taxiway_judgebench::traffic::Run;
use taxiway_stats::Window;

/// An hour in which every second looks alike.
fn steady(n_c: u64, n_b: u64, x_c: u64, x_b: u64) -> Run {
    Run { seconds: vec![Window::new(n_c, n_b, x_c, x_b); 3_600], shares: vec![0.05; 3_600], ..Run::default() }
}

#[test]
fn kayenta_looks_first_after_five_minutes() {
    // Errors that wobble from minute to minute, ten times as many in the canary.
    let mut run = steady(50, 950, 0, 0);
    for (second, window) in run.seconds.iter_mut().enumerate() {
        let minute = second as u64 / 60;
        window.canary.bad = 10 + minute % 3;
        window.baseline.bad = 20 + minute % 2;
    }
    assert_eq!(Kayenta::EVERY_MINUTE.alarm_s(&run), Some(300));
    assert_eq!(Kayenta::ONCE.alarm_s(&run), Some(3_600));
}

/// Argo fails when failed > failureLimit: three is allowed, the fourth minute decides.
#[test]
fn argo_fails_on_the_fourth_failure() {
    let argo = argo("argo", 0.05);
    assert_eq!(argo.alarm_s(&steady(100, 1_900, 6, 0)), Some(240));
    assert_eq!(argo.alarm_s(&steady(100, 1_900, 5, 0)), None);
    assert_eq!(argo.alarm_s(&steady(0, 1_900, 0, 0)), None);
}

/// Flagger adds failed checks up, also for missing data, and rolls back on the tick after the fifth.
#[test]
fn flagger_rolls_back_a_tick_after_the_fifth_failure() {
    assert_eq!(flagger().alarm_s(&steady(100, 1_900, 2, 0)), Some(360));
    assert_eq!(flagger().alarm_s(&steady(0, 1_900, 0, 0)), Some(360));
    assert_eq!(flagger().alarm_s(&steady(100, 1_900, 1, 0)), None);
}

#[test]
fn the_rule_waits_for_a_hundred_requests() {
    let rule = ratio("rule", None);
    assert_eq!(rule.alarm_s(&steady(1, 19, 1, 1)), Some(120));
    assert_eq!(rule.alarm_s(&steady(1, 19, 0, 1)), None);
}

/// savvi's posterior odds for a Dirichlet prior of concentration 100: with prior Beta(5, 95) and counts (n, 0) the factor is
/// `prod_i (5+i)/(100+i) / 0.05^n`; it passes 100 at the third canary error in a row? No: 1, 1.19, 1.63, ... at the tenth.
#[test]
fn netflix_matches_the_closed_form() {
    let mut factor = 1.0;
    let mut needed = 0;
    while factor < 100.0 {
        factor *= (5.0 + f64::from(needed)) / (100.0 + f64::from(needed)) / 0.05;
        needed += 1;
    }
    assert_eq!(Netflix { share: 0.05 }.alarm_s(&steady(5, 95, 1, 0)), Some(needed as usize));
    assert_eq!(Netflix { share: 0.05 }.alarm_s(&steady(5, 95, 0, 1)), None);
}
