//! Taking a language out of a run of acquisition.

use std::path::Path;

use crate::checkpoint::ReservedFolder;
use crate::checkpoint::RunFolder;
use crate::config::same_code;
use crate::family::mla::run::MlaRun;
use crate::grow::addition::forget;
use crate::{Error, Result};

/// Makes a new run without the language, in `place`. The others' parameters stay as they are.
///
/// # Errors
/// As [`leave_out`].
pub(crate) fn remove(path: &Path, code: &str, place: ReservedFolder) -> Result<RunFolder> {
    let mut run = MlaRun::open(path, &[])?;
    leave_out(&mut run, code)?;
    let growths = run.folder.growths(&run.info.languages)?;
    place.fill(|folder| {
        run.write(folder)?;
        growths.iter().try_for_each(|g| folder.write_growth(g))
    })
}

/// Takes a language out of an open run. The others' parameters stay as they are.
///
/// # Errors
/// Usage, for a language that the run was not taught, the tower's own, or the last one that it was trained on.
pub(crate) fn leave_out(run: &mut MlaRun, code: &str) -> Result<()> {
    let path = run.folder.path.clone();
    let refused = |what: String, hint: &str| Err(Error::usage(what).at(path).hint(hint));
    let Some(language) = run.info.languages.iter().position(|l| same_code(l, code)) else {
        return refused(
            format!("the run was not taught `{code}`"),
            "`tinyglot acquirer remove` takes out what `tinyglot acquirer add` has put in",
        );
    };
    // As the run writes it.
    let code = &run.info.languages[language].clone();
    if *code == run.mla.own {
        return refused(format!("`{code}` is the language of the tower"), "the others stand on it");
    }
    let trained = run.trained_languages();
    let added = !trained.contains(code);
    if !added && trained.len() == 2 {
        return refused(
            format!("`{code}` is the only language that was acquired in training"),
            "a run keeps one at least, beside the tower's",
        );
    }
    let mut raw = run.config.raw().clone();
    forget(&mut raw, code);
    run.config = raw.check(run.config.base().to_path_buf()).map_err(|problems| problems.into_error())?;
    run.mla.remove(code);
    run.info.languages.remove(language);
    run.info.human.remove(language);
    if !added && run.info.shared.is_some() {
        run.info.shared = Some(run.shared_hash());
    }
    Ok(())
}
