//! An index of photographs that follows their folder: what came, changed or went since it was written.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::folder::{Description, ERRORS, Place, VERSION};
use super::part::{Contents, Photograph, write};
use super::pending::{Content, Finished, Pending};
use super::{Index, Stored};
use crate::corpus::PictureSource;
use crate::photos::{
    EmbeddedPhoto, InMemory, PhotoObserver, Photographs, PictureTower, Stamp, Told, list_of_bad,
};
use crate::pixels::{Day, Decoded, thumbnail};
use crate::retrieve::Retriever;
use crate::shard::Shard;
use crate::stop::Saves;
use crate::write::write_whole;
use crate::{Error, Result};

/// Pixels of the longer side of a thumbnail: twice what the page shows, for fine screens.
const SIDE: usize = 320;
/// Bytes beyond which a thumbnail is made coarser.
const COARSER: usize = 32 << 10;
/// A file that was changed this short a time ago may be changed again without its time telling.
const NEW: Duration = Duration::from_secs(2);

/// How an index follows photographs.
#[derive(Clone, Copy)]
pub struct Following<'a> {
    /// The numbers that vectors are kept in; where nothing is said those that it has, or half precision.
    pub numbers: Option<Stored>,
    /// Which shard of the photographs it holds, where others hold the rest.
    pub shard: Option<Shard>,
    /// Leaves photographs out that cannot be used, instead of an error.
    pub skip_bad: bool,
    /// Raised to stop; what is finished is kept.
    pub stop: &'a AtomicBool,
}

/// What has changed in an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Photographs it has now.
    pub pictures: usize,
    /// Names that it had not.
    pub added: usize,
    /// Names whose photographs are others now.
    pub replaced: usize,
    /// Names that are no more, or whose files cannot be used any more.
    pub removed: usize,
    /// Photographs that went through the tower; others were known by their content.
    pub seen: usize,
    /// Photographs that cannot be used, and were left out.
    pub left_out: usize,
}

/// Makes an index of photographs, or brings the one in the folder `path` to what they are now. A file of the same size and time is taken for
/// unchanged; else its content decides, and only a content that the index does not know goes through the tower. Until all is done the old index
/// stays as it is; what is finished is kept beside it, and the next call goes on from there.
///
/// # Errors
/// Usage, where something else than such an index is in the folder, or it holds other numbers or another shard; data: another model or tower than
/// made the index, or photographs that cannot be used, unless they are skipped. Stopped, on request. Run, where the folder cannot be written.
pub fn follow(
    model: &dyn Retriever,
    tower: &PictureTower,
    photographs: &Photographs,
    options: &Following,
    path: &Path,
    tell: &mut dyn FnMut(Told),
) -> Result<Changes> {
    let made_by = tower.made_by();
    if let Some(wanted) = &model.folder().info()?.features_by
        && *wanted != made_by
    {
        let what = format!("the run was trained on features by {wanted}, and the tower is {made_by}");
        return Err(Error::data(what).hint("give the tower that made the features of the training"));
    }
    model.encoder().check_width(&InMemory::new(tower, vec![0.0; tower.outputs()], path))?;
    let mut place = Place::take(path)?;
    let empty = Description {
        version: VERSION,
        tinyglot: env!("CARGO_PKG_VERSION").into(),
        pictures_by: model.pictures_by()?,
        features_by: Some(made_by),
        photographs: true,
        joint: model.joint(),
        numbers: options.numbers.unwrap_or(Stored::F16),
        shard: options.shard,
        written: 0,
        parts: Vec::new(),
    };
    let old = match &place.about {
        Some(about) => {
            check(about, &empty, options, path)?;
            Some(Index::open(path)?)
        }
        None => None,
    };
    let about = place.about.clone().unwrap_or(empty);
    Work { model, tower, photographs, options, path, about, old }.run(&mut place, tell)
}

/// Refuses an index that cannot follow these photographs.
fn check(about: &Description, wanted: &Description, options: &Following, path: &Path) -> Result<()> {
    let other = |what: String, hint: &str| Err(Error::usage(what).at(path).hint(hint));
    if !about.photographs {
        return other("was made of features, not of photographs".into(), "give another folder by `--out`");
    }
    if about.pictures_by != wanted.pictures_by || about.joint != wanted.joint {
        let what = "was made with another model".to_string();
        return Err(Error::data(what)
            .at(path)
            .hint("give the run that it was made with, or another `--out`"));
    }
    if about.features_by != wanted.features_by {
        let what = "was made with another picture tower, or another preprocessing".to_string();
        return Err(Error::data(what)
            .at(path)
            .hint("give the tower that it was made with, or another `--out`"));
    }
    if options.numbers.is_some_and(|numbers| numbers != about.numbers) {
        let what = format!("keeps its vectors as {:?}", about.numbers).to_lowercase();
        return other(what, "leave `--numbers` out, or give another `--out`");
    }
    let shard =
        |shard: Option<Shard>| shard.map_or("all photographs".into(), |s| format!("shard {s} of them"));
    match about.shard == wanted.shard {
        true => Ok(()),
        false => {
            let what = format!("holds {}, not {}", shard(about.shard), shard(wanted.shard));
            other(what, "give the same `--shard`, or another `--out`")
        }
    }
}

/// An index on its way to what the photographs are.
struct Work<'a> {
    model: &'a dyn Retriever,
    tower: &'a PictureTower,
    photographs: &'a Photographs,
    options: &'a Following<'a>,
    path: &'a Path,
    about: Description,
    old: Option<Index>,
}

/// Where the vector and thumbnail of a photograph are.
#[derive(Debug, Clone, Copy)]
enum From {
    /// A row of the old index.
    Old(usize),
    /// A finished work.
    Pending(usize),
}

/// A photograph that belongs into a new part.
struct New<'a> {
    id: &'a str,
    stamp: Stamp,
    content: Content,
    /// When its file was changed.
    changed: Option<Day>,
    from: From,
}

/// What was found of a photograph whose file is not known by size and time.
type Found = Option<std::result::Result<Content, String>>;

impl Work<'_> {
    fn run(self, place: &mut Place, tell: &mut dyn FnMut(Told)) -> Result<Changes> {
        let _saves = Saves::begin();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let count = self.photographs.len();
        let stamps: Vec<Option<Stamp>> = (0..count).map(|n| self.photographs.stamp(n)).collect();
        let rows: HashMap<&str, usize> =
            self.old.iter().flat_map(|old| old.ids.iter().map(String::as_str).zip(0..)).collect();
        let known = |n: usize| {
            let row = *rows.get(self.photographs.name(n))?;
            (self.old.as_ref()?.photograph(row).stamp == stamps[n]?).then_some(row)
        };
        let kept: HashSet<usize> = (0..count).filter_map(known).collect();
        let left: Vec<usize> = (0..count).filter(|&n| known(n).is_none()).collect();
        if left.is_empty() && kept.len() == rows.len() && self.old.is_some() {
            Pending::remove(self.path)?;
            return Ok(Changes { pictures: count, ..Changes::default() });
        }
        let mut pending = Pending::open(self.path, &self.making(), self.about.joint)?;
        tell(Told::Begun { done: count - left.len(), total: count });
        let (found, seen) = self.contents(&left, &mut pending, tell)?;
        let bad = self.bad(&found, tell)?;
        let contents = self.contents_of_old();
        let mut new: Vec<New> = Vec::new();
        for &n in &left {
            let Some(Ok(content)) = &found[n] else { continue };
            let from = contents.get(content).copied().map(From::Old);
            let from = from.or_else(|| pending.find(content).map(From::Pending)).expect("looked at before");
            let changed = stamps[n].and_then(|stamp| Day::of_seconds(stamp.modified / 1_000_000_000));
            let (id, stamp) = (self.photographs.name(n), settled(stamps[n], now));
            new.push(New { id, stamp, content: *content, changed, from });
        }
        let changes = self.changes(&new, &rows, &kept, seen, bad);
        if changes.pictures == 0 && self.options.shard.is_none() {
            return Err(Error::data("no photograph can be used").at(self.path.join(ERRORS)));
        }
        self.write(place, &new, &kept, &pending)?;
        drop(pending);
        Pending::remove(self.path)?;
        Ok(changes)
    }

    /// What makes finished photographs what they are.
    fn making(&self) -> serde_json::Value {
        let Description { pictures_by, features_by, .. } = &self.about;
        json!({"pictures_by": pictures_by, "features_by": features_by, "thumbnails": [SIDE, COARSER]})
    }

    /// The rows of the old index by the content of their files.
    fn contents_of_old(&self) -> HashMap<Content, usize> {
        let rows =
            self.old.iter().flat_map(|old| (0..old.ids.len()).map(|row| (old.photograph(row).sha256, row)));
        rows.collect()
    }

    /// Looks at some photographs; those of a content that is not known go through the tower. By photograph what was found, and how many went through.
    fn contents(
        &self,
        left: &[usize],
        pending: &mut Pending,
        tell: &mut dyn FnMut(Told),
    ) -> Result<(Vec<Found>, usize)> {
        let mut known: HashSet<Content> = self.contents_of_old().into_keys().collect();
        known.extend(pending.contents());
        let look = ContentObserver { known: RwLock::new(known) };
        let mut found: Vec<Found> = vec![None; self.photographs.len()];
        let (mut seen, mut done) = (0, 0);
        let stop = self.options.stop;
        let whole = self.tower.each(self.photographs, left, &look, stop, &mut |through| {
            done += through.len();
            let count = through.len();
            let finished = self.finished(through, &mut found)?;
            seen += finished.len();
            pending.keep(&finished)?;
            let mut known = look.known.write().expect("nothing panics while it writes");
            known.extend(finished.iter().map(|one| one.content));
            tell(Told::Done(count));
            Ok(())
        })?;
        match whole {
            true => Ok((found, seen)),
            false => {
                let what =
                    format!("stopped after {done} of {} photographs that are new or changed", left.len());
                Err(Error::stopped(what).hint("the same command goes on from there"))
            }
        }
    }

    /// The vectors of some photographs that have come through the tower.
    fn finished(&self, through: Vec<EmbeddedPhoto<Kept>>, found: &mut [Found]) -> Result<Vec<Finished>> {
        let (mut features, mut some) = (Vec::new(), Vec::new());
        for EmbeddedPhoto { n, features: made, kept, .. } in through {
            let content = kept.content;
            found[n] = Some(made.map(|made| {
                if let Some(row) = made {
                    features.extend(row);
                    some.push(kept);
                }
                content
            }));
        }
        if some.is_empty() {
            return Ok(Vec::new());
        }
        let features = InMemory::new(self.tower, features, self.path);
        let mut vectors = Vec::with_capacity(features.rows() * self.about.joint);
        self.model.pictures(&features, &mut |_, more| {
            vectors.extend_from_slice(more);
            Ok(())
        })?;
        let vectors = vectors.chunks_exact(self.about.joint).map(<[f32]>::to_vec);
        let finished = some.into_iter().zip(vectors).map(|(kept, vector)| {
            let Kept { content, day, thumbnail } = kept;
            Finished { content, vector, day, thumbnail }
        });
        Ok(finished.collect())
    }

    /// Lists photographs that cannot be used; refuses them, unless they are to be left out.
    fn bad(&self, found: &[Found], tell: &mut dyn FnMut(Told)) -> Result<usize> {
        let bad = || {
            let each = found.iter().enumerate();
            each.filter_map(|(n, found)| {
                Some((self.photographs.name(n), found.as_ref()?.as_ref().err()?.as_str()))
            })
        };
        let (count, list, total) = (bad().count(), self.path.join(ERRORS), self.photographs.len());
        if count == 0 {
            return match std::fs::remove_file(&list) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::writing(&list, e)),
                _ => Ok(0),
            };
        }
        write_whole(&list, list_of_bad(bad()).as_bytes())?;
        if !self.options.skip_bad {
            let what = format!("lists {count} of {total} photographs that cannot be used");
            let hint = "mend or remove them, then give the command again; or leave them out by `--skip-bad`. The others are done";
            return Err(Error::data(what).at(list).hint(hint));
        }
        let list = list.display();
        tell(Told::Warning(&format!("{count} of {total} photographs are left out, which `{list}` lists")));
        Ok(count)
    }

    fn changes(
        &self,
        new: &[New],
        rows: &HashMap<&str, usize>,
        kept: &HashSet<usize>,
        seen: usize,
        left_out: usize,
    ) -> Changes {
        let before = |new: &&New| rows.get(new.id).copied();
        let content = |row: usize| self.old.as_ref().map(|old| old.photograph(row).sha256);
        let had = new.iter().filter(|new| before(new).is_some()).count();
        let replaced =
            new.iter().filter(|new| before(new).is_some_and(|row| content(row) != Some(new.content)));
        Changes {
            pictures: kept.len() + new.len(),
            added: new.len() - had,
            replaced: replaced.count(),
            removed: rows.len() - kept.len() - had,
            seen,
            left_out,
        }
    }

    /// Writes new photographs as a part, with those of the parts that it is merged with; from then on the index is the new one.
    fn write(&self, place: &mut Place, new: &[New], kept: &HashSet<usize>, pending: &Pending) -> Result<()> {
        let mut about = self.about.clone();
        let mut moved: Vec<New> = Vec::new();
        if let Some(old) = &self.old {
            mark_dead(&mut about, old, kept);
            let stay = until(&about, new.len());
            about.parts.truncate(stay);
            moved = kept.iter().filter(|&&row| old.part(row) >= stay).map(|&row| again(old, row)).collect();
        }
        let mut all: Vec<&New> = new.iter().chain(&moved).collect();
        all.sort_by_key(|new| new.id);
        if !all.is_empty() {
            let mapped = pending.mapped()?;
            let (name, folder) = place.begin(about.written + 1)?;
            let contents = contents_of(&all, self.old.as_ref(), pending, mapped.as_ref(), about.joint);
            about.parts.push(write((name, &folder), contents, about.joint, about.numbers)?);
            about.written += 1;
        }
        about.tinyglot = env!("CARGO_PKG_VERSION").into();
        place.commit(about)
    }
}

/// A photograph that goes from a part into another as it is.
fn again(old: &Index, row: usize) -> New<'_> {
    let Photograph { stamp, sha256, day, .. } = old.photograph(row).clone();
    New { id: &old.ids[row], stamp, content: sha256, changed: day, from: From::Old(row) }
}

/// What a part of some photographs is written from.
fn contents_of<'a>(
    all: &'a [&New],
    old: Option<&'a Index>,
    pending: &'a Pending,
    mapped: Option<&'a super::pending::Mapped>,
    joint: usize,
) -> Contents<'a> {
    let old = move || old.expect("it has rows");
    let finished = move || mapped.expect("finished ones");
    let photograph = |new: &&New<'a>| {
        let (day, thumbnail) = match new.from {
            From::Old(row) => (old().day(row), old().thumbnail(row).expect("of a photograph")),
            From::Pending(n) => (pending.day(n), pending.thumbnail(finished(), n)),
        };
        let day = day.or(new.changed);
        (Photograph { stamp: new.stamp, sha256: new.content, day, thumbnail: 0..0 }, thumbnail)
    };
    Contents {
        ids: all.iter().map(|new| new.id).collect(),
        vectors: Box::new(move |take| {
            let mut vector = vec![0.0; joint];
            all.iter().try_for_each(|new| match new.from {
                From::Old(row) => take(&old().vector(row)),
                From::Pending(n) => {
                    finished().copy(n, &mut vector);
                    take(&vector)
                }
            })
        }),
        photographs: Some(all.iter().map(photograph).collect()),
    }
}

/// Marks the rows that count no more.
fn mark_dead(about: &mut Description, old: &Index, kept: &HashSet<usize>) {
    for row in (0..old.ids.len()).filter(|row| !kept.contains(row)) {
        let part = old.part(row);
        about.parts[part].dead.push(old.rows[row] - old.firsts[part]);
    }
    about.parts.iter_mut().for_each(|part| part.dead.sort_unstable());
}

/// How many parts stay as they are beside a new one of so many rows: each part stays at least twice as large as all that come after it, and no part
/// has more dead rows than others. So a photograph is written again a few times, however often the index changes.
fn until(about: &Description, mut rows: usize) -> usize {
    let mut stay = about.parts.len();
    for (n, part) in about.parts.iter().enumerate().rev() {
        if part.live() < 2 * rows || part.dead.len() > part.live() {
            stay = n;
        }
        rows += part.live();
    }
    stay
}

/// The stamp as it is kept: without a time, which no file has, where the file is so new that it may change again in the same moment.
fn settled(stamp: Option<Stamp>, now: Duration) -> Stamp {
    let stamp = stamp.unwrap_or(Stamp { bytes: 0, modified: 0 });
    let old = Duration::from_nanos(stamp.modified) + NEW <= now;
    if old { stamp } else { Stamp { modified: 0, ..stamp } }
}

/// Looks at photographs on their way to the tower.
struct ContentObserver {
    known: RwLock<HashSet<Content>>,
}

/// What is kept of a photograph.
#[derive(Default)]
struct Kept {
    content: Content,
    day: Option<Day>,
    thumbnail: Vec<u8>,
}

impl PhotoObserver for ContentObserver {
    type Kept = Kept;

    fn bytes(&self, bytes: &[u8]) -> (Kept, bool) {
        let content = Sha256::digest(bytes).into();
        let known = self.known.read().expect("nothing panics while it writes").contains(&content);
        (Kept { content, ..Kept::default() }, !known)
    }

    fn picture(&self, decoded: &Decoded, kept: &mut Kept) -> Result<()> {
        kept.day = decoded.taken;
        kept.thumbnail = thumbnail(&decoded.picture, SIDE, COARSER)?;
        Ok(())
    }
}
