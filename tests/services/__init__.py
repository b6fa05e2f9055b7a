"""Real servers on loopback for the tests marked ``servers``.

``EOCUBE_SERVERS`` names the folder that ``.ci/servers`` filled: ``bin/`` with Python's (pypgstac,
uvicorn, moto), ``node_modules/`` with Azurite. nginx and PostgreSQL are the system's.
"""
