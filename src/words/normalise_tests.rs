use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::config::{SegmenterKind, WordsConfig};
use crate::words::Segmenter;

fn segmenter(language: &str, normalisation: TextRules) -> Segmenter {
    let config = WordsConfig { normalisation, ..WordsConfig::default() };
    Segmenter::new(language, &config, Path::new("")).unwrap()
}

fn words(language: &str, text: &str) -> Vec<String> {
    segmenter(language, TextRules::Script).segment(text)
}

#[test]
fn captions_of_many_languages_have_their_words() {
    let cases: [(&str, &str, &str); 28] = [
        ("th", "สุนัขสีดำกำลังวิ่ง", "สุนัข สี ดำ กำลัง วิ่ง"),
        ("th", "ผู้ชายดื่มน้ำบนชายหาด", "ผู้ชาย ดื่ม น้ำ บน ชายหาด"),
        ("lo", "ໝາສີດຳກຳລັງແລ່ນຢູ່ຫາດຊາຍ", "ໝາ ສີ ດຳ ກຳລັງ ແລ່ນ ຢູ່ ຫາດຊາຍ"),
        ("km", "ឆ្កែខ្មៅកំពុងរត់លើឆ្នេរ", "ឆ្កែ ខ្មៅ កំពុង រត់ លើ ឆ្នេរ"),
        ("km", "ឆ្កែ\u{200b}ខ្មៅ", "ឆ្កែ ខ្មៅ"),
        ("my", "ခွေးနက်တစ်ကောင်ပြေးနေသည်", "ခွေး နက် တစ် ကောင် ပြေး နေသည်"),
        ("tr", "IŞIK altında İki KIRMIZI araba, İstanbul’da", "ışık altında iki kırmızı araba istanbul'da"),
        ("az", "QIRMIZI paltarlı qız və İt", "qırmızı paltarlı qız və it"),
        (
            "fa",
            "زن می\u{200c}خواهد کتاب\u{200c}ها را بخواند\u{200c}",
            "زن می\u{200c}خواهد کتاب\u{200c}ها را بخواند",
        ),
        ("ar", "كـــلبٌ أسودُ يَجري ﻋﻠﻰ الشاطئ", "كلب أسود يجري على الشاطئ"),
        ("ur", "ایک كتا گھاس میں دوڑ رہا ہے۔", "ایک کتا گھاس میں دوڑ رہا ہے"),
        ("he", "כֶּלֶב שָׁחוֹר רָץ, חייל צה״ל וג׳ירפה", "כלב שחור רץ חייל צה\"ל וג'ירפה"),
        ("hi", "एक काला कुत्ता दौड़ रहा है।", "एक काला कुत्ता दौड\u{93c} रहा है"),
        ("bn", "একটি কালো কুকুর দৌড়াচ্ছে।", "একটি কালো কুকুর দৌড\u{9bc}াচ্ছে"),
        ("ta", "ஒரு கருப்பு நாய் ஓடுகிறது.", "ஒரு கருப்பு நாய் ஓடுகிறது"),
        ("te", "నల్ల కుక్క సాఫ్ట్\u{200c}వేర్", "నల్ల కుక్క సాఫ్ట్\u{200c}వేర్"),
        ("ml", "അവന്\u{200d} നായയെ കാണുന്നു", "അവൻ നായയെ കാണുന്നു"),
        ("si", "ශ්\u{200d}රී ලංකාවේ බල්ලෙක්", "ශ්\u{200d}රී ලංකාවේ බල්ලෙක්"),
        (
            "vi",
            "Con cho\u{301} đen đang cha\u{323}y trên bãi biê\u{309}n.",
            "con chó đen đang chạy trên bãi biển",
        ),
        ("el", "ΟΙ ΣΚΎΛΟΙ τρέχουν στους ΔΡΌΜΟΥΣ", "οι σκύλοι τρέχουν στους δρόμους"),
        ("de", "GROẞE Fuß\u{ad}baller, so geht´s", "große fußballer so geht's"),
        ("lt", "ŠUO bėga, i\u{307}\u{300}r Į̇̀", "šuo bėga ìr į\u{300}"),
        ("ru", "Чёрная соба\u{301}ка бежи\u{301}т и йод", "чёрная собака бежит и йод"),
        ("uk", "П’ять собак біжать", "п'ять собак біжать"),
        ("ko", "검은 개가 달린다 ㅋㅋ ﾡ", "검은 개가 달린다 ㅋㅋ ㄱ"),
        ("ja", "ｶﾞﾗｽの前を黒い犬が走る、葛\u{e0100}飾", "ガラス の 前 を 黒い 犬 が 走る 葛飾"),
        ("zh", "两只狗在草地上奔跑，Ｔ恤", "两 只 狗 在 草地 上 奔跑 t 恤"),
        ("hy", "Շունը և կատուն", "շունը և կատուն"),
    ];
    for (language, text, expected) in cases {
        assert_eq!(words(language, text).join(" "), expected, "{language}");
    }
}

#[test]
fn spellings_that_look_alike_are_one_word() {
    let cases: [(&str, &[&str]); 22] = [
        ("th", &["น้ำ", "น\u{e4d}\u{e49}า", "น\u{e49}\u{e4d}า"]),
        ("lo", &["ນ້ຳ", "ນ\u{ecd}\u{ec9}າ"]),
        ("tr", &["ışık", "IŞIK", "IS\u{327}IK"]),
        ("tr", &["istanbul", "İstanbul", "I\u{307}stanbul", "i\u{307}stanbul"]),
        ("en", &["istanbul", "İstanbul", "I\u{307}STANBUL"]),
        ("fa", &["کتاب", "كتاب"]),
        ("fa", &["کارها", "کار\u{200c}ها", "کارها\u{200c}", "\u{200f}کارها\u{200e}"]),
        ("ar", &["كلب", "كـلب", "كَلْب", "ﻛﻠﺐ", "\u{202b}كلب\u{202c}", "ﻛ\u{fe77}ﻠﺐ"]),
        ("he", &["שלום", "שָׁלוֹם", "\u{fb2a}\u{5b8}ל\u{fb4b}ם"]),
        ("hi", &["क्या", "क्\u{200d}या", "क्\u{200c}या"]),
        ("mr", &["द\u{931}\u{94d}या", "दर्\u{200d}या"]),
        ("bn", &["হঠাৎ", "হঠাত্\u{200d}"]),
        ("ml", &["അവൻ", "അവന്\u{200d}"]),
        ("vi", &["chạy", "cha\u{323}y"]),
        ("vi", &["biển", "biê\u{309}n", "bie\u{302}\u{309}n"]),
        ("ko", &["한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"]),
        ("ko", &["ㅋㅋ", "ﾻﾻ"]),
        ("ja", &["が", "か\u{3099}", "か\u{309b}"]),
        ("en", &["fire", "ﬁre", "ｆｉｒｅ", "fi\u{2060}re"]),
        ("en", &["don't", "don’t", "don´t", "don`t", "don‘t", "don＇t", "don\u{2bc}t"]),
        ("uz", &["o'zbek", "oʻzbek", "o‘zbek", "o’zbek"]),
        ("ca", &["col·legi", "co\u{140}legi"]),
    ];
    for (language, spellings) in cases {
        for spelling in spellings {
            assert_eq!(
                words(language, spelling),
                [spellings[0]],
                "{language}, {}",
                spelling.escape_unicode()
            );
        }
    }
}

#[test]
fn what_is_no_letter_leaves_none() {
    let cases: [(&str, &[&str]); 8] = [
        ("👨\u{200d}👩\u{200d}👧 and 🐕\u{fe0f}", &["and"]),
        ("3\u{fe0f}\u{20e3} dogs 🇩🇪 🏴\u{e0067}\u{e0062}\u{e007f}", &["3", "dogs"]),
        ("ℹ\u{fe0f} Ⓜ\u{fe0f} ㊗\u{fe0f}", &[]),
        ("Lego™ 1½ cups of CO₂, 5 m²", &["lego", "1", "½", "cups", "of", "co2", "5", "m2"]),
        ("a\0b\u{7f}c", &["a", "b", "c"]),
        ("\u{feff}dog\u{200e}\u{ad}", &["dog"]),
        ("\u{200d}\u{200c}\u{301}", &[]),
        ("`a` ´b´ ‘c’", &["a", "b", "c"]),
    ];
    for (text, expected) in cases {
        assert_eq!(words("en", text), expected, "{}", text.escape_unicode());
    }
}

#[test]
fn points_are_letters_in_yiddish() {
    assert_eq!(words("yi", "אַ הונט"), ["א\u{5b7}", "הונט"]);
}

#[test]
fn case_and_the_rest_are_apart() {
    let config =
        WordsConfig { lowercase: false, segmenter: SegmenterKind::Whitespace, ..WordsConfig::default() };
    let segmenter = Segmenter::new("tr", &config, Path::new("")).unwrap();
    assert_eq!(segmenter.segment("IŞIK İ\u{ad}ki"), ["IŞIK", "İki"]);
}

/// What runs of before were trained with.
#[test]
fn the_rules_of_old_runs_stay() {
    let cases: [(&str, &str, &[&str]); 8] = [
        ("th", "สุนัขสีดำ", &["สุนัขสีด", "\u{e4d}า"]),
        ("tr", "IŞIK İki", &["işik", "i\u{307}ki"]),
        ("ar", "كـلبٌ", &["كـلبٌ"]),
        ("he", "שָׁלוֹם", &["שָׁלוֹם"]),
        ("de", "Fuß\u{ad}ball geht´s", &["fuß\u{ad}ball", "geht", "s"]),
        ("ko", "ㅋㅋ", &["\u{110f}\u{110f}"]),
        ("en", "1½ Lego™ don’t", &["11⁄2", "legotm", "don't"]),
        ("fr", "L’eau d'un", &["l'", "eau", "d'", "un"]),
    ];
    for (language, text, expected) in cases {
        assert_eq!(segmenter(language, TextRules::Nfkc).segment(text), expected, "{language}");
    }
    // Most text is the same by both.
    for (language, text) in [("en", "Two dogs, 3.5 km!"), ("de", "Die Straße"), ("zh", "一只狗在草地上")]
    {
        let by = |rules| segmenter(language, rules).segment(text);
        assert_eq!(by(TextRules::Nfkc), by(TextRules::Script));
    }
}

#[test]
fn long_texts_take_time_in_proportion() {
    for (language, unit) in [
        ("th", "สุนัขสีดำกำลังวิ่ง"),
        ("zh", "一只黑色的狗"),
        ("km", "ខ្មៅកំពុង"),
        ("en", "a"),
        ("en", "e\u{301}\u{200d}"),
    ] {
        let segmenter = segmenter(language, TextRules::Script);
        let text = unit.repeat((300_000 / unit.len()).max(1));
        let start = Instant::now();
        let tokens = segmenter.tokens(&text);
        assert!(start.elapsed() < Duration::from_secs(20), "{language}: {:?}", start.elapsed());
        assert!(tokens.tokens.iter().all(|t| t.chars().count() <= 100), "{language}");
    }
}
