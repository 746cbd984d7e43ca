"""Artifacts: what the client sends to log one, and to look at it again. Files arrive as uploads of the run that logs it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.wandb_server.model import ApiError, State

Variables = dict[str, Any]


def artifact_type(state: State, variables: Variables) -> Any:
    return {"project": {"artifact": None}}


def create_artifact(state: State, variables: Variables) -> Any:
    """A version in state PENDING; one of the same digest is that version again, as with the real server."""
    given = variables.get("input") or variables  # without input: `wandb sync` up to 0.28
    name = given.get("artifactCollectionName") or given["artifactCollectionNames"][0]
    same = [item for item in state.artifacts.values() if (item["name"], item["digest"]) == (name, given["digest"])]
    if not same:
        version = sum(item["name"] == name for item in state.artifacts.values())
        identity = f"artifact-{state.number()}"
        same = [
            {
                "id": identity,
                "name": name,
                "version": version,
                "state": "PENDING",
                "digest": given["digest"],
                "type": given["artifactTypeName"],
                "description": given.get("description"),
                "metadata": given.get("metadata"),
                "run": given.get("runName"),
                "entity": given.get("entityName"),
                "project": given.get("projectName"),
                "manifest": {},
            }
        ]
        state.artifacts[identity] = same[0]
    return {"createArtifact": {"artifact": _node(same[0])}}


def create_manifest(state: State, variables: Variables) -> Any:
    given = variables.get("input") or variables
    item = _artifact(state, given["artifactID"])
    file = _file(state, item, given.get("name") or "wandb_manifest.json")
    return {"createArtifactManifest": {"artifactManifest": {"id": f"{item['id']}-manifest", "file": file}}}


def update_manifest(state: State, variables: Variables) -> Any:
    given = variables.get("input") or variables
    identity = str(given["artifactManifestID"]).removesuffix("-manifest")
    item = _artifact(state, identity)
    file = _file(state, item, "wandb_manifest.json")
    return {"updateArtifactManifest": {"artifactManifest": {"id": f"{identity}-manifest", "file": file}}}


def create_files(state: State, variables: Variables) -> Any:
    given = variables.get("input") or variables
    files = given.get("artifactFiles") or []
    edges = [{"node": _file(state, _artifact(state, file["artifactID"]), file["name"])} for file in files]
    return {"createArtifactFiles": {"files": {"edges": edges}}}


def commit(state: State, variables: Variables) -> Any:
    given = variables.get("input") or variables
    item = _artifact(state, given["artifactID"])
    item["state"] = "COMMITTED"
    return {"commitArtifact": {"artifact": _node(item)}}


def get(state: State, variables: Variables) -> Any:
    return {"artifact": _node(_artifact(state, variables["id"]))}


OPERATIONS = {
    "ArtifactType": artifact_type,
    "CreateArtifact": create_artifact,
    "CreateArtifactManifest": create_manifest,
    "UpdateArtifactManifest": update_manifest,
    "CreateArtifactFiles": create_files,
    "CommitArtifact": commit,
    "ArtifactByID": get,
    "ArtifactByIDShort": get,
}


def _artifact(state: State, identity: str) -> dict[str, Any]:
    if identity not in state.artifacts:
        raise ApiError(404, f"artifact {identity} not found")
    return state.artifacts[identity]


def _file(state: State, item: dict[str, Any], name: str) -> dict[str, Any]:
    where = f"{state.url}/storage/{item['entity']}/{item['project']}/{item['run']}/artifact/{quote(name)}"
    return {
        "id": f"{item['id']}/{name}",
        "name": name,
        "displayName": name,
        "uploadUrl": where,
        "uploadHeaders": [],
        "storagePath": name,
        "uploadMultipartUrls": None,
        "artifact": {"id": item["id"]},
        "directUrl": where,
    }


def _node(item: dict[str, Any]) -> dict[str, Any]:
    project = {
        "id": item["project"],
        "internalId": "1",
        "name": item["project"],
        "entityName": item["entity"],
        "entity": {"id": "entity-1", "name": item["entity"]},
    }
    collection = {
        "__typename": "ArtifactSequence",
        "id": f"collection-{item['name']}",
        "name": item["name"],
        "project": project,
        "latestArtifact": {"id": item["id"], "versionIndex": item["version"]},
    }
    return {
        "__typename": "Artifact",
        "id": item["id"],
        "digest": item["digest"],
        "state": item["state"],
        "size": 0,
        "fileCount": 0,
        "commitHash": item["digest"][:12],
        "versionIndex": item["version"],
        "description": item["description"],
        "metadata": item["metadata"] if isinstance(item["metadata"], str) else json.dumps(item["metadata"]),
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
        "ttlDurationSeconds": -2,
        "ttlIsInherited": True,
        "artifactType": {"id": "type-1", "name": item["type"]},
        "artifactSequence": collection,
        "aliases": [
            {
                "id": "alias-1",
                "alias": "latest",
                "artifactCollectionName": item["name"],
                "artifactCollection": collection,
            }
        ],
        "tags": [],
        "historyStep": None,
        "currentManifest": None,
        "artifactCollections": {"edges": []},
        "artifactMemberships": {"edges": []},
        "isLink": False,
    }
