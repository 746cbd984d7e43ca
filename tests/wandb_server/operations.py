"""The GraphQL operations, by name. Each takes the state and the variables and returns the answer's `data`.

Answers carry every field that any version of the query asks for: the client ignores what it did not ask.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import yaml

from tests.wandb_server import artifacts
from tests.wandb_server.model import ENTITY, LIVE, PROJECT, ApiError, Run, State, Sweep

Variables = dict[str, Any]
USER = {
    "id": "user-1",
    "name": ENTITY,
    "username": ENTITY,
    "entity": ENTITY,
    "email": "tester@example.org",
    "admin": False,
    "flags": "{}",
    "deletedAt": None,
    "apiKeys": {"edges": []},
    "teams": {"edges": [{"node": {"name": ENTITY}}]},
}


SWEEP_STATES = ("RUNNING", "PAUSED", "CANCELED", "FINISHED")  # that `wandb sweep` sets


def viewer(state: State, variables: Variables) -> Any:
    return {"viewer": USER}


def server_features(state: State, variables: Variables) -> Any:
    return {"serverInfo": {"features": []}}


def introspection(state: State, types: dict[str, str]) -> Any:
    """Types by the alias under which a client up to 0.28 asks for their fields: none has any that are optional."""
    return {alias: {"name": name, "fields": [], "inputFields": []} for alias, name in types.items()}


def upsert_sweep(state: State, variables: Variables) -> Any:
    """Create a sweep, or change the state or definition of the one that `id` names."""
    definition = _definition(variables["config"]) if variables.get("config") else None
    try:
        if variables.get("id"):
            sweep = _sweep_by_id(state, variables["id"])
            # Which change is allowed, the client asks itself; that the server would refuse one is not known.
            if (wanted := variables.get("state")) is not None:
                if wanted not in SWEEP_STATES:
                    raise ApiError(400, f"Invalid sweep state: {wanted}")
                sweep.state = wanted
            if definition is not None:
                sweep.text, sweep.definition = variables["config"], definition
        elif definition is None:
            raise ApiError(400, "a sweep needs a config")
        else:
            sweep = state.create_sweep(
                variables["config"],
                definition,
                variables.get("entityName"),
                variables.get("projectName"),
                description=variables.get("description"),
                display_name=variables.get("displayName"),
            )
    except ValueError as error:
        raise ApiError(400, f"Invalid sweep config: {error}") from error
    return {"upsertSweep": {"sweep": _sweep_node(sweep), "configValidationWarnings": []}}


def get_sweep(state: State, variables: Variables) -> Any:
    """GetSweep, GetSweepLegacy, GetSweepState and SweepWithRuns."""
    entity, project = variables.get("entity") or ENTITY, variables.get("project") or PROJECT
    if (entity, project) not in state.projects:
        return {"project": None}
    state.mark_crashed()
    sweep = state.sweep(variables.get("name") or variables.get("sweep") or "", entity, project)
    return {"project": {"sweep": None if sweep is None else _sweep_node(sweep, with_runs="specs" in variables)}}


def get_sweeps(state: State, variables: Variables) -> Any:
    entity, project = variables.get("entity") or ENTITY, variables.get("project") or PROJECT
    if (entity, project) not in state.projects:
        return {"project": None}
    found = [_sweep_node(s) for s in state.sweeps.values() if (s.entity, s.project) == (entity, project)]
    return {"project": {"totalSweeps": len(found), "sweeps": _page(found, variables)}}


def create_agent(state: State, variables: Variables) -> Any:
    sweep = state.sweep(variables["sweep"], variables.get("entityName"), variables.get("projectName"))
    if sweep is None:
        raise ApiError(404, f"Sweep {variables['sweep']} not found")
    if sweep.state not in ("RUNNING", "PAUSED"):
        raise ApiError(400, f"Sweep {sweep.name} is not running")
    return {"createAgent": {"agent": {"id": state.create_agent(sweep, variables["host"]).id}}}


def heartbeat(state: State, variables: Variables) -> Any:
    agent = state.agents.get(variables["id"])
    if agent is None or (agent.sweep.entity, agent.sweep.project, agent.sweep.name) not in state.sweeps:
        raise ApiError(404, "agent or its sweep not found")
    agent.heartbeats.append(datetime.now(timezone.utc).timestamp())
    run_state = json.loads(variables.get("runState") or "{}")
    commands = state.commands(agent, [name for name, live in run_state.items() if live])
    return {"agentHeartbeat": {"agent": {"id": agent.id}, "commands": json.dumps(commands)}}


def upsert_bucket(state: State, variables: Variables) -> Any:
    """Create a run, start one that a sweep handed out, or update one (`id` names it by its storage id)."""
    entity, project = variables.get("entity"), variables.get("project")
    name = variables.get("name")
    run = state.run(name, entity, project) if name else _run_by_id(state, variables.get("id") or "")
    inserted = run is None
    if run is None:
        run = state.create_run(variables["name"], entity, project)
    if variables.get("name") and run.state not in ("running", "preempting"):
        run.state, run.acknowledged, run.exit_code = "running", True, None
        run.starts += 1
    run.sweep = variables.get("sweep") or run.sweep
    run.config = variables.get("config") or run.config
    run.summary = variables.get("summaryMetrics") or run.summary
    kept = {k: v for k, v in variables.items() if v is not None and k not in ("config", "summaryMetrics")}
    run.attributes.update(kept)
    return {"upsertBucket": {"bucket": _run_node(run), "inserted": inserted}}


def run_resume_status(state: State, variables: Variables) -> Any:
    entity, project = variables.get("entity") or ENTITY, variables.get("project") or PROJECT
    run = state.run(variables["name"], entity, project)
    owner = {"id": "entity-1", "name": entity}
    bucket = None if run is None or run.starts == 0 else _run_node(run)
    return {"model": {"id": project, "name": project, "entity": owner, "bucket": bucket}}


def get_run(state: State, variables: Variables) -> Any:
    """Run, RunState, QueryRunInfo and the history queries: one run of a project."""
    name = variables.get("name") or variables.get("run") or variables.get("runName") or variables.get("runId") or ""
    entity, project = variables.get("entityName"), variables.get("projectName")
    run = state.run(name, variables.get("entity") or entity, variables.get("project") or project)
    if run is None:
        return {"project": {"run": None}}
    state.mark_crashed()
    rows = run.rows
    if "minStep" in variables:
        rows = [row for row in rows if variables["minStep"] <= json.loads(row).get("_step", 0) < variables["maxStep"]]
    specs = variables.get("specs") or ([variables["spec"]] if "spec" in variables else [])
    sampled = [_sampled(run, json.loads(spec)) for spec in specs]
    parquet = {"parquetUrls": [], "liveData": run.history() if "liveKeys" in variables else []}
    lines = {"history": rows, "events": run.events, "sampledHistory": sampled, "parquetHistory": parquet}
    return {"project": {"run": _run_node(run) | lines}}


def get_runs(state: State, variables: Variables) -> Any:
    entity, project = variables.get("entity") or ENTITY, variables.get("project") or PROJECT
    if (entity, project) not in state.projects:
        return {"project": None}
    state.mark_crashed()
    filters = json.loads(variables.get("filters") or "{}")
    runs = [r for r in state.runs.values() if (r.entity, r.project) == (entity, project) and _matches(r, filters)]
    order = variables.get("order") or "+created_at"
    runs.sort(key=lambda run: _order_key(run, order.lstrip("+-")), reverse=order.startswith("-"))
    nodes = [_run_node(run) for run in runs]
    return {"project": {"internalId": "1", "runCount": len(nodes), "readOnly": False, "runs": _page(nodes, variables)}}


def create_run_files(state: State, variables: Variables) -> Any:
    run = state.run(variables["run"], variables.get("entity"), variables.get("project"))
    if run is None:
        raise ApiError(404, f"run {variables['run']} not found")
    folder = f"{state.url}/storage/{run.entity}/{run.project}/{run.name}"
    files = [{"name": name, "uploadUrl": f"{folder}/{quote(name)}"} for name in variables["files"]]
    return {"createRunFiles": {"runID": run.storage_id, "uploadHeaders": [], "files": files}}


def run_upload_urls(state: State, variables: Variables) -> Any:
    """What `wandb sync` up to 0.28 asks in place of CreateRunFiles."""
    made = create_run_files(state, {**variables, "project": variables["name"]})["createRunFiles"]
    edges = [{"node": {"name": file["name"], "url": file["uploadUrl"], "updatedAt": None}} for file in made["files"]]
    return {"model": {"bucket": {"id": made["runID"], "files": {"uploadHeaders": [], "edges": edges}}}}


def stop_run(state: State, variables: Variables) -> Any:
    run = _run_by_id(state, variables["id"])
    if run is None:
        raise ApiError(404, f"run {variables['id']} not found")
    run.stop_requested = True
    return {"stopRun": {"success": True}}


def organization(state: State, variables: Variables) -> Any:
    return {"organization": {"featureFlags": []}, "entity": {"organization": {"coreWeaveOrganizationId": None}}}


OPERATIONS: dict[str, Callable[[State, Variables], Any]] = {
    "Viewer": viewer,
    "viewer": viewer,  # of clients up to 0.28, which give this one no name
    "introspection": introspection,
    "GetViewer": viewer,
    "GetDefaultEntity": viewer,
    "ServerFeaturesQuery": server_features,
    "OrgFeatureFlags": organization,
    "OrganizationCoreWeaveOrganizationID": organization,
    "UpsertSweep": upsert_sweep,
    "UpsertSweepState": upsert_sweep,
    "Sweep": get_sweep,
    "GetSweep": get_sweep,
    "GetSweepLegacy": get_sweep,
    "GetSweepState": get_sweep,
    "SweepWithRuns": get_sweep,
    "SweepConfig": get_sweep,
    "GetSweeps": get_sweeps,
    "CreateAgent": create_agent,
    "Heartbeat": heartbeat,
    "UpsertBucket": upsert_bucket,
    "RunResumeStatus": run_resume_status,
    "CreateRunFiles": create_run_files,
    "RunUploadUrls": run_upload_urls,
    "Run": get_run,
    "RunState": get_run,
    "RunStoppedStatus": get_run,
    "QueryRunInfo": get_run,
    "RunSampledHistory": get_run,
    "SampledHistoryPage": get_run,
    "RunHistoryKeys": get_run,
    "RunFullHistory": get_run,
    "HistoryPage": get_run,
    "RunParquetHistory": get_run,
    "Runs": get_runs,
    "StopRun": stop_run,
    **artifacts.OPERATIONS,
}


def _definition(text: str) -> dict[str, Any]:
    try:
        definition = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ApiError(400, f"Invalid sweep config: {error}") from error
    if not isinstance(definition, dict) or not definition.get("parameters"):
        raise ApiError(400, "Invalid sweep config: no parameters")
    if definition.get("method") not in ("grid", "random", "bayes"):
        raise ApiError(400, f"Invalid sweep config: unknown method {definition.get('method')!r}")
    return definition


def _sweep_by_id(state: State, identifier: str) -> Sweep:
    for sweep in state.sweeps.values():
        if identifier in (sweep.storage_id, sweep.name):
            return sweep
    raise ApiError(404, f"Sweep {identifier} not found")


def _run_by_id(state: State, identifier: str) -> Run | None:
    return next((run for run in state.runs.values() if run.storage_id == identifier), None)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sweep_node(sweep: Sweep, with_runs: bool = False) -> dict[str, Any]:
    node = {
        "__typename": "Sweep",
        "id": sweep.storage_id,
        "name": sweep.name,
        "displayName": sweep.display_name,
        "method": sweep.definition["method"],
        "state": sweep.state,
        "description": sweep.description,
        "bestLoss": None,
        "config": sweep.text,
        "createdAt": _iso(sweep.created),
        "updatedAt": _iso(sweep.created),
        "heartbeatAt": None,
        "earlyStopJobRunning": False,
        "controller": None,
        "scheduler": None,
        "controllerRunName": None,
        "runCount": len(sweep.runs),
        "runCountExpected": sweep.expected,
        "project": {"id": sweep.project, "name": sweep.project, "entity": {"id": "entity-1", "name": sweep.entity}},
    }
    if with_runs:
        node["runs"] = {"edges": [{"node": _run_node(run)} for run in sweep.runs]}
    return node


def _run_node(run: Run) -> dict[str, Any]:
    steps = [row.get("_step", 0) for row in run.history()[-1:]]
    attributes = run.attributes
    return {
        "id": run.storage_id,
        "name": run.name,
        "displayName": run.title,
        "tags": attributes.get("tags") or [],
        "sweepName": run.sweep,
        "state": run.state,
        "config": run.config,
        "group": attributes.get("groupName"),
        "jobType": attributes.get("jobType"),
        "commit": attributes.get("commit"),
        "description": attributes.get("description"),
        "notes": attributes.get("notes"),
        "readOnly": False,
        "createdAt": _iso(run.created),
        "heartbeatAt": _iso(run.heartbeat),
        "systemMetrics": "{}",
        "summaryMetrics": run.summary,
        "user": USER,
        "projectId": "1",
        "exitcode": run.exit_code,
        "historyKeys": {"sets": [], "keys": {}, "lastStep": steps[0] if steps else -1},
        "historyLineCount": len(run.rows),
        "eventsLineCount": len(run.events),
        "logLineCount": len(run.output),
        "historyTail": json.dumps(run.rows[-1:]),
        "eventsTail": json.dumps(run.events[-1:]),
        "wandbConfig": json.dumps({"t": {}}),
        "shouldStop": run.stop_requested,
        "stopped": run.stop_requested,
        "failed": run.state == "failed",
        "running": run.state in LIVE,
        "sampledHistory": [],
        "project": {"id": run.project, "name": run.project, "entity": {"id": "entity-1", "name": run.entity}},
    }


def _sampled(run: Run, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows that hold all of the wanted keys, thinned evenly to the wanted number."""
    keys = spec.get("keys") or []
    rows = [{key: row[key] for key in keys} for row in run.history() if all(key in row for key in keys)]
    step = max(1, -(-len(rows) // int(spec.get("samples", 500))))
    return rows[::step]


def _page(nodes: list[dict[str, Any]], variables: Variables) -> dict[str, Any]:
    start = int(variables.get("cursor") or 0)
    end = start + int(variables.get("perPage") or 50)
    edges = [{"node": node, "cursor": str(start + i + 1)} for i, node in enumerate(nodes[start:end])]
    info = {"__typename": "PageInfo", "endCursor": str(min(end, len(nodes))), "hasNextPage": end < len(nodes)}
    return {"edges": edges, "pageInfo": info}


def _matches(run: Run, filters: dict[str, Any]) -> bool:
    """The part of the filter language (MongoDB's) that the tests use: equality, $in, $regex, $and, $or."""
    known = {
        "sweep": run.sweep,
        "state": run.state,
        "name": run.name,
        "group": run.attributes.get("groupName"),
        "displayName": run.title,
    }
    for key, wanted in filters.items():
        if key in ("$and", "$or"):
            combine: Callable[[Iterable[bool]], bool] = all if key == "$and" else any
            if not combine(_matches(run, part) for part in wanted):
                return False
        elif key not in known:
            raise ApiError(400, f"runs cannot be filtered by {key}")
        elif isinstance(wanted, dict) and "$regex" in wanted:
            if not re.search(wanted["$regex"], str(known[key] or "")):
                return False
        elif isinstance(wanted, dict):
            if known[key] not in wanted.get("$in", ()):
                return False
        elif known[key] != wanted:
            return False
    return True


def _order_key(run: Run, order: str) -> tuple[float, int]:
    if order.startswith("summary_metrics."):
        value = json.loads(run.summary).get(order.removeprefix("summary_metrics."))
        return (float(value) if isinstance(value, int | float) else float("inf"), run.number)
    return (run.created, run.number)
