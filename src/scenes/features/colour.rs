//! Colours as people see them, and histograms of them.
//!
//! The space is Oklab (Ottosson 2020): lightness, green–red, blue–yellow, with distances near to what the
//! eye tells apart.

use std::sync::LazyLock;

/// Bins of a colour histogram: greys by lightness, then hues by lightness.
pub(super) const BINS: usize = GREYS + HUES * LIGHTS;
const GREYS: usize = 6;
const HUES: usize = 12;
const LIGHTS: usize = 2;
/// The chroma from which a colour counts as no grey at all.
const VIVID: f32 = 0.12;

/// sRGB bytes to linear light.
static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let c = byte as f32 / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    })
});

/// Lightness (0 to 1), green–red and blue–yellow (about ±0.3).
pub(super) fn oklab(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|c| LINEAR[usize::from(c)]);
    let long = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
    let middle = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let short = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * long + 0.793_617_8 * middle - 0.004_072_047 * short,
        1.977_998_5 * long - 2.428_592_2 * middle + 0.450_593_7 * short,
        0.025_904_037 * long + 0.782_771_77 * middle - 0.808_675_77 * short,
    ]
}

pub(super) fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2)).sqrt()
}

/// Adds one colour to a histogram of [`BINS`]; it is shared out between neighbouring bins, `weight` in all.
pub(super) fn count(histogram: &mut [f32], lab: [f32; 3], weight: f32) {
    let vivid = ((lab[1] * lab[1] + lab[2] * lab[2]).sqrt() / VIVID).min(1.0);
    let (low, part) = split(lab[0] * (GREYS - 1) as f32, GREYS);
    histogram[low] += weight * (1.0 - vivid) * (1.0 - part);
    histogram[low + 1] += weight * (1.0 - vivid) * part;

    let turn = lab[2].atan2(lab[1]) / std::f32::consts::TAU + 0.5;
    let hue = turn * HUES as f32;
    let (first, near) = (hue as usize % HUES, hue.fract());
    let dark = 1.0 - ((lab[0] - 0.4) / 0.35).clamp(0.0, 1.0);
    for (hue, share) in [(first, 1.0 - near), ((first + 1) % HUES, near)] {
        let bin = GREYS + hue * LIGHTS;
        histogram[bin] += weight * vivid * share * dark;
        histogram[bin + 1] += weight * vivid * share * (1.0 - dark);
    }
}

/// The lower of the two bins round a position, and the share of the upper one.
pub(super) fn split(position: f32, bins: usize) -> (usize, f32) {
    let position = position.clamp(0.0, (bins - 1) as f32);
    let low = (position as usize).min(bins - 2);
    (low, position - low as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oklab_of_white_black_and_red() {
        // From the definition: white (1, 0, 0), black 0, sRGB red (0.628, 0.225, 0.126).
        let near = |a: [f32; 3], b: [f32; 3]| assert!(distance(a, b) < 2e-3, "{a:?} {b:?}");
        near(oklab([255; 3]), [1.0, 0.0, 0.0]);
        near(oklab([0; 3]), [0.0; 3]);
        near(oklab([255, 0, 0]), [0.628, 0.225, 0.126]);
    }

    #[test]
    fn a_colour_counts_its_weight_and_greys_stay_apart_from_hues() {
        let mut histogram = [0.0; BINS];
        count(&mut histogram, oklab([200, 30, 30]), 2.0);
        assert!((histogram.iter().sum::<f32>() - 2.0).abs() < 1e-5);
        assert!(histogram[..GREYS].iter().sum::<f32>() < 1e-5);
        let mut grey = [0.0; BINS];
        count(&mut grey, oklab([128; 3]), 1.0);
        assert!(grey[GREYS..].iter().sum::<f32>() < 1e-2);
    }
}
