use super::parts::Parts;
use super::*;

fn noise(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64)
        .map(|i| {
            let h = crate::seed::derive(seed, "numbers", i);
            // The sum of four even numbers: about a bell.
            (0..4).map(|k| ((h >> (16 * k)) & 0xffff) as f32 / 65536.0 - 0.5).sum::<f32>()
        })
        .collect()
}

/// The largest error of each number by that which the format promises for it, both of them.
fn worst(format: Format, columns: usize, x: &[f32]) -> f32 {
    let y = format.encode(x.len() / columns, columns, x).decode(columns);
    assert_eq!(y.len(), x.len());
    let mut worst = 0f32;
    for (row, (x, y)) in x.chunks(columns).zip(y.chunks(columns)).enumerate() {
        for (at, (a, b)) in x.iter().zip(y).enumerate() {
            let group = &x[at / GROUP * GROUP..(at / GROUP * GROUP + GROUP).min(columns)];
            let promised = match format.of_matrix(usize::MAX >> 32, columns) {
                Format::F32 => 0.0,
                Format::F16 => a.abs().max(6.1e-5) / 2048.0,
                Format::Int8 => largest(x) / 254.0 * (1.0 + 1e-5),
                Format::Int4 => largest(group) / 14.0 * (1.0 + 2e-3) + 6e-8,
                Format::Pq => unreachable!("has no bound of one number"),
            };
            let error = (a - b).abs();
            assert!(error <= promised, "{format:?}, row {row}, column {at}: {a} became {b}");
            worst = worst.max(error);
        }
    }
    worst
}

#[test]
fn errors_are_bounded_as_promised() {
    // Rows of very different sizes, groups that are cut short, and rows of zeros.
    for columns in [2, 32, 50, 96] {
        let mut x = noise(7 * columns, columns as u64);
        let factors = [1.0, 1e-3, 1e3, 0.0, 1e-7, 40.0, 0.2];
        x.chunks_mut(columns).zip(factors).for_each(|(row, by)| row.iter_mut().for_each(|x| *x *= by));
        assert_eq!(worst(Format::F32, columns, &x), 0.0);
        for format in [Format::F16, Format::Int8, Format::Int4] {
            assert!(worst(format, columns, &x) > 0.0, "{format:?}");
        }
    }
}

#[test]
fn numbers_on_the_grid_are_kept_exactly() {
    let x: Vec<f32> = (0..64).map(|i| (i % 15) as f32 - 7.0).collect();
    assert_eq!(Format::Int4.encode(2, 32, &x).decode(32), x);
    let x: Vec<f32> = (0..510).map(|i| (i % 255) as f32 - 127.0).collect();
    assert_eq!(Format::Int8.encode(2, 255, &x).decode(255), x);
}

/// Root mean square of the error by that of the numbers.
fn relative(format: Format, columns: usize, x: &[f32]) -> f64 {
    let y = format.encode(x.len() / columns, columns, x).decode(columns);
    let square = |x: f32| f64::from(x).powi(2);
    let error: f64 = x.iter().zip(&y).map(|(a, b)| square(a - b)).sum();
    (error / x.iter().copied().map(square).sum::<f64>()).sqrt()
}

#[test]
fn a_finer_format_errs_less_and_takes_more() {
    let (columns, x) = (64, noise(64 * 400, 5));
    let errors = Format::ALL.map(|format| relative(format, columns, &x));
    assert!(errors.is_sorted(), "{errors:?}");
    // Two bits of a Gaussian source cannot err less than by 1/4 (the rate-distortion bound); ours comes near it.
    assert!(errors[2] < 0.01 && errors[3] < 0.12 && errors[4] < 0.40, "{errors:?}");
    let sizes = Format::ALL.map(|format| format.encode(400, columns, &x).bytes());
    assert_eq!(sizes, [102_400, 51_200, 25_600 + 1600, 12_800 + 1600, 6400 + 1600 + 4096]);
}

#[test]
fn parts_that_repeat_are_found_exactly() {
    // Fewer distinct parts than centres.
    let kinds = [[1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.0, 2.0]];
    let x: Vec<f32> = (0..15_000).flat_map(|i| kinds[i % 3]).collect();
    let encoded = Format::Pq.encode(1000, 60, &x);
    assert_eq!(encoded.format, Format::Pq);
    assert!(relative(Format::Pq, 60, &x) < 1e-6);
    assert_eq!(encoded, Format::Pq.encode(1000, 60, &x));
}

#[test]
fn codebooks_for_places_err_less_than_one_for_all() {
    // Columns fade, so that no centres suit all places.
    let columns = 32;
    let mut x = noise(500 * columns, 3);
    x.iter_mut().enumerate().for_each(|(n, x)| *x *= 0.8f32.powi((n % columns) as i32));
    let error = |books: usize| {
        let Parts { codes, scales, centres } = parts::quantise(columns, books, &x);
        assert_eq!((codes.len(), centres.len()), (500 * 8, books * 256 * 4));
        let scales = bytemuck::cast_slice(&scales);
        let y = View { format: Format::Pq, columns, codes: &codes, scales, centres: &centres }.all();
        x.iter().zip(&y).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
    };
    let [one, two, three] = [1, 2, 3].map(error);
    assert!(two < 0.9 * one && three < 0.9 * two, "{one} {two} {three}");
    for (rows, columns, books) in
        [(1000, 64, 1), (8192, 32, 2), (5000, 512, 19), (1 << 30, 64, 16), (9, 3, 1)]
    {
        assert_eq!(Format::codebooks(rows, columns), books, "{rows} × {columns}");
    }
}

#[test]
fn what_a_format_does_not_suit_is_kept_in_a_finer_one() {
    for (format, rows, columns, kept) in [
        (Format::Int4, 3, 7, Format::Int8),
        (Format::Int4, 3, 8, Format::Int4),
        (Format::Pq, 1000, 62, Format::Int4),
        (Format::Pq, 1000, 64, Format::Pq),
        (Format::Pq, 10, 64, Format::Int4),
        (Format::Pq, 1000, 63, Format::Int8),
        (Format::F16, 3, 7, Format::F16),
    ] {
        assert_eq!(format.encode(rows, columns, &noise(rows * columns, 1)).format, kept);
    }
    assert_eq!(
        Format::ALL.map(|format| format.of_vector(&[1.0, -2.0]))[..3],
        [Format::F32, Format::F16, Format::F16]
    );
    for large in [1e6, f32::INFINITY, f32::NAN] {
        assert_eq!(Format::Int4.of_vector(&[1.0, large]), Format::F32);
    }
    assert_eq!(Format::Int4.encode(0, 8, &[]).decode(8), [0.0; 0]);
}
