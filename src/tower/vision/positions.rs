//! Positions for pictures of another size: interpolated as PyTorch's bicubic `interpolate` without corners aligned, as DINOv2 does.

/// Weights of the four neighbours at the distance `t` behind the second (Keys 1981, with −¾).
fn weights(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

/// For each place of an axis of `to`: its four neighbours on one of `from`, which stay within, and their weights.
fn axis(from: usize, to: usize) -> Vec<([usize; 4], [f32; 4])> {
    let scale = from as f32 / to as f32;
    let place = |n: usize| {
        let real = scale * (n as f32 + 0.5) - 0.5;
        let first = real.floor();
        let neighbour = |k: isize| (first as isize + k).clamp(0, from as isize - 1) as usize;
        ([-1, 0, 1, 2].map(neighbour), weights(real - first))
    };
    (0..to).map(place).collect()
}

/// Positions (from · from, width) → (height · width of the grid, width).
pub(super) fn interpolated(positions: &[f32], width: usize, from: usize, grid: (usize, usize)) -> Vec<f32> {
    let (columns, rows) = (axis(from, grid.0), axis(from, grid.1));
    let mut out = Vec::with_capacity(grid.0 * grid.1 * width);
    for (ys, y_weights) in &rows {
        for (xs, x_weights) in &columns {
            out.extend((0..width).map(|c| {
                let along = |y: usize| -> f32 {
                    let each = xs.iter().zip(x_weights);
                    each.map(|(x, w)| w * positions[(y * from + x) * width + c]).sum()
                };
                ys.iter().zip(y_weights).map(|(&y, w)| w * along(y)).sum::<f32>()
            }));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_grid_is_the_same_and_a_constant_stays() {
        let positions: Vec<f32> = (0..9 * 2).map(|n| (n * n % 7) as f32).collect();
        assert_eq!(interpolated(&positions, 2, 3, (3, 3)), positions);
        let wide = interpolated(&[0.5; 9], 1, 3, (7, 2));
        assert!(wide.len() == 14 && wide.iter().all(|x| (x - 0.5).abs() < 1e-6), "{wide:?}");
    }
}
