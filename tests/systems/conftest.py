"""The detectors and estimators of the lessons can be imported by their names."""

import sys
from pathlib import Path

TEACHING = Path(__file__).resolve().parents[2] / "studies" / "teaching"
sys.path.append(str(TEACHING))
