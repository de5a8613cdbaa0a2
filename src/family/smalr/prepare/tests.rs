use super::*;
use crate::scenes::{self, ScenesConfig};

const CONFIG: &str = "\
[data]
languages = ['en']
parallel = 'parallel/{split}.{language}'
[[data.captions]]
languages = ['en']
files = ['captions/{split}.1.{language}']
[words.fasttext]
width = 8
epochs = 1
buckets = 50
[embedding]
top_k = 5
word_width = 8
latents = 6
width = 16
[embedding.align]
epochs = 1
[embedding.pretrain]
epochs = 1
top_m = 3
[loss.info_nce]
weight = 1.0
";

/// Scores mean nothing where words of the test captions are known for having been in them.
#[test]
fn what_test_captions_say_does_not_reach_the_words() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let sizes = ScenesConfig {
        train: 12,
        val: 2,
        test: 2,
        captions: 1,
        languages: vec!["en".into()],
        ..ScenesConfig::default()
    };
    scenes::write(&root, &sizes, &mut |_, _| ()).unwrap();
    for (kind, seldom) in [("hybrid", "zebra"), ("characters", "żółw")] {
        let config = folder.path().join("config.toml");
        std::fs::write(&config, CONFIG).unwrap();
        let set = [format!("data.root={}", root.display()), format!("embedding.kind={kind}")];
        let config = Config::load(&config, &set).unwrap();
        let words = || {
            let corpus = Corpus::load(config.data(), config.base()).unwrap();
            let prepared = prepare(&config, &corpus, None, &mut |_, _, _, _| Ok(())).unwrap();
            let lexicon = prepared.encoder.lexicon;
            let alphabet = lexicon.spellings.map(|s| s.alphabet().to_vec());
            (lexicon.vocabularies, lexicon.slots, prepared.encoder.scorer.keys, alphabet)
        };
        let before = words();
        for file in ["captions/test.1.en", "parallel/test.en", "captions/val.1.en"] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let changed: String = text.lines().map(|line| format!("{line} {seldom} {seldom}\n")).collect();
            std::fs::write(root.join(file), changed).unwrap();
        }
        assert_eq!(words(), before, "{kind}");
    }
}

/// Words that only pairs have get a place in the vocabulary, and captions stay as they are.
#[test]
fn lines_of_pairs_are_pictures_more_to_the_words() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let languages = ["en", "de"].map(String::from).to_vec();
    let sizes =
        ScenesConfig { train: 12, val: 2, test: 2, captions: 1, languages, ..ScenesConfig::default() };
    scenes::write(&root, &sizes, &mut |_, _| ()).unwrap();
    for (language, word) in [("en", "zebra"), ("de", "Gnu")] {
        let text: String = (0..5).map(|n| format!("a {word} {n}\n")).collect();
        std::fs::write(root.join(format!("pairs.{language}")), text).unwrap();
    }
    let config = folder.path().join("config.toml");
    let text =
        CONFIG.replace("['en']", "['en', 'de']").replace("parallel = 'parallel/{split}.{language}'\n", "");
    let pairs = "[[data.pairs]]\nlanguages = ['de', 'en']\nfiles = ['pairs.{language}']\n";
    std::fs::write(&config, text + pairs).unwrap();
    let prepared = |set: &[&str]| {
        let root = format!("data.root={}", root.display());
        let set: Vec<String> = set.iter().map(|s| s.to_string()).chain([root]).collect();
        let config = Config::load(&config, &set).unwrap();
        let corpus = Corpus::load(config.data(), config.base()).unwrap();
        prepare(&config, &corpus, None, &mut |_, _, _, _| Ok(())).unwrap()
    };
    let without = prepared(&["loss.pairs.weight=1.0"]);
    let with = prepared(&["embedding.pairs=4"]);
    for (l, word) in ["zebra", "gnu"].iter().enumerate() {
        let id = |prepared: &Prepared| prepared.encoder.lexicon.vocabularies[l].id(word);
        assert!(id(&without).is_none() && id(&with).is_some(), "{word}");
        let [one, other] = [&without, &with].map(|p| &p.train[l]);
        assert_eq!((&one.image_of, one.slots.len()), (&other.image_of, other.slots.len()));
        assert_eq!(one.index.starts, other.index.starts);
    }
    assert!(prepared(&["embedding.pairs=4"]).encoder.scorer.keys == with.encoder.scorer.keys);
}
