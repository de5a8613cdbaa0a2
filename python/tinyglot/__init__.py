"""Text-image retrieval for many languages: trains compact models, and searches with them.

Every name is a call of the Rust library; `__init__.pyi` says what each does.
"""

from ._tinyglot import Error, Gallery, Hit, Run, __version__, main, open, set_threads, train

__all__ = ["Error", "Gallery", "Hit", "Run", "__version__", "main", "open", "set_threads", "train"]
