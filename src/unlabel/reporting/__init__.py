"""Run folders to pictures and one HTML page that opens offline and says, in plain words, whether it learned."""

from unlabel.reporting.contact_sheet import neighbours_picture
from unlabel.reporting.grids import views_grid, write_picture
from unlabel.reporting.page import write_report
from unlabel.reporting.thumbnails import write_thumbnails

__all__ = ["neighbours_picture", "views_grid", "write_picture", "write_report", "write_thumbnails"]
