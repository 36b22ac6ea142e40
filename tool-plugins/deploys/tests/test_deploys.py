"""The tools on real repositories."""

import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agentd_plugin.testing import Harness, Seen
from agentd_plugin.wire import types_pb2 as types
from conftest import NOW, Made, deployment

from agentd_plugin_deploys.settings import Settings
from agentd_plugin_deploys.tools import make

Repositories = Callable[[str], Made]


def asked(
    tmp_path: Path, *places: str, tool: str = "list_deploys", synced: bool = False, **a: Any
) -> Seen:
    variables = {
        "DEPLOYS_REPOSITORIES": ",".join(places),
        "DEPLOYS_CACHE": str(tmp_path / "cache"),
        "DEPLOYS_SYNCED": "1" if synced else "",
    }
    if tool == "list_deploys":
        a.setdefault("end_time", (NOW + timedelta(minutes=1)).isoformat())
    with Harness(make(Settings.from_environment(variables))) as harness:
        return harness.call(tool, a)


def test_a_change_of_an_image_is_found_with_who_and_when(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("gitops")
    made.commit({"apps/web.yaml": deployment()}, "add web", 10)
    commit = made.commit({"apps/web.yaml": deployment(image="shop/web:1.1")}, "bump web", 2, "Bob")
    made.commit({"apps/cart.yaml": deployment("cart")}, "add cart", 1)
    seen = asked(tmp_path, str(made.path), service="web", namespace="shop", lookback_hours=5)
    (deploy,) = seen.result["deploys"]
    path = "spec.template.spec.containers[web].image"
    assert deploy["changed"] == {path: "shop/web:1.0 -> shop/web:1.1"}
    assert (deploy["commit"], deploy["author"]) == (commit[:12], "Bob")
    (fact,) = seen.observations
    assert fact.signal == "deploys.image_changed"
    assert (fact.subject.kind, fact.subject.namespace, fact.subject.name) == (
        "Deployment",
        "shop",
        "web",
    )
    assert fact.start_time.seconds == int((NOW - timedelta(hours=2)).timestamp())
    assert fact.attributes["image_new"] == "shop/web:1.1"
    assert (fact.attributes["what"], fact.attributes["fields"]) == ("code", "image")
    assert "bump web" in fact.quote


def test_where_what_is_merged_is_applied_it_speaks_the_words_of_the_catalogue(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("gitops")
    config = "kind: ConfigMap\nmetadata: {name: web-settings, namespace: shop}\ndata: {POOL: '5'}\n"
    made.commit({"apps/web.yaml": deployment(), "apps/config.yaml": config}, "add", 10)
    made.commit({"apps/web.yaml": deployment(image="shop/web:2")}, "image", 3)
    made.commit({"apps/web.yaml": deployment(image="shop/web:2", replicas=5)}, "scale", 2)
    made.commit({"apps/config.yaml": config.replace("5", "50")}, "pool", 1)
    seen = asked(tmp_path, str(made.path), service="web", lookback_hours=5, synced=True)
    facts = {fact.signal: fact for fact in seen.observations}
    assert set(facts) == {"workload.rolled_out", "workload.scaled", "config.changed"}
    scaled = facts["workload.scaled"].attributes
    assert (scaled["from"], scaled["to"], scaled["direction"]) == ("2", "5", "up")
    assert facts["config.changed"].attributes["keys"] == "POOL"
    seen = asked(tmp_path, str(made.path), service="web", lookback_hours=5)
    assert {fact.signal.partition(".")[0] for fact in seen.observations} == {"deploys"}


def test_values_of_charts_and_kustomizations_are_found_by_where_they_stand(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("charts")
    values = "image:\n  tag: '1.0'\nreplicaCount: 2\n"
    kustomization = "kind: Kustomization\nimages:\n- name: shop/web\n  newTag: '{}'\n"
    template = "image: {{{{ .Values.repo }}}}\n{{{{ if .x }}}}\ntag: {}\n{{{{ end }}}}\n"
    first = {
        "apps/web/values.yaml": values,
        "overlays/web/kustomization.yaml": kustomization.format("1"),
        "apps/web/templates/deployment.yaml": template.format("one"),
    }
    made.commit(first, "add", 10)
    second = {
        "apps/web/values.yaml": values.replace("1.0", "1.1"),
        "overlays/web/kustomization.yaml": kustomization.format("2"),
        "apps/web/templates/deployment.yaml": template.format("two"),
    }
    made.commit(second, "bump", 1)
    seen = asked(tmp_path, str(made.path), service="web", namespace="shop", lookback_hours=5)
    changed = sorted(c for d in seen.result["deploys"] for c in d["changed"].values())
    assert changed == ["1 -> 2", "1.0 -> 1.1", "one -> two"]
    assert {fact.subject.name for fact in seen.observations} == {"web"}


def test_a_merge_is_the_deploy_and_not_the_commits_it_brings(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("gitops")
    made.commit({"web.yaml": deployment()}, "add", 30)
    made.git("checkout", "--quiet", "-b", "topic")
    made.commit({"web.yaml": deployment(image="shop/web:2")}, "work", 20)
    made.git("checkout", "--quiet", "main")
    made.commit({"cart.yaml": deployment("cart")}, "other", 10)
    when = NOW - timedelta(hours=1)
    made.git("merge", "--quiet", "--no-ff", "-m", "merge topic", "topic", when=when)
    seen = asked(tmp_path, str(made.path), service="web", lookback_hours=24)
    (deploy,) = seen.result["deploys"]
    assert deploy["subject"] == "merge topic"


def test_other_services_namespaces_folders_and_times_are_left_out(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("gitops")
    files = {"prod/web.yaml": deployment(), "staging/web.yaml": deployment(namespace="staging")}
    made.commit(files, "add", 40)
    files = {name: text.replace("web:1.0", "web:2") for name, text in files.items()}
    made.commit(files, "both", 1)
    place = str(made.path)
    assert asked(tmp_path, place, service="web").result["total"] == 2
    assert asked(tmp_path, place, service="web", namespace="shop").result["total"] == 1
    assert asked(tmp_path, f"{place}#staging", service="web").result["total"] == 1
    assert asked(tmp_path, place, service="we").result["total"] == 0
    early = (NOW - timedelta(hours=2)).isoformat()
    assert asked(tmp_path, place, service="web", end_time=early).result["total"] == 0
    assert asked(tmp_path, place).result["total"] == 2


def test_a_url_is_cloned_bare_and_renewed(tmp_path: Path, repository: Repositories) -> None:
    made = repository("gitops")
    made.commit({"web.yaml": deployment()}, "add", 3)
    url = f"file://{made.path}"
    assert asked(tmp_path, url, service="web").result["total"] == 1
    made.commit({"web.yaml": deployment(image="shop/web:2")}, "bump", 1)
    seen = asked(tmp_path, url, service="web")
    assert seen.result["total"] == 2
    assert list((tmp_path / "cache").glob("*.git/HEAD"))
    assert not list((tmp_path / "cache").glob("*/web.yaml"))


def test_a_repository_that_cannot_be_read_is_a_gap_and_the_others_are_told(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("gitops")
    made.commit({"web.yaml": deployment()}, "add", 3)
    gone = f"file://{tmp_path}/gone"
    seen = asked(tmp_path, str(made.path), gone, service="web")
    assert seen.result["total"] == 1
    (gap,) = seen.outcome.gaps
    assert gap.failure.failure_class == types.FAILURE_CLASS_EXTERNAL
    assert asked(tmp_path, gone, service="web").failure.domain == "git"


def test_no_secret_leaves(tmp_path: Path, repository: Repositories) -> None:
    made = repository("gitops")
    secret = "kind: Secret\nmetadata: {name: web-db, namespace: shop}\ndata: {PASSWORD: %s}\n"
    env = {"DB_PASSWORD": "hunter2-old", "MODE": "fast"}
    made.commit({"web.yaml": deployment(env=env), "db.yaml": secret % "c2VjcmV0b25l"}, "add", 5)
    env = {"DB_PASSWORD": "hunter2-new", "MODE": "slow"}
    files = {"web.yaml": deployment(env=env), "db.yaml": secret % "c2VjcmV0dHdv"}
    commit = made.commit(files, "rotate token=hunter2-subject", 1)
    seen = asked(tmp_path, str(made.path), service="web", lookback_hours=3)
    shown = asked(
        tmp_path, str(made.path), tool="describe_deploy", repository="gitops", commit=commit
    )
    for told in (str(seen.updates), str(shown.updates)):
        assert "hunter2" not in told
        assert "c2Vjcm" not in told
        assert "fast" in told
    assert seen.result["total"] == 2
    notes = {file["path"]: file["note"] for file in shown.result["files"]}
    assert "Secret" in notes["db.yaml"]


def test_a_diff_is_shown_of_one_commit_and_bounded(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("gitops")
    made.commit({"web.yaml": deployment()}, "add", 5)
    files = {"web.yaml": deployment(image="shop/web:2"), "notes.txt": "word\n" * 40_000}
    commit = made.commit(files, "bump", 1)
    place = str(made.path)
    ask: dict[str, Any] = {"tool": "describe_deploy", "repository": "gitops"}
    seen = asked(tmp_path, place, commit=commit[:9], **ask)
    assert seen.outcome.truncated
    assert len(seen.result_json) < 64 * 1024
    seen = asked(tmp_path, place, commit=commit, path="web.yaml", **ask)
    assert "+          image: shop/web:2" in seen.result["files"][0]["diff"]
    for wrong in ("0" * 40, "HEAD", "--output=/tmp/x", "main"):
        failure = asked(tmp_path, place, commit=wrong, **ask).failure
        assert failure.failure_class == types.FAILURE_CLASS_NOT_FOUND
    ask["repository"] = "other"
    failure = asked(tmp_path, place, commit=commit, **ask).failure
    assert failure.violations[0].field == "arguments.repository"


def test_a_repository_cannot_make_git_run_anything(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("gitops")
    made.commit({"web.yaml": deployment(), ".gitattributes": "*.yaml diff=evil\n"}, "add", 5)
    commit = made.sign(made.commit({"web.yaml": deployment(image="shop/web:2")}, "bump", 1))
    marker, program = tmp_path / "ran", tmp_path / "evil"
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    settings = "core.fsmonitor core.pager core.sshCommand diff.external diff.evil.textconv"
    for key in f"{settings} diff.evil.command gpg.program pager.log pager.show".split():
        made.git("config", key, str(program))
    made.git("config", "log.showSignature", "true")
    made.git("config", "pager.log", "true")
    assert asked(tmp_path, str(made.path), service="web").result["total"] == 2
    asked(tmp_path, str(made.path), tool="describe_deploy", repository="gitops", commit=commit)
    assert not marker.exists()


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01", "2026-01-01T10:00:00"])
def test_a_time_that_is_none_is_named(tmp_path: Path, repository: Repositories, text: str) -> None:
    made = repository("gitops")
    made.commit({"web.yaml": deployment()}, "add")
    failure = asked(tmp_path, str(made.path), start_time=text).failure
    assert failure.violations[0].field == "arguments.start_time"


def test_times_as_agentd_writes_them_are_read(tmp_path: Path, repository: Repositories) -> None:
    made = repository("gitops")
    made.commit({"web.yaml": deployment()}, "add", 1)
    for end in (
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.123456789Z",
        "2026-03-01T13:00:00+01:00",
    ):
        assert asked(tmp_path, str(made.path), end_time=end).result["total"] == 1


def test_hostile_history_is_read_as_far_as_it_goes(
    tmp_path: Path, repository: Repositories
) -> None:
    made = repository("gitops")
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n"
        for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    names = {
        "web/odd\nname.yaml": "a: 1\n",
        'web/"quoted" ä.yaml': "image: x:1\n",
        "web/bomb.yaml": bomb,
    }
    made.commit({**names, "web/deep.yaml": "[" * 5000}, "one", 3, author="Eve \x1f x")
    made.commit(
        {'web/"quoted" ä.yaml': "image: x:2\n", "web/bomb.yaml": bomb + "z: 1\n"}, "two \x1b[31m", 1
    )
    seen = asked(tmp_path, str(made.path), service="web")
    assert "x:1 -> x:2" in str(seen.result)
    assert "bomb.yaml" in str(seen.result)


def test_wrong_settings_are_told_together(tmp_path: Path) -> None:
    variables = {
        "DEPLOYS_REPOSITORIES": f"ext::sh,{tmp_path},--upload-pack=x,https://u:p4ss@h/a#../x",
        "DEPLOYS_REFRESH": "soon",
    }
    with pytest.raises(ValueError, match="DEPLOYS_REFRESH") as raised:
        Settings.from_environment(variables)
    said = str(raised.value)
    assert said.count("DEPLOYS_REPOSITORIES") == 4
    assert "p4ss" not in said
    with pytest.raises(ValueError, match="names no repository"):
        Settings.from_environment({})
