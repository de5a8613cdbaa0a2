//! The Pareto front of cost and worth.

/// Places of the points (cost, worth) that no other one beats: with a lower or the same cost and a higher worth. In the order
/// of cost. What was not measured is not on it.
pub fn front(points: &[Option<(f64, f64)>]) -> Vec<usize> {
    let mut order: Vec<(usize, (f64, f64))> =
        points.iter().enumerate().filter_map(|(n, point)| Some((n, (*point)?))).collect();
    // The better one of two of a cost comes first.
    order.sort_by(|(_, a), (_, b)| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut best = f64::NEG_INFINITY;
    order.retain(|(_, (_, worth))| {
        let better = *worth > best;
        best = best.max(*worth);
        better
    });
    order.into_iter().map(|(n, _)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::front;

    #[test]
    fn the_front_is_what_no_other_point_beats() {
        let points = [
            Some((10.0, 30.0)),
            Some((5.0, 20.0)),
            Some((10.0, 35.0)),
            None,
            Some((20.0, 34.0)),
            Some((7.0, 20.0)),
            Some((30.0, 40.0)),
            Some((2.0, 10.0)),
        ];
        assert_eq!(front(&points), [7, 1, 2, 6]);
        assert_eq!(front(&[]), [0; 0]);
    }
}
