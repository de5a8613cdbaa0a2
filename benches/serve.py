"""Load test of `tinyglot serve`: answers a second and their times over HTTP, with the model loaded, and exact search of the same vectors by NumPy, FAISS and
usearch, where these can be imported.

    python benches/serve.py PROGRAM RUN QUERIES LANGUAGE [--pictures 100000] [--clients 1] [--rate 0] [--seconds 10] [--threads 2]

QUERIES is a text file, a sentence a line. The gallery is random: what is found does not matter, how long it takes does. `--rate` asks so many times a second
in all; 0 asks as fast as answers come. The times of a search without its sentence are those of /api/similar, HTTP included.
"""

import argparse
import http.client
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time
import urllib.parse

import numpy as np

parser = argparse.ArgumentParser()
for name in ("program", "run", "queries", "language"):
    parser.add_argument(name)
for name, default in (("pictures", 100_000), ("clients", 1), ("seconds", 10), ("threads", 2), ("seed", 0)):
    parser.add_argument("--" + name, type=int, default=default)
parser.add_argument("--rate", type=float, default=0)
given = parser.parse_args()
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    assert os.environ.get(variable) == str(given.threads), f"set {variable}={given.threads}: peers get as many threads"


def told(what, seconds):
    times = np.sort(np.array(seconds)) * 1000
    at = {share: np.percentile(times, share) for share in (50, 95, 99)}
    print(f"{what}: {len(times)} in all; " + ", ".join(f"p{share} {ms:.2f} ms" for share, ms in at.items()), flush=True)


def command(*words):
    start = time.perf_counter()
    subprocess.run([given.program, *map(str, words), "--threads", str(given.threads), "-q"], check=True)
    return time.perf_counter() - start


def loaded(address, paths):
    """Asks for paths in turn from all clients; gives the times of answers and the length of the whole."""
    times, lock, wrong = [], threading.Lock(), []
    begin = time.perf_counter()
    end = begin + given.seconds

    def client(number):
        connection, own, turn = http.client.HTTPConnection(address), [], number
        while (now := time.perf_counter()) < end:
            if given.rate:
                due = begin + turn / given.rate
                time.sleep(max(0, due - now))
            start = time.perf_counter()
            connection.request("GET", paths[turn % len(paths)])
            answer = connection.getresponse()
            answer.read()
            own.append(time.perf_counter() - start)
            if answer.status != 200:
                wrong.append(answer.status)
            turn += given.clients
        with lock:
            times.extend(own)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(given.clients)]
    [one.start() for one in clients]
    [one.join() for one in clients]
    assert not wrong, f"{len(wrong)} answers were not 200 but {set(wrong)}"
    return times, time.perf_counter() - begin


with tempfile.TemporaryDirectory() as place:
    place = pathlib.Path(place)
    width = json.load(open(os.path.join(given.run, "run.json")))["features"]
    dice = np.random.default_rng(given.seed)
    gallery = np.lib.format.open_memmap(place / "gallery.npy", "w+", np.float16, (given.pictures, width))
    for at in range(0, given.pictures, 4096):
        part = gallery[at : at + 4096]
        part[:] = np.abs(dice.standard_normal(part.shape, dtype=np.float32))
    gallery.flush()
    (place / "ids").write_text("".join(f"picture-{n}\n" for n in range(given.pictures)))
    index = place / "index"
    made = command("index", given.run, "--gallery", place / "gallery.npy", "--ids", place / "ids", "--out", index)
    print(f"an index of {given.pictures} pictures is made in {made:.1f} s", flush=True)
    start = time.perf_counter()
    words = [given.program, "serve", given.run, "--index", index, "--port", "0", "--threads", str(given.threads), "-q"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip().removeprefix("http://")
        print(f"model and index are open after {1000 * (time.perf_counter() - start):.0f} ms", flush=True)
        texts = [line.strip() for line in open(given.queries) if line.strip()]
        query = urllib.parse.urlencode
        searches = ["/api/search?" + query({"q": text, "language": given.language, "k": 10}) for text in texts]
        similar = ["/api/similar?" + query({"id": f"picture-{n % given.pictures}", "k": 10}) for n in range(1000)]
        for what, paths in (("sentence to the top 10", searches), ("picture to the top 10", similar)):
            times, took = loaded(address, paths)
            told(f"{what}, {given.clients} clients, {len(times) / took:.0f} answers a second", times)
    finally:
        server.terminate()
        server.wait()
    command("export", given.run, "--to", "npy", "--index", index, "--out", place / "vectors")
    file = next((place / "vectors").glob("*.npy"))
    vectors = np.ascontiguousarray(np.load(file), dtype=np.float32)
    assert vectors.shape[0] == given.pictures, vectors.shape

    def peer(name, search):
        times = []
        for n in range(60):
            start = time.perf_counter()
            search(vectors[n : n + 1])
            times.append(time.perf_counter() - start)
        told(f"{name}, a vector to the top 10", times[10:])

    def by_numpy(row):
        scores = vectors @ row[0]
        best = np.argpartition(scores, -10)[-10:]
        return best[np.argsort(-scores[best])]

    peer("NumPy", by_numpy)
    try:
        import faiss

        faiss.omp_set_num_threads(given.threads)
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        peer("FAISS flat", lambda row: flat.search(row, 10))
    except ImportError:
        print("FAISS cannot be imported")
    try:
        from usearch.index import search

        half = vectors.astype(np.float16)
        peer("usearch exact, f16", lambda row: search(half, row[0].astype(np.float16), 10, "ip", exact=True, threads=given.threads))
    except ImportError:
        print("usearch cannot be imported")
