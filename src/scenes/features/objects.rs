//! The things in a picture, found in its pixels: what is left when all that flows smoothly from the border
//! inwards is taken away, in connected pieces.

use super::super::draw::SIDE;
use super::colour;

/// Neighbouring pixels of the ground differ by less (Oklab distance): grain does, an outline does not.
const SMOOTH: f32 = 0.05;
/// Smaller pieces are noise.
const FEWEST: usize = 12;
/// The side of a silhouette.
pub(super) const SILHOUETTE: usize = 12;

/// One connected piece: its pixels as indices, row by row.
pub(super) struct Object {
    pub pixels: Vec<usize>,
    /// Smallest and largest column, then row.
    bounds: [usize; 4],
}

/// For every pixel, whether it belongs to the ground.
pub(super) fn ground(lab: &[[f32; 3]]) -> Vec<bool> {
    let mut ground = vec![false; lab.len()];
    let border =
        |i: &usize| matches!(i % SIDE, 0) || i % SIDE == SIDE - 1 || i / SIDE == 0 || i / SIDE == SIDE - 1;
    let mut open: Vec<usize> = (0..lab.len()).filter(border).collect();
    open.iter().for_each(|&i| ground[i] = true);
    while let Some(i) = open.pop() {
        for j in neighbours(i, &[(-1, 0), (1, 0), (0, -1), (0, 1)]) {
            if !ground[j] && colour::distance(lab[i], lab[j]) < SMOOTH {
                ground[j] = true;
                open.push(j);
            }
        }
    }
    ground
}

/// The connected pieces (corners touch) outside the ground.
pub(super) fn find(ground: &[bool]) -> Vec<Object> {
    let mut seen = ground.to_vec();
    let mut objects = Vec::new();
    for start in 0..seen.len() {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut pixels = vec![start];
        let mut next = 0;
        while next < pixels.len() {
            for j in neighbours(
                pixels[next],
                &[(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)],
            ) {
                if !seen[j] {
                    seen[j] = true;
                    pixels.push(j);
                }
            }
            next += 1;
        }
        if pixels.len() >= FEWEST {
            objects.push(Object::new(pixels));
        }
    }
    objects
}

fn neighbours(i: usize, steps: &'static [(isize, isize)]) -> impl Iterator<Item = usize> {
    let (column, row) = ((i % SIDE) as isize, (i / SIDE) as isize);
    let within = 0..SIDE as isize;
    steps
        .iter()
        .map(move |(dx, dy)| (column + dx, row + dy))
        .filter(move |(x, y)| within.contains(x) && within.contains(y))
        .map(|(x, y)| y as usize * SIDE + x as usize)
}

impl Object {
    fn new(pixels: Vec<usize>) -> Self {
        let mut bounds = [SIDE, 0, SIDE, 0];
        for &i in &pixels {
            let (x, y) = (i % SIDE, i / SIDE);
            bounds = [bounds[0].min(x), bounds[1].max(x), bounds[2].min(y), bounds[3].max(y)];
        }
        Object { pixels, bounds }
    }

    /// The middle as shares of the picture's width: x, y.
    pub fn centre(&self) -> (f32, f32) {
        let n = self.pixels.len() as f32;
        let x: usize = self.pixels.iter().map(|i| i % SIDE).sum();
        let y: usize = self.pixels.iter().map(|i| i / SIDE).sum();
        (x as f32 / n / SIDE as f32, y as f32 / n / SIDE as f32)
    }

    /// The length of the longer side of the box round it, as a share of the picture's width.
    pub fn extent(&self) -> f32 {
        self.longer() as f32 / SIDE as f32
    }

    fn longer(&self) -> usize {
        let [left, right, top, bottom] = self.bounds;
        (right - left).max(bottom - top) + 1
    }

    /// How light the object is within the square round it, `SILHOUETTE`² cells: 0 outside the object,
    /// else 1 plus the lightness against the object's mean; of unit length.
    pub fn silhouette(&self, lab: &[[f32; 3]]) -> Vec<f32> {
        let [left, right, top, bottom] = self.bounds;
        let size = self.longer() as f32;
        let corner_x = (left + right + 1) as f32 / 2.0 - size / 2.0;
        let corner_y = (top + bottom + 1) as f32 / 2.0 - size / 2.0;
        let mean = self.pixels.iter().map(|&i| lab[i][0]).sum::<f32>() / self.pixels.len() as f32;
        let mut cells = vec![0.0; SILHOUETTE * SILHOUETTE];
        let scale = SILHOUETTE as f32 / size;
        for &i in &self.pixels {
            let (x, y) = ((i % SIDE) as f32 + 0.5 - corner_x, (i / SIDE) as f32 + 0.5 - corner_y);
            // A pixel of a small object is wider than a cell: spread it over four.
            let (column, right) = super::colour::split(x * scale - 0.5, SILHOUETTE);
            let (row, below) = super::colour::split(y * scale - 0.5, SILHOUETTE);
            let value = 1.0 + 2.0 * (lab[i][0] - mean);
            let cell = row * SILHOUETTE + column;
            cells[cell] += value * (1.0 - right) * (1.0 - below);
            cells[cell + 1] += value * right * (1.0 - below);
            cells[cell + SILHOUETTE] += value * (1.0 - right) * below;
            cells[cell + SILHOUETTE + 1] += value * right * below;
        }
        super::unit(&mut cells, 1.0);
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::dice::Dice;
    use super::super::super::draw::Picture;
    use super::super::super::scene::Scene;
    use super::*;

    #[test]
    fn as_many_objects_are_found_as_were_drawn() {
        let mut right = 0;
        for index in 0..200 {
            let scene = Scene::sample(&mut Dice::new([9, 0, index, 0]));
            let picture = Picture::draw(&scene, &mut Dice::new([9, 0, index, 1]));
            let lab: Vec<_> = picture.0.iter().map(|&p| colour::oklab(p)).collect();
            right += usize::from(find(&ground(&lab)).len() == scene.items.len());
        }
        assert!(right >= 198, "{right} of 200");
    }
}
