use super::*;
use crate::eval::{Parameters as Counted, Recall, Retrieval};

fn row(name: &str, family: &str, seed: u64, parameters: u64, a: f64) -> Row {
    let side = Recall { r1: a, r5: a, r10: a, median_rank: 3.0, mean_rank: 9.5, ties: 0 };
    let retrieval = Retrieval { captions: 10, mr: a, t2i: side.clone(), i2t: side };
    let counted = Counted { train: parameters, test: parameters / 2 };
    let of = |split: &str, a: f64| {
        let languages = vec![("en".to_string(), Retrieval { mr: a, ..retrieval.clone() }, true)];
        Some(Evaluation::new(split, 5, 0, 1, languages, counted))
    };
    Row {
        id: format!("{parameters:x}-{seed}"),
        name: name.into(),
        family: family.into(),
        seed,
        axes: Vec::new(),
        plot: None,
        status: Status::Done,
        attempts: 1,
        error: None,
        parameters_train: Some(parameters),
        parameters_test: Some(parameters / 2),
        bytes: Some(4 * parameters),
        packed_bytes: None,
        sentence_us: None,
        resident_bytes: None,
        peak_memory: None,
        seconds: 90.0,
        train_seconds: Some(60.0),
        by: "recall.A".into(),
        rungs: Vec::new(),
        val: of("val", a + 10.0),
        test: of("test", a),
        chosen: None,
        figures: Vec::new(),
    }
}

fn page_of(name: &str, rows: &[Row]) -> String {
    html(name, rows, Cost::default())
}

#[test]
fn spread_is_the_sample_standard_deviation() {
    let spread = Spread::of([40.0, 42.0, 44.0].into_iter()).unwrap();
    assert_eq!((spread.n, spread.mean, spread.deviation), (3, 42.0, Some(2.0)));
    assert_eq!((spread.low, spread.high, spread.text()), (40.0, 44.0, "42.0 ± 2.0".into()));
    assert_eq!(Spread::of([40.0].into_iter()).unwrap().text(), "40.0");
    assert_eq!(Spread::of(std::iter::empty()), None);
}

#[test]
fn val_chooses_the_model_and_test_only_tells_what_it_is_worth() {
    let (mut one, two) = (row("LA", "LA", 0, 1_000_000, 42.0), row("HEM", "HEM", 0, 3_000_000, 41.0));
    one.val.as_mut().unwrap().a = 50.0;
    let page = page_of("budget", &[one, two]);
    assert!(page.contains("<bdi>HEM</bdi>, which has <b>41.0</b> % on test"), "{page}");
    // By what the trials were chosen by, where that is one metric.
    let (mut one, mut two) = (row("LA", "LA", 0, 1_000_000, 42.0), row("HEM", "HEM", 0, 3_000_000, 41.0));
    one.val.as_mut().unwrap().languages[0].1.mr = 1.0;
    let language = one.val.as_ref().unwrap().languages[0].0.clone();
    one.by = format!("recall.{language}");
    let page = |rows: &[Row]| page_of("budget", rows);
    assert!(
        page(&[one.clone(), two.clone()]).contains("best mean recall (A) on val is that of <bdi>LA</bdi>")
    );
    two.by.clone_from(&one.by);
    let said = format!("The best {} on val is that of <bdi>HEM</bdi>", one.by);
    assert!(page(&[one, two]).contains(&said));
}

#[test]
fn seeds_of_a_model_are_one_point_with_its_spread() {
    let rows = [
        row("LA", "LA", 0, 1_000_000, 40.0),
        row("LA", "LA", 1, 1_000_000, 44.0),
        row("HEM, K=500", "HEM", 0, 3_000_000, 41.0),
    ];
    let page = page_of("sweeps/budget", &rows);
    assert!(page.contains("LA: A 42.0 ± 2.8 (2 seeds), 1M parameters trained"), "{page}");
    assert!(page.contains("LA: A 42.0 ± 2.8 (2 seeds), 500k parameters at test time"));
    assert!(page.contains("HEM, K=500: A 41.0 (1 seed), 3M parameters trained"));
    assert!(page.contains(r##"<a href="#f4240-0" class="line c0">"##), "a point leads to its row");
    assert!(page.contains(r#"<tr id="f4240-0">"#));
    assert_eq!(page.matches(r#"class="inside""#).count(), 2, "HEM is behind LA, in both figures");
    assert!(
        page.contains("3 trials, 3 done.")
            && page.contains("<bdi>LA</bdi>, which has <b>42.0 ± 2.8</b> % on test")
    );
}

#[test]
fn trials_without_results_are_in_the_table_alone() {
    let failed = Row {
        status: Status::Failed,
        error: Some("the loss is <NaN>\nhint: lower it".into()),
        parameters_train: None,
        test: None,
        val: None,
        ..row("LA, train.clip=2", "LA", 0, 1, 1.0)
    };
    let page = page_of("s", std::slice::from_ref(&failed));
    assert!(
        page.contains("1 trial, 0 done, <b>1 failed</b>.") && page.contains("the loss is &lt;NaN&gt;\nhint")
    );
    assert!(!page.contains("<svg") && !page.contains("NaN\""), "{page}");
    let both = page_of("s", &[failed, row("HEM", "HEM", 0, 3_000_000, 41.0)]);
    assert!(both.contains("1M") && both.contains("HEM: A 41.0"), "{both}");
}

#[test]
fn the_page_stands_alone_and_escapes_names() {
    let hostile = r#"</title><script>alert("1")</script>"#;
    let page = page_of(hostile, &[row(hostile, hostile, 0, 3_000_000, 41.0)]);
    assert!(
        !page.contains("alert(\"1\")</script>") && !page.contains("src=") && !page.contains("http"),
        "{page}"
    );
    assert_eq!(page.matches("<script>").count(), 1);
}

/// The x and the radius of the points of the plot along a key.
fn circles(page: &str) -> Vec<(f64, f64)> {
    let plot = page.split_once("Mean recall on test along").unwrap().1.split("</svg>").next().unwrap();
    let number = |circle: &str, name: &str| {
        circle.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    plot.split("<circle ").skip(1).map(|circle| (number(circle, "cx"), number(circle, "r"))).collect()
}

fn along(x: &str, log: bool, values: &[(&str, f64, u64, f64)]) -> String {
    let row = |&(family, value, parameters, a): &(&str, f64, u64, f64)| Row {
        plot: Some(crate::sweep::Placed { x: x.into(), log, value }),
        ..row(&format!("{family} {value}"), family, 0, parameters, a)
    };
    page_of("s", &values.iter().map(row).collect::<Vec<_>>())
}

#[test]
fn a_sweep_is_drawn_along_the_axis_that_it_names() {
    let page = along(
        "languages",
        false,
        &[("LIWE", 10.0, 4_000_000, 66.7), ("SMALR", 10.0, 16_000_000, 77.7), ("LIWE", 1.0, 4_000_000, 80.9)],
    );
    assert!(page.contains("Mean recall along the number of languages</h2>"), "{page}");
    let points = circles(&page);
    assert_eq!(points.iter().map(|p| p.0).collect::<Vec<_>>(), [54.0, 748.0, 748.0]);
    assert_eq!(points.iter().map(|p| p.1).collect::<Vec<_>>(), [6.5, 6.5, 13.0], "areas as parameters");
    assert!(
        page.contains(">2</text>") && page.contains(">9</text>") && !page.contains(">1.5</text>"),
        "whole numbers"
    );
    assert!(!page_of("s", &[row("a", "a", 0, 5, 40.0)]).contains("Mean recall along"), "none is named");
}

#[test]
fn powers_of_ten_lie_at_equal_distances_and_nothing_is_left_out_in_silence() {
    let value = |x: f64| ("SMALR", x, 1_000_000, 40.0 + x);
    let page = along("loss.mclm.average", true, &[value(1e-2), value(0.0), value(1e-6), value(1e-4)]);
    let at: Vec<f64> = circles(&page).iter().map(|p| p.0).collect();
    assert_eq!(at, [54.0, 401.0, 748.0]);
    assert!(page.contains("Left out: 1 whose value is not greater than 0."), "{page}");
}

#[test]
fn bytes_of_packed_runs_are_an_axis_where_they_are_known() {
    let rows = [
        Row { packed_bytes: Some(3_000_000), ..row("LA", "LA", 0, 1_000_000, 42.0) },
        Row { packed_bytes: Some(9_000_000), ..row("HEM", "HEM", 0, 500_000, 41.0) },
    ];
    let page = page_of("bytes", &rows);
    assert!(page.contains("LA: A 42.0 (1 seed), 3M bytes packed"), "{page}");
    assert!(page.contains(r#"id="by-packed""#) && page.contains("Mean recall on test against bytes packed"));
    // HEM has fewer parameters than LA, and more bytes: it is on the front of the former alone.
    assert_eq!(page.matches(r#"class="inside""#).count(), 1);
    let earlier = page_of("bytes", &[row("LA", "LA", 0, 1_000_000, 42.0)]);
    assert!(!earlier.contains(r#"id="by-packed""#));
}

#[test]
fn time_and_memory_are_axes_where_they_were_measured_and_one_is_shown_first() {
    let measured = |us, bytes, row| Row { sentence_us: Some(us), resident_bytes: Some(bytes), ..row };
    let rows = [
        measured(80.5, 9_000_000, row("LA", "LA", 0, 1_000_000, 42.0)),
        measured(120.0, 12_000_000, row("HEM", "HEM", 0, 500_000, 41.0)),
    ];
    let page = html("costs", &rows, Cost::Time);
    assert!(page.contains("LA: A 42.0 (1 seed), 80.5 microseconds a sentence"), "{page}");
    assert!(page.contains("LA: A 42.0 (1 seed), 9M bytes resident"), "{page}");
    assert!(page.contains(r#"id="by-time" type="radio" name="cost" checked"#), "{page}");
    assert!(page.contains("is on the front of microseconds a sentence."), "{page}");
    // HEM has fewer parameters, and is behind LA in time and memory.
    assert_eq!(page.matches(r#"class="inside""#).count(), 2);
    // What nobody measured cannot be shown first.
    let page = html("costs", &[row("LA", "LA", 0, 1_000_000, 42.0)], Cost::Memory);
    assert!(page.contains(r#"id="by-train" type="radio" name="cost" checked"#), "{page}");
    assert!(!page.contains("by-memory\""), "{page}");
}
