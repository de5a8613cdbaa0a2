//! Codes of languages as data sets write them (ISO 639-1, 639-2 and 639-3, with scripts), and which of a run's languages they mean.

use super::codes::same_code;
use super::sections::DataConfig;

/// ISO 639-1, ISO 639-3 and the script that the language is mostly written in (ISO 15924).
const LANGUAGES: &str = "\
aa:aar:Latn ab:abk:Cyrl ae:ave:Avst af:afr:Latn ak:aka:Latn am:amh:Ethi an:arg:Latn ar:ara:Arab as:asm:Beng av:ava:Cyrl ay:aym:Latn \
az:aze:Latn ba:bak:Cyrl be:bel:Cyrl bg:bul:Cyrl bi:bis:Latn bm:bam:Latn bn:ben:Beng bo:bod:Tibt br:bre:Latn bs:bos:Latn ca:cat:Latn \
ce:che:Cyrl ch:cha:Latn co:cos:Latn cr:cre:Cans cs:ces:Latn cu:chu:Cyrl cv:chv:Cyrl cy:cym:Latn da:dan:Latn de:deu:Latn dv:div:Thaa \
dz:dzo:Tibt ee:ewe:Latn el:ell:Grek en:eng:Latn eo:epo:Latn es:spa:Latn et:est:Latn eu:eus:Latn fa:fas:Arab ff:ful:Latn fi:fin:Latn \
fj:fij:Latn fo:fao:Latn fr:fra:Latn fy:fry:Latn ga:gle:Latn gd:gla:Latn gl:glg:Latn gn:grn:Latn gu:guj:Gujr gv:glv:Latn ha:hau:Latn \
he:heb:Hebr hi:hin:Deva ho:hmo:Latn hr:hrv:Latn ht:hat:Latn hu:hun:Latn hy:hye:Armn hz:her:Latn ia:ina:Latn id:ind:Latn ie:ile:Latn \
ig:ibo:Latn ii:iii:Yiii ik:ipk:Latn io:ido:Latn is:isl:Latn it:ita:Latn iu:iku:Cans ja:jpn:Jpan jv:jav:Latn ka:kat:Geor kg:kon:Latn \
ki:kik:Latn kj:kua:Latn kk:kaz:Cyrl kl:kal:Latn km:khm:Khmr kn:kan:Knda ko:kor:Hang kr:kau:Latn ks:kas:Arab ku:kur:Latn kv:kom:Cyrl \
kw:cor:Latn ky:kir:Cyrl la:lat:Latn lb:ltz:Latn lg:lug:Latn li:lim:Latn ln:lin:Latn lo:lao:Laoo lt:lit:Latn lu:lub:Latn lv:lav:Latn \
mg:mlg:Latn mh:mah:Latn mi:mri:Latn mk:mkd:Cyrl ml:mal:Mlym mn:mon:Cyrl mr:mar:Deva ms:msa:Latn mt:mlt:Latn my:mya:Mymr na:nau:Latn \
nb:nob:Latn nd:nde:Latn ne:nep:Deva ng:ndo:Latn nl:nld:Latn nn:nno:Latn no:nor:Latn nr:nbl:Latn nv:nav:Latn ny:nya:Latn oc:oci:Latn \
oj:oji:Cans om:orm:Latn or:ori:Orya os:oss:Cyrl pa:pan:Guru pi:pli:Deva pl:pol:Latn ps:pus:Arab pt:por:Latn qu:que:Latn rm:roh:Latn \
rn:run:Latn ro:ron:Latn ru:rus:Cyrl rw:kin:Latn sa:san:Deva sc:srd:Latn sd:snd:Arab se:sme:Latn sg:sag:Latn si:sin:Sinh sk:slk:Latn \
sl:slv:Latn sm:smo:Latn sn:sna:Latn so:som:Latn sq:sqi:Latn sr:srp:Cyrl ss:ssw:Latn st:sot:Latn su:sun:Latn sv:swe:Latn sw:swa:Latn \
ta:tam:Taml te:tel:Telu tg:tgk:Cyrl th:tha:Thai ti:tir:Ethi tk:tuk:Latn tl:tgl:Latn tn:tsn:Latn to:ton:Latn tr:tur:Latn ts:tso:Latn \
tt:tat:Cyrl tw:twi:Latn ty:tah:Latn ug:uig:Arab uk:ukr:Cyrl ur:urd:Arab uz:uzb:Latn ve:ven:Latn vi:vie:Latn vo:vol:Latn wa:wln:Latn \
wo:wol:Latn xh:xho:Latn yi:yid:Hebr yo:yor:Latn za:zha:Latn zh:zho:Hans zu:zul:Latn";

/// Further codes of these: ISO 639-2's bibliographic ones, and the member of a macrolanguage that data sets have in its place.
const FURTHER: &str = "\
sq:alb hy:arm eu:baq my:bur zh:chi cs:cze nl:dut fr:fre ka:geo de:ger el:gre is:ice mk:mac mi:mao ms:may fa:per ro:rum sk:slo bo:tib \
cy:wel zh:cmn ar:arb sw:swh fa:pes ms:zsm et:ekk lv:lvs ne:npi or:ory mg:plt mn:khk sq:als az:azj uz:uzn qu:quy ps:pbt om:gaz yi:ydd \
ku:kmr ff:fuv ay:ayr gn:gug";

fn languages() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let three = |entry: &'static str| {
        let (two, rest) = entry.split_once(':')?;
        let (three, script) = rest.split_once(':')?;
        Some((two, three, script))
    };
    LANGUAGES.split_whitespace().filter_map(three)
}

/// A code in its parts: the language as ISO 639-1 has it where it does, the script unless it is the usual one, and the rest, in small letters.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    language: String,
    script: Option<String>,
    rest: Vec<String>,
}

impl Parts {
    fn of(code: &str) -> Parts {
        let mut parts = code.split(['-', '_']).map(str::to_ascii_lowercase);
        let first = parts.next().unwrap_or_default();
        let further = || FURTHER.split_whitespace().find_map(|e| e.split_once(':').filter(|e| e.1 == first));
        let two = languages().find(|l| l.1 == first).map(|l| l.0).or_else(|| further().map(|e| e.0));
        let language = two.map_or(first, String::from);
        let usual = languages().find(|l| l.0 == language).map(|l| l.2.to_ascii_lowercase());
        let (mut script, mut rest) = (None, Vec::new());
        for part in parts {
            match part.len() == 4 && part.bytes().all(|b| b.is_ascii_alphabetic()) {
                true => script = Some(part).filter(|part| usual.as_ref() != Some(part)),
                false => rest.push(part),
            }
        }
        Parts { language, script, rest }
    }
}

/// How well a code of the data names a language of a run, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It is the same code, or one that `data.codes` gives.
    Same,
    /// It is the same language by ISO 639, in the same script and region: `deu`, `deu_Latn` and `de`.
    Iso,
    /// Only script or region differ: `zho_Hant` and `zh`.
    Primary,
}

impl DataConfig {
    /// Which of the languages `known` a code of the data means: its place, and how well it fits. Nothing where it means none, or may mean
    /// several.
    pub fn meant(&self, known: &[String], code: &str) -> Option<(usize, Fit)> {
        if let Some(place) = known.iter().position(|l| self.same_language(l, code)) {
            return Some((place, Fit::Same));
        }
        // A code that is listed for a language is meant for no other.
        if self.codes.values().flatten().any(|listed| same_code(listed, code)) {
            return None;
        }
        let meant = Parts::of(code);
        let all: Vec<Parts> = known.iter().map(|l| Parts::of(l)).collect();
        if let Some(place) = all.iter().position(|parts| *parts == meant) {
            return Some((place, Fit::Iso));
        }
        let mut some = all.iter().enumerate().filter(|(_, parts)| parts.language == meant.language);
        match (some.next(), some.next()) {
            (Some((place, _)), None) => Some((place, Fit::Primary)),
            _ => None,
        }
    }
}

/// Language and script as benchmarks name them: `deu-Latn` for `de`. Of a language that has no two-letter code, its own code and `Zyyy`.
pub fn with_script(code: &str) -> String {
    let Parts { language, script, .. } = Parts::of(code);
    let (three, usual) =
        languages().find(|l| l.0 == language).map_or((language.as_str(), "Zyyy"), |l| (l.1, l.2));
    let script = match &script {
        Some(script) => script[..1].to_ascii_uppercase() + &script[1..],
        None => usual.to_string(),
    };
    format!("{three}-{script}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(codes: &[&str]) -> Vec<String> {
        codes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn codes_of_data_sets_mean_languages_of_a_run() {
        let (data, run) = (DataConfig::default(), known(&["en", "de", "zh", "pt-BR"]));
        for (code, place, fit) in [
            ("EN", 0, Fit::Same),
            ("eng", 0, Fit::Iso),
            ("eng_Latn", 0, Fit::Iso),
            ("ger", 1, Fit::Iso),
            ("cmn", 2, Fit::Iso),
            ("zho_Hans", 2, Fit::Iso),
            ("zho_Hant", 2, Fit::Primary),
            ("deu_Cyrl", 1, Fit::Primary),
            ("por_Latn", 3, Fit::Primary),
        ] {
            assert_eq!(data.meant(&run, code), Some((place, fit)), "{code}");
        }
        for code in ["fra", "xx", "english", "e"] {
            assert_eq!(data.meant(&run, code), None, "{code}");
        }
        // Either of two may be meant.
        assert_eq!(data.meant(&known(&["pt-BR", "pt-PT"]), "por"), None);
        assert_eq!(data.meant(&known(&["zh-Hans", "zh-Hant"]), "zho_Hant"), Some((1, Fit::Iso)));
        assert_eq!(data.meant(&known(&["zh-Hans", "zh-Hant"]), "cmn"), Some((0, Fit::Iso)));
        // Languages without two letters.
        assert_eq!(data.meant(&known(&["ace", "en"]), "ace_Latn"), Some((0, Fit::Primary)));
    }

    #[test]
    fn the_codes_of_a_configuration_come_first() {
        let codes = [("zh".to_string(), vec!["zho_Hant".to_string()])].into();
        let data = DataConfig { codes, ..DataConfig::default() };
        assert_eq!(data.meant(&known(&["en", "zh"]), "zho_Hant"), Some((1, Fit::Same)));
        assert_eq!(data.meant(&known(&["en"]), "zho_Hant"), None);
    }

    #[test]
    fn every_language_has_its_codes_once() {
        let all: Vec<_> = languages().collect();
        assert_eq!(all.len(), 183);
        let mut codes: Vec<&str> = all.iter().flat_map(|l| [l.0, l.1]).collect();
        codes.extend(FURTHER.split_whitespace().filter_map(|e| e.split_once(':')).map(|e| e.1));
        assert!(FURTHER.split_whitespace().all(|e| all.iter().any(|l| e.starts_with(&format!("{}:", l.0)))));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert!(all.iter().all(|l| (l.0.len(), l.1.len(), l.2.len()) == (2, 3, 4)));
        let named = ["de", "cmn", "zh-Hant", "sr_Latn", "pt-BR", "xyz"].map(with_script);
        assert_eq!(named, ["deu-Latn", "zho-Hans", "zho-Hant", "srp-Latn", "por-Latn", "xyz-Zyyy"]);
    }
}
