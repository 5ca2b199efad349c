"""What Terraform makes is what the code expects: names, settings, indexes, times, events."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from confirmer.__main__ import THREADS
from core import events, limits
from core.messages import Topic
from core.sets import SetGrant
from infra.gcp.bus import DEAD_LETTERS, Names
from infra.gcp.jobs import INDEXES, TTL_FIELD, UNINDEXED_FIELDS
from infra.links import SignedLinks
from infra.required import check_secret, check_sftp
from infra.settings import Settings, load
from tests.deploy import hcl
from transcoder import push

ROOT: Final = Path(__file__).resolve().parents[2]
CODE: Final = ("core", "receiver", "transcoder", "confirmer", "functions", "infra")
BUS: Final = hcl.module("bus")
FIRESTORE: Final = hcl.module("firestore")
MONITORING: Final = hcl.module("monitoring")
SERVICES: Final = hcl.module("services")
FUNCTIONS: Final = hcl.module("functions")
IDENTITY: Final = hcl.module("identity")
EXAMPLE: Final = dict(hcl.modules())["example"]

PREFIX: Final = "some-name"
SETTINGS: Final = frozenset(name.upper() for name in Settings.model_fields)
SECRETS: Final = frozenset({"INTERNAL_SERVICE_KEY", "WEBHOOK_SECRET"})
DELIVERY_SECRETS: Final = frozenset({"SFTP_PRIVATE_KEY", "SFTP_PASSWORD"})
NO_CONTAINER: Final = frozenset({"SFTP_PRIVATE_KEY_PASSPHRASE"})
"""A key in Secret Manager needs no passphrase of its own."""
SECRET: Final = "google_secret_manager_secret"
NOT_SETTINGS: Final = frozenset({"FUNCTION_TARGET"})
"""functions-framework's own variable."""
PUSHED: Final = ("transcoder", "courier")


def named(template: str, key: str = "") -> str:
    """Return a resource's name as Terraform computes it."""
    name = template.replace("${var.name}", PREFIX).replace("${each.key}", key)
    assert "$" not in name, f"{template} has more in it than this test knows"
    return name


def local(module: hcl.Module, expression: Any) -> Any:
    """Return what `${local.NAME}` stands for; anything else as it is."""
    found = re.fullmatch(r"\$\{local\.(\w+)\}", str(expression))
    return module.locals[found[1]] if found else expression


# --- names ------------------------------------------------------------------------------------
def last(full_name: str) -> str:
    """Return the last part of a resource's full name."""
    return full_name.rpartition("/")[2]


def test_topics_are_called_as_the_code_calls_them() -> None:
    """One topic for each of the code's and one for dead letters, and no other."""
    work = BUS.one("google_pubsub_topic", "work")
    dead = BUS.one("google_pubsub_topic", "dead_letters")
    made = {named(work["name"], key) for key in BUS.locals["work"]} | {named(dead["name"])}
    names = Names(project="p", prefix=PREFIX)
    assert made == {last(names.topic(topic)) for topic in (*Topic, DEAD_LETTERS)}


def test_subscriptions_are_called_as_the_code_calls_them() -> None:
    """Readiness and operators find each topic's subscription by its name."""
    work = BUS.one("google_pubsub_subscription", "work")
    dead = BUS.one("google_pubsub_subscription", "dead_letters")
    made = {named(work["name"], key) for key in BUS.locals["work"]} | {named(dead["name"])}
    names = Names(project="p", prefix=PREFIX)
    assert made == {last(names.subscription(topic)) for topic in (*Topic, DEAD_LETTERS)}
    assert "push_config" not in dead, "dead letters are kept, not pushed away"


def test_messages_are_pushed_to_paths_that_are_served() -> None:
    """A push to an unknown path is refused until it becomes a dead letter."""
    work = BUS.one("google_pubsub_subscription", "work")
    (config,) = work["push_config"]
    assert config["push_endpoint"].startswith("${each.value.url}/")
    path = config["push_endpoint"].removeprefix("${each.value.url}")
    assert {named(path, key) for key in BUS.locals["work"]} == set(push.PATHS)


def test_function_targets_exist() -> None:
    """Each FUNCTION_TARGET is a function of the source file that the image names."""
    tree = ast.parse((ROOT / "functions" / "entry.py").read_text(encoding="utf-8"))
    served = {
        item.name
        for item in tree.body
        if isinstance(item, ast.FunctionDef)
        and any("functions_framework" in ast.dump(mark) for mark in item.decorator_list)
    }
    targets = {function["target"] for function in FUNCTIONS.locals["functions"].values()}
    assert targets == served


# --- times and limits -------------------------------------------------------------------------
def test_messages_are_buried_after_as_many_deliveries_as_the_code_counts() -> None:
    """`message.buried` is told at the same delivery at which Pub/Sub buries."""
    work = BUS.one("google_pubsub_subscription", "work")
    (policy,) = work["dead_letter_policy"]
    attempts = local(BUS, policy["max_delivery_attempts"])
    assert attempts == Settings.model_fields["push_deliveries_max"].default
    assert attempts == limits.MESSAGE_DELIVERIES_MAX


def test_a_push_is_waited_for_as_long_as_a_step_may_take() -> None:
    """Subscription, service and code agree on the time of one step."""
    work = BUS.one("google_pubsub_subscription", "work")
    assert local(BUS, work["ack_deadline_seconds"]) == limits.PUSH_ACK_S > limits.PUSH_STEP_S
    for service in PUSHED:
        call = SERVICES.calls[service]
        assert call["timeout_s"] == limits.PUSH_ACK_S
        assert call["concurrency"] == 1, "a push never waits for the one before it"


def test_probes_of_the_confirmer_do_not_wait_behind_its_requests() -> None:
    """It is given fewer requests at once than it has threads."""
    assert SERVICES.calls["confirmer"]["concurrency"] <= THREADS - 2


def test_an_upload_may_take_as_long_as_the_receiver_allows() -> None:
    """The platform must not cut an upload that the code still takes."""
    assert SERVICES.calls["receiver"]["timeout_s"] == limits.UPLOAD_S_MAX
    assert SERVICES.calls["receiver"]["port_name"] == "h2c"


def test_dead_letters_are_kept_for_as_long_as_pubsub_can() -> None:
    """31 days to look at them."""
    dead = BUS.one("google_pubsub_subscription", "dead_letters")
    assert dead["message_retention_duration"] == "${local.keep_dead_letters_s}s"
    assert BUS.locals["keep_dead_letters_s"] == "${31 * 86400}"


@pytest.mark.parametrize(
    "subscription", BUS.all("google_pubsub_subscription"), ids=lambda r: r.name
)
def test_no_subscription_ends_by_itself(subscription: hcl.Resource) -> None:
    """Pub/Sub deletes an idle subscription after 31 days, unless told otherwise."""
    assert subscription.body["expiration_policy"] == [{"ttl": ""}]


def test_defaults_are_those_of_the_settings() -> None:
    """The times that the bucket's backstop counts with, and the receiver's numbers."""
    for variable, fields in (
        ("times", {"upload_ttl_s", "store_retry_for_s", "confirm_ttl_s"}),
        ("receiver", {"threads", "uploads_at_once"}),
    ):
        found = defaults(EXAMPLE.variables[variable]["type"])
        for field in fields:
            setting = {"threads": "receiver_threads", "uploads_at_once": "max_uploads_at_once"}
            assert found[field] == Settings.model_fields[setting.get(field, field)].default


def defaults(kind: str) -> Mapping[str, float]:
    """Return the defaults of an object type's optional numbers."""
    found = re.findall(r"(\w+)\s*=\s*optional\(number, (\d+)\)", kind)
    return {name: float(value) for name, value in found}


# --- order ------------------------------------------------------------------------------------
def test_a_new_release_reaches_who_reads_records_before_who_begins_jobs() -> None:
    """Else a record that says something new is read by code that does not know it."""
    receiver, finalized = SERVICES.calls["receiver"], FUNCTIONS.calls["upload_finalized"]
    readers = {name for name in SERVICES.calls if name != "receiver"}
    assert readers == {"transcoder", "courier", "confirmer"}
    assert waits_for(receiver) == {f"module.{name}" for name in readers} | {"var.readers"}
    assert waits_for(finalized) == {"module.function", "var.readers"}
    assert "if name != local.begins" in FUNCTIONS.calls["function"]["for_each"]
    told = {f"${{module.{name}.name}}" for name in readers}
    assert set(SERVICES.outputs["readers"]["value"]) == told
    assert "in module.function :" in FUNCTIONS.outputs["readers"]["value"]
    assert EXAMPLE.calls["services"]["readers"] == "${module.functions[0].readers}"
    assert EXAMPLE.calls["functions"]["readers"] == "${module.services[0].readers}"


def waits_for(call: Mapping[str, Any]) -> set[str]:
    """Return what must be there before a module is made or changed."""
    return {str(found).removeprefix("${").removesuffix("}") for found in call["depends_on"]}


# --- what the platform writes -----------------------------------------------------------------
def test_urls_that_are_credentials_are_left_out_of_the_request_log() -> None:
    """Cloud Run writes down the URL of each request; a set's opens it until it expires."""
    excluded = SERVICES.one("google_logging_project_exclusion", "sets")
    assert excluded["filter"] == "${local.sets_requests}"
    said = SERVICES.locals["sets_requests"]
    assert SERVICES.calls["receiver"]["name"] == "${var.name}-receiver"
    for part in ('"${var.name}-receiver', "cloud_run_revision", "run.googleapis.com/requests"):
        assert part in said
    pattern = re.search(r'requestUrl=~\\*"([^"\\]+)', said)
    assert pattern
    assert not set(pattern[1]) - set("^https?://[]+/sets/"), "read alike by Google's RE2"
    links = SignedLinks(["whsec_" + "A" * 32], lambda: "https://lectern.example.org")
    url = links.url(SetGrant(run="run-1", fence=1, expires_at=1_900_000_000), "manifest.json")
    assert re.search(pattern[1], url)
    for path in ("/video/receive", "/status/sets/1", "/uploads", "/status/x?next=/sets/"):
        assert not re.search(pattern[1], f"https://lectern.example.org{path}")


# --- Firestore --------------------------------------------------------------------------------
def test_composite_indexes_are_those_of_the_queries() -> None:
    """A missing one fails its query in production only; a superfluous one costs each write."""
    made = {
        tuple((field["field_path"], field["order"]) for field in index.body["fields"])
        for index in FIRESTORE.all("google_firestore_index")
    }
    assert made == {index.fields for index in INDEXES}
    assert len(FIRESTORE.all("google_firestore_index")) == len(INDEXES)


def test_fields_without_an_index_are_those_that_no_query_asks_for() -> None:
    """An empty `index_config` takes the indexes away that Firestore makes by itself."""
    fields = FIRESTORE.all("google_firestore_field")
    exempt = [field.body["field"] for field in fields if field.body.get("index_config") == [{}]]
    assert sorted(exempt) == sorted(UNINDEXED_FIELDS)
    assert len(exempt) == len(fields)


def test_the_ttl_is_on_the_field_that_the_code_writes() -> None:
    """Firestore takes one TTL field a collection."""
    fields = FIRESTORE.all("google_firestore_field")
    assert [field.body["field"] for field in fields if "ttl_config" in field.body] == [TTL_FIELD]


def test_the_collection_is_the_one_that_the_code_writes() -> None:
    """Indexes and TTL belong to a collection's name."""
    for resource in FIRESTORE.resources:
        if resource.kind != "google_firestore_database":
            assert resource.body["collection"] == "${var.collection}"
    assert FIRESTORE.variables["collection"]["default"] == (
        Settings.model_fields["firestore_jobs"].default
    )


# --- settings ---------------------------------------------------------------------------------
def environments() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each service with its environment; references to variables stay as they are."""
    common = SERVICES.locals["common"]
    for service in ("receiver", "transcoder", "courier", "confirmer"):
        pushed = SERVICES.locals["pushed"] if service in PUSHED else {}
        yield service, {**common, **pushed, **SERVICES.locals[service]}
    for function, how in FUNCTIONS.locals["functions"].items():
        yield function, {**common, "FUNCTION_TARGET": how["target"]}


def sample(name: str, value: Any) -> str | None:
    """Return a value for a variable of the environment as an operator might choose it."""
    number = re.search(r"tostring\(var\.times\.(\w+)\)", str(value))
    if number:
        return str(Settings.model_fields[number[1]].default)
    chosen = {
        "LMS_STORE_URL": "https://lms.example.org/store",
        "PUBLIC_URL": "https://lectern.example.org",
        "UPLOAD_ORIGIN": "https://lms.example.org",
        "LOG_LEVEL": "INFO",
        "RECEIVER_THREADS": "32",
        "MAX_UPLOADS_AT_ONCE": "16",
        "PUSH_DELIVERIES_MAX": "100",
        "CLIENT_CONFIRM_API": "https://lms.example.org/stored",
        "DELIVERY": "auto",
        "DELIVERY_OVERRIDE": "true",
        "SFTP_PORT": "2222",
        "FORWARDED_HOPS": "1",
        "SFTP_VIDEOS": "/videos",
        "SFTP_IMAGES": "/images",
    }
    return chosen.get(name, "some-value") if str(value).startswith("${") else str(value)


def test_every_variable_of_the_environment_is_a_setting() -> None:
    """A misspelt variable would be passed over, and its default taken."""
    for service, environment in environments():
        assert set(environment) <= SETTINGS | NOT_SETTINGS, service


def test_settings_cannot_overrule_what_other_resources_are_made_to_fit() -> None:
    """Every variable that the modules set themselves is refused in `settings`, secrets as well."""
    text = (ROOT / "terraform/example/variables.tf").read_text().partition('variable "settings"')[2]
    refused = set(
        re.findall(r'"([A-Z_]+)"', text.partition("setintersection(")[2].partition("])")[0])
    )
    own = {name for _, environment in environments() for name in environment}
    other_way = {"SFTP_FINGERPRINT"}  # known hosts are given
    assert refused == own | SECRETS | DELIVERY_SECRETS | NO_CONTAINER | other_way | {"PORT"}


@pytest.mark.parametrize("service", [service for service, _ in environments()])
def test_every_service_starts_with_its_environment(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it and the secrets nothing that the backend needs is missing or wrong."""
    environment = dict(environments())[service]
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, sample(name, value) or "")
    values = {
        "INTERNAL_SERVICE_KEY": "k" * limits.KEY_CHARS_MIN,
        "WEBHOOK_SECRET": "whsec_bGVjdGVybi1leGFtcGxlLXNlY3JldC0wMDE=",
    }
    for name in readable(service):
        monkeypatch.setenv(name, values[name])
    settings = load()
    assert [name for name in values if getattr(settings, name.lower())] == readable(service)
    if service in {"receiver", "confirmer"}:
        check_secret(settings, "internal_service_key")
    if service == "receiver" or settings.push_steps == "deliver":
        check_secret(settings, "webhook_secret")
    assert settings.lectern_backend == "gcp"
    assert settings.host == "0.0.0.0"  # noqa: S104 - inside a container
    if service == "courier":
        monkeypatch.setenv("SFTP_PRIVATE_KEY", "a key")
        check_sftp(load())
    told = bool(settings.push_audience and settings.push_service_account)
    assert told is (service in PUSHED)
    assert settings.push_behind_iam is (service in PUSHED)


def readable(service: str) -> list[str]:
    """Return the secrets of the deployment that a service is granted."""
    readers = hcl.module("secrets").locals["readers"]
    return [variable for variable, services in readers.items() if service in services]


def test_no_service_holds_a_secret_that_it_does_not_need() -> None:
    """Who opens recordings, which anybody may have made, holds none at all."""
    assert {name: readable(name) for name, _ in environments()} == {
        "receiver": ["INTERNAL_SERVICE_KEY", "WEBHOOK_SECRET"],
        "confirmer": ["INTERNAL_SERVICE_KEY"],
        "courier": ["WEBHOOK_SECRET"],
        "transcoder": [],
        **{name: [] for name in FUNCTIONS.locals["functions"]},
    }
    given = {name: str(call.get("secrets")) for name, call in SERVICES.calls.items()}
    for name, secrets in given.items():
        assert (f"var.secrets.{name}" in secrets) is bool(readable(name)), name
    assert all("secrets" not in call for call in FUNCTIONS.calls.values())


def test_each_push_service_serves_its_own_step() -> None:
    """The courier encodes nothing, and the transcoder has nothing to sign with."""
    steps = {name: environment.get("PUSH_STEPS") for name, environment in environments()}
    assert steps["transcoder"] == Topic.TRANSCODE
    assert steps["courier"] == Topic.DELIVER


def test_what_opens_the_lms_storage_is_read_by_the_courier_alone() -> None:
    """The front door takes files from outside: it must not hold the key to where they go."""
    module = hcl.module("secrets")
    grants = {grant.name: grant.body for grant in module.all(f"{SECRET}_iam_member")}
    assert grants["courier"]["for_each"] == "${local.delivering}"
    assert grants["courier"]["member"] == '${var.members["courier"]}'
    assert "delivering" not in str(grants["reader"])
    given = {name for name, call in SERVICES.calls.items() if "delivery_secrets" in str(call)}
    assert given == {"courier"}


def test_the_push_endpoints_are_called_by_the_push_account_alone() -> None:
    """PUSH_BEHIND_IAM believes tokens without a signature: nobody else may get through."""
    for service in PUSHED:
        assert SERVICES.calls[service]["invokers"] == {"push": "${var.push_member}"}


def test_secrets_come_from_secret_manager_and_their_values_from_nowhere() -> None:
    """The settings that are secrets have a container each; no value is in a file or the state."""
    secret = {
        name.upper()
        for name, field in Settings.model_fields.items()
        if SecretStr.__name__ in str(field.annotation)
    }
    made = hcl.module("secrets").locals
    assert set(made["secrets"]) == SECRETS
    assert set(made["delivery_secrets"]) == DELIVERY_SECRETS
    assert secret == SECRETS | DELIVERY_SECRETS | NO_CONTAINER
    for name, module in hcl.modules():
        assert not module.all("google_secret_manager_secret_version"), name
    for service, environment in environments():
        assert not secret & set(environment), service


# --- access -----------------------------------------------------------------------------------
def project_grants() -> list[tuple[str, Mapping[str, Any]]]:
    """Return every grant on the project as a whole, with its module."""
    return [
        (name, resource.body)
        for name, module in hcl.modules()
        for resource in module.resources
        if resource.kind.startswith("google_project_iam_")
        and resource.kind != "google_project_iam_custom_role"
    ]


def test_grants_on_the_project_have_a_condition() -> None:
    """All but the two that Eventarc demands and that can be made nowhere else."""
    free = {grant["role"] for _, grant in project_grants() if "condition" not in grant}
    assert free == {"roles/eventarc.eventReceiver", "roles/pubsub.publisher"}
    bound = [grant for _, grant in project_grants() if "condition" in grant]
    assert [grant["role"] for grant in bound] == ["roles/datastore.user"]
    (condition,) = bound[0]["condition"]
    assert condition["expression"] == (
        'resource.name == "projects/${var.project_id}/databases/${var.database}"'
    )


def test_no_grant_is_a_basic_role_or_an_administrator() -> None:
    """Nothing of Lectern's may own, edit, administer, or replace others' grants."""
    grants = 0
    for name, module in hcl.modules():
        for resource in module.resources:
            assert not resource.kind.endswith(("_iam_policy", "_iam_binding")), (name, resource)
            if resource.kind.endswith("_iam_member"):
                grants += 1
                role = resource.body["role"]
                assert role not in {"roles/owner", "roles/editor", "roles/viewer"}, name
                assert "admin" not in role.lower(), (name, resource)
    assert grants


def test_every_service_has_an_account_of_its_own() -> None:
    """Accounts and services are the same list."""
    accounts = set(IDENTITY.locals["services"])
    assert accounts == {service for service, _ in environments()}
    for service in ("receiver", "transcoder", "courier", "confirmer"):
        call = SERVICES.calls[service]
        assert call["service_account"] == f"${{var.accounts.{service}}}"
    assert FUNCTIONS.calls["function"]["service_account"] == "${var.accounts[each.key]}"
    last = FUNCTIONS.calls["upload_finalized"]
    assert last["service_account"] == "${var.accounts[local.begins]}"
    assert FUNCTIONS.locals["begins"] in FUNCTIONS.locals["functions"]


def test_only_the_receiver_signs_urls_and_only_in_its_own_name() -> None:
    """A token creator of another account could do all that this one may."""
    creators = [
        resource.body
        for resource in IDENTITY.resources
        if str(resource.body.get("role")).endswith("TokenCreator")
    ]
    own = IDENTITY.one("google_service_account_iam_member", "signs_urls")
    assert own["service_account_id"] == '${google_service_account.service["receiver"].name}'
    assert own["member"] == '${google_service_account.service["receiver"].member}'
    of_pushes = IDENTITY.one("google_service_account_iam_member", "pushes")
    assert len(creators) == 2
    assert own in creators
    assert of_pushes in creators


def test_pages_may_only_read_what_a_url_opens() -> None:
    """Players of any origin are sent on to the bucket; pages of one origin may send uploads."""
    bucket = hcl.module("storage").one("google_storage_bucket", "recordings")
    (rule,) = bucket["cors"]
    assert (rule["origin"], rule["method"]) == (["*"], ["GET", "HEAD"])
    (sending,) = [block["cors"] for block in bucket["dynamic"] if "cors" in block]
    assert sending["for_each"] == "${var.upload_origin == null ? [] : [var.upload_origin]}"
    (sent,) = sending["content"]
    assert (sent["origin"], sent["method"]) == (["${cors.value}"], ["PUT"])
    assert {"Content-Range", "Content-Type", "Range"} == set(sent["response_header"])
    for module in ("storage", "services"):
        assert EXAMPLE.calls[module]["upload_origin"] == "${var.upload_origin}"
    assert SERVICES.locals["receiver"]["UPLOAD_ORIGIN"] == "${var.upload_origin}"


def test_whoever_makes_urls_of_the_service_is_told_its_own() -> None:
    """Without PUBLIC_URL the front door takes no order of renditions."""
    told = {name for name, environment in environments() if "PUBLIC_URL" in environment}
    assert told == {"receiver", "courier"}


def test_the_bucket_keeps_nothing_that_is_deleted() -> None:
    """Versions and soft deletion would keep recordings past their promised end."""
    bucket = hcl.module("storage").one("google_storage_bucket", "recordings")
    assert bucket["versioning"] == [{"enabled": False}]
    assert bucket["soft_delete_policy"] == [{"retention_duration_seconds": 0}]
    assert bucket["uniform_bucket_level_access"] is True
    assert bucket["public_access_prevention"] == "enforced"
    assert bucket["force_destroy"] is False


# --- events -----------------------------------------------------------------------------------
def trees() -> Iterator[ast.Module]:
    """Yield the syntax of every module of the services."""
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            yield ast.parse(path.read_text(encoding="utf-8"))


@cache
def emitted() -> set[str]:
    """Return the names of all events: those that are written out, and those of a job's changes."""
    names = {
        call.args[0].value
        for tree in trees()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr.lstrip("_") == "emit"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    changes = {f"job.{name.lower()}" for name in vars(events) if name[0].isupper()}
    return {str(name) for name in names} | changes | {"job.received"}


@cache
def fields_told() -> set[str]:
    """Return the names that stand beside a value in the code: keywords and keys."""
    nodes = [node for tree in trees() for node in ast.walk(tree)]
    keywords = {node.arg for node in nodes if isinstance(node, ast.keyword)}
    keys = {
        key.value
        for node in nodes
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    return {str(name) for name in keywords | keys}


@pytest.mark.parametrize("name", list(MONITORING.locals["filters"]))
def test_every_filter_waits_for_events_that_are_written(name: str) -> None:
    """An alert on an event that nobody writes never rings."""
    filter_ = MONITORING.locals["filters"][name]
    named_events = re.search(r'jsonPayload\.event=(\([^)]*\)|"[^"]*")', filter_)
    assert named_events, filter_
    assert set(re.findall(r'"([^"]+)"', named_events[1])) <= emitted()
    assert set(re.findall(r"jsonPayload\.(\w+)", filter_)) - {"event"} <= fields_told()


def test_every_metric_reads_fields_that_are_written() -> None:
    """Labels and values are fields of the lines; a missing one is an empty chart."""
    series = {**MONITORING.locals["counters"], **MONITORING.locals["distributions"]}
    labels = [local(MONITORING, metric["labels"]) for metric in series.values()]
    fields = {field for own in labels for field in own.values()}
    fields |= {metric["field"] for metric in series.values() if "field" in metric}
    assert fields - {"event"} <= fields_told()


def test_every_filter_is_used_and_every_use_has_a_filter() -> None:
    """Counters are called like their filters; distributions and alerts name theirs."""
    used = set(MONITORING.locals["counters"]) | set(MONITORING.locals["lines"])
    used |= {metric["filter"] for metric in MONITORING.locals["distributions"].values()}
    assert used == set(MONITORING.locals["filters"])
    assert set(MONITORING.locals["rates"]) <= set(MONITORING.locals["counters"])
