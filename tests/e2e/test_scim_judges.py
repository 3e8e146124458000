"""What is sent to SCIM servers, held to judges that know nothing of this program: scim-sanity and scim2-models.

scim-sanity says whether a body is as RFC 7643 and RFC 7644 have it. scim2-models is a PATCH interpreter of its own: it
has to come to what django-scim2, which has another one, then stores. (npm's scim-patch would be a third one. It would
need a second package manager and its lock file for one test, and is not used.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scim2_models import URN, EnterpriseUser, Extension, PatchOp, User

from tests.support.http_proxy import Asked, HttpProxy
from tests.support.http_server import Act
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, EACH_KIND, Kind, ScimServer, people

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", EACH_KIND)
def test_every_body_is_valid_and_does_what_it_is_to_do_in_every_interpreter(tmp_path: Path, kind: Kind) -> None:
    sent: list[tuple[str, str, Any]] = []

    def watch(asked: Asked) -> Act:
        if asked.body:
            sent.append((asked.method, asked.path.partition("?")[0].rpartition("/")[2], asked.document))
        return asked.forward()

    with ScimServer.start(tmp_path / "server", people(4), kind=kind) as server, HttpProxy(server.root, watch) as proxy:
        job = ScimJob(tmp_path / "job", server, agents=4, url=proxy.url)
        judged(sent, server, lambda: job.run("apply"))
        mapping = (Path(__file__).parents[2] / "mappings" / "scim-extension.yaml").read_text()
        (job.folder / "clearing.yaml").write_text(mapping.replace("when_absent: keep", "when_absent: clear"))
        job.configure(mapping="clearing.yaml")
        job.agents[0]["workNo"] = 4711
        del job.agents[1]["sipAccount"]
        job.tenant()
        judged(sent, server, lambda: job.run("apply"))
    assert len(sent) >= 6
    assert complaints({"Operations": [{"op": "put"}]}, "patch"), "the judge sees nothing"
    for method, _, body in sent:
        assert complaints(body, "patch" if method == "PATCH" else "full") == []


def complaints(body: Any, operation: str) -> list[str]:
    """What scim-sanity has against a body."""
    from scim_sanity.validator import SCIMValidator  # noqa: PLC0415  # where it is missing, this test alone fails

    _, errors = SCIMValidator().validate(body, operation)
    return list(map(str, errors))


class Cec(Extension):
    """The extension that is shipped, as scim2-models has it."""

    __schema__ = URN(CEC)

    account_code: str | None = None
    work_no: int | None = None
    sip_account: str | None = None
    sip_password: str | None = None
    sip_service_ip: str | None = None
    sip_service_port: int | None = None


def judged(sent: list[tuple[str, str, Any]], server: ScimServer, act: Any) -> None:
    """Do it; and hold what the server stores to what scim2-models makes of the same requests."""
    known = {each["id"]: User[EnterpriseUser | Cec].model_validate(each) for each in server.all()}
    first = len(sent)
    act()
    for method, id_, body in sent[first:]:
        assert method == "PATCH"
        PatchOp[User[EnterpriseUser | Cec]].model_validate(body).patch(known[id_])
    stored = {each["id"]: each.get(CEC, {}) for each in server.all()}
    made = {id_: json.loads(user.model_dump_json()).get(CEC) or {} for id_, user in known.items()}
    assert stored == {id_: {k: v for k, v in held.items() if v is not None} for id_, held in made.items()}
