"""The support services of the example at work: a task that beat puts on the queue every two seconds.

The database and the broker are found by the service variables alone.
"""

import datetime
import os
import socket

import pymongo
from celery import Celery

E = os.environ
DB = "mongodb://%s:%s/" % (E["DB_SERVICE_HOST"], E["DB_SERVICE_PORT"])
MSG = "amqp://%s:%s@%s:%s/%s" % (
    E.get("MSG_USER", "app"),
    E.get("MSG_PASSWORD", "secret"),
    E["MSG_SERVICE_HOST"],
    E["MSG_SERVICE_PORT"],
    E.get("MSG_VHOST", "app"),
)

app = Celery("tasks")
app.conf.update(
    broker_url=MSG,
    broker_connection_max_retries=None,
    result_backend=DB,
    mongodb_backend_settings={"database": "celery", "taskmeta_collection": "celery_taskmeta"},
    beat_schedule={"tick": {"task": "tasks.tick", "schedule": 2.0}},
    timezone="UTC",
    worker_prefetch_multiplier=1,
    task_acks_late=True,
)


@app.task(autoretry_for=(pymongo.errors.PyMongoError,), retry_backoff=True, max_retries=None)
def tick():
    """Writes a document through the db service and returns which worker did it."""
    # A client made before the worker forks must not be used after it.
    client = pymongo.MongoClient(DB, serverSelectionTimeoutMS=5000)
    try:
        now = datetime.datetime.utcnow()
        client["pulp"]["ticks"].insert_one({"worker": socket.gethostname(), "at": now})
        return {"worker": socket.gethostname(), "at": now.isoformat()}
    finally:
        client.close()
