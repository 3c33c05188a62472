"""What Celery warns of is shown: it would see to it that nothing is."""

import logging

from data_fetch.workers.app import celery_warnings

CONNECTIONS = logging.getLogger("celery.worker.consumer.consumer")


def test_a_broker_that_does_not_answer_is_reported_in_one_line() -> None:
    shown: list[str] = []
    with celery_warnings(shown.append):
        CONNECTIONS.error("Cannot connect to %s.\nTrying again in 2.00 seconds...\n", "redis://h:1")
        CONNECTIONS.info("Connected to redis://h:1")
    CONNECTIONS.error("after the end")

    assert shown == ["Cannot connect to redis://h:1. Trying again in 2.00 seconds..."]
