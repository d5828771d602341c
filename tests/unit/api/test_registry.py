import json
import re

import pytest

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.errors import UnknownCommand
from fulmen.api.registry import REGISTRY
from fulmen.api.schema import schema_of_all

VERBS = {
    *("getinfo", "feerates", "counters", "help", "stop"),
    *("newaddr", "listfunds", "withdraw", "rescan"),
    *("connect", "disconnect", "listpeers"),
    *("fundchannel", "close", "setchannel", "listpeerchannels"),
    *("invoice", "pay", "listpays", "listinvoices", "waitinvoice", "listforwards"),
    *("getroutes", "listnodes", "listchannels"),
    *("decode", "signmessage", "checkmessage"),
    *("mine", "faucet", "reorg"),
}


def test_every_promised_verb_is_declared():
    assert {command.name for command in REGISTRY} == VERBS


@pytest.mark.parametrize("command", list(REGISTRY), ids=lambda command: command.name)
def test_every_command_explains_itself_and_its_parameters(command):
    assert command.help.endswith(".")
    schema = schema_of_all(REGISTRY)["commands"][command.name]
    properties = schema["$defs"][command.request.__name__].get("properties", {})
    assert all(prop.get("description") for prop in properties.values())


@pytest.mark.parametrize("command", list(REGISTRY), ids=lambda command: command.name)
def test_every_amount_of_an_answer_says_its_unit(command):
    properties = json.dumps(schema_of_all(REGISTRY)["commands"][command.name])
    for name in re.findall(r'"(\w*amount\w*)"', properties):
        assert name.endswith("_msat") or name in {"amount"}, name


def test_the_schema_is_json_and_complete():
    schema = json.loads(json.dumps(schema_of_all(REGISTRY)))
    assert set(schema["commands"]) == VERBS


def test_an_unknown_command_is_refused_by_name():
    with pytest.raises(UnknownCommand, match="'fly'"):
        REGISTRY.get("fly")
