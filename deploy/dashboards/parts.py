"""What the dashboards are made of: PromQL, panels, links and variables.

Each query works with and without the labels `cluster` and `swarm`, and with several of either:
whatever adds or divides does so for each pair of them. Two Swarmscouts that report one Swarm count
once, because `max by` takes their series together.
"""

from grafana_foundation_sdk.builders import bargauge, common as layout, dashboard as boards
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common, dashboard as model

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
# The dashboards that all link to.
TITLES = {"cluster": "Cluster", "service": "Service", "node": "Node", "swarmscout": "Discovery"}

# --- PromQL ---------------------------------------------------------------------------------------

# Two objects of one name differ by these. To Prometheus no label and an empty one are the same.
SWARM = "cluster, swarm"
SERVICE = f"{SWARM}, stack, service"
NODE = f"{SWARM}, node"

# "All" is `.*`, which also matches no label.
OURS = 'cluster=~"$cluster", swarm=~"$swarm", job=~"$job"'
OWN = 'cluster=~"$cluster", job=~"$job"'
# Series of other programs may lack `cluster`, although ours have it.
OTHERS = 'cluster=~"$cluster|"'

IN_SERVICE = 'container_label_com_docker_swarm_service_name!=""'
DISKS = 'fstype!~"tmpfs|ramfs|squashfs|overlay|iso9660|erofs"'
# Without what is made of others, and would count twice.
INTERFACES = '!~"lo|veth.*|docker.*|br-.*|vx.*|bond.*|.+[.].+"'
DRIVES = 'device!~"dm-.*|md.*|loop.*|ram.*|zram.*"'
IS_READY, IS_ACTIVE = 'state="ready"', 'availability="active"'


def ours(name, *matchers):
    """Series of a state metric."""
    return f"{name}{{{', '.join([OURS, *matchers])}}}"


def own(name, *matchers):
    """Series about Swarmscout itself."""
    return f"{name}{{{', '.join([OWN, *matchers])}}}"


def of_process(series):
    """Series of a name that other programs have, too: only those of Swarmscout."""
    return f"{series} and on (cluster, job, instance) {own('swarmscout_build_info')}"


def others(name, *matchers):
    """Series of another program."""
    return f"{name}{{{', '.join([OTHERS, *matchers])}}}"


def once(labels, expr):
    """One series for each object, however many Swarmscouts report it."""
    return f"max by ({labels}) ({expr})"


def only(labels, expr):
    """One series for these labels. Two Swarmscouts may differ for a moment, and a join fails if
    there are two series to take a label from."""
    return f"topk by ({labels}) (1, {expr})"


def total(labels, expr):
    return f"sum by ({labels}) ({expr})"


def grown(labels, counter, window="$__rate_interval"):
    """How much a counter grew, for each object."""
    return once(labels, f"increase({counter}[{window}])")


def grown_from_nothing(labels, counter):
    """The same in the range of the dashboard, with the first value of a new series."""
    before = f"({counter} offset $__range or {counter} * 0)"
    return once(labels, f"clamp_min({counter} - {before}, 0)")


def of_containers(series, *nodes):
    """Series of the node part or cAdvisor, with the names that state metrics have for service, slot and node.

    The ID of the node leads to its name and Swarm, so it does not matter how they are scraped.
    `nodes` are matchers.
    """
    label = "container_label_com_docker_swarm"
    for name, source, pattern in [
        ("service", "service_name", "(.+)"),
        ("slot", "task_name", ".+[.]([0-9]{1,9})[.][^.]+"),
        ("node_id", "node_id", "(.+)"),
    ]:
        series = f'label_replace({series}, "{name}", "$1", "{label}_{source}", "{pattern}")'
    node = only("node_id", once(f"{NODE}, node_id", ours("dockerswarm_node_info", *nodes)))
    return f"{series} * on (node_id) group_left ({NODE}) {node}"


def memory(by, containers, *nodes):
    """Memory that containers use and the kernel cannot take back."""
    return total(by, of_containers(f"container_memory_working_set_bytes{{{containers}}}", *nodes))


def cpus(by, containers, *nodes):
    """CPUs that containers use."""
    used = f"rate(container_cpu_usage_seconds_total{{{containers}}}[$__rate_interval])"
    return total(by, of_containers(used, *nodes))


def tasks(matcher):
    """Current tasks with their state; the value is how long they have been in it.

    Series of a task have its slot, or its node if it has none; only `task_info` always has both.
    """
    parts = []
    for slots, key in [('slot!=""', "slot"), ('slot=""', "node")]:
        task = f"{SWARM}, service, {key}"
        all_labels = f"{SWARM}, service, slot, node, image, task_id"
        info = once(all_labels, ours("dockerswarm_task_info", slots, matcher))
        state = only(task, once(f"{task}, state", ours("dockerswarm_task_state", slots)))
        since = once(task, ours("dockerswarm_task_state_since_timestamp_seconds", slots))
        parts.append(
            f"{info} * on ({task}) group_left (state) {state}"
            f" * on ({task}) group_left () (time() - {since})"
        )
    return " or ".join(parts)


def reserved_without_largest(resource):
    """What tasks reserve, divided by what the nodes have without the largest one. With one node it
    is NaN or infinite. Only nodes count that get tasks."""
    active = once(NODE, ours("dockerswarm_node_availability", IS_ACTIVE))
    ready = once(NODE, ours("dockerswarm_node_state", IS_READY))
    return without_largest("dockerswarm", resource, f"{active} == 1 and {ready} == 1")


def classic_reserved_without_largest(resource):
    """The same of a classic Swarm. Masters before 1.0.1 report no status."""
    usable = once(NODE, ours("classicswarm_node_status", 'status=~"Healthy|Unknown"'))
    return without_largest("classicswarm", resource, f"{usable} == 1")


def without_largest(prefix, resource, usable):
    reserved, all_of_it = (
        f"({once(NODE, ours(name))} and {usable})"
        for name in (f"{prefix}_node_reserved_{resource}", f"{prefix}_node_{resource}")
    )
    rest = f"({total(SWARM, all_of_it)} - {once(SWARM, all_of_it)})"
    return f"max({total(SWARM, reserved)} / {rest})"


# --- Colours and texts ----------------------------------------------------------------------------

# The first colour, then from which value on there is another.
NEUTRAL = ("text",)
BAD = ("green", (1, "red"))
FEW = ("green", (1, "yellow"))
SHARE = ("green", (0.8, "yellow"), (0.95, "red"))
RESTARTS = ("green", (1, "yellow"), (3, "red"))
DAYS_LEFT = ("red", (7 * 86400, "yellow"), (30 * 86400, "green"))


def steps(colors):
    first, *rest = colors
    all_steps = [model.Threshold(value=None, color=first)]
    all_steps += [model.Threshold(value=value, color=color) for value, color in rest]
    return boards.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(all_steps)


def texts(values):
    """What is shown for values, and in which colour."""
    results = {
        value: model.ValueMappingResult(text=text, color=color, index=i)
        for i, (value, (text, color)) in enumerate(values.items())
    }
    return [model.ValueMap(options=results)]


def colored(**values):
    return texts({value: (value, color) for value, color in values.items()})


YES_NO = texts({"1": ("yes", "green"), "0": ("no", "red")})
SEVERITIES = colored(critical="red", warning="orange", info="blue")
CLASSIC_STATES = colored(Healthy="green", Pending="yellow", Unhealthy="red", Disconnected="red")
NODE_STATES = colored(ready="green", down="red", unknown="red", disconnected="red")
AVAILABILITIES = colored(active="green", pause="yellow", drain="yellow")
TASK_STATES = colored(running="green", complete="blue", failed="red", rejected="red")
ONE_NODE = [
    model.SpecialValueMap(
        options=model.DashboardSpecialValueMapOptions(
            match=model.SpecialValueMatch.NA_N,
            result=model.ValueMappingResult(text="one node", color="text", index=0),
        )
    ),
    model.RangeMap(
        options=model.DashboardRangeMapOptions(
            from_val=1000,
            result=model.ValueMappingResult(text="one node", color="text", index=1),
        )
    ),
]


# --- Links ----------------------------------------------------------------------------------------


def url_of(board, variables, **values):
    """The address of a dashboard that keeps these variables."""
    kept = ["var-datasource=${datasource}", *(f"${{{name}:queryparam}}" for name in variables)]
    kept += [f"var-{name}={value}" for name, value in values.items()]
    return f"/d/swarmscout-{board}?{'&'.join(kept)}"


def link_to(board, **values):
    """From a cell of a table to the dashboard of its object."""
    url = url_of(board, ["cluster", "swarm", "job"], **values)
    return {"title": f"Show the {board}", "url": f"{url}&${{__url_time_range}}"}


# --- Panels ---------------------------------------------------------------------------------------

# Names of the targets of a panel.
REFS = "ABCDEFGH"


def place(panel, title, about, width, height, unit, no_value):
    panel = panel.title(title).datasource(DATASOURCE).span(width).height(height)
    panel = panel.description(about) if about else panel
    panel = panel.unit(unit) if unit else panel
    return panel.no_value(no_value) if no_value else panel


def query(ref, expr, legend="__auto", is_instant=True):
    target = prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(legend)
    return target.instant() if is_instant else target.range()


def number(title, about, *targets, width, unit="short", colors=NEUTRAL, mappings=None, text="auto",
           no_value=None, decimals=None):
    """A few figures of now. A target is an expression, or a name and an expression."""
    panel = (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(common.BigValueTextMode(text))
        .reduce_options(layout.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(steps(colors))
    )
    panel = place(panel, title, about, width, 4, unit, no_value)
    panel = panel.mappings(mappings) if mappings else panel
    panel = panel.decimals(decimals) if decimals is not None else panel
    for ref, target in zip(REFS, targets):
        legend, expr = target if isinstance(target, tuple) else ("__auto", target)
        panel = panel.with_target(query(ref, expr, legend))
    return panel


def graph(title, about, *targets, width=8, unit="short", stacked=False, bars=False, limit=None,
          no_value=None):
    """Lines over time. A target is a name and an expression; `limit` is what the names of dashed
    lines begin with."""
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(50 if stacked or bars else 10)
        .show_points(common.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .legend(
            layout.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            layout.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    panel = panel.draw_style(common.GraphDrawStyle.BARS) if bars else panel
    if stacked:
        panel = panel.stacking(layout.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    panel = place(panel, title, about, width, 8, unit, no_value)
    for ref, (legend, expr) in zip(REFS, targets):
        panel = panel.with_target(query(ref, expr, legend, is_instant=False))
    if limit:
        dashed = {
            "custom.lineStyle": {"fill": "dash", "dash": [8, 8]},
            "custom.fillOpacity": 0,
            "custom.stacking": {"mode": "none", "group": "A"},
            "color": {"mode": "fixed", "fixedColor": "red"},
        }
        properties = [model.DynamicConfigValue(id_val=k, value=v) for k, v in dashed.items()]
        panel = panel.override_by_regexp(f"/^{limit}/", properties)
    return panel


def gauges(title, about, target, width=8):
    """A bar for each series, from 0 to 100 %."""
    legend, expr = target
    panel = (
        bargauge.Panel()
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .orientation(common.VizOrientation.HORIZONTAL)
        .reduce_options(layout.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(steps(SHARE))
        .min(0)
        .max(1)
    )
    panel = place(panel, title, about, width, 8, "percentunit", None)
    return panel.with_target(query("A", expr, legend))


class Column:
    """A column of a table: a field, its title, and how it is shown."""

    def __init__(self, field, title, unit=None, decimals=None, colors=None, texts=None, link=None):
        self.field, self.title = field, title
        properties = {
            "unit": unit,
            "decimals": decimals,
            "links": link and [link],
            "mappings": texts,
            "thresholds": colors and steps(colors).build(),
            "custom.cellOptions": (colors or texts) and {"type": "color-text"},
        }
        self.properties = [
            model.DynamicConfigValue(id_val=name, value=value)
            for name, value in properties.items()
            if value is not None
        ]


def rows(title, about, targets, columns, width=24, height=8, hidden=(), sort=None, no_value=None):
    """A table of now. Results of all targets that have the same labels are one row. The value of
    target A is the field `Value #A`, and that of an only target is `Value`."""
    panel = place(table.Panel(), title, about, width, height, None, no_value)
    for ref, expr in targets.items():
        panel = panel.with_target(query(ref, expr).format("table"))
    shown = [column.field for column in columns]
    values = [f"Value #{ref}" for ref in targets] if len(targets) > 1 else ["Value"]
    hidden = ["Time", *hidden, *(value for value in values if value not in shown)]
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    organize = {
        "excludeByName": {name: True for name in hidden},
        "indexByName": {name: i for i, name in enumerate(shown)},
        "renameByName": {column.field: column.title for column in columns},
    }
    panel = panel.with_transformation(
        model.DataTransformerConfig(id_val="organize", options=organize)
    )
    for column in columns:
        if column.properties:
            panel = panel.override_by_name(column.title, column.properties)
    if sort:
        panel = panel.sort_by([layout.TableSortByFieldState().display_name(sort).desc(False)])
    return panel.cell_height(common.TableCellHeight.SM)


# Columns of several tables.
SWARM_COLUMNS = [Column("cluster", "Cluster"), Column("swarm", "Swarm")]
SERVICE_COLUMN = Column("service", "Service", link=link_to("service", service="${__value.raw}"))
NODE_COLUMN = Column("node", "Node", link=link_to("node", node="${__value.raw}"))
TASK_COLUMNS = [
    Column("state", "State", texts=TASK_STATES),
    Column("Value", "For", unit="s", decimals=0),
    Column("image", "Image"),
    Column("task_id", "Task"),
]


# --- What the dashboards have in common ----------------------------------------------------------


class Annotation(model.AnnotationQuery):
    """An annotation of Prometheus, with the settings that the SDK does not know.

    With `at_value` the value of a series is the time, in milliseconds.
    """

    def __init__(self, name, color, expr, title, at_value=False):
        super().__init__(name=name, datasource=DATASOURCE, enable=True, icon_color=color, expr=expr)
        self.more = {"titleFormat": title, "textFormat": "", "tagKeys": "service", "step": "60s"}
        if at_value:
            self.more["useValueForTime"] = "on"

    def build(self):
        return self

    def to_json(self):
        return super().to_json() | self.more


def deploys(*matchers):
    """When services changed, by Docker's clock, and which updates went wrong."""
    updated = ours("dockerswarm_service_updated_timestamp_seconds", *matchers)
    state = ours("dockerswarm_service_update_state", 'state=~"rollback_.*|paused"', *matchers)
    return [
        Annotation(
            "Services changed", "blue",
            f"{once(f'{SWARM}, service', updated)} * 1000 > $__from",
            "{{service}} changed", at_value=True,
        ),
        Annotation(
            "Updates failed", "red",
            f"{once(f'{SWARM}, service, state', state)} == 1",
            "{{service}}: {{state}}",
        ),
    ]


def variable(name, label, source, many=True):
    """A variable with the values that a label of `source` has."""
    built = (
        boards.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(f"label_values({source}, {name})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    if many:
        everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
        built = built.multi(True).include_all(True).all_value(".*").current(everything)
    return built


def board(name, about, panels, variables, annotations=()):
    """A dashboard with the settings and links that all of them have."""
    built = (
        boards.Dashboard(f"Swarmscout / {TITLES.get(name, 'Classic Swarm')}")
        .uid(f"swarmscout-{name}")
        .description(about)
        .tags(["swarmscout", "docker-swarm"])
        .time("now-6h", "now")
        .refresh("1m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(boards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for one in variables:
        built = built.with_variable(one)
    for other, title in TITLES.items():
        if other != name:
            # The jobs of this dashboard are others.
            kept = ["cluster"] if "swarmscout" in (name, other) else ["cluster", "swarm", "job"]
            link = boards.DashboardLink(title).type(model.DashboardLinkType.LINK)
            built = built.link(link.icon("dashboard").url(url_of(other, kept)).keep_time(True))
    for annotation in annotations:
        built = built.annotation(annotation)
    for i, panel in enumerate(panels, start=1):
        built = built.with_panel(panel.id(i))
    return built


def state_variables(up="dockerswarm_up"):
    """Of the dashboards of state metrics."""
    return [
        variable("cluster", "Cluster", up),
        variable("swarm", "Swarm", f'{up}{{cluster=~"$cluster"}}'),
        variable("job", "Job", f'{up}{{cluster=~"$cluster", swarm=~"$swarm"}}'),
    ]
