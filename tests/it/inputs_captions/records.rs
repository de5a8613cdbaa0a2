//! Records: tables, JSON and Parquet.

use super::{gzip, read, refused};

#[test]
fn tables_are_read_by_the_names_of_their_columns() {
    let source = "format = 'csv'\nfiles = ['all.csv']";
    read(&[
        (
            source,
            &[("all.csv", b"image_name| comment_number| comment\n2.jpg| 0| a \"b\"\n1.jpg| 0| \"No\" dog, one\n1.jpg| 1|  x ; y .\n")],
            "en train 0 \"No\" dog, one\nen train 0 x ; y .\nen train 1 a \"b\"",
        ),
        (
            source,
            &[("all.csv", b"\xef\xbb\xbfimage,caption\r\n1.jpg,\"a, \"\"b\"\"\"\r\n\r\n4.jpg,c\r\n")],
            "en train 0 a, \"b\"\nen val 0 c",
        ),
        (source, &[("all.csv", b"image;caption\n1.jpg;a, b\n")], "en train 0 a, b"),
        (
            source,
            &[("all.csv", b"raw,sentids,split,filename,img_id\n\"[\"\"a\"\", \"\"b\"\"]\",\"[0, 1]\",train,1.jpg,0\n")],
            "en train 0 a\nen train 0 b",
        ),
        (
            "languages = ['en', 'de']|languages = []\nformat = 'csv'\nfiles = ['wit.tsv.gz']",
            &[(
                "wit.tsv.gz",
                &gzip(
                    b"language\tpage_url\timage_url\tpage_title\tcaption_reference_description\nen\thttp://p\thttps://u.org/w/1.jpg\t\"A\t\
                      the \"first\" one\nde\thttp://p\thttps://u.org/w/2.jpg\tB\tzwei\nen\thttp://p\thttps://u.org/w/3.jpg\tC\t\n\
                      iw\thttp://p\thttps://u.org/w/3.jpg\tC\tx\n",
                ),
            )],
            "en train 0 the \"first\" one\nde train 1 zwei\nnote: `wit.tsv.gz`: 1 records hold no caption\n1 captions in `iw` were left \
             out: it is not in `data.languages`",
        ),
        (
            "languages = ['en', 'pt-BR']|languages = []\nformat = 'csv'\nfiles = ['all.csv']\nkeys = { text = '{language}' }",
            &[("all.csv", b"image,en,pt_br,fr\n1.jpg,a,o,u\n2.jpg,b,,v\n")],
            "en train 0 a\nen train 1 b\npt-BR train 0 o\nnote: `all.csv`: 1 records hold no caption",
        ),
        (
            "format = 'csv'\nfiles = ['all.csv']\nkeys = { image = 'b', text = 'a' }",
            &[("all.csv", b"a,b,caption\none,3.jpg,no\n")],
            "en train 2 one",
        ),
    ]);
    refused(&[
        (
            source,
            &[("all.csv", b"image,caption\n1.jpg,a\n2.jpg,b, c\n")],
            "`all.csv`:3: has 3 values, but the head names 2: `image`, `caption`\nhint: put a value that holds the separator into \
             double quotes; correct the line by hand",
        ),
        (
            source,
            &[("all.csv", b"1.jpg,a\n2.jpg,b\n")],
            "`all.csv`:2: no key is known to hold the name of a picture: there are `1.jpg`, `a`\nhint: say which holds it, e.g. \
             `keys = { image = \"1.jpg\" }`",
        ),
        (
            source,
            &[("all.csv", b"image,caption,sentence\n1.jpg,a,b\n")],
            "`all.csv`:2: `caption`, `sentence` may all hold the text\nhint: say which holds it, e.g. `keys = { text = \"caption\" }`",
        ),
        (
            source,
            &[("all.csv", b"image,caption\n1.jpg,\"a\n2.jpg,b\n")],
            "`all.csv`:2: a double quote opens a value that runs on over further rows\nhint: write a quote inside a value twice, and \
             put the value into quotes",
        ),
        (
            source,
            &[("all.csv", b"image,caption,image\n1.jpg,a,b\n")],
            "`all.csv`:1: has two columns `image`\nhint: the first line names the columns, each once",
        ),
        (
            source,
            &[("all.csv", b"image,caption\n1.jpg,a\n\n2.jpg,\xff\n")],
            "`all.csv`:4: is not UTF-8 (byte 1)\nhint: convert it, for example with `iconv -t UTF-8`",
        ),
        (
            source,
            &[("all.csv", b"image,caption\n1.jpg,a\n,b\n")],
            "`all.csv`:3: is no caption: it names no picture in `image`\nhint: its keys are `image`, `caption`",
        ),
        (
            source,
            &[("all.csv", b"image,caption\n1.jpg,\"['a', 'b']\"\n")],
            "`all.csv`:2: holds a list that is not JSON: expected value in column 2\nhint: write lists as JSON: [\"one\", \"two\"]",
        ),
    ]);
}

#[test]
fn records_of_json_are_read_by_their_keys() {
    let list = "format = 'json'\nfiles = ['all.json']";
    let lines = "format = 'jsonl'\nfiles = ['all.jsonl']";
    read(&[
        (
            list,
            &[("all.json", br#"[{"image": "val2014/4.jpg", "caption": ["a", "b "]}, {"image": "x/1.jpg", "caption": ["c"]}]"#)],
            "en train 0 c\nen val 0 a\nen val 0 b",
        ),
        (
            list,
            &[("all.json", b"\xef\xbb\xbf[\r\n{\"caption\": \"a\", \"image\": \"2.jpg\", \"image_id\": \"coco_7\"}]\r\n")],
            "en train 1 a",
        ),
        (
            lines,
            &[("all.jsonl", b"{\"file_name\": \"2.jpg\", \"text\": \"a\"}\n\n{\"file_name\": \"1.jpg\", \"text\": [\"b\", \"c\"]}")],
            "en train 0 b\nen train 0 c\nen train 1 a",
        ),
        (
            lines,
            &[("all.jsonl", "{\"text_id\": 8, \"text\": \"包\", \"image_ids\": [1, 3]}\n{\"text_id\": 9, \"text\": \"猫\", \"image_ids\": [6]}\n".as_bytes())],
            "en train 0 包\nen train 2 包\nen test 0 猫",
        ),
        (
            "languages = ['en', 'de']|languages = []\nformat = 'jsonl'\nfiles = ['all.jsonl']\nkeys = { image = 'pic', text = \
             'sentence.raw', language = 'l' }",
            &[("all.jsonl", b"{\"pic\": \"1.jpg\", \"sentence\": [{\"raw\": \"a\"}, {\"raw\": \"b\"}], \"l\": \"EN\"}\n{\"pic\": \"2.jpg\", \
              \"sentence\": {\"raw\": \"c\"}, \"l\": \"de\"}\n")],
            "en train 0 a\nen train 0 b\nde train 1 c",
        ),
        (
            "languages = ['qu', 'de']\ncodes = { qu = ['quz'] }|languages = ['de', 'qu']\nformat = 'jsonl'\nfiles = ['xm.jsonl']",
            &[("xm.jsonl", br#"{"image/key": "1", "image/locale": "quz", "de": {"caption": ["a", "b"], "caption/tokenized": ["x"]}, "quz": {"caption": ["c"]}, "fr": {"caption": ["d"]}}"#)],
            "qu train 0 c\nde train 0 a\nde train 0 b",
        ),
        (
            "languages = ['qu', 'en']|languages = []\nformat = 'json'\nfiles = ['all.json']",
            &[("all.json", br#"[{"image_id": 1, "id": 5, "captions": {"en": "a", "qu": "b", "hi": "c"}}]"#)],
            "qu train 0 b\nen train 0 a",
        ),
        (
            "languages = ['zh', 'pt-BR']\ncodes = { zh = ['zh-CN', 'cmn'] }|languages = []\nformat = 'jsonl'\nfiles = ['all.jsonl']",
            &[("all.jsonl", b"{\"image\": 1, \"lang\": \"pt_BR\", \"text\": \"a\"}\n{\"image\": 2, \"lang\": \"zh_cn\", \"text\": \"b\"}\n\
              {\"image\": 3, \"lang\": \"CMN\", \"text\": \"c\"}\n{\"image\": 3, \"lang\": \"zh-TW\", \"text\": \"d\"}\n")],
            "zh train 1 b\nzh train 2 c\npt-BR train 0 a\nnote: 1 captions in `zh-TW` were left out: it is not in `data.languages`",
        ),
        (
            "splits = ['train', 'val']\nformat = 'jsonl'\nfiles = ['all.jsonl']\nkeys = { split = 'split' }",
            &[(
                "all.jsonl",
                b"{\"image\": 4, \"text\": \"a\", \"split\": \"validation\"}\n{\"image\": 2, \"text\": \"b\", \"split\": \"restval\"}\n\
                  {\"image\": 6, \"text\": \"c\", \"split\": \"test\"}\n",
            )],
            "en train 1 b\nen val 0 a",
        ),
        (
            "languages = ['en', 'de']|languages = []\nformat = 'jsonl'\nfiles = ['all.jsonl']",
            &[(
                "all.jsonl",
                b"{\"image\": 1, \"lang\": \"en\", \"text\": \"a\"}\n{\"image\": 2, \"language\": \"de\", \"text\": \"b\"}\n",
            )],
            "en train 0 a\nde train 1 b",
        ),
        (
            "format = 'jsonl'\nfiles = ['all.jsonl']\nkeys = { source = '' }",
            &[("all.jsonl", b"{\"image\": 1, \"source\": \"flickr\", \"text\": \"a\"}\n")],
            "en train 0 a",
        ),
    ]);
    refused(&[
        (
            lines,
            &[("all.jsonl", b"[{\"image\": 1, \"text\": \"a\"}]\n")],
            "`all.jsonl`:1: is no caption: invalid type: sequence, expected an object of a caption in column 0\nhint: for one list of all \
             captions set `format = \"json\"`",
        ),
        (
            lines,
            &[("all.jsonl", b"{\"image\": 1, \"text\": \"a\", \"text\": \"b\"}\n")],
            "`all.jsonl`:1: is no caption: key `text` twice in column 38\nhint: expected {\"image\": \u{2026}, \"language\": \"\u{2026}\", \
             \"text\": \"\u{2026}\"} and perhaps \"source\": \"human\" or \"machine\"; other keys are named in `keys`",
        ),
        (
            lines,
            &[("all.jsonl", b"{\"image\": 1, \"text\": \"a\"}\n{\"image\": 2, \"text\": [\"b\", 3]}\n")],
            "`all.jsonl`:2: `text` is 3\nhint: expected a text, or a list of texts",
        ),
        (
            lines,
            &[("all.jsonl", b"{\"image\": 1, \"text\": [\"a\", \" \"]}\n")],
            "`all.jsonl`:1: picture `1` has an empty caption\nhint: remove it",
        ),
        (
            lines,
            &[("all.jsonl", b"{\"images\": [], \"annotations\": []}\n")],
            "`all.jsonl`:1: is one object of pictures and captions, not a record of one caption\nhint: set `format = \"karpathy\"` \
             where pictures have `sentences`, else `format = \"coco\"`",
        ),
        (
            lines,
            &[("all.jsonl", b"{\"image_id\": 1, \"file_name\": \"1.jpg\", \"text\": \"a\"}\n")],
            "`all.jsonl`:1: `file_name`, `image_id` may all hold the image\nhint: say which holds it, e.g. `keys = { image = \
             \"file_name\" }`",
        ),
        (
            lines,
            &[("all.jsonl", b"{\"text_id\": 8, \"text\": \"a\", \"image_ids\": [6, 7]}\n")],
            "`all.jsonl`:1: a caption of split `test` speaks of 2 pictures\nhint: recall counts one right picture a caption; name one, \
             or use the file for training alone",
        ),
        (
            list,
            &[("all.json", b"[{\"image\": 1, \"caption\": \"a\"},\n {\"image\": 2, \"caption\": 7}]")],
            "`all.json`: entry 1 (from 0): `caption` is 7\nhint: expected a text, or a list of texts",
        ),
        (
            list,
            &[("all.json", b"[{\"image\": 1, \"caption\": \"a\"},\n {\"image\": 2, \"caption\"")],
            "`all.json`:2: is no list of captions: EOF while parsing an object in column 23\nhint: expected [{\"image\": \u{2026}, \
             \"caption\": \"\u{2026}\"}, \u{2026}]; for one object a line set `format = \"jsonl\"`, for COCO's or Karpathy's files `coco` or \
             `karpathy`",
        ),
        (
            "format = 'karpathy'\nfiles = ['all.json']",
            &[("all.json", b"[{\"image\": 1, \"caption\": \"a\"}]")],
            "`all.json`:1: is no Karpathy file: invalid type: map, expected a sequence in column 2\nhint: for one list of \
             captions set `format = \"json\"`, for one object a line `jsonl`; COCO's files are `coco`, Karpathy's `karpathy`",
        ),
        (
            "languages = ['zh']|languages = []\nformat = 'jsonl'\nfiles = ['all.jsonl']",
            &[("all.jsonl", b"{\"image\": 1, \"lang\": \"zh-CN\", \"text\": \"a\"}\n")],
            "language `zh` has no training caption in `all.jsonl`; the files also hold `zh-CN`\nhint: if one of these is it, say so in `data.codes`; \
             else add a `[[data.captions]]` source for it",
        ),
        (
            "languages = ['qu']|languages = ['qu']\nformat = 'jsonl'\nfiles = ['xm.jsonl']",
            &[("xm.jsonl", br#"{"image/key": "1", "quz": {"caption": ["c"]}}"#)],
            "`xm.jsonl`: holds no caption in `qu` under `{language}.caption`\nhint: correct `languages` of the source, or say in \
             `data.codes` what the file calls the language",
        ),
    ]);
}

/// Pictures as Hugging Face's tables hold them, with bytes, and lists of captions.
#[cfg(feature = "parquet")]
fn parquet(compression: parquet::basic::Compression) -> Vec<u8> {
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional group caption (LIST) { repeated group list { optional binary element (UTF8); } }
        required int64 number;
        required binary filename (UTF8);
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = |all: &[&str]| all.iter().map(|&text| ByteArray::from(text)).collect::<Vec<_>>();
    for n in 0..5 {
        let mut column = group.next_column().unwrap().unwrap();
        let written = match n {
            0 => column.typed::<ByteArrayType>().write_batch(
                &vec![ByteArray::from(vec![0xff, 0xd8]); 2],
                Some(&[2, 2]),
                None,
            ),
            1 => column.typed::<ByteArrayType>().write_batch(
                &texts(&["p/3.jpg", "q/1.jpg"]),
                Some(&[2, 2]),
                None,
            ),
            // Two captions of the first picture, one of the second.
            2 => column.typed::<ByteArrayType>().write_batch(
                &texts(&["a", "b", "c"]),
                Some(&[3, 3, 3]),
                Some(&[0, 1, 0]),
            ),
            3 => column.typed::<Int64Type>().write_batch(&[2, 6], None, None),
            _ => column.typed::<ByteArrayType>().write_batch(&texts(&["2.jpg", "6.jpg"]), None, None),
        };
        written.unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[cfg(feature = "parquet")]
#[test]
fn columns_of_parquet_are_read_by_their_names() {
    use parquet::basic::Compression;
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(Default::default())]
    {
        let bytes = parquet(compression);
        let files: &[(&str, &[u8])] = &[("all.parquet", &bytes)];
        read(&[
            ("format = 'parquet'\nfiles = ['all.parquet']", files, "en train 1 a\nen train 1 b\nen test 0 c"),
            (
                "format = 'parquet'\nfiles = ['all.parquet']\nkeys = { image = 'image.path' }",
                files,
                "en train 0 c\nen train 2 a\nen train 2 b",
            ),
            (
                "format = 'parquet'\nfiles = ['all.parquet']\nkeys = { image = 'number' }",
                files,
                "en train 1 a\nen train 1 b\nen test 0 c",
            ),
        ]);
    }
    let bytes = parquet(Compression::SNAPPY);
    refused(&[
        (
            "format = 'parquet'\nfiles = ['all.parquet']\nkeys = { text = 'text' }",
            &[("all.parquet", &bytes)],
            "`all.parquet`: entry 0 (from 0): is no caption: it has no `text`\nhint: its keys are `filename`",
        ),
        (
            "format = 'parquet'\nfiles = ['all.parquet']\nkeys = { text = 'number' }",
            &[("all.parquet", &bytes)],
            "`all.parquet`: entry 0 (from 0): `number` is 2\nhint: expected a text, or a list of texts",
        ),
        (
            "format = 'parquet'\nfiles = ['all.parquet']",
            &[("all.parquet", b"PAR1 and no more")],
            "`all.parquet`: is no Parquet file that can be read: Parquet error: Invalid Parquet file. Corrupt footer\nhint: its \
             columns may be packed by Snappy or gzip, or not at all",
        ),
    ]);
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_needs_a_build_with_it() {
    refused(&[(
        "format = 'parquet'\nfiles = ['all.parquet']",
        &[("all.parquet", b"PAR1")],
        "`all.parquet`: this tinyglot was built without Parquet\nhint: build it with `cargo build --release --features parquet`, or \
         write the captions as JSON lines",
    )]);
}
