use std::fs;

use tempfile::TempDir;

use super::*;

const BASE: &str = "\
[data]
languages = ['en', 'de']
[[data.captions]]
languages = ['en', 'de']
files = ['{split}.{language}']
[train]
epochs = 3
";

/// A folder with `base.toml` and the sweep.
fn place(sweep: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("base.toml"), BASE).unwrap();
    fs::write(folder.path().join("sweep.toml"), sweep).unwrap();
    folder
}

fn load_with(sweep: &str, overrides: &[&str]) -> Result<Plan> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Plan::load(&place(sweep).path().join("sweep.toml"), &overrides)
}

fn load(sweep: &str) -> Plan {
    load_with(sweep, &[]).unwrap()
}

fn titles(plan: &Plan) -> Vec<String> {
    plan.trials.iter().map(Trial::title).collect()
}

/// What is wrong, without the folder of the test.
fn error(sweep: &str) -> String {
    let folder = place(sweep);
    let error = Plan::load(&folder.path().join("sweep.toml"), &[]).unwrap_err();
    assert_eq!(error.exit_status(), 3);
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn trials_are_variants_times_axes_times_seeds() {
    let plan = load(
        "base = 'base.toml'
seeds = [0, 1]
set = { train.images = 64 }
[axes]
'embedding.top_k' = [0, 500]
[[variants]]
name = 'plain'
[[variants]]
name = 'wide'
family = 'HEM'
seeds = [7]
set = { 'text.hidden' = 256, text.joint = 128 }
",
    );
    assert_eq!(
        titles(&plan),
        [
            "plain, embedding.top_k=0, seed 0",
            "plain, embedding.top_k=0, seed 1",
            "plain, embedding.top_k=500, seed 0",
            "plain, embedding.top_k=500, seed 1",
            "wide, embedding.top_k=0, seed 7",
            "wide, embedding.top_k=500, seed 7",
        ]
    );
    let families: Vec<_> = plan.trials.iter().map(|trial| trial.family.as_str()).collect();
    assert_eq!(families, ["plain", "plain", "plain", "plain", "HEM", "HEM"]);
    let last = &plan.trials[5];
    assert_eq!(last.axes, [("embedding.top_k".to_string(), "500".to_string())]);
    assert_eq!((last.config.seed(), last.config.train().images, last.config.train().epochs), (7, 64, 3));
    assert_eq!((last.config.text().hidden, last.config.text().joint), (256, 128));
    assert_eq!(plan.trials[0].config.text().hidden, 512);
}

#[test]
fn without_variants_and_seeds_there_is_the_base_alone() {
    let plan = load("base = 'base.toml'");
    assert_eq!(titles(&plan), ["sweep, seed 0"]);
    assert_eq!(plan.trials[0].family, "sweep");
}

#[test]
fn ranges_go_from_end_to_end() {
    let values = |axis: &str| -> Vec<String> {
        let plan = load(&format!("base = 'base.toml'\n[axes]\n{axis}"));
        plan.trials.iter().map(|trial| trial.axes[0].1.clone()).collect()
    };
    assert_eq!(
        values("train.learning_rate = { log = [1e-4, 1e-2], count = 5 }"),
        ["0.0001", "0.0003162", "0.001", "0.003162", "0.01"]
    );
    assert_eq!(values("text.dropout = { range = [0, 0.5], count = 3 }"), ["0.0", "0.25", "0.5"]);
    assert_eq!(values("'embedding.top_k' = { log = [10, 1000], count = 3 }"), ["10", "100", "1000"]);
    assert_eq!(values("train.epochs = { range = [1, 2], count = 5 }"), ["1", "2"], "each value once");
    assert_eq!(values("text.encoder = ['gru', 'average']"), ["\"gru\"", "\"average\""]);
}

#[test]
fn random_axes_are_drawn_together_and_samples_stay() {
    let sweep = |random: usize, more: &str| {
        format!(
            "base = 'base.toml'
[axes]
'train.learning_rate' = {{ random = {random}, log = [1e-4, 1e-2] }}
'text.pooling' = {{ random = {random}, of = ['last', 'mean', 'max'] }}
{more}"
        )
    };
    let values = |plan: &Plan| -> Vec<Vec<String>> {
        plan.trials.iter().map(|t| t.axes.iter().map(|(_, value)| value.clone()).collect()).collect()
    };
    let (few, many) = (values(&load(&sweep(6, ""))), values(&load(&sweep(40, ""))));
    assert_eq!(few, many[..6], "further samples leave the first as they are");
    let rates: Vec<f64> = many.iter().map(|point| point[1].parse().unwrap()).collect();
    assert!(rates.iter().all(|rate| (1e-4..=1e-2).contains(rate)), "{rates:?}");
    let low = rates.iter().filter(|rate| **rate < 1e-3).count();
    assert!((10..=30).contains(&low), "half of them lie below the middle of the logarithms: {low}");
    for pooling in ["\"last\"", "\"mean\"", "\"max\""] {
        assert!(many.iter().any(|point| point[0] == pooling), "{pooling} was never drawn");
    }
    let crossed = load(&sweep(6, "'embedding.top_k' = [0, 9]"));
    assert_eq!(crossed.trials.len(), 12);
    assert!(values(&crossed).iter().all(|point| few.contains(&point[1..].to_vec())));
    assert_ne!(few, values(&load(&format!("random_seed = 1\n{}", sweep(6, "")))));
}

#[test]
fn ids_follow_from_the_configuration_alone() {
    let ids = |plan: &Plan| plan.trials.iter().map(|trial| trial.id.clone()).collect::<Vec<_>>();
    let one = "base = 'base.toml'\n[axes]\n'embedding.top_k' = [0, 500]\n";
    let first = load(one);
    assert_eq!(
        ids(&first),
        ["c08ec6c2", "bec33dfe"],
        "trials that are done are found again by later versions"
    );
    // Another folder, another order, another way to say it, more trials: the same ids.
    assert_eq!(ids(&load(one)), ids(&first));
    let other = load(
        "base = 'base.toml'\nseeds = [1, 0]\n[[variants]]\nname = 'HEM'\nset = { embedding.top_k = 500 }\n\
         [[variants]]\nname = 'LA'\nset = { embedding.top_k = 0 }\n",
    );
    assert_eq!([&ids(&other)[3], &ids(&other)[1]], [&ids(&first)[0], &ids(&first)[1]]);
    let all: std::collections::BTreeSet<_> = ids(&other).into_iter().collect();
    assert_eq!(all.len(), 4);
    // Where the data are does not matter, what is trained does.
    let with = |set: &str| ids(&load_with(one, &[set]).unwrap());
    assert_eq!(with("data.root=/elsewhere"), ids(&first));
    assert_eq!(with("train.checkpoint_every=5"), ids(&first));
    assert_ne!(with("train.epochs=4"), ids(&first));
}

#[test]
fn unknown_keys_have_their_line_and_the_nearest_key() {
    assert_eq!(
        error("base = 'base.toml'\nseed = [1]"),
        "`sweep.toml`:2: unknown key `seed`; did you mean `seeds`?"
    );
    assert_eq!(
        error("base = 'base.toml'\n[[variants]]\nname = 'a'\nst = {}"),
        "`sweep.toml`:4: unknown key `variants.0.st`; did you mean `variants.0.set`?"
    );
    assert_eq!(
        error("base = 'base.toml'\n[axes]\n'embedding.topk' = [1]"),
        "`sweep.toml`:3: unknown key `axes.embedding.topk`; did you mean `embedding.top_k`?"
    );
    assert_eq!(
        error("base = 'base.toml'\n[axes.train]\nepoch = [1]"),
        "`sweep.toml`:3: unknown key `axes.train.epoch`; did you mean `train.epochs`?"
    );
    assert_eq!(
        error("base = 'base.toml'\n[[variants]]\nname = 'a'\nset = { train.epoch = 1 }"),
        "`sweep.toml`:4: unknown key `variants.0.set.train.epoch`; did you mean `train.epochs`?"
    );
    assert_eq!(
        error("base = 'base.toml'\n[axes]\n'text.dropout' = { lg = [0, 1], count = 2 }"),
        "`sweep.toml`:3: unknown key `axes.text.dropout.lg`; did you mean `log`?"
    );
}

#[test]
fn values_of_a_wrong_type_have_their_line() {
    assert_eq!(
        error("base = 'base.toml'\n[axes]\n'train.epochs' = [\n  1,\n  'two',\n]"),
        "`sweep.toml`:5: `axes.train.epochs.1` is \"two\"; expected a whole number, 0 or more"
    );
    assert_eq!(
        error("base = 'base.toml'\n[set]\ntext.bag = 1"),
        "`sweep.toml`:3: `set.text.bag` is 1; expected true or false"
    );
}

#[test]
fn broken_axes_are_refused_all_at_once() {
    let axes = |axes: &str| error(&format!("base = 'base.toml'\n[axes]\n{axes}"));
    let said = axes(
        "seed = [1]
'train.epochs' = 3
'train.images' = []
'text.dropout' = { range = [0.5, 0.1], count = 3 }
'text.encoder' = { range = [0, 1], count = 2 }
'train.clip' = { log = [0, 1], count = 2 }
'train.warmup' = { log = [1, 10] }
'image.dropout' = { log = [0.1, 0.2], range = [0.1, 0.2], count = 2 }
",
    );
    for part in [
        "8 problems",
        "`axes.seed` is no axis; write the seeds into `seeds`",
        "`axes.train.epochs` is 3; expected a list of values",
        "`axes.train.images` is empty",
        "`axes.text.dropout.range` is [0.5, 0.1]; expected two finite numbers",
        "`axes.text.encoder.range` is a range of numbers, but `text.encoder` takes one of \"gru\"",
        "`axes.train.clip.log` is [0, 1]; a logarithmic range needs numbers greater than 0",
        "`axes.train.warmup` needs either `count`",
        "`axes.image.dropout` needs one of `log`, `range` and `of`",
    ] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    let said = axes(
        "'text.dropout' = { random = 3, range = [0, 0.5] }\n'image.dropout' = { random = 4, range = [0, 0.5] }",
    );
    assert!(said.contains("`axes.text.dropout` draws 3 samples, but `axes.image.dropout` draws 4"), "{said}");
}

#[test]
fn what_is_set_twice_is_refused() {
    let axis = "base = 'base.toml'\n[axes]\n'train.epochs' = [1, 2]\n";
    assert_eq!(
        error(&format!("{axis}[set]\ntrain.epochs = 5")),
        "`sweep.toml`:5: `set.train.epochs` is set by `axes.train.epochs` too; leave it out of one of the two"
    );
    let said = error(&format!("{axis}[[variants]]\nname = 'a'\nset = {{ seed = 5 }}"));
    assert!(said.contains("`variants.0.set.seed` is no axis"), "{said}");
    for set in ["train.epochs=3", "seed=3"] {
        let error = load_with(axis, &[set]).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains("would set what the sweep varies"), "{error}");
    }
}

#[test]
fn variants_need_names_of_their_own_and_a_base() {
    assert_eq!(
        error(
            "seeds = []\n[[variants]]\nname = 'a'\nbase = 'base.toml'\n[[variants]]\nname = 'a'\n[[variants]]\n"
        ),
        "`sweep.toml`: 4 problems\n  \
         `base` is not set; name the configuration that all trials start from\n  \
         `sweep.toml`:1: `seeds` is empty; give at least one seed, or leave it out for the configuration's own\n  \
         `sweep.toml`:6: `variants.1.name` is `a`, as an earlier variant's; give each its own\n  \
         `sweep.toml`:7: `variants.2.name` is missing or empty; every variant needs a name"
    );
}

#[test]
fn a_trial_that_breaks_a_rule_names_the_line_of_the_value() {
    assert_eq!(
        error("base = 'base.toml'\n[axes]\n'train.images' = [8, 1]"),
        "`sweep.toml`:3: `train.images` is 1; it must be at least 2"
    );
    let missing = error("base = 'none.toml'");
    assert!(missing.starts_with("`none.toml`: cannot be read"), "{missing}");
}

#[test]
fn equal_trials_are_refused() {
    assert_eq!(
        error("base = 'base.toml'\n[axes]\n'train.epochs' = [1, 1]"),
        "`sweep.toml`: `train.epochs=1, seed 0` and `train.epochs=1, seed 0` are the same trial\n\
         hint: take one of them out, or let a key differ"
    );
}

#[test]
fn paths_start_from_the_folder_of_the_sweep() {
    let folder =
        place("base = 'configs/base.toml'\n[[variants]]\nname = 'a'\nset = { data.root = '../pictures' }");
    fs::create_dir(folder.path().join("configs")).unwrap();
    fs::rename(folder.path().join("base.toml"), folder.path().join("configs/base.toml")).unwrap();
    let plan = Plan::load(&folder.path().join("sweep.toml"), &[]).unwrap();
    let above = folder.path().canonicalize().unwrap().parent().unwrap().to_path_buf();
    assert_eq!(plan.trials[0].config.data().root, above.join("pictures"));
}

#[test]
fn a_halving_has_rising_rungs_and_a_share() {
    let halving = |text: &str| format!("base = 'base.toml'\n[halving]\n{text}");
    let plan = load(&halving("rungs = [1, 2]\nkeep = 0.5"));
    assert_eq!(plan.halving, Some(Halving { rungs: vec![1, 2], keep: 0.5 }));
    let said = error(&halving("rungs = [2, 2]\nkeep = 1.0"));
    assert!(said.contains("`halving.rungs` must be one or more epochs, from 1 on and rising"), "{said}");
    assert!(said.contains("`halving.keep` is 1; it must be greater than 0 and less than 1"), "{said}");
    assert!(error(&halving("rungs = [1]")).contains("missing field `keep`"));
    let mixed = "rungs = [1]\nkeep = 0.5\n[axes]\n'train.best' = ['recall.A', 'recall.t2i']";
    let said = error(&halving(mixed));
    assert!(said.contains("chooses by `recall.t2i`, others by `recall.A`"), "{said}");
    assert_eq!(
        load(
            &halving(mixed)
                .replace("'recall.t2i'", "'recall.A'")
                .replace("['recall.A', 'recall.A']", "['recall.i2t']")
        )
        .trials
        .len(),
        1
    );
    let said = error(&halving("rungs = [3]\nkeep = 0.5"));
    assert!(said.contains("`sweep, seed 0` ends after 3 epochs, with a rung after 3"), "{said}");
}

#[test]
fn an_axis_of_lists_of_languages_is_placed_by_their_number() {
    let plan = load(
        "base = 'base.toml'
[axes]
'data.languages' = [['en'], ['en', 'de']]
[plot]
x = 'languages'
",
    );
    assert_eq!(titles(&plan), ["data.languages=[\"en\"], seed 0", "data.languages=[\"en\", \"de\"], seed 0"]);
    let placed: Vec<_> = plan.trials.iter().map(|trial| trial.plot.clone().unwrap()).collect();
    assert_eq!(placed.iter().map(|p| p.value).collect::<Vec<_>>(), [1.0, 2.0]);
    assert_eq!((placed[0].x.as_str(), placed[0].log), ("languages", false));
    assert_eq!(plan.trials[1].config.data().languages, ["en", "de"]);
    let said = error("base = 'base.toml'\n[axes]\n'data.languages' = ['en', 'de']\n");
    assert!(
        said.contains("`axes.data.languages.0` is \"en\"; expected a list, each entry a string"),
        "{said}"
    );
}

#[test]
fn a_plot_names_a_number() {
    let plotted = |x: &str| {
        format!(
            "base = 'base.toml'\n[plot]\nx = '{x}'\nlog = true\n[[variants]]\nname = 'a'\nset = {{ loss.mclm.average = 1e-4 }}\n"
        )
    };
    let plan = load(&plotted("loss.mclm.average"));
    let expected = Placed { x: "loss.mclm.average".into(), log: true, value: 1e-4 };
    assert_eq!(plan.trials[0].plot, Some(expected));
    assert_eq!(load(&plotted("embedding.top_k")).trials[0].plot.as_ref().map(|p| p.value), Some(5000.0));
    assert!(load("base = 'base.toml'\n").trials[0].plot.is_none());
    let said = error(&plotted("text.encoder"));
    assert!(said.contains("sweep.toml`:3: `plot.x` is `text.encoder`, which is no number"), "{said}");
    let said = error(&plotted("loss.mclm.averge"));
    assert!(said.contains("there is no such key; did you mean `loss.mclm.average`?"), "{said}");
    assert!(error("base = 'base.toml'\n[plot]\nlog = true\n").contains("missing field `x`"));
}

#[test]
fn what_is_left_of_a_halving_counts_the_trials_that_go_on() {
    let halving = Halving { rungs: vec![2, 4], keep: 0.5 };
    // 2 epochs by all, 2 by half, 4 by a quarter.
    assert_eq!(halving.left(8, 0), (2.0 + 1.0 + 1.0) / 8.0);
    assert_eq!(halving.left(8, 1), (2.0 + 2.0) / 8.0);
    assert_eq!(halving.left(8, 2), 0.5);
    assert_eq!(halving.left(3, 0), (2.0 + 0.5) / 3.0, "rungs after the end are none");
}
