//! Recordings as files.

use crate::corpus::{corpus, named};
use taxiway_report::Recording;

#[test]
fn what_is_written_is_read_again() {
    for recording in corpus() {
        let lines = recording.to_lines();
        assert_eq!(Recording::read(&lines).unwrap(), std::slice::from_ref(&recording));
    }
    let two = named("errors-3x").to_lines() + &named("no-errors").to_lines();
    assert_eq!(Recording::read(&two).unwrap().len(), 2);
}

#[test]
fn a_file_that_is_none_is_refused_with_the_place() {
    let lines = named("errors-3x").to_lines();
    let (head, rest) = lines.split_once('\n').unwrap();
    let windows: Vec<&str> = rest.lines().take(2).collect();
    let refused = |text: String| {
        let error = Recording::read(&text).unwrap_err();
        (error.line, error.why)
    };
    assert_eq!(refused(String::new()).1, "there is no recording in it");
    assert_eq!(refused(rest.to_owned()), (1, "the first line must have the key `recording`".to_owned()));
    let reversed = format!("{head}\n{}\n{}\n", windows[1], windows[0]);
    assert_eq!(refused(reversed), (3, "the window lies before the one above it".to_owned()));
    let newer = head.replacen("\"format\":1", "\"format\":2", 1);
    assert_eq!(refused(newer), (1, "format 2 is newer than 1".to_owned()));
    let stray = format!("{head}\n{}\n", windows[0].replacen("\"step\":0", "\"step\":9", 1));
    assert!(refused(stray).1.contains("step 9"));
    let huge = format!(
        "{head}\n{}\n",
        windows[0].replacen("\"timeouts\":0", "\"timeouts\":18446744073709551615", 1)
    );
    assert!(refused(huge).1.contains("mistake"));
    let long = format!(
        "{head}\n{}\n",
        windows[0].replacen("\"span_ms\":15000", "\"span_ms\":18446744073709551615", 1)
    );
    assert!(refused(long).1.contains("a window of"));
    let (line, why) = refused(format!("{head}\n{{\"at_ms\":1,\"window\":nonsense}}\n"));
    assert_eq!((line, why.as_str()), (2, "expected ident"));
}
