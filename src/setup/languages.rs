//! Codes of languages that are known: those of two letters by ISO 639-1; of three letters all, as ISO 639-3 has some 8,000.

/// ISO 639-1.
const TWO: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et eu \
fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la \
lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg \
si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// The code as it is written by custom, `pt-BR` of `PT_br`, where it is that of a known language.
pub(super) fn known(code: &str) -> Option<String> {
    let mut parts = code.trim().split(['-', '_']);
    let first = parts.next()?.to_ascii_lowercase();
    let known = match first.len() {
        2 => TWO.split(' ').any(|two| two == first),
        3 => first.bytes().all(|b| b.is_ascii_lowercase()),
        _ => false,
    };
    let rest: Option<Vec<String>> = parts.map(subtag).collect();
    let rest = rest.filter(|_| known)?;
    Some([vec![first], rest].concat().join("-"))
}

/// A part behind the first: a script (`Hans`), a region (`BR`, `419`), or another of up to 8 letters and digits.
fn subtag(part: &str) -> Option<String> {
    let plain = !part.is_empty() && part.len() <= 8 && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let letters = part.bytes().all(|b| b.is_ascii_alphabetic());
    plain.then(|| match part.len() {
        2 if letters => part.to_ascii_uppercase(),
        4 if letters => part[..1].to_ascii_uppercase() + &part[1..].to_ascii_lowercase(),
        _ => part.to_ascii_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_by_custom_and_others_unknown() {
        for (code, expected) in [
            ("de", Some("de")),
            ("EN", Some("en")),
            ("PT_br", Some("pt-BR")),
            ("zh-hans", Some("zh-Hans")),
            ("quz", Some("quz")),
            ("es-419", Some("es-419")),
            ("xx", None),
            ("english", None),
            ("image_id", None),
            ("de-", None),
            ("", None),
            ("é1", None),
        ] {
            assert_eq!(known(code).as_deref(), expected, "{code}");
        }
    }
}
