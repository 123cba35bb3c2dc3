//! The figures of all tests, for the table at the end.

use std::fmt::Display;
use std::sync::Mutex;

struct Figure {
    of: String,
    value: String,
    target: String,
}

static FIGURES: Mutex<Vec<Figure>> = Mutex::new(Vec::new());

/// Notes a figure, and the target it is held against; the test asserts that itself.
pub(crate) fn note(of: &str, value: impl Display, target: &str) {
    let figure = Figure {
        of: of.to_owned(),
        value: value.to_string(),
        target: target.to_owned(),
    };
    FIGURES.lock().unwrap().push(figure);
}

/// Seconds with a tenth.
pub(crate) fn seconds(time: std::time::Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Prints the table.
pub(crate) fn print() {
    let mut figures = FIGURES.lock().unwrap();
    figures.sort_by(|a, b| a.of.cmp(&b.of));
    if figures.is_empty() {
        return;
    }
    println!("\n{:<70} {:>24}  target", "on the cluster", "measured");
    for Figure { of, value, target } in figures.iter() {
        println!("{of:<70} {value:>24}  {target}");
    }
    println!();
}
