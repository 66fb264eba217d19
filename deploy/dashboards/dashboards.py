#!/usr/bin/env python3
"""Makes the dashboards for Grafana: a JSON file for each beside this file.

`just dashboards` writes them, `just dashboards --check` fails if one differs.
"""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from parts import (
    AVAILABILITIES, BAD, CLASSIC_STATES, DAYS_LEFT, DISKS, DRIVES, FEW, INTERFACES, IN_SERVICE, IS_ACTIVE,
    IS_READY, NODE, NODE_COLUMN, NODE_STATES, ONE_NODE, RESTARTS, SERVICE, SERVICE_COLUMN,
    SEVERITIES, SHARE, SWARM, SWARM_COLUMNS, TASK_COLUMNS, YES_NO, Column, board,
    classic_reserved_without_largest, cpus,
    deploys, gauges, graph, grown, grown_from_nothing, memory, number, of_containers,
    of_process, once, others, ours, own, reserved_without_largest, rows, state_variables,
    tasks, total, variable,
)

FOLDER = Path(__file__).parent


def cluster():
    def service(name, by=SERVICE):
        return once(by, ours(f"dockerswarm_service_{name}"))

    def node(name, *matchers, by=NODE):
        return once(by, ours(f"dockerswarm_node_{name}", *matchers))

    def restarts(window="$__rate_interval"):
        return grown(SERVICE, ours("dockerswarm_service_task_restarts_total"), window)

    def of_exporter(free, size, *matchers):
        """How full something is that the node part or node exporter sees, for each node of ours."""
        free, size = (others(name, 'node!=""', *matchers) for name in (free, size))
        full = once("cluster, node", f"1 - {free} / {size}")
        return f"{node('info')} * on (cluster, node) group_left () {full}"

    at_desired = service("at_desired")
    is_wanting = f"on ({SWARM}, service) ({at_desired} == 0)"
    waiting = f"{service('waiting_tasks', f'{SERVICE}, reason')} > 0"
    failures = grown(SERVICE, ours("dockerswarm_service_task_failures_total"))
    reachable = once(SWARM, ours("dockerswarm_managers", 'reachability="reachable"'))
    managers = total(SWARM, once(f"{SWARM}, reachability", ours("dockerswarm_managers")))
    root = ours("dockerswarm_root_certificate_expiry_timestamp_seconds")
    of_managers = ours("dockerswarm_manager_certificate_expiry_timestamp_seconds")
    addresses = once(f"{SWARM}, network", ours("dockerswarm_network_addresses"))
    addresses_used = once(f"{SWARM}, network", ours("dockerswarm_network_addresses_used"))
    firing = others("ALERTS", 'alertstate="firing"', 'severity!="none"')
    since = others("ALERTS_FOR_STATE", 'severity!="none"')
    alert = "cluster, alertname, severity, service, node, network"

    panels = [
        number(
            "Services not at desired",
            "Services of which fewer tasks run on ready nodes than should. The table below names them.",
            f"sum({at_desired} == bool 0)",
            width=3, colors=BAD,
        ),
        number(
            "Nodes down",
            "Nodes that the managers do not reach. Docker starts their tasks elsewhere.",
            f"sum({node('state', IS_READY)} == bool 0)",
            width=3, colors=BAD,
        ),
        number(
            "Drained or paused nodes",
            "They get no new tasks.",
            f"sum({node('availability', IS_ACTIVE)} == bool 0)",
            width=3, colors=FEW,
        ),
        number(
            "Reserved if the largest node fails",
            "What tasks reserve, as part of what the other nodes have. Above 100 % some tasks would not start again.",
            ("memory", reserved_without_largest("memory_bytes")),
            ("CPUs", reserved_without_largest("cpus")),
            width=5, unit="percentunit", decimals=0,
            colors=("green", (0.8, "yellow"), (1, "red")), mappings=ONE_NODE,
        ),
        number(
            "Managers that may fail",
            "How many more managers can fail before nothing can be changed or restarted: one of three, two of five.",
            f"min({reachable} - floor({managers} / 2) - 1)",
            width=3, colors=("red", (0, "yellow"), (1, "green")),
        ),
        number(
            "Certificates expire in",
            "Without them nodes cannot talk to each other. The root: docker swarm ca --rotate. Those of managers are renewed by themselves.",
            ("root", f"min({root}) - time()"),
            ("managers", f"min({of_managers}) - time()"),
            width=4, unit="s", decimals=0,
            colors=DAYS_LEFT,
        ),
        number(
            "Alerts",
            "Alerts that fire, of all rules of this Prometheus.",
            f"count({firing}) or vector(0)",
            width=3, colors=BAD,
        ),
        rows(
            "Not at desired, and why",
            "For how many tasks there is a node, and what most of the others wait for. docs/state-metrics.md explains the reasons.",
            {
                "A": f"{service('running_tasks')} and {is_wanting}",
                "B": f"{service('desired_tasks')} and {is_wanting}",
                "C": f"{service('schedulable_tasks')} and {is_wanting}",
                "D": f"topk by ({SERVICE}) (1, {waiting}) and {is_wanting}",
            },
            [
                *SWARM_COLUMNS,
                Column("stack", "Stack"),
                SERVICE_COLUMN,
                Column("Value #A", "Running"),
                Column("Value #B", "Desired"),
                Column("Value #C", "Have a node"),
                Column("reason", "Wait for"),
            ],
            width=14, height=7, no_value="All services are at desired",
        ),
        rows(
            "Alerts that fire",
            "docs/alerts.md has a section for each alert that begins with Swarm.",
            {"A": once(alert, f"time() - {since} and ignoring (alertstate) {firing}")},
            [
                Column("cluster", "Cluster"),
                Column("alertname", "Alert"),
                Column("severity", "Severity", texts=SEVERITIES),
                SERVICE_COLUMN,
                NODE_COLUMN,
                Column("network", "Network"),
                Column("Value", "For", unit="s", decimals=0),
            ],
            width=10, height=7, no_value="No alert fires",
        ),
        rows(
            "Services",
            "Restarts are those of the time range. Memory and CPUs are what the node part or cAdvisor sees.",
            {
                "A": at_desired,
                "B": service("running_tasks"),
                "C": service("desired_tasks"),
                "D": restarts("$__range"),
                "E": memory(f"{SWARM}, service", IN_SERVICE),
                "F": cpus(f"{SWARM}, service", IN_SERVICE),
                "G": service("info", f"{SERVICE}, image"),
            },
            [
                *SWARM_COLUMNS,
                Column("stack", "Stack"),
                SERVICE_COLUMN,
                Column("Value #A", "At desired", texts=YES_NO),
                Column("Value #B", "Running"),
                Column("Value #C", "Desired"),
                Column("Value #D", "Restarts", decimals=0, colors=RESTARTS),
                Column("Value #E", "Memory", unit="bytes"),
                Column("Value #F", "CPUs", decimals=2),
                Column("image", "Image"),
            ],
            height=9, sort="At desired",
        ),
        rows(
            "Nodes",
            "Reserved: by tasks, of what the node has. Used: what the node part or node exporter sees.",
            {
                "A": f"{node('state', by=f'{NODE}, state')} == 1",
                "B": f"{node('availability', by=f'{NODE}, availability')} == 1",
                "C": node("info", by=f"{NODE}, role, engine_version"),
                "D": node("tasks"),
                "E": f"{node('reserved_cpus')} / {node('cpus')}",
                "F": f"{node('reserved_memory_bytes')} / {node('memory_bytes')}",
                "G": of_exporter("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"),
                "H": of_exporter("node_filesystem_avail_bytes", "node_filesystem_size_bytes", DISKS),
            },
            [
                *SWARM_COLUMNS,
                NODE_COLUMN,
                Column("role", "Role"),
                Column("state", "State", texts=NODE_STATES),
                Column("availability", "Availability", texts=AVAILABILITIES),
                Column("Value #D", "Tasks"),
                Column("Value #E", "CPUs reserved", unit="percentunit", decimals=0, colors=SHARE),
                Column("Value #F", "Memory reserved", unit="percentunit", decimals=0, colors=SHARE),
                Column("Value #G", "Memory used", unit="percentunit", decimals=0, colors=SHARE),
                Column("Value #H", "Fullest disk", unit="percentunit", decimals=0, colors=SHARE),
                Column("engine_version", "Engine"),
            ],
            height=8, sort="State",
        ),
        graph(
            "Tasks",
            "Tasks that should run, and those that run on ready nodes.",
            ("desired {{cluster}} {{swarm}}", total(SWARM, service("desired_tasks"))),
            ("running {{cluster}} {{swarm}}", total(SWARM, service("running_tasks"))),
            limit="desired",
        ),
        graph(
            "Restarts and failures",
            "Restarts: a task took the place of one that had ended by itself. Failures: tasks that failed or were rejected.",
            ("restarts", f"sum({restarts()})"),
            ("failures", f"sum({failures})"),
            bars=True,
        ),
        gauges(
            "Addresses of networks in use",
            "When none is left, no task can join the network. The ten fullest networks.",
            ("{{cluster}} {{swarm}} {{network}}", f"topk(10, {addresses_used} / {addresses})"),
        ),
    ]
    return board(
        "cluster",
        "Is everything at desired, what is not and why, which nodes are down, drained or full, can the Swarm lose one.",
        panels, state_variables(), deploys(),
    )


def service():
    this = 'service="$service"'
    containers = 'container_label_com_docker_swarm_service_name="$service"'
    task = f"{SWARM}, slot, node"
    name = "{{cluster}} {{swarm}} {{slot}} {{node}}"

    def state(metric, by=SWARM):
        return once(by, ours(f"dockerswarm_service_{metric}", this))

    def counted(counter, window="$__rate_interval"):
        series = ours(f"dockerswarm_service_task_{counter}_total", this)
        return f"sum({grown(SWARM, series, window)})"

    def traffic(way):
        series = f"rate(container_network_{way}_bytes_total{{{containers}}}[$__rate_interval])"
        return total(task, of_containers(series))

    by_reason = ours("dockerswarm_service_task_failures_by_reason_total", this)
    failures = grown_from_nothing(f"{SWARM}, reason, exit_code", by_reason)
    updated = ours("dockerswarm_service_updated_timestamp_seconds", this)
    update = f"{state('update_state', f'{SWARM}, state')} == 1"
    images = f"{state('info', f'{SWARM}, image')} * on ({SWARM}) group_left () {state('running_images')}"
    up = once("cluster, job, instance", others("up", this))

    panels = [
        number(
            "Tasks",
            "Tasks that run on ready nodes, that should run, and for which there is a node.",
            ("running", f"sum({state('running_tasks')})"),
            ("desired", f"sum({state('desired_tasks')})"),
            ("have a node", f"sum({state('schedulable_tasks')})"),
            width=5,
        ),
        number(
            "At desired",
            "Whether as many tasks run as should, or the service runs on a schedule.",
            f"min({state('at_desired')})",
            width=2, mappings=YES_NO,
        ),
        number(
            "Restarts",
            "Tasks that took the place of one that had ended by itself, in the time range.",
            counted("restarts", "$__range"),
            width=3, decimals=0, colors=RESTARTS,
        ),
        number(
            "Last update",
            "State of the last update, or of its rollback.",
            ("{{state}}", update),
            width=4, text="name",
        ),
        number(
            "Changed",
            "When the service was last changed: by a deploy, an update, or by scaling it.",
            f"max({updated}) * 1000",
            width=3, unit="dateTimeFromNow",
        ),
        number(
            "Targets",
            "Endpoints of the service that Prometheus scrapes.",
            ("up", f"sum({up})"), ("all", f"count({up})"),
            width=3, no_value="not scraped",
        ),
        number(
            "Images",
            "The image, and how many different ones the tasks run: more than one during an update.",
            ("{{image}}", images),
            width=4, text="value_and_name", colors=("green", (2, "yellow")),
        ),
        graph(
            "Tasks by state",
            "The current task of each slot, or of each node of a global service.",
            ("{{state}}", f"sum by (state) ({state('tasks', f'{SWARM}, state')})"),
            ("desired", f"sum({state('desired_tasks')})"),
            stacked=True, limit="desired",
        ),
        graph(
            "Why tasks wait",
            "Current tasks that do not run. docs/state-metrics.md explains the reasons.",
            ("{{reason}}", f"sum by (reason) ({state('waiting_tasks', f'{SWARM}, reason')})"),
            stacked=True, no_value="No task waits",
        ),
        graph(
            "Restarts and failures",
            "Restarts: a task took the place of one that had ended by itself. Failures: tasks that failed or were rejected.",
            ("restarts", counted("restarts")), ("failures", counted("failures")),
            bars=True,
        ),
        graph(
            "Memory",
            "Memory of each task that the kernel cannot take back. The kernel kills a task that needs more than the limit.",
            (name, memory(task, containers)),
            ("limit {{cluster}} {{swarm}}", state("task_limit_memory_bytes")),
            unit="bytes", limit="limit",
        ),
        graph(
            "CPUs",
            "CPUs that each task uses. A task that wants more than the limit is slowed down.",
            (name, cpus(task, containers)),
            ("limit {{cluster}} {{swarm}}", state("task_limit_cpus")),
            limit="limit",
        ),
        graph(
            "Network",
            "What each task receives and sends.",
            (f"{name} receives", traffic("receive")), (f"{name} sends", traffic("transmit")),
            unit="Bps",
        ),
        rows(
            "Current tasks",
            "The current task of each slot, or of each node of a global service.",
            {"A": tasks(this)},
            [*SWARM_COLUMNS, Column("slot", "Slot"), NODE_COLUMN, *TASK_COLUMNS],
            width=16, hidden=["service"],
        ),
        rows(
            "Failures by reason",
            "Tasks that failed or were rejected in the time range.",
            {"A": f"sum by (reason, exit_code) ({failures}) > 0"},
            [
                Column("reason", "Reason"),
                Column("exit_code", "Exit code"),
                Column("Value", "Tasks", decimals=0),
            ],
            width=8, no_value="No task failed",
        ),
    ]
    which = variable("service", "Service", ours("dockerswarm_service_info"), many=False)
    return board(
        "service",
        "One service: its tasks, restarts and why, deploys, memory and CPUs against their limits, targets.",
        panels, [*state_variables(), which], deploys(this),
    )


def node():
    this = 'node="$node"'

    def state(metric, *matchers, by=NODE):
        return once(by, ours(f"dockerswarm_node_{metric}", this, *matchers))

    def host(metric, *matchers):
        return others(metric, this, *matchers)

    def rate(metric, *matchers):
        return f"rate({host(metric, *matchers)}[$__rate_interval])"

    def traffic(way):
        """Of the node part or node exporter, or of cAdvisor where node exporter is in a network of its own."""
        outside = rate(f"node_network_{way}_bytes_total", f"device{INTERFACES}")
        root = rate(f"container_network_{way}_bytes_total", 'id="/"', f"interface{INTERFACES}")
        return f"sum({outside}) or sum({root})"

    def share(resource):
        return f"{state(f'reserved_{resource}')} / {state(resource)}"

    full = f"1 - {host('node_filesystem_avail_bytes', DISKS)} / {host('node_filesystem_size_bytes', DISKS)}"
    idle = rate("node_cpu_seconds_total", 'mode=~"idle|iowait"')
    memory_total = host("node_memory_MemTotal_bytes")
    memory_used = f"{memory_total} - {host('node_memory_MemAvailable_bytes')}"

    panels = [
        number(
            "State", "As the managers see it.",
            ("{{state}}", f"{state('state', by=f'{NODE}, state')} == 1"),
            width=3, text="name",
        ),
        number(
            "Availability", "A drained node gets no tasks, a paused one no new tasks.",
            ("{{availability}}", f"{state('availability', by=f'{NODE}, availability')} == 1"),
            width=3, text="name",
        ),
        number(
            "Role and Engine", "Managers keep the state of the Swarm.",
            ("{{role}}, Docker {{engine_version}}", state("info", by=f"{NODE}, role, engine_version")),
            width=5, text="name",
        ),
        number(
            "Tasks", "Tasks that are assigned to the node and have not ended.",
            f"sum({state('tasks')})", width=2,
        ),
        number(
            "Reserved", "What tasks reserve, of what the node has.",
            ("memory", share("memory_bytes")), ("CPUs", share("cpus")),
            width=4, unit="percentunit", decimals=0, colors=SHARE,
        ),
        number(
            "Up since", "When the machine was started.",
            f"max({host('node_boot_time_seconds')}) * 1000",
            width=4, unit="dateTimeFromNow", no_value="no node part",
        ),
        number(
            "Targets", "Endpoints on the node that Prometheus scrapes.",
            ("up", f"sum({once('cluster, job, instance', host('up'))})"),
            ("all", f"count({once('cluster, job, instance', host('up'))})"),
            width=3, no_value="not scraped",
        ),
        graph(
            "CPUs", "Used by all programs, reserved by tasks, and what the node has.",
            ("used", f"sum({rate('node_cpu_seconds_total')}) - sum({idle})"),
            ("reserved", f"sum({state('reserved_cpus')})"),
            ("capacity", f"sum({state('cpus')})"),
            limit="capacity",
        ),
        graph(
            "Memory", "Used by all programs, reserved by tasks, and what the node has.",
            ("used", f"max({memory_used})"),
            ("reserved", f"sum({state('reserved_memory_bytes')})"),
            ("capacity", f"sum({state('memory_bytes')})"),
            unit="bytes", limit="capacity",
        ),
        gauges(
            "Disks", "How full each file system is. Images and logs fill a node: docker system df",
            ("{{mountpoint}}", f"max by (mountpoint) ({full})"),
        ),
        graph(
            "Memory of services", "Memory of the tasks on the node that the kernel cannot take back. The ten largest.",
            ("{{service}}", f"topk(10, {memory('service', IN_SERVICE, this)})"),
            unit="bytes", stacked=True,
        ),
        graph(
            "CPUs of services", "CPUs that the tasks on the node use. The ten largest.",
            ("{{service}}", f"topk(10, {cpus('service', IN_SERVICE, this)})"),
            stacked=True,
        ),
        graph(
            "Network and disks", "What the machine receives, sends, reads and writes.",
            ("receives", traffic("receive")),
            ("sends", traffic("transmit")),
            ("reads", f"sum({rate('node_disk_read_bytes_total', DRIVES)})"),
            ("writes", f"sum({rate('node_disk_written_bytes_total', DRIVES)})"),
            unit="Bps",
        ),
        rows(
            "Tasks on the node", "The current tasks, with those that have ended and have no successor.",
            {"A": tasks(this)},
            [*SWARM_COLUMNS, SERVICE_COLUMN, Column("slot", "Slot"), *TASK_COLUMNS],
            hidden=["node"], no_value="No task runs here",
        ),
    ]
    which = variable("node", "Node", ours("dockerswarm_node_info"), many=False)
    return board(
        "node",
        "One node: what its tasks reserve and use, disks, network. Needs the node part, or node exporter and cAdvisor, for what is used.",
        panels, [*state_variables(), which],
    )


def swarmscout():
    def rate(name):
        return of_process(f"rate({own(name)}[$__rate_interval])")

    # The jobs of Swarmscout's configuration: `exported_job`, or `job` with honor_labels.
    source = "cluster, instance, job, exported_job, source"
    build = once("cluster, instance, version", own("swarmscout_build_info"))
    up = once(source, own("swarmscout_source_up"))
    age = once(source, own("swarmscout_source_age_seconds"))
    problems = once(f"{source}, effect", own("swarmscout_source_problems"))
    unreachable = own("swarmscout_targets", 'state="unreachable"')
    feed = once("cluster, instance, swarm, feed", own("swarmscout_snapshot_feed"))
    reloaded = of_process(own("prometheus_config_last_reload_successful"))
    resident = of_process(own("process_resident_memory_bytes"))
    skipped = own("swarmscout_source_problems", 'effect="skipped"')
    refreshes = "prometheus_sd_refresh_duration_histogram_seconds"
    panels = [
        number(
            "Version", "Of each Swarmscout.",
            ("{{instance}} {{version}}", build), width=5, text="name",
        ),
        number(
            "Sources down", "Sources whose last refresh failed. Their targets are the last known ones.",
            f"sum({up} == bool 0)", width=3, colors=BAD,
        ),
        number(
            "Oldest source", "How long ago the source that was confirmed least recently was confirmed.",
            f"max({age})", width=3, unit="s", decimals=0, colors=("green", (300, "yellow"), (3600, "red")),
        ),
        number(
            "Unreachable targets",
            "Targets that share no network with Prometheus: swarmscout doctor says which, and what to do.",
            f"sum({unreachable})", width=3, colors=BAD,
        ),
        number(
            "Skipped", "Objects that are left out because something in them is wrong: swarmscout doctor",
            f"sum({skipped})", width=3, colors=FEW,
        ),
        number(
            "Changes arrive by", "watch: within milliseconds. events: within a second. poll: at each refresh.",
            ("{{feed}}", f"{feed} == 1"), width=4, text="name",
        ),
        number(
            "Configuration", "Whether the last reload succeeded.",
            f"min({reloaded})", width=3, mappings=YES_NO,
        ),
        rows(
            "Sources", "Age is the time since the source was last confirmed. Problems are objects that were skipped or reported.",
            {"A": up, "B": age, "C": total(source, problems)},
            [
                Column("cluster", "Cluster"),
                Column("instance", "Swarmscout"),
                Column("exported_job", "Job"),
                Column("source", "Source"),
                Column("Value #A", "Up", texts=YES_NO),
                Column("Value #B", "Age", unit="s", decimals=0),
                Column("Value #C", "Problems"),
            ],
            width=12, hidden=["job"],
        ),
        graph(
            "Targets", "Active: served. Unreachable: active, but on no network of Prometheus. Dropped: by a rule. Refused: not valid.",
            ("{{state}}", f"sum by (state) ({own('swarmscout_targets')})"), width=12,
        ),
        graph(
            "Refreshes", "How many refreshes of sources there are, and how many of them fail.",
            ("{{config}}", f"sum by (config) ({rate(f'{refreshes}_count')})"),
            ("failed {{config}}", f"sum by (config) ({rate('prometheus_sd_refresh_failures_total')})"),
            unit="ops", limit="failed",
        ),
        graph(
            "Time of a refresh", "Mean time that a refresh takes.",
            (
                "{{config}}",
                f"sum by (config) ({rate(f'{refreshes}_sum')}) / (sum by (config) ({rate(f'{refreshes}_count')}) > 0)",
            ),
            unit="s",
        ),
        graph(
            "Objects", "What Swarmscout knows of the Swarms.",
            ("{{kind}}", f"sum by (kind) (max by (cluster, swarm, kind) ({own('swarmscout_snapshot_objects')}))"),
        ),
        graph(
            "Changes of the Swarms", "Changes that arrive between listings.",
            ("{{swarm}}", f"sum by (swarm) ({rate('swarmscout_snapshot_changes_total')})"), unit="ops",
        ),
        graph(
            "Memory", "Resident: of the process. Accounted: of targets and lists. When they need more than the limit, refreshes fail.",
            ("resident {{instance}}", resident),
            ("accounted {{instance}}", own("swarmscout_memory_accounted_bytes")),
            ("limit {{instance}}", own("swarmscout_memory_limit_bytes")),
            unit="bytes", limit="limit",
        ),
        graph(
            "CPUs", "CPUs that Swarmscout uses.",
            ("{{instance}}", rate("process_cpu_seconds_total")),
        ),
    ]
    build_info = "swarmscout_build_info"
    variables = [
        variable("cluster", "Cluster", build_info),
        variable("job", "Job", f'{build_info}{{cluster=~"$cluster"}}'),
    ]
    return board(
        "swarmscout",
        "Swarmscout itself: sources, refreshes, targets, how changes arrive, memory.",
        panels, variables,
    )


def classic():
    def node(name, *matchers, by=NODE):
        return once(by, ours(f"classicswarm_node_{name}", *matchers))

    master = f"{SWARM}, master"
    up = once(SWARM, ours("classicswarm_up"))
    primary = once(SWARM, ours("classicswarm_has_primary"))
    refreshed = once(SWARM, ours("classicswarm_last_refresh_timestamp_seconds"))
    masters = once(master, ours("classicswarm_master_up"))
    leads = once(master, ours("classicswarm_master_primary"))
    nodes = once(f"{SWARM}, status", ours("classicswarm_nodes"))
    sick = once(f"{SWARM}, status", ours("classicswarm_nodes", 'status=~"Pending|Unhealthy|Disconnected"'))
    about = once(f"{SWARM}, strategy, primary", ours("classicswarm_info"))
    containers = once(f"{NODE}, state", ours("classicswarm_node_containers_by_state"))

    panels = [
        number(
            "Masters down", "Masters that did not answer when they were last asked.",
            f"sum({masters} == bool 0)", width=3, colors=BAD,
        ),
        number(
            "Primary", "Whether one of the masters leads. Without a primary nothing can be started.",
            f"min({primary})", width=3, mappings=YES_NO,
        ),
        number(
            "Read", "Whether a master answered at the last refresh.",
            f"min({up})", width=3, mappings=YES_NO,
        ),
        number(
            "Age", "How long ago a master last answered.",
            f"max(time() - {refreshed})", width=3, unit="s", decimals=0,
            colors=("green", (60, "yellow"), (300, "red")),
        ),
        number(
            "Nodes not healthy", "Nodes on which the masters start no container.",
            f"sum({sick})", width=3, colors=BAD,
        ),
        number(
            "Oldest report", "How old the oldest report is that a master has of a node.",
            f"max(time() - {node('updated_timestamp_seconds')})", width=3, unit="s", decimals=0,
            colors=("green", (120, "yellow"), (300, "red")),
        ),
        number(
            "Reserved if the largest node fails",
            "What containers reserve, as part of what the other nodes have. Above 100 % some could not be started again.",
            ("memory", classic_reserved_without_largest("memory_bytes")),
            ("CPUs", classic_reserved_without_largest("cpus")),
            width=6, unit="percentunit", decimals=0,
            colors=("green", (0.8, "yellow"), (1, "red")), mappings=ONE_NODE,
        ),
        rows(
            "Masters", "A refresh asks one of them; the others are asked every 30 seconds.",
            {"A": masters, "B": leads},
            [
                *SWARM_COLUMNS,
                Column("master", "Master"),
                Column("Value #A", "Answers", texts=YES_NO),
                Column("Value #B", "Primary"),
            ],
            width=12, height=7, sort="Answers",
        ),
        rows(
            "Swarms", "The strategy that chooses a node, and the address of the primary.",
            {"A": about},
            [*SWARM_COLUMNS, Column("strategy", "Strategy"), Column("primary", "Primary")],
            width=12, height=7, hidden=["Value"],
        ),
        rows(
            "Nodes", "Reserved: by containers, of what the node has. Report: how old the last one is.",
            {
                "A": f"{node('status', by=f'{NODE}, status')} == 1",
                "B": node("info", by=f"{NODE}, address, engine_version"),
                "C": node("containers"),
                "D": f"{node('reserved_cpus')} / {node('cpus')}",
                "E": f"{node('reserved_memory_bytes')} / {node('memory_bytes')}",
                "F": f"time() - {node('updated_timestamp_seconds')}",
            },
            [
                *SWARM_COLUMNS,
                Column("node", "Node"),
                Column("status", "Status", texts=CLASSIC_STATES),
                Column("Value #C", "Containers"),
                Column("Value #D", "CPUs reserved", unit="percentunit", decimals=0, colors=SHARE),
                Column("Value #E", "Memory reserved", unit="percentunit", decimals=0, colors=SHARE),
                Column("Value #F", "Report", unit="s", decimals=0),
                Column("engine_version", "Engine"),
                Column("address", "Address"),
            ],
            height=9, sort="Status",
        ),
        graph(
            "Nodes by status", "As the masters see them.",
            ("{{status}}", f"sum by (status) ({nodes})"), stacked=True,
        ),
        graph(
            "Containers by state", "As far as the masters report them: from 1.2.4 on.",
            ("{{state}}", f"sum by (state) ({containers})"), stacked=True,
        ),
        graph(
            "Memory", "What containers reserve, and what the nodes have.",
            ("reserved {{cluster}} {{swarm}}", total(SWARM, node("reserved_memory_bytes"))),
            ("all {{cluster}} {{swarm}}", total(SWARM, node("memory_bytes"))),
            unit="bytes", limit="all",
        ),
    ]
    return board(
        "classic",
        "Classic Swarms: do the masters answer, does one lead, which nodes are not healthy or do not report, can the Swarm lose one.",
        panels, state_variables("classicswarm_up"),
    )


def main():
    check = sys.argv[1:] == ["--check"]
    different = []
    for name, built in {"cluster": cluster, "service": service, "node": node, "swarmscout": swarmscout, "classic": classic}.items():
        file = FOLDER / f"{name}.json"
        text = json.dumps(built().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        if check:
            if file.read_text() != text:
                different.append(file.name)
        else:
            file.write_text(text)
    if different:
        sys.exit(f"{', '.join(different)}: not what dashboards.py makes; run `just dashboards`")


if __name__ == "__main__":
    main()
