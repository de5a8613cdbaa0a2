//! What EXIF data say of a photograph: a TIFF of directories, each of entries with a tag, a type, a count and a value.

use super::Day;

/// EXIF data, with or without `Exif\0\0` before the TIFF.
pub(super) struct Exif<'a> {
    tiff: &'a [u8],
    /// Whether the first byte of a number is the highest.
    big: bool,
}

const SHORT: u16 = 3;
const ASCII: u16 = 2;
/// Bytes of an entry.
const ENTRY: usize = 12;
/// Bytes of values that stand in the entry itself.
const WITHIN: usize = 4;
/// In the first directory, where the one of EXIF begins.
const EXIF_DIRECTORY: u16 = 0x8769;
/// When a photograph was taken, or made digital: `2024:05:31 12:00:00`.
const TAKEN: [u16; 2] = [0x9003, 0x9004];

impl<'a> Exif<'a> {
    /// Nothing, where it is no TIFF.
    pub(super) fn open(exif: &'a [u8]) -> Option<Exif<'a>> {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        match tiff.get(..4)? {
            b"II*\0" => Some(Exif { tiff, big: false }),
            b"MM\0*" => Some(Exif { tiff, big: true }),
            _ => None,
        }
    }

    /// The number that a tag of the first directory has.
    pub(super) fn number(&self, tag: u16) -> Option<usize> {
        self.number_in(self.long(4)?, tag)
    }

    /// The day on which the photograph was taken.
    pub(super) fn taken(&self) -> Option<Day> {
        let directory = self.number(EXIF_DIRECTORY)?;
        TAKEN.iter().find_map(|&tag| Day::of_exif(self.text_in(directory, tag)?))
    }

    fn number_in(&self, directory: usize, tag: u16) -> Option<usize> {
        let entry = self.entry(directory, tag)?;
        match self.short(entry + 2)? {
            SHORT => self.short(entry + 8).map(usize::from),
            _ => self.long(entry + 8),
        }
    }

    fn text_in(&self, directory: usize, tag: u16) -> Option<&'a str> {
        let entry = self.entry(directory, tag)?;
        let count = self.long(entry + 4)?;
        if self.short(entry + 2)? != ASCII || count <= WITHIN {
            return None;
        }
        let start = self.long(entry + 8)?;
        let bytes = self.tiff.get(start..start.checked_add(count)?)?;
        std::str::from_utf8(bytes).ok()
    }

    fn entry(&self, directory: usize, tag: u16) -> Option<usize> {
        let entries = usize::from(self.short(directory)?);
        (0..entries).map(|n| directory + 2 + ENTRY * n).find(|&at| self.short(at) == Some(tag))
    }

    fn short(&self, at: usize) -> Option<u16> {
        let two = [*self.tiff.get(at)?, *self.tiff.get(at + 1)?];
        Some(if self.big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    }

    fn long(&self, at: usize) -> Option<usize> {
        let (one, other) = (usize::from(self.short(at)?), usize::from(self.short(at + 2)?));
        Some(if self.big { one << 16 | other } else { other << 16 | one })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Little-endian: one directory that leads to EXIF's, and there the day.
    fn with_day(tag: u16, text: &[u8; 20]) -> Vec<u8> {
        let mut tiff = b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x1a\0\0\0\0\0\0\0".to_vec();
        tiff.extend([1, 0]);
        tiff.extend(tag.to_le_bytes());
        tiff.extend(b"\x02\0\x14\0\0\0\x2c\0\0\0\0\0\0\0");
        tiff.extend(text);
        tiff
    }

    #[test]
    fn the_day_is_read_and_damage_is_no_day() {
        let day = |tiff: &[u8]| Exif::open(tiff).and_then(|exif| exif.taken()).map(|day| day.to_string());
        let whole = with_day(0x9003, b"2024:05:31 23:59:01\0");
        assert_eq!(day(&whole).as_deref(), Some("2024-05-31"));
        assert_eq!(day(&with_day(0x9004, b"1999:01:02 00:00:00\0")).as_deref(), Some("1999-01-02"));
        assert_eq!(day(&with_day(0x9005, b"1999:01:02 00:00:00\0")), None);
        assert_eq!(day(&with_day(0x9003, b"0000:00:00 00:00:00\0")), None);
        for cut in 0..whole.len() {
            assert_eq!(day(&whole[..cut]), None, "{cut} bytes");
        }
        for at in 0..44 {
            let mut wrong = whole.clone();
            wrong[at] = 0xff;
            // It may still be a day, and must not panic.
            let _ = day(&wrong);
        }
    }
}
