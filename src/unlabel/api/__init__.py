"""The commands of `unlabel` as Python functions with the same names and options; `unlabel.__all__` lists them."""

from unlabel.api.benching import bench as bench
from unlabel.api.comparing import compare as compare
from unlabel.api.looking import saliency as saliency
from unlabel.api.packing import pack as pack
from unlabel.api.packing import verify_pack as verify_pack
from unlabel.api.pretraining import Result as Result
from unlabel.api.pretraining import pretrain as pretrain
from unlabel.api.scanning import Scanned as Scanned
from unlabel.api.scanning import scan as scan
from unlabel.api.segmenting import segment as segment
from unlabel.api.teaching import distil as distil
from unlabel.api.teaching import finetune as finetune
from unlabel.api.texts import retrieve as retrieve
from unlabel.api.texts import zeroshot as zeroshot
from unlabel.api.using import embed as embed
from unlabel.api.using import evaluate as evaluate
from unlabel.api.using import export as export
from unlabel.api.using import load as load
from unlabel.api.using import neighbors as neighbors
from unlabel.api.using import report as report
from unlabel.api.using import translate as translate
from unlabel.api.viewing import atlas as atlas
