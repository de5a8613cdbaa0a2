#!/bin/sh
# Trains every family twice, with two programs, and compares all that is left: weights, optimisers, evaluations.
#
#     sh tests/same_bits.sh OLD NEW
#
# OLD and NEW are two builds of tinyglot for the same processor. The corpus is the little pictures; it takes a minute or two. What is said of a
# run besides (its program, times, the configuration's new keys) may differ.
set -eu
[ $# = 2 ] || { echo "usage: sh tests/same_bits.sh OLD NEW" >&2; exit 2; }
old=$(realpath "$1") new=$(realpath "$2")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

"$old" -q data scenes --out "$place/data" --train 300 --val 40 --test 40 --languages en,de,fr,zh

captions() { # captions LANGUAGES: the data of a configuration
    printf '[data]\nroot = "%s/data"\nlanguages = [%s]\n[[data.captions]]\nlanguages = [%s]\n' "$place" "$1" "$1"
    printf 'files = ["captions/{split}.1.{language}", "captions/{split}.2.{language}"]\n'
}

words='
[words.fasttext]
width = 16
epochs = 2
buckets = 500
[embedding]
top_k = 30
word_width = 0
latents = 40
width = 32
[text]
hidden = 24
joint = 24
[image]
hidden = 24
input = "standard"
[train]
epochs = 3
images = 30
learning_rate = 4e-3
average = 0.9
'
{ captions '"en", "de"'; echo "$words"; cat; } > "$place/words.toml" <<'END'
[loss]
neighbourhood = { words = 5e-2, sentences = 5e-2, within = 5e-2 }
adversary.weight = 1e-3
mclm = { average = 1e-2, lstm = 1e-2, encoder = "branch", masked_triplet = 1.0 }
END
{ captions '"fr"'; cat; } > "$place/fr.toml" <<'END'
[grow]
word_width = 8
top_k = 20
epochs = 2
images = 30
END
{ captions '"en"'; cat; } > "$place/tower.toml" <<'END'
[tower]
layers = 2
width = 32
heads = 2
hidden = 64
vocabulary = 400
dropout = 0.1
[text]
joint = 24
[image]
hidden = 24
[loss]
triplet.weight = 0.0
info_nce.weight = 1.0
[train]
epochs = 3
images = 30
END
acquire() { # acquire PROGRAM'S_FOLDER LANGUAGES
    captions "$2"
    cat <<END
[acquire]
tower = "$1/tower/tower"
fresh = { vocabulary = 400, width = 16 }
hidden = 8
[acquire.nlt]
epochs = 2
batch = 30
source = "parallel/train.en"
target = "parallel/train.{language}"
[acquire.le]
epochs = 2
batch = 30
END
}
cat > "$place/sweep.toml" <<'END'
base = "words.toml"
seeds = [3]
[axes]
"embedding.top_k" = [0, 30]
END

for program in old new; do
    eval "run=\$$program"
    out="$place/$program"
    mkdir "$out"
    pictures="data.features=[\"$out/tower/pictures/{split}.npy\"]"
    acquire "$out" '"en", "de"' > "$place/mla.toml"
    { captions '"fr"'; printf '[[grow.translations]]\nlanguage = "en"\nknown = "parallel/train.en"\nnew = "parallel/train.fr"\n'; } \
        > "$place/mla-fr.toml"
    "$run" -q train "$place/words.toml" --out "$out/words"
    "$run" -q evaluate "$out/words" --split test > "$out/words.txt"
    "$run" -q add-language "$out/words" "$place/fr.toml" --out "$out/words-fr" > /dev/null
    "$run" -q remove-language "$out/words-fr" de --out "$out/words-without-de" > /dev/null
    "$run" -q train "$place/tower.toml" --out "$out/tower"
    "$run" -q train "$place/mla.toml" --set "$pictures" --out "$out/mla"
    "$run" -q evaluate "$out/mla" --split test > "$out/mla.txt"
    "$run" -q add-language "$out/mla" "$place/mla-fr.toml" --set "$pictures" --out "$out/mla-fr" > /dev/null
    "$run" -q sweep "$place/sweep.toml" --out "$out/sweep" --jobs 1 > /dev/null
done

# What is compared: parameters and moments, vectors, evaluations without their times.
sums() {
    cd "$place/$1"
    # What a sweep packs follows from the weights, and earlier programs packed nothing.
    find . -path '*/packed' -prune -o \( -name '*.safetensors' -o -name '*.npy' -o -name '*.words' -o -name '*.bin' \
        -o -path '*/evaluation/*.json' \) -print | sort \
        | while read -r file; do
            case $file in
                *.json) sum=$(grep -v '"seconds"\|"checksum"' "$file" | sha256sum) ;;
                *) sum=$(sha256sum < "$file") ;;
            esac
            echo "${sum%% *} $file"
        done
}
(sums old) > "$place/old.sums"
(sums new) > "$place/new.sums"
diff "$place/old.sums" "$place/new.sums" || { echo "the programs differ" >&2; exit 1; }
echo "$(wc -l < "$place/new.sums") files of weights, vectors and evaluations are the same"
