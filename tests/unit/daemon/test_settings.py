"""Flags before environment before file before defaults; names that nobody knows are refused by name."""

from __future__ import annotations

import pytest

from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.networks import LITECOIN_REGTEST, MAINNET, REGTEST, SIGNET
from fulmen.daemon.directory import DataDirectory, DirectoryUnusable
from fulmen.daemon.risks import MainnetNotYet, RisksNotAccepted, check
from fulmen.daemon.settings import BadSetting, BadSettingsFile, Settings, UnknownSetting, load, names


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(
        'network = "signet"\nalias = "from the file"\nannounce = ["a.example:1"]\nlisten = ["[::1]:1", "10.0.0.1:2"]\n'
        "[policy.forward]\nfee_base_msat = 7\n[policy.peer]\nping_interval_s = 5\n"
    )
    return path


def _default(name):
    value = Settings()
    for part in name.split("."):
        value = getattr(value, part)
    return value


def test_flags_win_over_the_environment_over_the_file_over_defaults(file):
    environment = {"FULMEN_ALIAS": "from the environment", "FULMEN_ANNOUNCE": "b.example:2", "HOME": "/root"}
    settings = load({"alias": "from a flag", "data_dir": None}, environment, file)
    assert settings.alias == "from a flag"
    assert settings.announce == ("b.example:2",)
    assert settings.network == "signet"
    assert settings.data_dir == Settings().data_dir
    assert settings.listen == ("[::1]:1", "10.0.0.1:2")
    assert settings.policy.forward.fee_base_msat == 7
    assert settings.policy.forward.fee_proportional_millionths == Settings().policy.forward.fee_proportional_millionths


def test_text_becomes_what_the_setting_is():
    node_id = "02" * 33
    settings = load(
        {"policy.opening.zeroconf_peers": node_id, "policy.opening.anchors": "false"},
        {
            "FULMEN_POLICY__FORWARD__FEE_BASE_MSAT": "11",
            "FULMEN_LISTEN": "a:1, b:2",
            "FULMEN_LOG__JSON": "true",
            "FULMEN_CHAIN__POLL_S": "2.5",
            "FULMEN_POLICY__FORWARD__HTLC_MAXIMUM_MSAT": "",
        },
    )
    assert settings.policy.opening.zeroconf_peers == (bytes.fromhex(node_id),)
    assert settings.policy.opening.anchors is False
    assert settings.policy.forward.fee_base_msat == 11
    assert settings.policy.forward.htlc_maximum_msat is None
    assert settings.listen == ("a:1", "b:2")
    assert settings.log.json is True
    assert settings.chain.poll_s == 2.5


NUMBERS = [name for name in names() if isinstance(_default(name), int | float) and not isinstance(_default(name), bool)]


@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_may_be_below_zero(name):
    for below in ("-1", -1):
        with pytest.raises(BadSetting, match=name):
            load({name: below}, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("policy.forward.fee_base_msat", "4294967296"),
        ("policy.forward.fee_proportional_millionths", "4294967296"),
        ("policy.forward.cltv_expiry_delta", "65536"),
        ("policy.forward.cltv_expiry_delta", "0"),
        ("policy.forward.htlc_minimum_msat", "2100000000000000001"),
        ("policy.opening.dust_limit_sat", "353"),
        ("policy.opening.max_accepted_htlcs", "484"),
        ("policy.opening.reserve_ppm", "1000001"),
        ("policy.opening.to_self_delay", "70000"),
        ("chain.poll_s", "0"),
        ("chain.poll_s", "nan"),
        ("chain.poll_s", "inf"),
        ("alias", "é" * 17),
        ("alias", "a\u202eb"),
    ],
)
def test_what_does_not_fit_the_wire_or_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(BadSetting, match=name):
        load({name: value}, {})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"policy.forward.cltv_expiry_delta": "79"}, "policy.forward.cltv_expiry_delta"),
        ({"policy.deadlines.cltv_expiry_delta": "81"}, "policy.forward.cltv_expiry_delta"),
        ({"policy.deadlines.fulfilled_deadline": "73"}, "policy.deadlines.cltv_expiry_delta"),
    ],
)
def test_deadlines_that_would_lose_money_together_are_refused_by_name(given, name):
    with pytest.raises(BadSetting, match=name):
        load(given, {})


def test_forwards_may_take_fewer_blocks_where_the_deadlines_know():
    both = dict.fromkeys(("policy.forward.cltv_expiry_delta", "policy.deadlines.cltv_expiry_delta"), "40")
    assert load(both, {}).policy.forward.cltv_expiry_delta == 40


CLOSE_TO = "policy.opening.close_to"
TAPROOT = b"\x51\x20" + b"\x02" * 32


def test_an_address_is_read_for_the_network_in_force(tmp_path):
    for network in (REGTEST, SIGNET):
        settings = load({"network": network.name, CLOSE_TO: address_of(TAPROOT, network)}, {})
        assert settings.policy.opening.close_to == TAPROOT
    assert load({CLOSE_TO: ""}, {}).policy.opening.close_to == b""
    file = tmp_path / "settings.toml"
    file.write_text(f'network = "signet"\n[policy.opening]\nclose_to = "{address_of(TAPROOT, SIGNET)}"\n')
    assert load({}, {}, file).policy.opening.close_to == TAPROOT


@pytest.mark.parametrize(
    "address",
    [
        address_of(TAPROOT, SIGNET),
        address_of(b"\x76\xa9\x14" + bytes(20) + b"\x88\xac", REGTEST),
        "nonsense",
        TAPROOT.hex(),
        TAPROOT,
        5,
    ],
)
def test_an_address_to_which_no_channel_could_close_is_refused_by_name(address):
    with pytest.raises(BadSetting, match=CLOSE_TO):
        load({CLOSE_TO: address}, {})


def test_nobody_has_to_listen():
    assert load({"listen": ""}, {}).listen == ()


def test_the_password_is_no_setting():
    assert load({}, {"FULMEN_PASSWORD": "x", "FULMEN_PASSWORD_FILE": "y"}) == Settings()


@pytest.mark.parametrize("flags,environment", [
    ({"alais": "x"}, {}),
    ({"policy": "x"}, {}),
    ({"policy.forward": "x"}, {}),
    ({"policy.forward.fee": "1"}, {}),
    ({}, {"FULMEN_ALAIS": "x"}),
    ({}, {"FULMEN_": "x"}),
])  # fmt: skip
def test_a_name_that_nobody_knows_is_refused_by_name(flags, environment):
    with pytest.raises(UnknownSetting, match="no setting"):
        load(flags, environment)


def test_a_close_name_is_suggested():
    with pytest.raises(UnknownSetting, match="did you mean alias"):
        load({"alais": "x"}, {})


@pytest.mark.parametrize("name,value", [
    ("policy.forward.fee_base_msat", "many"),
    ("policy.forward.fee_base_msat", "1.5"),
    ("policy.opening.anchors", "perhaps"),
    ("policy.opening.zeroconf_peers", "not hex"),
    ("accept_the_risks", "5"),
    ("listen", 5),
    ("alias", 5),
])  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(BadSetting, match=name):
        load({name: value}, {})


@pytest.mark.parametrize("content", [b"network = ", b"\xff\xfe", b"a = 1\na = 2", b"[" * 5000])
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path, content):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(BadSettingsFile):
        load({}, {}, path)
    with pytest.raises(BadSettingsFile):
        load({}, {}, tmp_path / "not there")


def test_unknown_names_in_a_file_are_refused_by_name(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("[policy.forward]\nfee = 1\n")
    with pytest.raises(UnknownSetting, match=r"policy\.forward\.fee"):
        load({}, {}, path)


def test_every_setting_has_one_name():
    assert "policy.peer.max_unchannelled_peers" in names()
    assert len(names()) == len(dict.fromkeys(names()))


def test_the_data_directory_is_for_its_owner_alone(tmp_path):
    directory = DataDirectory(tmp_path / "deep", "regtest")
    assert directory.path == tmp_path / "deep" / "regtest"
    assert not directory.path.parent.exists(), "whoever only names it leaves nothing behind"
    directory.make()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    directory.path.chmod(0o755)
    DataDirectory(tmp_path / "deep", "regtest").make()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    lock = directory.lock()
    lock.release()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DirectoryUnusable):
        DataDirectory(blocked, "regtest")


def test_real_money_needs_an_explicit_yes():
    for harmless in (REGTEST, SIGNET, LITECOIN_REGTEST):
        check(harmless, accept_the_risks=False)
    with pytest.raises(MainnetNotYet):
        check(MAINNET, accept_the_risks=True)
    litecoin = LITECOIN_REGTEST.but(name="litecoin", is_real=True)
    with pytest.raises(RisksNotAccepted, match="hot wallet"):
        check(litecoin, accept_the_risks=False)
    check(litecoin, accept_the_risks=True)
