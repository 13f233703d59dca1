"""A digital head with known truth, for demonstrations and tests without any patient's data."""

from medfuse.phantom.options import LesionOptions, PhantomOptions
from medfuse.phantom.patient import Phantom, make_phantom
from medfuse.phantom.tissues import Tissue
from medfuse.phantom.writing import write_phantom

__all__ = ["LesionOptions", "Phantom", "PhantomOptions", "Tissue", "make_phantom", "write_phantom"]
