"""Pictures that wait for the model: who goes together, who is refused, and what becomes of those nobody awaits."""

import asyncio
import time

import numpy as np
import pytest

pytest.importorskip("prometheus_client", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

from prometheus_client import REGISTRY

from export.server.batching import Batcher, Budget
from export.server.metrics import Statistics


class Model:
    """Says of each picture its first value; notes the shapes that it saw."""

    def __init__(self):
        self.shapes = []

    def __call__(self, images):
        self.shapes.append(images.shape)
        if (images == 13).any():
            raise RuntimeError("thirteen")
        return {"first": images[:, 0, 0, 0].astype(int)}


def picture(value, height=2, width=3):
    return np.full([height, width, 3], value, np.uint8)


def seen(model, pictures, *, waits=0.05, cancel=(), **options):
    """Answers or errors of pictures that come at the same time."""

    async def ask():
        options_ = {"max_batch": 4, "max_wait": waits, "max_waiting": 99, "max_pixels": 1e6} | options
        batcher = Batcher(model, Statistics("", ""), **options_)
        asked = [asyncio.create_task(batcher.see(one)) for one in pictures]
        await asyncio.sleep(0)
        for i in cancel:
            asked[i].cancel()
        work = asyncio.create_task(batcher.work())
        answers = await asyncio.gather(*asked, return_exceptions=True)
        work.cancel()
        return answers

    return asyncio.run(ask())


def test_pictures_of_one_size_go_together_and_each_gets_its_own_answer():
    model = Model()
    answers = seen(model, [picture(1), picture(2, 5, 5), picture(3), picture(4)])
    assert [answer["first"] for answer in answers] == [1, 2, 3, 4]
    assert sorted(model.shapes) == [(1, 5, 5, 3), (3, 2, 3, 3)]


def test_the_model_does_one_thing_at_a_time():
    at_once, most = [], []

    def work():
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.01)
        at_once.pop()

    async def ask():
        batcher = Batcher(Model(), Statistics("", ""), max_batch=4, max_wait=0, max_waiting=9, max_pixels=1e6)
        await asyncio.gather(*(batcher.in_thread(work) for _ in range(5)))

    asyncio.run(ask())
    assert most == [1] * 5


def test_a_batch_has_no_more_pictures_and_no_more_pixels_than_allowed():
    model = Model()
    seen(model, [picture(i) for i in range(5)])
    assert [shape[0] for shape in model.shapes] == [4, 1]
    model = Model()
    seen(model, [picture(i) for i in range(4)], max_pixels=12)  # two pictures of 6
    assert [shape[0] for shape in model.shapes] == [2, 2]
    model = Model()
    seen(model, [picture(1), picture(2)], max_pixels=1)
    assert [shape[0] for shape in model.shapes] == [1, 1], "a picture larger than that goes alone"


def test_what_nobody_awaits_is_not_computed():
    model = Model()
    answers = seen(model, [picture(1), picture(2), picture(3)], cancel=[0, 2])
    assert isinstance(answers[0], asyncio.CancelledError) and answers[1]["first"] == 2
    assert model.shapes == [(1, 2, 3, 3)]


def test_who_has_left_takes_no_place_among_those_that_may_wait():
    async def story():
        batcher = Batcher(Model(), Statistics("", ""), max_batch=4, max_wait=0, max_waiting=2, max_pixels=1e6)
        gone = [asyncio.create_task(batcher.see(picture(i))) for i in range(2)]
        await asyncio.sleep(0)
        for one in gone:
            one.cancel()
        later = asyncio.create_task(batcher.see(picture(5)))
        await asyncio.sleep(0)
        assert REGISTRY.get_sample_value("tfrecog_waiting_pictures", {"model": "", "version": ""}) == 1
        work = asyncio.create_task(batcher.work())
        answer = await later
        work.cancel()
        return answer

    assert asyncio.run(story())["first"] == 5


def test_a_picture_that_makes_the_model_fail_fails_alone():
    answers = seen(Model(), [picture(1), picture(13), picture(3)])
    assert isinstance(answers[1], RuntimeError)
    assert (answers[0]["first"], answers[2]["first"]) == (1, 3)


def test_after_an_error_of_the_batcher_itself_the_others_are_served():
    empty = picture(1, 0)  # No number of pictures without pixels fills a batch.
    first, second = seen(Model(), [empty, picture(2)], waits=3600)
    assert isinstance(first, ZeroDivisionError) and isinstance(second, ZeroDivisionError), "who waits is told"

    async def later():
        batcher = Batcher(Model(), Statistics("", ""), max_batch=1, max_wait=0.01, max_waiting=9, max_pixels=1e6)
        work = asyncio.create_task(batcher.work())
        with pytest.raises(ZeroDivisionError):
            await batcher.see(empty)
        answer = await batcher.see(picture(5))
        work.cancel()
        return answer

    assert asyncio.run(later())["first"] == 5


def test_a_budget_is_given_in_turn_and_never_more_than_it_has():
    async def story():
        budget, log = Budget(10), []

        async def use(name, amount, hold):
            async with budget.taken(amount):
                log.append(name)
                await hold.wait()

        holds = {name: asyncio.Event() for name in "abcd"}
        tasks = {}
        for name, amount in {"a": 6, "b": 99, "c": 1, "d": 3}.items():
            tasks[name] = asyncio.create_task(use(name, amount, holds[name]))
            await asyncio.sleep(0)
        assert log == ["a"], "b wants more than is left, and c comes after b"
        tasks["b"].cancel()
        await asyncio.gather(tasks["b"], return_exceptions=True)
        while len(log) < 3:
            await asyncio.sleep(0)
        assert log == ["a", "c", "d"], "b is gone"
        for hold in holds.values():
            hold.set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        async with asyncio.timeout(60), budget.taken(99):  # All of it, once everybody has given back.
            pass

    asyncio.run(story())


def test_who_waits_for_a_budget_and_who_holds_it_may_leave_together():
    async def story():
        budget = Budget(10)

        async def use():
            async with budget.taken(8):
                await asyncio.Event().wait()

        tasks = [asyncio.create_task(use()) for _ in range(3)]
        await asyncio.sleep(0)  # Each runs to where it waits.
        for task in tasks:
            task.cancel()
        left = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in left), left
        async with asyncio.timeout(60), budget.taken(10):
            pass

    asyncio.run(story())
