"""Retrieve many models: `kept` shares one client, `cold` makes one each, `none` asks nothing."""

import os
import sys

from world import model_id

from fftdeploy.api.client.connection import Connection
from fftdeploy.api.settings import settings
from fftdeploy.api.threads import each

mode, models, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
known = settings(os.environ)
shared = Connection(known, max_connections=at_once)


def ask(number: int) -> int | None:
    connection = shared if mode == "kept" else Connection(known)
    try:
        return connection.retrieve(model_id(number), 20).status
    finally:
        if connection is not shared:
            connection.close()


if mode != "none":
    assert set(each(range(models), ask, at_once).values()) == {200}
