"""The guide's page on Python does what it says: its blocks run in their order."""

from conftest import REPOSITORY, command


def blocks(page):
    kind, lines = None, []
    for line in page.splitlines():
        if line.startswith("```"):
            if kind == "python":
                yield "\n".join(lines)
            kind, lines = (line[3:], []) if kind is None else (None, [])
        else:
            lines.append(line)


def test_the_pages_blocks_run(desk, capsys):
    (desk / "runs").mkdir()
    (desk / "runs/little").symlink_to(desk / "run")
    command("-q", "index", "run", "--gallery", "scenes/features/test.npy", "--out", "photos")
    page = (REPOSITORY / "docs/src/python.md").read_text(encoding="utf-8")
    names = {}
    ran = [exec(compile(block, f"python.md, block {n}", "exec"), names) for n, block in enumerate(blocks(page))]
    assert len(ran) == 6 and "`absent.toml`: " in capsys.readouterr().out
