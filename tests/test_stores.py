"""What the environment says of object stores, in obstore's words and in GDAL's."""

from __future__ import annotations

import os

import pytest

from eocube.loaders.directories import Foreign
from eocube.loaders.places import place_of
from eocube.loaders.stores import azure_config, plain, s3_config

HERE = "s2@acc.dfs.core.windows.net"
STRING = "AccountName=acc;BlobEndpoint=http://127.0.0.1:1/acc/"


@pytest.fixture(autouse=True)
def env(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)

    def given(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return given


class TestS3:
    def test_keys(self, env):
        env(AWS_DEFAULT_REGION="eu-west-1", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_SESSION_TOKEN="c")
        assert s3_config() == {
            "region": "eu-west-1", "skip_signature": False, "access_key_id": "a", "secret_access_key": "b",
            "session_token": "c",
        }  # fmt: skip

    def test_anonymous_elsewhere(self, env):
        env(AWS_REGION="r", AWS_NO_SIGN_REQUEST="yes", AWS_S3_ENDPOINT="host:1", AWS_HTTPS="no", AWS_ACCESS_KEY_ID="a")
        assert s3_config() == {"region": "r", "skip_signature": True, "endpoint": "http://host:1"}
        env(AWS_HTTPS="YES", AWS_REQUEST_PAYER="requester")
        assert s3_config()["endpoint"] == "https://host:1"
        assert s3_config()["request_payer"] is True

    def test_what_is_said_goes_before_the_environment(self, env):
        env(AWS_REGION="r", AWS_S3_ENDPOINT="host:1", AWS_HTTPS="NO")
        said = {"region": "s", "endpoint": "https://other", "anonymous": "", "requester-pays": ""}
        assert s3_config(said) == {
            "region": "s", "skip_signature": True, "request_payer": True, "endpoint": "https://other",
        }  # fmt: skip

    @pytest.mark.parametrize("said", [{}, {"AWS_REGION": "r"}, {"AWS_REGION": "r", "AWS_PROFILE": "p"}, {"AWS_NO_SIGN_REQUEST": "YES"}])
    def test_the_rest_is_for_gdal(self, env, said):
        env(**said)
        with pytest.raises(Foreign):
            s3_config()


class TestAzure:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ({"ACCOUNT": "acc"}, {"skip_signature": True}),
            ({"ACCOUNT": "acc", "ACCESS_KEY": "k"}, {"account_key": "k"}),
            ({"ACCOUNT": "acc", "SAS_TOKEN": "?sig=y"}, {"sas_key": "sig=y"}),
            ({"CONNECTION_STRING": f"{STRING};AccountKey=a=="},
             {"account_key": "a==", "endpoint": "http://127.0.0.1:1/acc"}),
            ({"CONNECTION_STRING": f"{STRING};SharedAccessSignature=sv=1&sig=y"},
             {"sas_key": "sv=1&sig=y", "endpoint": "http://127.0.0.1:1/acc"}),
        ],
    )  # fmt: skip
    def test_credentials(self, env, said, expected):
        env(**{f"AZURE_STORAGE_{name}": value for name, value in said.items()})
        assert azure_config("s2") == {"account_name": "acc", "container_name": "s2", **expected}

    @pytest.mark.parametrize("said", [
        {}, {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_CLIENT_ID": "me"},
        {"AZURE_STORAGE_CONNECTION_STRING": STRING, "AZURE_STORAGE_ACCESS_KEY": "k"},
    ])  # fmt: skip
    def test_the_rest_is_for_gdal(self, env, said):
        env(**said)
        with pytest.raises(Foreign):
            azure_config("s2")

    @pytest.mark.parametrize(
        ("account", "href", "expected"),
        [
            ("", "s3://b/k.tif", "s3://b/k.tif"),
            ("", "/data/a.tif", "/data/a.tif"),
            ("", f"abfs://{HERE}/k.tif", "https://acc.blob.core.windows.net/s2/k.tif"),
            ("", f"az://{HERE}/k.tif?sig=x", "https://acc.blob.core.windows.net/s2/k.tif?sig=x"),
            ("acc", "az://s2/k.tif", "az://s2/k.tif"),
            ("acc", f"abfss://{HERE}/k.tif", "az://s2/k.tif"),
            ("acc", "az://s2/k.tif?sig=x", "https://acc.blob.core.windows.net/s2/k.tif?sig=x"),
            ("", "az://s2/k.tif", "az://s2/k.tif"),
            ("mine", f"abfs://{HERE}/k.tif", "https://acc.blob.core.windows.net/s2/k.tif"),
        ],
    )
    def test_hrefs(self, env, account, href, expected):
        if account:
            env(AZURE_STORAGE_ACCOUNT=account)
        assert plain(href) == expected

    def test_nothing_is_signed_when_asked_so(self, env):
        env(AZURE_STORAGE_ACCOUNT="acc", AZURE_STORAGE_ACCESS_KEY="k", AZURE_NO_SIGN_REQUEST="YES")
        assert plain("az://s2/k.tif") == "https://acc.blob.core.windows.net/s2/k.tif"

    def test_own_credentials_do_not_go_to_an_account_that_an_item_names(self, env):
        env(AZURE_STORAGE_CONNECTION_STRING=f"{STRING};AccountKey=Q0FOQVJZ", AZURE_STORAGE_SAS_TOKEN="sig=CANARY")
        href = "abfs://s2@other.dfs.core.windows.net/k.tif"
        assert plain(href) == "https://other.blob.core.windows.net/s2/k.tif"
        assert "Q0FOQVJZ" not in repr(place_of(href)) + repr(place_of("az://s2/k.tif"))
        assert azure_config("s2")["account_name"] == "acc"

    def test_the_endpoint_of_the_connection_string(self, env):
        env(AZURE_STORAGE_CONNECTION_STRING=STRING)
        assert plain("az://s2/k.tif?sig=x") == "http://127.0.0.1:1/acc/s2/k.tif?sig=x"
        assert plain("abfs://s2@other.x/k.tif") == "https://other.blob.core.windows.net/s2/k.tif"

    def test_a_key_that_is_none(self, env):
        env(AZURE_STORAGE_ACCOUNT="acc", AZURE_STORAGE_ACCESS_KEY="not base64!")
        with pytest.raises(Foreign):
            place_of("az://s2/k.tif")
