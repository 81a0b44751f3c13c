"""The page to walk along a front with: `contents` is what it knows, the scripts beside it what it does."""

from detopt.report.explorer.contents import ShownDesign
from detopt.report.explorer.page import write_explorer

__all__ = ["ShownDesign", "write_explorer"]
