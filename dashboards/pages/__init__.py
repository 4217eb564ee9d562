"""The pages, each a module that reads as its table of contents."""

from dashboards.page import Page
from dashboards.pages.answers import ANSWERS
from dashboards.pages.capacity import CAPACITY
from dashboards.pages.overview import OVERVIEW
from dashboards.pages.stages import STAGES

PAGES: tuple[Page, ...] = (OVERVIEW, STAGES, ANSWERS, CAPACITY)
