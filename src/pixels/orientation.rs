//! EXIF's orientation: how a photograph was held.

use super::Rgb;
use super::exif::Exif;

/// EXIF's orientation, 1 to 8: 1 is upright, 2 mirrored, 3 upside down, 4 both, 5 to 8 with rows and columns exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation(u8);

impl Default for Orientation {
    fn default() -> Self {
        Orientation(1)
    }
}

/// The tag of TIFF.
const ORIENTATION: u16 = 0x112;

impl Orientation {
    /// Whether a photograph stays as it is stored.
    pub fn is_upright(self) -> bool {
        self.0 == 1
    }

    /// What EXIF data say, a TIFF with or without `Exif\0\0` before it; upright, where they say nothing that can be read.
    pub fn of_exif(exif: &[u8]) -> Orientation {
        let value = Exif::open(exif).and_then(|exif| u8::try_from(exif.number(ORIENTATION)?).ok());
        value.filter(|n| (1..=8).contains(n)).map(Orientation).unwrap_or_default()
    }

    /// The picture, upright.
    pub fn applied(self, picture: Rgb) -> Rgb {
        if self.is_upright() {
            return picture;
        }
        let (width, height) = (picture.width, picture.height);
        let turned = self.0 >= 5;
        let (to_width, to_height) = if turned { (height, width) } else { (width, height) };
        let mut data = Vec::with_capacity(picture.data.len());
        for y in 0..to_height {
            for x in 0..to_width {
                let (right, down) = (to_width - 1 - x, to_height - 1 - y);
                let (from_x, from_y) = match self.0 {
                    2 => (right, y),
                    3 => (right, down),
                    4 => (x, down),
                    5 => (y, x),
                    6 => (y, right),
                    7 => (down, right),
                    _ => (down, x),
                };
                data.extend_from_slice(&picture.data[(from_y * width + from_x) * 3..][..3]);
            }
        }
        Rgb::new(to_width, to_height, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 × 2 pixels, numbered.
    fn numbered() -> Rgb {
        Rgb::new(3, 2, (0..6).flat_map(|n| [n, n, n]).collect())
    }

    #[test]
    fn every_orientation_is_turned_upright() {
        let want: [(u8, usize, [u8; 6]); 8] = [
            (1, 3, [0, 1, 2, 3, 4, 5]),
            (2, 3, [2, 1, 0, 5, 4, 3]),
            (3, 3, [5, 4, 3, 2, 1, 0]),
            (4, 3, [3, 4, 5, 0, 1, 2]),
            (5, 2, [0, 3, 1, 4, 2, 5]),
            (6, 2, [3, 0, 4, 1, 5, 2]),
            (7, 2, [5, 2, 4, 1, 3, 0]),
            (8, 2, [2, 5, 1, 4, 0, 3]),
        ];
        for (n, width, pixels) in want {
            let out = Orientation(n).applied(numbered());
            let got: Vec<u8> = out.data.iter().step_by(3).copied().collect();
            assert_eq!((out.width, &got[..]), (width, &pixels[..]), "orientation {n}");
        }
    }

    #[test]
    fn exif_is_read_in_either_order_of_bytes_and_damage_is_upright() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
        assert_eq!(Orientation::of_exif(little), Orientation(6));
        assert_eq!(Orientation::of_exif(big), Orientation(8));
        for cut in 0..22 {
            assert!(Orientation::of_exif(&little[..cut.min(19)]).is_upright(), "{cut} bytes");
        }
        let mut wrong = little.to_vec();
        wrong[18] = 9;
        assert!(Orientation::of_exif(&wrong).is_upright());
        wrong[4..8].fill(0xff);
        assert!(Orientation::of_exif(&wrong).is_upright());
    }
}
