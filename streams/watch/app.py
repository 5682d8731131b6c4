"""`coda watch` on a terminal: the graph, one table at a time, and k9s' keys."""

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widgets import DataTable, Input, Static

from monitor.spark import spark
from streams.times import span
from streams.watch.graph import COLOURS, graph
from streams.watch.picture import Picture
from streams.watch.recording import STEP_MS, Playback
from streams.watch.views import OVERVIEW, VIEWS, Row, View, shown
from wire.errors import CodaError

EVERY_S = 1.0
STALE_S = 5.0
_LEAST = (80, 24)
_RECENT = 60  # pictures that a sparkline is drawn of
_HELP = """\
:      go to a view: {views}     1-{count} the same by number
/      show only rows that hold these characters     esc  back: all rows, then the overview
u      show only what is not well                    s    sort by the next column
?      this help                                     q    end
space  stop a run that is played back, and ← → step through it

A stage's word: FRESH, IDLE (nothing comes), BEHIND, STALLED (nothing is done), DOWN (its process is silent); the rule
that gave it stands beside it. own lag: behind the stage before, so its own fault. lag: behind what was produced.
"""


class WatchApp(App[None]):
    """Shows a new picture each second; `take` gives the newest. Of a `playback` time is stopped and stepped.

    It ends when `take` raises a `CodaError`, and has it as `failed`.
    """

    CSS = """
    Screen { background: ansi_default; }
    #title, #foot { height: 1; }
    #cause { height: auto; max-height: 4; }
    #graph { height: auto; padding: 0 0 1 0; }
    #ask { height: 1; border: none; padding: 0; display: none; }
    #ask.open { display: block; }
    DataTable { height: 1fr; }
    #more { height: auto; max-height: 3; }
    #help { display: none; height: auto; }
    #help.open { display: block; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon", "ask(':')", "go"),
        Binding("slash", "ask('/')", "filter"),
        Binding("question_mark", "help", "keys"),
        Binding("escape", "back", "back", priority=True),
        Binding("u", "unhealthy", "only what is not well"),
        Binding("s", "sort", "sort"),
        Binding("q", "quit", "end"),
        Binding("ctrl+c", "quit", "end", show=False, priority=True),
        Binding("space", "pause", "pause", show=False),
        Binding("left", "step(-1)", "back", show=False, priority=True),
        Binding("right", "step(1)", "on", show=False, priority=True),
        *(Binding(str(n), f"go('{view.name}')", view.name, show=False) for n, view in enumerate(VIEWS[:9], 1)),
    ]

    def __init__(
        self, take: Callable[[], Picture], now_ms: Callable[[], int], playback: Playback | None = None
    ) -> None:
        super().__init__(ansi_color=True)
        self._take, self._now_ms, self._playback = take, now_ms, playback
        self._view: View = OVERVIEW
        self._holding, self._ill_only, self._by = "", False, -1
        self._asked = self._said = ""
        self._picture: Picture | None = None
        self._rates: dict[str, deque[float]] = {}
        self.failed: CodaError | None = None

    def compose(self) -> ComposeResult:
        """Title, likely cause, graph, table, question, foot."""
        yield Static(id="title", markup=False)
        yield Static(id="cause", markup=False)
        yield Static(id="graph")
        yield Static(
            _HELP.format(views=" ".join(v.name for v in VIEWS), count=min(9, len(VIEWS))), id="help", markup=False
        )
        yield DataTable(cursor_type="row")
        yield Static(id="more", markup=False)
        yield Input(id="ask", compact=True)
        yield Static(id="foot", markup=False)

    def on_mount(self) -> None:
        """Begin to look."""
        self.query_one(DataTable).focus()
        self.look()
        self.set_interval(EVERY_S, self.look)

    def look(self) -> None:
        """Take the newest picture and show it."""
        try:
            self._picture = self._take()
        except CodaError as error:
            self.failed = error
            self.exit()
            return
        for stage in self._picture.stages:
            self._rates.setdefault(stage.stage, deque(maxlen=_RECENT)).append(stage.per_s)
        self.show()

    def show(self) -> None:
        """Everything anew, from the picture that there is; nothing any more while it ends, and its widgets go."""
        if (picture := self._picture) is None or not self.is_running:
            return
        self.query_one("#title", Static).update(self._title(picture))
        self.query_one("#cause", Static).update(
            f"likely cause: {picture.cause}\nwhat to do: {picture.remedy}" if picture.cause else ""
        )
        drawn = self.query_one("#graph", Static)
        drawn.display = self._view is OVERVIEW
        drawn.update(graph(picture))
        self._fill(picture)
        self.query_one("#foot", Static).update(self._foot())

    def _title(self, picture: Picture) -> str:
        age_s = (self._now_ms() - picture.at_ms) / 1000
        up = sum(process.up for process in picture.processes)
        old = f", no data for {span(age_s)}" if age_s >= STALE_S else ""
        played = f" · {self._playback.place}: space, ←, →" if self._playback else ""
        return f"coda watch · {self._view.name} · {up} of {len(picture.processes)} processes up{old}{played}"

    def _foot(self) -> str:
        if self.size.width < _LEAST[0] or self.size.height < _LEAST[1]:
            return f"this terminal has {self.size.width}×{self.size.height}: make it 80×24, or use --once"
        if self._said:
            return self._said
        column = f" · sorted by {self._view.columns[self._by]}" if self._by >= 0 else ""
        only = f" · only what holds {self._holding!r}" if self._holding else ""
        ill = " · only what is not well" if self._ill_only else ""
        return f": go  / filter  u not well  s sort  ? keys  esc back  q end{column}{only}{ill}"

    def _fill(self, picture: Picture) -> None:
        table: DataTable[Text] = self.query_one(DataTable)
        at, by = table.cursor_row, self._by if self._by >= 0 else None
        rows = shown(self._view, picture, holding=self._holding, ill_only=self._ill_only, by=by)
        lines = [self._cells(row) for row in rows]
        table.clear(columns=True)
        for label, *column in zip(self._columns(), *lines, strict=True):
            table.add_column(label, width=max(len(label), *map(len, column), 0))
        table.add_rows(lines)
        table.move_cursor(row=min(at, max(0, len(rows) - 1)))
        self._tell_chosen()

    def _columns(self) -> list[str]:
        columns = list(self._view.columns)
        return [*columns[:-1], "lately", columns[-1]] if self._view is OVERVIEW else columns

    def _cells(self, row: Row) -> list[Text]:
        """A row as it is shown: its word in its colour, and in the overview how its rate went."""
        style = COLOURS[row.word] if row.word else ""
        cells = [Text(cell, style=style if cell == row.word else "") for cell in row.cells]
        if self._view is OVERVIEW:
            cells.insert(-1, Text(spark(self._rates.get(row.cells[0], ()))))
        return cells

    def on_data_table_row_highlighted(self, _at: DataTable.RowHighlighted) -> None:
        """What is too long for the table stands below it: the rule of a word, a warning, what a metric means."""
        self._tell_chosen()

    def _tell_chosen(self) -> None:
        """The row that is chosen by now, in full: the table may have been filled anew since it was."""
        rows: DataTable[Text] = self.query_one(DataTable)
        chosen = rows.get_row_at(rows.cursor_row) if rows.is_valid_row_index(rows.cursor_row) else []
        self.query_one("#more", Static).update(" ".join(map(str, chosen)))

    def action_go(self, name: str) -> None:
        """Another view, from its beginning."""
        self._view = next(view for view in VIEWS if view.name == name)
        self._holding, self._by, self._said = "", -1, ""
        self.show()

    def action_ask(self, what: str) -> None:
        """Open the line at the bottom: for a view's name, or for characters to look for."""
        self._asked, self._said = what, ""
        asking = self.query_one("#ask", Input)
        asking.placeholder = "a view: " + " ".join(view.name for view in VIEWS) if what == ":" else "rows that hold …"
        asking.value = ""
        asking.add_class("open")
        asking.focus()

    def on_input_changed(self, changed: Input.Changed) -> None:
        """A filter works while it is typed."""
        if self._asked == "/":
            self._holding = changed.value
            self.show()

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Go where was asked for: the first view whose name begins so."""
        asked, word = self._asked, submitted.value.strip().lower()
        self._close()
        if asked != ":" or not word:
            return
        if word in {"q", "quit"}:
            self.exit()
        elif found := next((view for view in VIEWS if view.name.startswith(word)), None):
            self.action_go(found.name)
        else:
            self._said = f"no view {word!r}; there are {', '.join(view.name for view in VIEWS)}"
            self.show()

    async def action_back(self) -> None:
        """Close what is open; then all rows; then the overview."""
        helping = self.query_one("#help", Static)
        if self.query_one("#ask", Input).has_class("open"):
            self._holding = ""
            self._close()
            self.show()
        elif helping.has_class("open"):
            helping.remove_class("open")
        elif self._holding or self._ill_only or self._by >= 0:
            self._holding, self._ill_only, self._by = "", False, -1
            self.show()
        else:
            self.action_go(OVERVIEW.name)

    def action_help(self) -> None:
        """Show the keys, or hide them."""
        self.query_one("#help", Static).toggle_class("open")

    def action_unhealthy(self) -> None:
        """Only what is not well, or everything."""
        self._ill_only = not self._ill_only
        self.show()

    def action_sort(self) -> None:
        """By the next column, and after the last as it comes."""
        self._by = self._by + 1 if self._by + 1 < len(self._view.columns) else -1
        self.show()

    def action_pause(self) -> None:
        """Stop a playback, or go on."""
        if self._playback:
            self._playback.paused = not self._playback.paused
            self.show()

    def action_step(self, seconds: int) -> None:
        """Go a second back or on in a playback, which stops."""
        if self._playback:
            self._playback.paused = True
            self._playback.step(seconds * STEP_MS)
            self.look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """The arrow keys are a playback's, and nobody's while a line is typed."""
        return action != "step" or (self._playback is not None and not self._asked)

    def on_resize(self, _resized: Resize) -> None:
        """Say when it is too small."""
        self.show()

    def _close(self) -> None:
        self._asked = ""
        self.query_one("#ask", Input).remove_class("open")
        self.query_one(DataTable).focus()
