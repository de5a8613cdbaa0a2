use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Retrieval of a score matrix given row by row: with unit vectors as pictures, a caption's row is its scores.
fn of_scores(scores: &[&[f32]], image_of: &[u32], queried: usize) -> Retrieval {
    let pictures = scores[0].len();
    let mut identity = vec![0.0; pictures * pictures];
    (0..pictures).for_each(|i| identity[i * pictures + i] = 1.0);
    retrieval(&scores.concat(), image_of, &identity, queried, pictures).unwrap()
}

#[test]
fn ranks_of_tiny_matrices() {
    // Two captions a picture. Ranks t2i: 1 2 1 2. i2t: picture 0 has .9 (1st of all), picture 1 has .6 and .3: 1st.
    let r = of_scores(&[&[0.9, 0.1], &[0.2, 0.4], &[0.5, 0.6], &[0.8, 0.3]], &[0, 0, 1, 1], 2);
    assert_eq!(
        (r.t2i.r1, r.t2i.r5, r.t2i.median_rank, r.t2i.mean_rank, r.t2i.ties),
        (50.0, 100.0, 1.5, 1.5, 0)
    );
    assert_eq!((r.i2t.r1, r.i2t.median_rank), (100.0, 1.0));
    assert_eq!((r.captions, r.mr), (4, 550.0 / 6.0));

    // Picture 0's best own caption (.5) stands behind both captions of picture 1 (.8 .7): rank 3.
    let r = of_scores(&[&[0.5, 0.0], &[0.1, 0.0], &[0.8, 0.9], &[0.7, 0.9]], &[0, 0, 1, 1], 2);
    assert_eq!((r.i2t.r1, r.i2t.r5, r.i2t.mean_rank), (50.0, 100.0, 2.0));
}

#[test]
fn distractors_are_in_the_gallery_of_text_to_image_only() {
    let scores: &[&[f32]] = &[&[0.5, 0.1, 0.6], &[0.1, 0.5, 0.2]];
    let r = of_scores(scores, &[0, 1], 2);
    assert_eq!((r.t2i.r1, r.t2i.mean_rank), (50.0, 1.5));
    assert_eq!((r.i2t.r1, r.i2t.mean_rank), (100.0, 1.0));
}

#[test]
fn a_picture_without_captions_asks_nothing() {
    let r = of_scores(&[&[0.5, 0.9]], &[0], 2);
    assert_eq!((r.t2i.mean_rank, r.i2t.mean_rank, r.i2t.r1), (2.0, 1.0, 100.0));
}

#[test]
fn ties_count_in_expectation() {
    // Its own picture ties with one wrong picture: first with probability 1/2, expected rank 1.5.
    let r = of_scores(&[&[0.5, 0.5, 0.1]], &[0], 3);
    assert_eq!((r.t2i.r1, r.t2i.r5, r.t2i.mean_rank, r.t2i.ties), (50.0, 100.0, 1.5, 1));
    // Two own captions tie with one wrong one: a right one is first with probability 2/3, expected rank 4/3.
    let r = of_scores(&[&[0.5, 0.0], &[0.5, 0.0], &[0.5, 0.6]], &[0, 0, 1], 2);
    assert!((r.i2t.r1 - 100.0 * (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-9, "{}", r.i2t.r1);
    assert!((r.i2t.mean_rank - (4.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
    // Own captions that tie with each other are no tie.
    let r = of_scores(&[&[0.5], &[0.5]], &[0, 0], 1);
    assert_eq!((r.i2t.ties, r.i2t.mean_rank), (0, 1.0));
}

#[test]
fn a_constant_model_gets_exactly_chance() {
    let (pictures, per) = (50, 3);
    let image_of: Vec<u32> = (0..pictures * per).map(|c| c / per).collect();
    let rows = |n: u32| [0.6f32, 0.3, 0.741_62].repeat(n as usize);
    let r = retrieval(&rows(pictures * per), &image_of, &rows(pictures), pictures as usize, 3).unwrap();
    assert!(
        (r.t2i.r1 - 2.0).abs() < 1e-9 && (r.t2i.r5 - 10.0).abs() < 1e-9 && (r.t2i.r10 - 20.0).abs() < 1e-9
    );
    assert!((r.t2i.mean_rank - 25.5).abs() < 1e-9);
    assert!((r.i2t.r1 - 2.0).abs() < 1e-9); // three of 150
    assert_eq!((r.t2i.ties, r.i2t.ties), (150, 50));
}

/// Unit rows; a few of them equal, so that ties happen.
fn unit_rows(n: usize, width: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut rows: Vec<f32> = Vec::with_capacity(n * width);
    for i in 0..n {
        if i > 0 && rng.random_bool(0.1) {
            let from = rng.random_range(0..i) * width;
            rows.extend_from_within(from..from + width);
        } else {
            let row: Vec<f32> = (0..width).map(|_| rng.random_range(-1.0..1.0)).collect();
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            rows.extend(row.iter().map(|x| x / norm));
        }
    }
    rows
}

/// Expected recall and rank by going through the sorted list, group of equal scores by group.
fn naive(scores: &[f32], right: &[bool], k: usize) -> (f64, f64) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let first = order.iter().position(|&i| right[i]).unwrap();
    let group: Vec<usize> = order.iter().copied().filter(|&i| scores[i] == scores[order[first]]).collect();
    let before = order.iter().filter(|&&i| scores[i] > scores[order[first]]).count();
    let own = group.iter().filter(|&&i| right[i]).count();
    // P(first own at place j of the group) = P(none in j − 1 places) − P(none in j places)
    let none = |places: usize| -> f64 {
        (0..places).map(|t| (group.len() - own).saturating_sub(t) as f64 / (group.len() - t) as f64).product()
    };
    let at = |j: usize| none(j - 1) - none(j);
    let hit = (1..=group.len()).filter(|j| before + j <= k).map(at).sum();
    let rank = (1..=group.len()).map(|j| (before + j) as f64 * at(j)).sum();
    (hit, rank)
}

#[test]
fn agrees_with_the_whole_matrix() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (captions, queried, images, width) in [(7, 5, 5, 3), (300, 70, 97, 17), (129, 33, 64, 40)] {
        let (c, p) = (unit_rows(captions, width, &mut rng), unit_rows(images, width, &mut rng));
        let image_of: Vec<u32> = (0..captions).map(|_| rng.random_range(0..queried as u32)).collect();
        let got = retrieval(&c, &image_of, &p, queried, width).unwrap();
        let s = Kernel::detect().matrix(&c, &p, width);
        for (k, t2i, i2t) in
            [(1, got.t2i.r1, got.i2t.r1), (5, got.t2i.r5, got.i2t.r5), (10, got.t2i.r10, got.i2t.r10)]
        {
            let rows: Vec<(f64, f64)> = (0..captions)
                .map(|c| {
                    let right: Vec<bool> = (0..images).map(|i| i == image_of[c] as usize).collect();
                    naive(&s[c * images..][..images], &right, k)
                })
                .collect();
            let columns: Vec<(f64, f64)> = (0..queried)
                .filter(|&i| image_of.contains(&(i as u32)))
                .map(|i| {
                    let scores: Vec<f32> = (0..captions).map(|c| s[c * images + i]).collect();
                    let right: Vec<bool> = image_of.iter().map(|&own| own as usize == i).collect();
                    naive(&scores, &right, k)
                })
                .collect();
            let mean =
                |x: &[(f64, f64)], f: fn(&(f64, f64)) -> f64| x.iter().map(f).sum::<f64>() / x.len() as f64;
            assert!((t2i - 100.0 * mean(&rows, |x| x.0)).abs() < 1e-9);
            assert!((i2t - 100.0 * mean(&columns, |x| x.0)).abs() < 1e-9);
            assert!((got.t2i.mean_rank - mean(&rows, |x| x.1)).abs() < 1e-9);
            assert!((got.i2t.mean_rank - mean(&columns, |x| x.1)).abs() < 1e-9);
        }
        assert!(captions < 10 || got.t2i.ties > 0, "the data should hold ties");
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let (c, p) = (unit_rows(700, 24, &mut rng), unit_rows(140, 24, &mut rng));
    let image_of: Vec<u32> = (0..700).map(|i| i / 5).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| retrieval(&c, &image_of, &p, 140, 24).unwrap())
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(8));
}

#[test]
fn folds_are_galleries_of_their_own() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (c, p) = (unit_rows(40, 6, &mut rng), unit_rows(20, 6, &mut rng));
    let image_of: Vec<u32> = (0..40).map(|i| (i * 7) % 20).collect();
    let whole = retrieval_in_folds(&c, &image_of, &p, 20, 6, 1).unwrap();
    assert_eq!(whole, retrieval(&c, &image_of, &p, 20, 6).unwrap());
    let folds = retrieval_in_folds(&c, &image_of, &p, 20, 6, 2).unwrap();
    let half = |first: u32| {
        let mine: Vec<usize> = (0..40).filter(|&i| (first..first + 10).contains(&image_of[i])).collect();
        let rows: Vec<f32> = mine.iter().flat_map(|&i| c[i * 6..][..6].to_vec()).collect();
        let own: Vec<u32> = mine.iter().map(|&i| image_of[i] - first).collect();
        retrieval(&rows, &own, &p[first as usize * 6..][..60], 10, 6).unwrap()
    };
    assert!((folds.mr - (half(0).mr + half(10).mr) / 2.0).abs() < 1e-9);
    assert_eq!(folds.captions, 40);
    let error = retrieval_in_folds(&c, &image_of, &p, 20, 6, 3).unwrap_err().to_string();
    assert!(error.contains("cannot be cut into 3 folds"), "{error}");
}

#[test]
fn wrong_input_is_named() {
    let error = |c: &[f32], own: &[u32], p: &[f32], queried| {
        retrieval(c, own, p, queried, 2).unwrap_err().to_string()
    };
    assert!(error(&[1.0, 0.0], &[1], &[1.0, 0.0], 1).contains("caption row 0 speaks of picture 1"));
    assert!(error(&[1.0, f32::NAN], &[0], &[1.0, 0.0], 1).contains("caption row 0 holds NaN"));
    let infinite = [1.0, 0.0, f32::INFINITY, 0.0];
    assert!(error(&[1.0, 0.0], &[0], &infinite, 1).contains("picture row 1 holds inf"));
    assert!(error(&[1.0], &[0], &[1.0, 0.0], 1).contains("not rows of width 2"));
    assert!(error(&[], &[], &[1.0, 0.0], 1).contains("no captions"));
    assert!(error(&[1.0, 0.0], &[0], &[1.0, 0.0], 2).contains("only 1 picture rows"));
}
