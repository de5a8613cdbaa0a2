//! Features whose rows stand several times, once for each caption.

use super::*;

/// Every row of the folder's features three times.
fn folder() -> Folder {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    for (split, rows, start) in [("train", 3, 1.0), ("val", 2, 4.0), ("test", 2, 6.0)] {
        let values: Vec<f32> = (0..3 * rows).flat_map(|r| [start + (r / 3) as f32, 0.5]).collect();
        write_npy(folder.path(&format!("features/{split}.npy")), 3 * rows, 2, &values).unwrap();
    }
    folder
}

fn firsts(split: &Split) -> Vec<f32> {
    let mut row = [0.0; 2];
    let first = |n| {
        split.features.copy_row(n, &mut row);
        row[0]
    };
    (0..split.features.rows()).map(first).collect()
}

#[test]
fn rows_that_stand_equally_often_are_one_picture_each() {
    let mut folder = folder();
    let corpus = folder.load().unwrap();
    assert_eq!((firsts(&corpus.train), firsts(&corpus.test)), (vec![1.0, 2.0, 3.0], vec![6.0, 7.0]));
    assert_eq!(corpus.test.image_ids, ["0", "1"]);
    assert_has(&corpus.notes.join("\n"), &["train.npy` stands 3 times", "3 pictures"]);
    // Ids of rows, or of pictures.
    folder.config.image_ids = Some("{split}.ids".into());
    for (split, ids) in [("train", "a.jpg\nb.jpg\nc.jpg"), ("val", "d\nd\nd\ne\ne\ne"), ("test", "f\ng")] {
        folder.file(&format!("{split}.ids"), ids);
    }
    let corpus = folder.load().unwrap();
    assert_eq!((&corpus.train.image_ids[2][..], &corpus.val.image_ids[1][..]), ("c.jpg", "e"));
}

#[test]
fn rows_with_ids_of_their_own_are_pictures_however_alike() {
    let mut folder = folder();
    folder.config.image_ids = Some("{split}.ids".into());
    let numbered = |n: usize, name: &str| (0..n).map(|i| format!("{name}{i}\n")).collect::<String>();
    for (split, n) in [("train", 9), ("val", 6), ("test", 6)] {
        folder.file(&format!("{split}.ids"), numbered(n, split));
        folder.file(&format!("{split}.en"), numbered(n, "text "));
    }
    assert_eq!(folder.load().unwrap().test.features.rows(), 6);
    folder.config.rows_per_picture = 3;
    assert_has(
        &folder.refusal(4),
        &["train.ids`:2: id `train1` is for the same picture as `train0`", "hint"],
    );
}

#[test]
fn how_many_rows_a_picture_has_may_be_said() {
    let mut folder = folder();
    folder.config.rows_per_picture = 1;
    assert_has(&folder.refusal(4), &["3 lines for the 9 pictures"]);
    folder.config.rows_per_picture = 3;
    assert_eq!(folder.load().unwrap().val.features.rows(), 2);
    folder.config.rows_per_picture = 2;
    assert_has(&folder.refusal(4), &["9 rows are not 2 for each picture", "data.rows_per_picture"]);
    folder.features("train", 6, 1.0);
    assert_has(&folder.refusal(4), &["row 1 (from 0) differs from row 0, though 2 rows are one picture"]);
}
