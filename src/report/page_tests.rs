use super::*;
use crate::config::{ConsistencyConfig, TripletConfig};
use crate::eval::Consistency;
use crate::eval::Retrieval;
use crate::eval::growth::{Change, Point};
use crate::eval::{Evaluation, Fitted, Growth, Metric, ParallelScores, Parameters, Recall, TaskResult};
use crate::report::{
    Compared, Confusion, Errors, Extremes, FoundText, OfPicture, Part, Picture, ReportHit, Said, SideBySide,
    Term, Told,
};

const HOSTILE: &str = r#"<script>alert("1")</script> & 'x' </pre></style>"#;

fn evaluation(names: &[&str]) -> Evaluation {
    let side =
        |x: f64| Recall { r1: x, r5: 2.1 * x, r10: 2.9 * x, median_rank: 14.5, mean_rank: 61.2, ties: 3 };
    let languages = names.iter().enumerate().map(|(i, name)| {
        let x = 18.0 - i as f64;
        (name.to_string(), Retrieval { captions: 5000, mr: 2.0 * x, t2i: side(x), i2t: side(x + 2.0) }, i < 2)
    });
    let parameters = Parameters { train: 18_000_000, test: 7_086_944 };
    Evaluation::new("test", 1000, 0, 1, languages.collect(), parameters)
}

fn consistency() -> Consistency {
    let (n, width) = (12usize, 5);
    let rows =
        |shift: usize| (0..n * width).map(|at| ((at * 7 + shift) % 13) as f32 / 40.0).collect::<Vec<_>>();
    let sentences = [("en".to_string(), rows(0)), (HOSTILE.to_string(), rows(5))];
    let image_of: Vec<u32> = (0..n as u32).collect();
    let data = ParallelScores::new(&sentences, &image_of, &rows(3), width).unwrap();
    let fitted =
        Fitted::fit(&ConsistencyConfig::default(), &TripletConfig::default(), std::slice::from_ref(&data), 1);
    Consistency::measure(&fitted.unwrap(), &data).unwrap()
}

fn metrics(names: &[&str]) -> Vec<MetricsLine> {
    let step = |step: u64| {
        MetricsLine::Step(Step {
            step,
            epoch: step as f64 / 50.0,
            loss: 0.5,
            terms: names.iter().map(|n| (n.to_string(), Term { raw: 0.4, weighted: 0.2 })).collect(),
            grad_norm: 1.0,
            param_norm: 50.0,
            learning_rate: 1e-3,
            scale: Some(14.3),
            tokens_per_s: 52_000.0,
            seconds: step as f64,
        })
    };
    let mr = names.iter().map(|n| (n.to_string(), 33.0)).collect();
    let validation = MetricsLine::Validation(Validation { step: 50, epoch: 1.0, mr, a: 33.0 });
    vec![step(10), step(50), validation, step(60)]
}

fn growth(name: &str) -> Growth {
    let change = |language: &str, before| Change {
        language: language.into(),
        before: [before, None],
        after: [Some(31.25), Some(30.0)],
    };
    Growth {
        language: name.into(),
        results: vec![change("en", Some(31.25)), change(name, None)],
        curve: vec![Point { sentences: 300, mr: [Some(12.5), None] }],
        parameters: vec![(name.into(), 1200)],
        ..Growth::default()
    }
}

fn errors(name: &str) -> Errors {
    let hit = |right| ReportHit { picture: Picture::named(name), score: 0.5, right };
    let example = |missed| Example {
        language: name.into(),
        query: name.into(),
        translation: None,
        hits: vec![hit(true)],
        missed,
    };
    let found = |right| FoundText { text: name.into(), score: 0.25, right };
    let of_picture = |missed| OfPicture { picture: Picture::named(name), found: vec![found(true)], missed };
    let beside = SideBySide { language: name.into(), text: name.into(), rank: 17, hits: vec![hit(false)] };
    Errors {
        languages: vec![Told {
            language: name.into(),
            captions: [20, 40],
            texts: Extremes { best: vec![example(None)], worst: vec![example(Some((77, hit(true))))] },
            pictures: Extremes {
                best: vec![of_picture(None)],
                worst: vec![of_picture(Some((88, found(true))))],
            },
        }],
        side_by_side: vec![vec![beside]],
        confusions: vec![Confusion {
            pictures: [Picture::named(name), Picture::named(name)],
            queries: vec![(name.into(), [3, 1])],
        }],
    }
}

fn report(name: &str) -> RunReport {
    let hit = |right| ReportHit { picture: Picture::named(name), score: 0.5, right };
    RunReport {
        name: name.into(),
        facts: vec![(name.into(), name.into())],
        evaluations: vec![evaluation(&["en", "ar", name])],
        consistency: Some(consistency()),
        results: vec![TaskResult {
            task: "classification".into(),
            name: name.into(),
            data: None,
            protocol: name.into(),
            metrics: vec![Metric::percent("top-1", Some(name), 33.25), Metric::rank(name, None, 2.0)],
            details: serde_json::Value::Null,
            warnings: Vec::new(),
        }],
        compared: vec![Compared {
            language: name.into(),
            query: name.into(),
            before: hit(false),
            after: hit(true),
            said: vec![Said { language: name.into(), text: name.into(), hit: hit(true) }],
        }],
        growths: vec![growth(name)],
        metrics: metrics(&[name, "mclm"]),
        parts: vec![Part { name: name.into(), train: 5_249_536, test: 5_249_536 }],
        examples: vec![Example {
            language: name.into(),
            query: name.into(),
            translation: Some(name.into()),
            hits: vec![hit(false), hit(false)],
            missed: Some((1234, hit(true))),
        }],
        errors: errors(name),
        config: name.into(),
    }
}

/// Elements opened and closed, checked with a stack; fails on anything that is not well nested.
fn check_nesting(page: &str) {
    const VOID: [&str; 5] = ["meta", "br", "img", "!DOCTYPE", "link"];
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "`</{name}>`");
        } else if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn best_worst_and_confused_ones_are_shown() {
    let page = html(&report("de"));
    for said in [
        "20 captions of 40, evenly spread",
        "Captions whose picture comes last",
        "77. 0.50",
        "Pictures whose captions come last",
        "88. 0.25",
        "rank 17",
        "captions of the first that find the second: 3 (de 3)",
        "of the second that find the first: 1 (de 1)",
    ] {
        assert!(page.contains(said), "`{said}` is not in {page}");
    }
    check_nesting(&page);
    let without = html(&RunReport { errors: Errors::default(), ..report("de") });
    assert!(!without.contains("Best and worst") && !without.contains("Pictures that are confused"));
}

#[test]
fn hostile_captions_are_escaped_everywhere() {
    let page = html(&report(HOSTILE));
    assert!(!page.contains("<script"), "no script at all");
    assert!(!page.contains("</style> ·") && page.matches("</style>").count() == 1);
    assert!(page.matches("&lt;script&gt;alert(&quot;1&quot;)").count() > 12);
    check_nesting(&page);
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = html(&report("demo"));
    for outside in ["http:", "https:", "src=\"//", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn every_part_is_there_and_what_is_empty_is_not() {
    let full = html(&report("demo"));
    let headings = [
        "Retrieval on the test split",
        "several languages",
        "Example queries",
        "Training",
        "Parameters",
        "Configuration",
    ];
    let empty = html(&RunReport::default());
    for heading in headings {
        assert!(full.contains(&format!("{heading}</h2>")), "{heading}");
        assert!(!empty.contains(heading), "{heading}");
    }
    assert!(
        full.contains("7.09M") && full.contains("5,249,536") && full.contains(r#"<b>34.0</b> %"#),
        "{full}"
    );
    assert!(full.contains(
        r#"<th scope="row">demo *</th><td class="mr">32.0</td><td class="from">16.0</td><td>33.6</td>"#
    ));
    assert!(full.contains("The added language") && !empty.contains("The added language"));
    assert!(full.contains(r#"<th scope="row">300</th><td class="from">12.5</td><td>–</td>"#), "{full}");
    check_nesting(&empty);
}

#[test]
fn text_runs_in_its_own_direction_and_figures_have_names() {
    let page = html(&RunReport { errors: Errors::default(), ..report("ar") });
    assert!(page.contains(r#"<bdi dir="auto" lang="ar">ar</bdi>"#));
    assert_eq!(page.matches("<table").count(), page.matches("<caption>").count());
    assert_eq!(page.matches(r#"role="img""#).count(), page.matches(r#"role="img" aria-label=""#).count());
    assert_eq!(page.matches("<figure").count(), 8);
    assert_eq!(page.matches(r#"<li class="right">"#).count(), 2);
    // The picture that was asked for and is not among the first ones.
    let apart = page.split(r#"<li class="right apart">"#).nth(1).and_then(|rest| rest.split("</li>").next());
    assert!(apart.is_some_and(|apart| apart.contains("1234. 0.50")), "{apart:?}");
    assert_eq!(page.matches(r#"<li class="wrong">"#).count(), 1);
}

#[test]
fn thousands_have_commas() {
    let texts: Vec<String> = [0, 12, 999, 1000, 7_086_944].into_iter().map(thousands).collect();
    assert_eq!(texts, ["0", "12", "999", "1,000", "7,086,944"]);
}

/// The values of an attribute, sorted.
fn attributes(page: &str, before: &str) -> Vec<String> {
    let value = |rest: &str| rest.split('"').next().unwrap_or_default().to_string();
    let mut all: Vec<String> = page.split(before).skip(1).map(value).collect();
    all.sort();
    all
}

#[test]
fn a_picture_stands_in_the_page_once_wherever_it_is_shown() {
    let mut number = 0;
    // Two of each place, of which one is everywhere.
    let everywhere = Picture::new("same", b"\x89PNG\r\n\x1a\nsame").unwrap();
    let mut picture = || {
        number += 1;
        Picture::new(format!("{number}"), format!("GIF8{number}").as_bytes()).unwrap()
    };
    let mut hit = |right| ReportHit { picture: picture(), score: 0.5, right };
    let mut example = || Example {
        language: "en".into(),
        query: "a".into(),
        translation: None,
        hits: vec![hit(true), ReportHit { picture: everywhere.clone(), score: 0.1, right: false }],
        missed: Some((9, hit(true))),
    };
    let mut report = RunReport { examples: vec![example()], errors: errors("en"), ..RunReport::default() };
    report.errors.languages[0].texts = Extremes { best: vec![example()], worst: vec![example()] };
    let said = vec![Said { language: "en".into(), text: "a".into(), hit: hit(true) }];
    report.compared = vec![Compared {
        language: "en".into(),
        query: "a".into(),
        before: hit(false),
        after: hit(true),
        said,
    }];
    report.errors.side_by_side[0][0].hits = vec![hit(true)];
    let pictures = &mut report.errors.languages[0].pictures;
    for one in pictures.best.iter_mut().chain(&mut pictures.worst) {
        one.picture = picture();
    }
    report.errors.confusions[0].pictures = [picture(), everywhere.clone()];
    let page = html(&report);
    let mut used = attributes(&page, "<use href=\"#");
    let places = used.len();
    used.dedup();
    assert_eq!((places, used.len()), (17, 14), "every one of them, of which one is in four places");
    assert_eq!(attributes(&page, "<symbol id=\""), used, "each once");
    assert_eq!(page.matches("data:image/").count(), used.len());
}
